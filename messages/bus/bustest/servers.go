// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/januscloud/januscloud/messages/bus/embedded"
)

// Start runs a NATS server until the test ends.
func Start(t testing.TB, o embedded.Options) *embedded.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Wait)
	defer cancel()
	s, err := embedded.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

// Cluster runs n NATS servers with routes between them until the test ends; tune may change
// their options (JetStream).
func Cluster(t testing.TB, n int, tune ...func(*embedded.Options)) []*embedded.Server {
	t.Helper()
	ports, routes := freePorts(t, n), make([]string, 0, n)
	for _, p := range ports {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", p))
	}
	servers := make([]*embedded.Server, 0, n)
	for i, p := range ports {
		o := embedded.Options{Name: fmt.Sprintf("n%d", i), Cluster: &embedded.Cluster{Name: "bustest", Port: p, Routes: routes}}
		for _, f := range tune {
			f(&o)
		}
		servers = append(servers, Start(t, o))
	}
	Until(t, "all routes stand", func() bool {
		for _, s := range servers {
			if s.Routes() != n-1 {
				return false
			}
		}
		return true
	})
	return servers
}

// freePorts finds ports that were free a moment ago.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, 0, n)
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// ErrCut is what a connection attempt gets at a gate that was cut.
var ErrCut = errors.New("bustest: the gate is cut")

// Proxy is a gate in front of a server's port. Besides being cut it can freeze: then
// connections stay, new ones are accepted, and nothing moves, as before a process that got
// SIGSTOP.
type Proxy struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	moves  *sync.Cond // broadcast when frozen or cut changes
	cut    bool
	frozen bool
	conns  map[net.Conn]struct{}
	ends   sync.WaitGroup
}

// TB is what a Proxy needs of a test; *testing.T is one.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(f func())
}

// NewProxy starts a gate in front of the server with this URL, until the test ends.
func NewProxy(t TB, target string) *Proxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatalf("%v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("%v", err)
	}
	p := &Proxy{listener: l, target: u.Host, conns: make(map[net.Conn]struct{})}
	p.moves = sync.NewCond(&p.mu)
	p.ends.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.Cut()
		p.ends.Wait()
	})
	return p
}

// URL is where clients connect.
func (p *Proxy) URL() string { return "nats://" + p.listener.Addr().String() }

// Cut ends all connections and refuses new ones; it ends a freeze.
func (p *Proxy) Cut() {
	p.set(true, false)
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// Freeze stops all movement.
func (p *Proxy) Freeze() { p.set(false, true) }

// Restore undoes Cut or Freeze.
func (p *Proxy) Restore() { p.set(false, false) }

func (p *Proxy) set(cut, frozen bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.frozen = cut, frozen
	p.moves.Broadcast()
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.ends.Go(func() { p.serve(c) })
	}
}

func (p *Proxy) serve(c net.Conn) {
	s, err := net.Dial("tcp", p.target)
	if err != nil || !p.keep(c, s) {
		_ = c.Close()
		if s != nil {
			_ = s.Close()
		}
		return
	}
	p.ends.Go(func() { p.copy(c, s) })
	p.copy(s, c)
}

// keep remembers connections so that Cut finds them; not when that has happened.
func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		return false
	}
	for _, c := range conns {
		p.conns[c] = struct{}{}
	}
	return true
}

func (p *Proxy) copy(to, from net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		p.pass()
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, to)
	delete(p.conns, from)
}

// pass waits while the proxy is frozen.
func (p *Proxy) pass() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.frozen {
		p.moves.Wait()
	}
}

// Pipes is a gate in front of a server in the process.
type Pipes struct {
	next nats.InProcessConnProvider

	mu    sync.Mutex
	cut   bool
	conns []io.Closer
}

// NewPipes makes a gate in front of a server.
func NewPipes(next nats.InProcessConnProvider) *Pipes { return &Pipes{next: next} }

// InProcessConn connects, or answers ErrCut.
func (p *Pipes) InProcessConn() (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		return nil, ErrCut
	}
	c, err := p.next.InProcessConn()
	if err == nil {
		p.conns = append(p.conns, c)
	}
	return c, err
}

// Cut ends all connections and refuses new ones.
func (p *Pipes) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// Restore lets new connections through.
func (p *Pipes) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}
