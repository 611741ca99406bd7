// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusproc"
)

const (
	// stopGrace is how long a process may take to end by itself.
	stopGrace = 15 * time.Second
	// shownLog bounds what of a log a failed test prints, in bytes.
	shownLog = 16 << 10
)

// Process is one process of the rig. It is killed when its test ends, and its log printed when that failed.
type Process struct {
	tb      TB
	name    string
	command janusproc.Command
	logFile string
	child   *janusproc.Process
	// verify looks at the ended process at the end of its test and returns what is wrong, or ""; may be nil.
	verify func() string
}

// startProcess starts a command whose standard error, and standard output unless stdout is given, goes to a log file.
func startProcess(tb TB, name string, args []string, stdout io.Writer) *Process {
	tb.Helper()
	p := &Process{tb: tb, name: name, logFile: filepath.Join(tb.TempDir(), "log")}
	// What a process leaves in its working directory, such as recordings of Janus and core dumps, goes with the test.
	p.command = janusproc.Command{Args: args, Dir: tb.TempDir(), Stdout: stdout, Env: environment()}
	tb.Cleanup(p.end)
	p.start()
	return p
}

// environment is ours without what would configure januscloud behind the test's back. Edges do not wait for load balancers when they are told to
// end, unless a flag says so.
func environment() []string {
	env := []string{"JANUSCLOUD_LAME_DUCK=0s"}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "JANUSCLOUD_") {
			env = append(env, e)
		}
	}
	return env
}

func (p *Process) start() {
	p.tb.Helper()
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.tb.Fatalf("%s: log: %v", p.name, err)
	}
	defer log.Close()
	c := p.command
	c.Stderr = log
	if c.Stdout == nil {
		c.Stdout = log
	}
	if p.child, err = janusproc.Start(c); err != nil {
		p.tb.Fatalf("%s: %v", p.name, err)
	}
}

// PID is the process id.
func (p *Process) PID() int { return p.child.PID() }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.child.Done() }

// Running is false once the process has ended. A frozen process runs.
func (p *Process) Running() bool {
	select {
	case <-p.Done():
		return false
	default:
		return true
	}
}

// Wait waits until the process ends by itself and returns how: nil for exit status 0.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.Done():
		return p.child.Err()
	case <-ctx.Done():
		return fmt.Errorf("lab: %s still runs: %w", p.name, context.Cause(ctx))
	}
}

// Kill ends the process as kill -9 does, and waits until it is gone.
func (p *Process) Kill() {
	p.tb.Helper()
	p.Signal(syscall.SIGKILL)
	<-p.Done()
}

// Stop asks the process to end and fails when it does not in time, or not with exit status 0.
func (p *Process) Stop() {
	p.tb.Helper()
	p.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopGrace)
	defer timer.Stop()
	select {
	case <-p.Done():
	case <-timer.C:
		p.tb.Fatalf("%s: still running %v after SIGTERM", p.name, stopGrace)
	}
	if err := p.child.Err(); err != nil {
		p.tb.Fatalf("%s: stopped with %v", p.name, err)
	}
}

// Freeze stops the process from running, as a host that hangs would (SIGSTOP). Its sockets stay open.
func (p *Process) Freeze() {
	p.tb.Helper()
	p.Signal(syscall.SIGSTOP)
	WaitFor(p.tb, freezeTime, func() string {
		if p.Running() && !stopped(p.PID()) {
			return "some thread still runs"
		}
		return ""
	})
}

// freezeTime bounds how long a process takes to stop: its threads stop one by one, each when it next leaves the kernel.
const freezeTime = 5 * time.Second

// stopped reports whether no thread of a process runs or can be woken any more (states in proc_pid_stat(5)): all are
// stopped, or wait in the kernel for a child that was stopped with them.
func stopped(pid int) bool {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return false
	}
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // the thread ended
		}
		// The name, in parentheses, may hold anything; the state follows it.
		_, rest, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
		if strings.HasPrefix(rest, "R") || strings.HasPrefix(rest, "S") {
			return false
		}
	}
	return true
}

// Thaw lets a frozen process run again.
func (p *Process) Thaw() {
	p.tb.Helper()
	p.Signal(syscall.SIGCONT)
}

// Signal sends a signal. One that comes after the end does nothing.
func (p *Process) Signal(sig syscall.Signal) {
	p.tb.Helper()
	if err := p.child.Signal(sig); err != nil && !errors.Is(err, janusproc.ErrNotRunning) {
		p.tb.Fatalf("%s: %v", p.name, err)
	}
}

// Log is what the process has written to its log so far, over all its restarts.
func (p *Process) Log() string {
	content, err := os.ReadFile(p.logFile)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// end kills the process at the end of its test.
func (p *Process) end() {
	if p.child == nil {
		return
	}
	_ = p.child.Signal(syscall.SIGKILL)
	<-p.Done()
	problem := ""
	if p.verify != nil {
		problem = p.verify()
	}
	if problem != "" || failed(p.tb) {
		p.showLog()
	}
	if problem != "" {
		p.tb.Fatalf("%s: %s", p.name, problem)
	}
}

func (p *Process) showLog() {
	content := []byte(p.Log())
	if cut := len(content) - shownLog; cut > 0 {
		content = content[cut:]
		content = append([]byte("… "), content[bytes.IndexByte(content, '\n')+1:]...)
	}
	p.tb.Logf("log of %s (pid %d):\n%s", p.name, p.PID(), content)
}
