// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// waitFor polls until wrong returns "", and fails with its last answer.
func waitFor(t testing.TB, wrong func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		reason := wrong()
		if reason == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v still: %s", patience, reason)
		}
		time.Sleep(time.Millisecond)
	}
}

// recorder is a Handler that echoes and remembers.
type recorder struct {
	onOpen    func(*Conn)
	onMessage func(*Conn, []byte)

	mu     sync.Mutex
	conns  []*Conn
	closed map[*Conn][]error
}

func newRecorder() *recorder { return &recorder{closed: make(map[*Conn][]error)} }

func (r *recorder) Open(c *Conn) {
	if r.onOpen != nil {
		r.onOpen(c)
	}
	r.mu.Lock()
	r.conns = append(r.conns, c)
	r.mu.Unlock()
}

func (r *recorder) Message(c *Conn, data []byte) {
	if r.onMessage != nil {
		r.onMessage(c, data)
		return
	}
	_ = c.Send(data)
}

func (r *recorder) Close(c *Conn, reason error) {
	r.mu.Lock()
	r.closed[c] = append(r.closed[c], reason)
	r.mu.Unlock()
}

// conn waits for the n-th opened connection, counted from 0.
func (r *recorder) conn(t testing.TB, n int) (c *Conn) {
	t.Helper()
	waitFor(t, func() string {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.conns) <= n {
			return fmt.Sprintf("%d connections opened, not %d", len(r.conns), n+1)
		}
		c = r.conns[n]
		return ""
	})
	return c
}

// reason waits for the end of the n-th connection.
func (r *recorder) reason(t testing.TB, n int) (why error) {
	t.Helper()
	c := r.conn(t, n)
	waitFor(t, func() string {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.closed[c]) == 0 {
			return fmt.Sprintf("connection %d not closed", n)
		}
		why = r.closed[c][0]
		return ""
	})
	return why
}

// balanced fails unless each connection was closed exactly once.
func (r *recorder) balanced(t testing.TB) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, c := range r.conns {
		if n := len(r.closed[c]); n != 1 {
			t.Errorf("connection %d: Close called %d times: %v", i, n, r.closed[c])
		}
	}
	if len(r.closed) != len(r.conns) {
		t.Errorf("%d connections opened, %d closed", len(r.conns), len(r.closed))
	}
}

// opaque hides the type of a listener, so that the goroutine mode serves it.
type opaque struct{ net.Listener }

// mode is one way a connection is carried.
type mode struct {
	name   string
	tls    bool
	opaque bool
}

var modes = []mode{{name: "epoll"}, {name: "stream", opaque: true}, {name: "tls", tls: true}}

// eachMode runs one test over every kind of connection.
func eachMode(t *testing.T, test func(t *testing.T, m mode)) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) { test(t, m) })
	}
}

// fixture is a running server with its handler.
type fixture struct {
	*recorder
	server   *Server
	mode     mode
	addr     string
	registry *prometheus.Registry
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// serve starts a server for the test; its end checks that every Open had its
// Close.
func serve(t testing.TB, m mode, r *recorder, opts Options) *fixture {
	t.Helper()
	f := &fixture{recorder: r, mode: m, registry: prometheus.NewRegistry()}
	if opts.Log == nil {
		opts.Log = quiet()
	}
	opts.Registry = f.registry
	if opts.Subprotocols == nil {
		opts.Subprotocols = []string{"janus-protocol"}
	}
	if m.tls {
		opts.TLS = serverTLS(t)
	}
	f.server = New(r, opts)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = ln.Addr().String()
	if m.opaque {
		ln = opaque{ln}
	}
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		f.server.Shutdown(ctx, ws.StatusGoingAway, "test over")
		if err := <-served; err != nil && !errors.Is(err, ErrServed) {
			t.Errorf("Serve: %v", err)
		}
		if n := f.server.Len(); n != 0 {
			t.Errorf("%d connections after Shutdown", n)
		}
		r.balanced(t)
	})
	return f
}

func (f *fixture) count(t testing.TB, name, label, value string) float64 {
	t.Helper()
	families, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "januscloud_websocket_"+name {
			continue
		}
		for _, metric := range family.GetMetric() {
			if label == "" {
				return metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			}
			for _, l := range metric.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					return metric.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}

// peer is a client that writes and reads raw bytes.
type peer struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

// connect opens a connection without a handshake.
func (f *fixture) connect(t testing.TB) *peer {
	t.Helper()
	var nc net.Conn
	var err error
	if f.mode.tls {
		nc, err = tls.Dial("tcp", f.addr, &tls.Config{InsecureSkipVerify: true})
	} else {
		nc, err = net.Dial("tcp", f.addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { nc.Close() })
	return &peer{t: t, Conn: nc, r: bufio.NewReader(nc)}
}

var upgradeLines = []string{
	"GET /janus HTTP/1.1",
	"Host: example.org",
	"Upgrade: websocket",
	"Connection: keep-alive, Upgrade",
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	"Sec-WebSocket-Version: 13",
	"Sec-WebSocket-Protocol: janus-protocol",
}

func request(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// dial connects and shakes hands; early is sent along with the request.
func (f *fixture) dial(t testing.TB, early ...[]byte) *peer {
	t.Helper()
	p := f.connect(t)
	p.write(append([][]byte{[]byte(request(upgradeLines...))}, early...)...)
	status, _ := p.head()
	if !strings.HasPrefix(status, "HTTP/1.1 101 ") {
		t.Fatalf("upgrade answered %q", status)
	}
	return p
}

func (p *peer) write(parts ...[]byte) {
	p.t.Helper()
	var all []byte
	for _, b := range parts {
		all = append(all, b...)
	}
	if _, err := p.Write(all); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

// head reads a response's status line and headers.
func (p *peer) head() (status string, headers []string) {
	p.t.Helper()
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			p.t.Fatalf("reading the response: %v (so far %q)", err, headers)
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			return status, headers
		}
		if status == "" {
			status = line
		} else {
			headers = append(headers, line)
		}
	}
}

// frame reads one frame of the server as "opcode:payload"; the end of the stream
// reads "eof".
func (p *peer) frame() string {
	p.t.Helper()
	f, err := p.readFrame()
	switch {
	case errors.Is(err, io.EOF):
		return "eof"
	case err != nil:
		return "error: " + err.Error()
	}
	return f
}

func (p *peer) readFrame() (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return "", err
	}
	if head[0]&0xf0 != 0x80 || head[1]&0x80 != 0 {
		return "", fmt.Errorf("frame begins %x: not one whole unmasked frame", head)
	}
	n := uint64(head[1])
	if n >= 126 {
		ext := make([]byte, map[uint64]int{126: 2, 127: 8}[n])
		if _, err := io.ReadFull(p.r, ext); err != nil {
			return "", err
		}
		n = binary.BigEndian.Uint64(append(make([]byte, 8-len(ext)), ext...))
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(p.r, payload); err != nil {
		return "", err
	}
	switch op := ws.OpCode(head[0] & 0xf); {
	case op == ws.OpText:
		return "text:" + string(payload), nil
	case op == ws.OpClose && n >= 2:
		return fmt.Sprintf("close:%d:%s", binary.BigEndian.Uint16(payload), payload[2:]), nil
	default:
		return fmt.Sprintf("%x:%s", byte(op), payload), nil
	}
}

func (p *peer) expect(frames ...string) {
	p.t.Helper()
	for i, want := range frames {
		if got := p.frame(); got != want {
			p.t.Fatalf("frame %d: got %.200q, want %.200q", i, got, want)
		}
	}
}

// Frames of a client.

type bits byte

const (
	fin  bits = 0x80
	rsv1 bits = 0x40
	rsv2 bits = 0x20
	rsv3 bits = 0x10
)

func client(op ws.OpCode, payload string) []byte { return raw(fin|bits(op), payload) }

func raw(first bits, payload string) []byte {
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	f := header(first, uint64(len(payload)), true)
	f = append(f, mask[:]...)
	body := []byte(payload)
	ws.Cipher(body, mask, 0)
	return append(f, body...)
}

func unmasked(first bits, payload string) []byte {
	return append(header(first, uint64(len(payload)), false), payload...)
}

func header(first bits, n uint64, masked bool) []byte {
	var m byte
	if masked {
		m = 0x80
	}
	switch {
	case n < 126:
		return []byte{byte(first), m | byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{byte(first), m | 126}, uint16(n))
	default:
		return binary.BigEndian.AppendUint64([]byte{byte(first), m | 127}, n)
	}
}

func byeFrame(code ws.StatusCode, reason string) []byte {
	return client(ws.OpClose, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

func lint(t *testing.T, g prometheus.Gatherer) {
	t.Helper()
	problems, err := testutil.GatherAndLint(g)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("metric %s: %s", p.Metric, p.Text)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// isReset reports the end a peer sees that had sent bytes nobody read.
func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
