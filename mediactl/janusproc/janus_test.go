// SPDX-License-Identifier: Apache-2.0

package janusproc_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusproc"
	"github.com/januscloud/januscloud/scripts/lab"
)

func timeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// stock is what a demo page asks first, and what shows that its room is there.
var stock = []struct{ plugin, request, want string }{
	{"videoroom", `{"request":"exists","room":1234}`, `"exists":true`},
	{"videoroom", `{"request":"exists","room":5678}`, `"exists":true`},
	{"audiobridge", `{"request":"exists","room":1234}`, `"exists":true`},
	{"textroom", `{"request":"exists","room":1234}`, `"exists":true`},
	{"streaming", `{"request":"info","id":1}`, `"codec":"vp8"`},
	{"streaming", `{"request":"info","id":2}`, `"type":"live"`},
	{"streaming", `{"request":"info","id":3}`, `"type":"on demand"`},
	{"streaming", `{"request":"info","id":123}`, `"mid":"v2"`},
	{"recordplay", `{"request":"list"}`, `"recordplay":"list"`},
	{"videocall", `{"request":"list"}`, `"videocall":"event"`},
	{"voicemail", `{"request":"record"}`, `"voicemail":"event"`},
	{"nosip", `{"request":"hangup"}`, `"nosip":"event"`},
	{"sip", `{"request":"nothing"}`, `"sip":"event"`},
	{"echotest", `{"audio":true}`, `"result":"ok"`},
}

// TestStockRooms asks a real Janus for everything that the stock demos expect.
func TestStockRooms(t *testing.T) {
	ctx := timeout(t)
	janus := lab.Janus(t, func(c *janusproc.Config) {
		c.JSON, c.APISecret, c.EventLoops, c.SessionTimeout = "compact", `quote " and \`, 2, 40*time.Second
	})
	if log := janus.Log(); strings.Contains(log, "[ERR]") || strings.Contains(log, "[FATAL]") {
		t.Errorf("Janus complains about its configuration: %s", log)
	}
	info, err := janusproc.Probe(ctx, janus.WSURL())
	if err != nil {
		t.Fatal(err)
	}
	want := janusproc.Info{
		ServerName: janus.Config.Name, Version: info.Version, SessionTimeout: 40, ReclaimSessionTimeout: 90, AcceptingNewSessions: true,
	}
	if info != want || info.Version == "" {
		t.Errorf("info %+v, want %+v", info, want)
	}
	c, err := lab.Dial(ctx, janus.WSURL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	secret := func(fields map[string]any) map[string]any {
		fields["apisecret"] = janus.Config.APISecret
		return fields
	}
	created, err := c.Must(ctx, secret(map[string]any{"janus": "create"}))
	if err != nil {
		t.Fatal(err)
	}
	session := created.Number("data", "id")
	for _, tt := range stock {
		attached, err := c.Must(ctx, secret(map[string]any{
			"janus": "attach", "session_id": session, "plugin": "janus.plugin." + tt.plugin,
		}))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.RequestEvent(ctx, secret(map[string]any{
			"janus": "message", "session_id": session, "handle_id": attached.Number("data", "id"), "body": jsonText(tt.request),
		}))
		if err != nil || !strings.Contains(answer.String(), tt.want) {
			t.Errorf("%s %s: %v, %v", tt.plugin, tt.request, answer, err)
		}
	}
}

// jsonText is JSON to be sent as it is.
type jsonText string

func (j jsonText) MarshalJSON() ([]byte, error) { return []byte(j), nil }

// TestSideBySide starts several at once: ports and names do not collide.
func TestSideBySide(t *testing.T) {
	ctx := timeout(t)
	names := make(map[string]bool)
	for range 4 {
		info, err := janusproc.Probe(ctx, lab.Janus(t).WSURL())
		if err != nil {
			t.Fatal(err)
		}
		names[info.ServerName] = true
	}
	if len(names) != 4 {
		t.Errorf("names %v", names)
	}
}

// TestEvents lets a real Janus send its events to us.
func TestEvents(t *testing.T) {
	ctx := timeout(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		b := make([]byte, 4096)
		n, _ := conn.Read(b)
		asked <- string(b[:n])
	}()
	lab.Janus(t, func(c *janusproc.Config) { c.EventsURL = "ws://" + l.Addr().String() + "/intake" })
	select {
	case handshake := <-asked:
		if !strings.HasPrefix(handshake, "GET /intake ") || !strings.Contains(handshake, "janus-events") {
			t.Errorf("handshake %q", handshake)
		}
	case <-ctx.Done():
		t.Fatal("Janus never came with its events")
	}
}

// supervised is a supervisor at work.
type supervised struct {
	*janusproc.Supervisor
	stop context.CancelFunc
	done chan error
	log  *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func supervise(t *testing.T, c janusproc.Config, outlive bool) *supervised {
	s := &supervised{done: make(chan error, 1), log: &syncBuffer{}}
	s.Supervisor = janusproc.NewSupervisor(janusproc.SupervisorOptions{
		Command: janusproc.Command{Args: c.CommandLine(), Outlive: outlive}, URL: c.WSURL(), Name: c.Name,
		Logger: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() { s.done <- s.Run(ctx) }()
	t.Cleanup(s.end)
	return s
}

func (s *supervised) end() {
	s.stop()
	if err, open := <-s.done; open {
		close(s.done)
		_ = err
	}
}

// answers waits until Janus answers under a supervisor in a state.
func (s *supervised) answers(t *testing.T, ctx context.Context, c janusproc.Config, state janusproc.State) janusproc.Status {
	t.Helper()
	var status janusproc.Status
	lab.WaitFor(t, 20*time.Second, func() string {
		if status = s.Status(); status.State != state {
			return fmt.Sprintf("state %v (%v), log:\n%s", status.State, status.Err, s.log)
		}
		if _, err := janusproc.Probe(ctx, c.WSURL()); err != nil {
			return err.Error()
		}
		return ""
	})
	return status
}

// TestSupervisor: a Janus that is killed comes back at the same address; one that hangs is restarted on demand; the one that a
// supervisor leaves is adopted by the next, which leaves it alone in turn and replaces it when it dies.
func TestSupervisor(t *testing.T) {
	ctx := timeout(t)
	c, err := janusproc.Write(janusproc.Config{Folder: filepath.Join(t.TempDir(), "janus"), Name: "supervised", ICEAddress: lab.Address(t)})
	if err != nil {
		t.Fatal(err)
	}
	first := supervise(t, c, true)
	one := first.answers(t, ctx, c, janusproc.Running)
	kill(t, one.PID, os.Kill)
	lab.WaitFor(t, 10*time.Second, func() string {
		if first.Status().PID == one.PID {
			return "the end was not noticed"
		}
		return ""
	})
	two := first.answers(t, ctx, c, janusproc.Running)
	if two.Starts != 2 || two.PID == one.PID {
		t.Errorf("after the kill: %+v", two)
	}
	first.Restart()
	lab.WaitFor(t, 10*time.Second, func() string {
		if first.Status().Starts < 3 {
			return "not restarted"
		}
		return ""
	})
	three := first.answers(t, ctx, c, janusproc.Running)
	first.end()

	second := supervise(t, c, false)
	adopted := second.answers(t, ctx, c, janusproc.Adopted)
	if adopted.PID != 0 || adopted.Starts != 0 {
		t.Errorf("adopted: %+v", adopted)
	}
	second.end()
	if _, err := janusproc.Probe(ctx, c.WSURL()); err != nil {
		t.Errorf("the adopted Janus did not survive: %v", err)
	}

	third := supervise(t, c, false)
	third.answers(t, ctx, c, janusproc.Adopted)
	kill(t, three.PID, os.Kill)
	own := third.answers(t, ctx, c, janusproc.Running)
	third.end()
	if _, err := janusproc.Probe(ctx, c.WSURL()); err == nil {
		t.Errorf("Janus %d survived its supervisor", own.PID)
	}
	if log := third.log.String(); !strings.Contains(log, `line="JANUS EchoTest plugin initialized!"`) {
		t.Errorf("the output of Janus is not logged:\n%s", log)
	}
}

func kill(t *testing.T, pid int, sig os.Signal) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// TestJanusOutlives: a real Janus goes on when the process that started it is killed, and with it the reader of its output.
func TestJanusOutlives(t *testing.T) {
	ctx := timeout(t)
	c, err := janusproc.Write(janusproc.Config{Folder: t.TempDir(), Name: "orphan", ICEAddress: lab.Address(t)})
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(ctx, os.Args[0])
	parent.Env = append(os.Environ(), "JANUSPROC_TEST_PARENT=exec janus -F "+c.Folder, "JANUSPROC_TEST_PARENT_OUTLIVE=1")
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(stdout, &pid); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(t, pid, os.Kill) })
	if err := janusproc.WaitReady(ctx, c, nil); err != nil {
		t.Fatal(err)
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	client, err := lab.Dial(ctx, c.WSURL())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 20 { // each writes a line into the lost pipe
		session, err := client.Create(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Attach(ctx, session, "janus.plugin.echotest"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestProbeFails asks what does not answer, and what is no Janus.
func TestProbeFails(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for _, url := range []string{"ws://127.0.0.1:1", "ws://" + mute.Addr().String(), "http://127.0.0.1:1", "::"} {
		if info, err := janusproc.Probe(ctx, url); err == nil {
			t.Errorf("%s answered %+v", url, info)
		}
	}
}
