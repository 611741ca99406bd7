// SPDX-License-Identifier: Apache-2.0

package janusproc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func start(t *testing.T, script string, stdout *bytes.Buffer) *Process {
	t.Helper()
	c := Command{Args: []string{"sh", "-c", script}}
	if stdout != nil {
		c.Stdout, c.Stderr = stdout, stdout
	}
	p, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background(), 0) })
	return p
}

// gone is "" when no process has this id, or only its parent's wait is missing.
func gone(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil || strings.Contains(string(stat), ") Z ") {
		return ""
	}
	return fmt.Sprintf("process %d still runs", pid)
}

func TestProcessEnds(t *testing.T) {
	var out bytes.Buffer
	p := start(t, "echo hello; echo there >&2; exit 3", &out)
	<-p.Done()
	var exit *exec.ExitError
	if !errors.As(p.Err(), &exit) || exit.ExitCode() != 3 || out.String() != "hello\nthere\n" {
		t.Errorf("%v, output %q", p.Err(), out.String())
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, ErrNotRunning) {
		t.Errorf("signal after the end: %v", err)
	}
	if err := p.Stop(t.Context(), time.Second); err != nil {
		t.Errorf("stop after the end: %v", err)
	}
}

func TestStartFails(t *testing.T) {
	for _, args := range [][]string{nil, {"/no/such/program"}} {
		if _, err := Start(Command{Args: args}); err == nil {
			t.Errorf("%q started", args)
		}
	}
}

// TestStop stops a process that obeys, one that does not, and a frozen one.
func TestStop(t *testing.T) {
	for name, script := range map[string]string{
		"obeys":   "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done",
		"refuses": "trap '' TERM; echo ready; while :; do sleep 0.01; done",
		"frozen":  "echo ready; kill -STOP $$",
	} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			p, err := Start(Command{Args: []string{"sh", "-c", script}, Stdout: w})
			_ = w.Close()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if err := p.Stop(t.Context(), 200*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			if obeyed := p.Err() == nil; obeyed != (name == "obeys") {
				t.Errorf("ended with %v", p.Err())
			}
		})
	}
}

// TestGroup: what a process started ends with it.
func TestGroup(t *testing.T) {
	var out bytes.Buffer
	p := start(t, "sleep 3600 & echo $!", &out)
	<-p.Done()
	grandchild, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string { return gone(grandchild) })
}

// TestParentDies kills the process that started a child, as -9 does: a bound child ends as well, one that outlives goes on and
// keeps writing into nowhere.
func TestParentDies(t *testing.T) {
	for _, outlive := range []bool{false, true} {
		t.Run(fmt.Sprintf("outlive=%v", outlive), func(t *testing.T) {
			heart := filepath.Join(t.TempDir(), "heart")
			parent := exec.Command(os.Args[0])
			parent.Env = append(os.Environ(), parentRole+"=while :; do echo beat; date +%N > "+heart+"; sleep 0.01; done")
			if outlive {
				parent.Env = append(parent.Env, parentRole+"_OUTLIVE=1")
			}
			stdout, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(stdout).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			child, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Kill(-child, syscall.SIGKILL) })
			beats := func() string { b, _ := os.ReadFile(heart); return string(b) }
			eventually(t, func() string { return map[bool]string{true: "no beat yet"}[beats() == ""] })
			_ = parent.Process.Kill()
			_ = parent.Wait()
			if !outlive {
				eventually(t, func() string { return gone(child) })
				return
			}
			for range 3 {
				last := beats()
				eventually(t, func() string { return map[bool]string{true: "the child has stopped"}[beats() == last] })
			}
		})
	}
}
