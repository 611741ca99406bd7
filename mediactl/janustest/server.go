// SPDX-License-Identifier: Apache-2.0

package janustest

import (
	"encoding/json"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/gobwas/ws"
)

// Plugin is the package name of the one plugin.
const Plugin = "janus.plugin.echotest"

// Options are what differs from Debian's configuration. The zero value has no secret, and reclaims after 90 s.
type Options struct {
	Secret   string // api_secret
	Reclaim  int    // reclaim_session_timeout in seconds; 0: 90; negative: 0, which destroys a lost connection's sessions
	Fragment int    // replies are sent in fragments of so many bytes; 0: whole
}

// Server is a scripted Janus. Its methods may be called from any goroutine, those of a Script included.
type Server struct {
	options  Options
	listener net.Listener
	running  sync.WaitGroup

	mu       sync.Mutex // guards the rest, and is held while a request is answered: Janus serves one after another, too
	conns    map[*Conn]bool
	sessions map[uint64]*session
	lastID   uint64
	script   Script
	requests []Request
	hangs    bool
	closed   bool
	moves    *sync.Cond // broadcast when hangs or closed changes
}

type session struct {
	owner   *Conn
	handles map[uint64]string // plugin
}

// Script answers a request in Janus's stead, and reports true if it did; otherwise the request is answered as Janus would.
// It runs with the server locked: of the server's methods only those of Conn may be called.
type Script func(c *Conn, r Request) bool

// Start runs a server on a loopback port until the test ends.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{options: o, listener: l, conns: make(map[*Conn]bool), sessions: make(map[uint64]*session), lastID: 1000}
	s.moves = sync.NewCond(&s.mu)
	s.running.Go(s.accept)
	tb.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		s.closed = true
		s.moves.Broadcast()
		s.mu.Unlock()
		s.Cut()
		s.running.Wait()
	})
	return s
}

// URL is the address of the Janus API.
func (s *Server) URL() string { return "ws://" + s.listener.Addr().String() }

// Script sets what is asked before Janus's own manner; nil ends that.
func (s *Server) Script(script Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

// Hang stops the server, as SIGSTOP would: sockets stand, and nothing is answered. With false it goes on, beginning with
// what came meanwhile.
func (s *Server) Hang(hangs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangs = hangs
	s.moves.Broadcast()
}

// Cut ends all connections without a good-bye.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.reset()
	}
}

// Restart forgets all sessions and ends all connections, as if the process had been replaced.
func (s *Server) Restart() {
	s.mu.Lock()
	s.sessions = make(map[uint64]*session)
	s.mu.Unlock()
	s.Cut()
}

// Forget forgets one session without a word, as Janus does when nobody listens while it times out.
func (s *Server) Forget(session uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, session)
}

// Say sends a message to all connections as it is.
func (s *Server) Say(message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Send(message)
	}
}

// Requests are all requests so far, but for pings.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Handles are the handles of a session by id; nil when there is no such session.
func (s *Server) Handles(session uint64) map[uint64]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.sessions[session]
	if x == nil {
		return nil
	}
	handles := make(map[uint64]string, len(x.handles))
	for id, plugin := range x.handles {
		handles[id] = plugin
	}
	return handles
}

// Sessions are the ids of all sessions.
func (s *Server) Sessions() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]uint64, 0, len(s.sessions))
	for id := range s.sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (s *Server) accept() {
	upgrader := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) == "janus-protocol" }}
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.running.Go(func() {
			handshake, err := upgrader.Upgrade(conn)
			if err != nil || handshake.Protocol == "" {
				_ = conn.Close()
				return
			}
			s.serve(newConn(conn, s.options.Fragment))
		})
	}
}

// serve answers one connection until it ends.
func (s *Server) serve(c *Conn) {
	s.mu.Lock()
	s.conns[c] = true
	if s.closed {
		c.reset()
	}
	s.mu.Unlock()
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	for {
		text, err := c.read()
		if err != nil {
			break
		}
		s.take(c, text)
	}
	s.mu.Lock()
	delete(s.conns, c)
	c.reset()
	s.orphan(c)
	s.mu.Unlock()
	<-written
}

// orphan handles the sessions of a connection that ended.
func (s *Server) orphan(c *Conn) {
	for id, x := range s.sessions {
		switch {
		case x.owner != c:
		case s.options.Reclaim < 0:
			delete(s.sessions, id)
		default:
			x.owner = nil
		}
	}
}

func (s *Server) take(c *Conn, text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.hangs && !s.closed {
		s.moves.Wait()
	}
	var r Request
	if err := json.Unmarshal(text, &r); err != nil {
		c.Send(`{"janus":"error","error":{"code":454,"reason":"Invalid Janus API request"}}`)
		return
	}
	r.Raw = text
	if r.Janus != "ping" {
		s.requests = append(s.requests, r)
	}
	if s.script == nil || !s.script(c, r) {
		s.answer(c, r)
	}
}
