// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/messages/bus/embedded"
	"github.com/januscloud/januscloud/scripts/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests. Nothing takes that long unless it fails.
const patience = 30 * time.Second

// program is the program running inside the test.
type program struct {
	t       *testing.T
	signals chan os.Signal
	exits   chan int // calls of exit
	code    chan int
	out     *sink
	err     *sink
}

// sink is a stream that is read while it is written.
type sink struct {
	mu      sync.Mutex // guards text
	text    bytes.Buffer
	changed chan struct{}
}

func newSink() *sink { return &sink{changed: make(chan struct{}, 1)} }

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

var _ io.Writer = (*sink)(nil)

// begin runs the program; whatever becomes of the test, it is told to end.
func begin(t *testing.T, environ []string, args ...string) *program {
	t.Helper()
	p := &program{
		t: t, signals: make(chan os.Signal, 2), exits: make(chan int, 1), code: make(chan int, 1), out: newSink(), err: newSink(),
	}
	w := &world{
		args: args, environ: append([]string{"JANUSCLOUD_LAME_DUCK=0s"}, environ...), stdout: p.out, stderr: p.err, signals: p.signals,
		exit: func(code int) { p.exits <- code }, stopBound: 5 * time.Second,
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.code <- run(w)
	}()
	t.Cleanup(func() {
		select {
		case p.signals <- syscall.SIGTERM:
		default:
		}
		<-ended
		if t.Failed() {
			t.Logf("januscloud %s wrote:\n%s%s", strings.Join(args, " "), p.out, p.err)
		}
	})
	return p
}

// exit is the exit code, once it has ended.
func (p *program) exit() int {
	p.t.Helper()
	select {
	case code := <-p.code:
		return code
	case <-time.After(patience):
		p.t.Fatal("does not end")
		return 0
	}
}

// ready waits for the ready line.
func (p *program) ready() lab.Ready {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		line, _, found := strings.Cut(p.out.String(), "\n")
		if found {
			r, err := lab.ParseReady(line)
			if err != nil {
				p.t.Fatal(err)
			}
			return r
		}
		select {
		case <-p.out.changed:
		case code := <-p.code:
			p.t.Fatalf("ended with %d before it was ready", code)
		case <-deadline:
			p.t.Fatal("not ready")
		}
	}
}

// stop ends it in good order and checks that standard output has the ready line alone.
func (p *program) stop() {
	p.t.Helper()
	p.signals <- syscall.SIGTERM
	if code := p.exit(); code != exitDone {
		p.t.Errorf("exit code %d after SIGTERM", code)
	}
	if n := strings.Count(p.out.String(), "\n"); n != 1 {
		p.t.Errorf("%d lines on standard output", n)
	}
}

// try runs a command to its end.
func try(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := begin(t, environ, args...)
	code = p.exit()
	return code, p.out.String(), p.err.String()
}

// natsServer runs a NATS server for the time of the test.
func natsServer(t *testing.T, o embedded.Options) *embedded.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o.Name, o.JetStream = "test", true
	if o.StoreDir == "" {
		o.StoreDir = t.TempDir()
	}
	s, err := embedded.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

// eventually waits for a condition, which is "" when it holds and else says what is missing.
func eventually(t *testing.T, missing func() string) {
	t.Helper()
	lab.WaitFor(t, patience, missing)
}

func TestHelpTeaches(t *testing.T) {
	for _, command := range []string{"dev", "edge", "session", "media", "node", "servers", "drain", "undrain", "doctor", "config"} {
		code, out, _ := try(t, nil, command, "--help")
		if code != exitDone || !strings.Contains(out, "Usage: januscloud "+command) || !strings.Contains(out, "Example") {
			t.Errorf("%s --help: %d %s", command, code, out)
		}
	}
	code, out, _ := try(t, nil, "--help")
	if code != exitDone || !strings.Contains(out, "JANUSCLOUD_LOG_LEVEL") || !strings.Contains(out, "januscloud dev") {
		t.Errorf("--help: %d %s", code, out)
	}
	// A placeholder must not hide the default.
	if _, out, _ := try(t, nil, "edge", "--help"); !strings.Contains(strings.Join(strings.Fields(out), " "), "Default: :8188.") {
		t.Errorf("the default of --ws is not told: %s", out)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, tt := range []struct {
		environ []string
		args    []string
		want    string
	}{
		{nil, nil, "expected one of"},
		{nil, []string{"sesion"}, `did you mean one of "session"`},
		{nil, []string{"edge", "--wz", ":1"}, "unknown flag --wz"},
		{nil, []string{"edge", "--ws", "8188"}, `"8188" is not an address`},
		{nil, []string{"session", "--session-timeout", "soon"}, "--session-timeout"},
		{nil, []string{"edge", "--log-level", "loud"}, "--log-level"},
		{nil, []string{"edge", "--config", "/nonexistent"}, "no such file"},
		{[]string{"JANUSCLOUD_REGOIN=x"}, []string{"edge"}, "JANUSCLOUD_REGOIN: unknown variable (did you mean JANUSCLOUD_REGION?)"},
	} {
		code, out, stderr := try(t, tt.environ, tt.args...)
		if code != exitUsage || out != "" || !strings.Contains(stderr, tt.want) {
			t.Errorf("%v %q: %d %q %q", tt.environ, tt.args, code, out, stderr)
		}
	}
}

func TestRunErrors(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"edge", "--nats-cert", "x"}, "januscloud edge: nats-cert and nats-key need one another"},
		{[]string{"edge", "--health", "256.0.0.1:1"}, "januscloud edge: health: listen"},
		{[]string{"dev", "--janus", "0", "--nats-listen", "127.0.0.1:0"}, "januscloud dev: at least one Janus is needed"},
		{[]string{"config", "check", "/nonexistent"}, "no such file"},
	} {
		code, out, stderr := try(t, nil, tt.args...)
		if code != exitFailed || out != "" || !strings.Contains(stderr, tt.want) {
			t.Errorf("%q: %d %q %q", tt.args, code, out, stderr)
		}
	}
}

func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	server := natsServer(t, embedded.Options{})
	p := begin(t, []string{"JANUSCLOUD_API_SECRET=hidden"}, "edge", "--nats", server.ClientURL(), "--ws", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-level", "debug")
	p.ready()
	p.stop()
	if text := p.out.String() + p.err.String(); strings.Contains(text, "hidden") {
		t.Errorf("the secret was written: %s", text)
	}
}

func TestVersionAndConfig(t *testing.T) {
	code, out, _ := try(t, nil, "version")
	if code != exitDone || !strings.HasPrefix(out, "januscloud ") || strings.Count(out, "\n") != 1 {
		t.Errorf("version: %d %q", code, out)
	}
	if code, out, _ := try(t, nil, "version", "--json"); code != exitDone || !strings.Contains(out, `"go":"go1`) {
		t.Errorf("version --json: %d %q", code, out)
	}
	_, defaults, _ := try(t, nil, "config", "default")
	file := t.TempDir() + "/januscloud.yaml"
	if err := os.WriteFile(file, []byte(defaults), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, stderr := try(t, nil, "config", "check", file); code != exitDone || !strings.Contains(out, ": ok, ") {
		t.Errorf("config check: %d %q %q", code, out, stderr)
	}
	if code, out, _ := try(t, nil, "config", "doc"); code != exitDone || !strings.Contains(out, "| `--ws` | `JANUSCLOUD_WS` | `:8188` |") {
		t.Errorf("config doc: %d %q", code, out)
	}
	if err := os.WriteFile(file, []byte("ws: :1\nhttpp: :1\nreclaim-timeout: 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := try(t, []string{"JANUSCLOUD_WZ=1"}, "config", "check", file)
	want := []string{file + ":2: httpp: unknown key", file + `:3: reclaim-timeout: "5" is not a duration`, "environment: JANUSCLOUD_WZ: unknown variable"}
	if code != exitFailed || out != "" || slices.ContainsFunc(want, func(s string) bool { return !strings.Contains(stderr, s) }) {
		t.Errorf("config check: %d %q %q", code, out, stderr)
	}
}
