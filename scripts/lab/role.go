// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// readyTime is how long a role may take until it says that it is ready.
const readyTime = 30 * time.Second

// Ready is what a role says of itself when it serves. Addresses are as printed; "" means that it has none such.
type Ready struct {
	// Role and Name are the subcommand and its --name.
	Role, Name string
	// WS, HTTP, Admin and NATS are addresses.
	WS, HTTP, Admin, NATS string
	// Fields are all of the line, those above included.
	Fields map[string]string
}

// ErrReady is returned for a line that is not the ready line of a role.
var ErrReady = errors.New("lab: not a ready line")

// ParseReady reads the line "ready role=… name=… ws=… http=… admin=… nats=…", in which each key comes at most once, role and
// name always, and values hold no blanks.
func ParseReady(line string) (Ready, error) {
	words := strings.Split(line, " ")
	if words[0] != "ready" {
		return Ready{}, fmt.Errorf("%w: %q", ErrReady, line)
	}
	r := Ready{Fields: make(map[string]string)}
	for _, word := range words[1:] {
		key, value, found := strings.Cut(word, "=")
		if _, twice := r.Fields[key]; !found || key == "" || value == "" || twice {
			return Ready{}, fmt.Errorf("%w: %q in %q", ErrReady, word, line)
		}
		r.Fields[key] = value
	}
	if r.Role, r.Name = r.Fields["role"], r.Fields["name"]; r.Role == "" || r.Name == "" {
		return Ready{}, fmt.Errorf("%w: no role or no name in %q", ErrReady, line)
	}
	r.WS, r.HTTP, r.Admin, r.NATS = r.Fields["ws"], r.Fields["http"], r.Fields["admin"], r.Fields["nats"]
	return r, nil
}

// RoleProcess is one januscloud process.
type RoleProcess struct {
	*Process
	// Ready is what its ready line said, of the latest start.
	Ready Ready

	role   string
	output *standardOutput
}

// Role starts a januscloud subcommand (edge, session, media, node, dev) as a process of its own and returns when it has
// printed its ready line. When the test ends it must have written nothing else to standard output, no race report and no
// panic.
func Role(tb TB, role string, args ...string) *RoleProcess {
	tb.Helper()
	r := startRole(tb, append([]string{Binary(tb), role}, args...))
	r.waitReady()
	return r
}

// Edge starts an edge on free ports of loopback.
func Edge(tb TB, nats string, args ...string) *RoleProcess {
	tb.Helper()
	free := []string{"--nats", nats}
	for _, flag := range []string{"--ws", "--http", "--admin-ws", "--admin-http"} {
		free = append(free, flag, "127.0.0.1:0")
	}
	return Role(tb, "edge", append(free, args...)...)
}

// Session starts a session role.
func Session(tb TB, nats string, args ...string) *RoleProcess {
	tb.Helper()
	return Role(tb, "session", append([]string{"--nats", nats}, args...)...)
}

// Media starts a media role beside a Janus.
func Media(tb TB, nats string, janus *JanusServer, args ...string) *RoleProcess {
	tb.Helper()
	return Role(tb, "media", append(beside(nats, janus), args...)...)
}

// Node starts a session and a media role in one process beside a Janus.
func Node(tb TB, nats string, janus *JanusServer, args ...string) *RoleProcess {
	tb.Helper()
	return Role(tb, "node", append(beside(nats, janus), args...)...)
}

func beside(nats string, janus *JanusServer) []string {
	args := []string{"--nats", nats, "--janus", janus.WSURL()}
	if admin := janus.Config.AdminWSURL(); admin != "" {
		args = append(args, "--janus-admin", admin)
	}
	if secret := janus.Config.APISecret; secret != "" {
		args = append(args, "--janus-api-secret", secret)
	}
	if secret := janus.Config.AdminSecret; secret != "" {
		args = append(args, "--janus-admin-secret", secret)
	}
	return args
}

// WSURL is the address of a role's Janus API over WebSocket, for Dial.
func (r *RoleProcess) WSURL() string { return address("ws", r.Ready.WS) }

// HTTPURL is the address of a role's HTTP server, without the path /janus unless the role tells it.
func (r *RoleProcess) HTTPURL() string { return address("http", r.Ready.HTTP) }

// address makes a URL of what a ready line says, which may be one already.
func address(scheme, said string) string {
	if said == "" || strings.Contains(said, "://") {
		return said
	}
	host, port, err := net.SplitHostPort(said)
	if err != nil {
		return scheme + "://" + said
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

func startRole(tb TB, command []string) *RoleProcess {
	tb.Helper()
	r := &RoleProcess{role: command[1], output: newStandardOutput()}
	r.Process = startProcess(tb, command[1], command, r.output)
	r.verify = r.check
	return r
}

// Restart starts the role anew with the same arguments, after killing it if it still runs. Ports given as 0 change.
func (r *RoleProcess) Restart() {
	r.tb.Helper()
	if err := r.TryRestart(); err != nil {
		r.tb.Fatalf("%v", err)
	}
}

// TryRestart is Restart for a role that may refuse, since its name is still known as that of a living one.
func (r *RoleProcess) TryRestart() error {
	r.tb.Helper()
	r.Kill()
	r.output.restart()
	r.start()
	return r.ready()
}

func (r *RoleProcess) waitReady() {
	r.tb.Helper()
	if err := r.ready(); err != nil {
		r.tb.Fatalf("%v", err)
	}
}

// ready waits for the ready line.
func (r *RoleProcess) ready() error {
	timer := time.NewTimer(readyTime)
	defer timer.Stop()
	reason := ""
	select {
	case line := <-r.output.first:
		ready, err := ParseReady(line)
		if err == nil {
			r.Ready = ready
			return nil
		}
		reason = err.Error()
	case <-r.Done():
		reason = fmt.Sprintf("ended: %v", r.child.Err())
	case <-timer.C:
		reason = fmt.Sprintf("not ready within %v", readyTime)
	}
	return fmt.Errorf("%s %s; its log:\n%s", r.role, reason, r.Log())
}

// check looks for what no role may do.
func (r *RoleProcess) check() string {
	if rest := r.output.rest(); rest != "" {
		return fmt.Sprintf("more than a ready line on standard output: %q", rest)
	}
	log := "\n" + r.Log()
	for _, sign := range []string{"WARNING: DATA RACE", "\npanic: ", "\nfatal error: "} {
		if strings.Contains(log, sign) {
			return strings.TrimSpace(sign)
		}
	}
	return ""
}

// standardOutput gives out the first line of a process and keeps the rest.
type standardOutput struct {
	mu    sync.Mutex // guards the rest
	first chan string
	line  []byte
	told  bool
	after bytes.Buffer
}

// maxAfter bounds what is kept of output that should not be.
const maxAfter = 4096

func newStandardOutput() *standardOutput {
	return &standardOutput{first: make(chan string, 1)}
}

func (o *standardOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(p)
	if !o.told {
		o.line = append(o.line, p...)
		line, after, found := bytes.Cut(o.line, []byte("\n"))
		if !found {
			return n, nil
		}
		o.told = true
		o.first <- string(line)
		p = after
	}
	o.after.Write(p[:min(len(p), max(0, maxAfter-o.after.Len()))])
	return n, nil
}

// restart makes the next line the first one.
func (o *standardOutput) restart() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.line, o.told = nil, false
	select {
	case <-o.first:
	default:
	}
}

func (o *standardOutput) rest() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.after.String()
}
