// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// A listener that fails to accept rests this long, doubling.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// Handler hears of connections. For one connection the calls come one after the
// other and in order: Open, any number of Message, Close. They run on the
// goroutine that serves other connections too, so they must not block.
type Handler interface {
	// Open is called after the handshake; c may be kept and sent to from here on.
	Open(c *Conn)
	// Message is one whole message, text or binary alike, fragments joined, at
	// most MaxMessage bytes and possibly none. data is the server's: it may be
	// changed in place, and is overwritten as soon as Message returns; copy what
	// is kept or handed to another goroutine.
	Message(c *Conn, data []byte)
	// Close is called exactly once for every Open, when the connection has ended
	// for the protocol (the descriptor may linger for its closing handshake).
	// Nothing can be sent any more. reason is a *CloseError, a *ProtocolError,
	// io.EOF, one of this package's errors, or a system error wrapped.
	Close(c *Conn, reason error)
}

// Server accepts WebSocket connections. It starts nothing before Serve; once it
// served it holds goroutines and descriptors until Shutdown.
type Server struct {
	handler Handler
	opts    Options
	metrics *metrics
	engine  engine
	clock   atomic.Uint32 // ticks of the sweep
	buffers sync.Pool     // of *buffer

	stop  chan struct{} // closed when Shutdown begins
	empty chan struct{} // closed when Shutdown has begun and no connection is left
	done  chan struct{} // closed when Shutdown is complete

	serving sync.WaitGroup // calls of Serve, which need the event loops to end
	tasks   sync.WaitGroup // event loops, sweep, goroutines of connections

	// mu guards the rest, for the length of a map operation (or of a look at all
	// connections, in the sweep and in Shutdown).
	mu       sync.Mutex
	conns    map[*Conn]struct{}
	started  bool
	stopping bool
}

// New makes a server that serves nothing yet.
func New(h Handler, opts Options) *Server {
	opts = opts.withDefaults()
	return &Server{
		handler: h,
		opts:    opts,
		metrics: newMetrics(opts),
		stop:    make(chan struct{}),
		empty:   make(chan struct{}),
		done:    make(chan struct{}),
		conns:   make(map[*Conn]struct{}),
	}
}

// Serve accepts connections from ln, which it takes over and closes, until ctx
// ends or Shutdown begins, and then returns nil; connections live on until
// Shutdown, which must follow. One server may serve several listeners. A TCP or
// Unix listener is watched by the event loops, any other, and all of them with
// Options.TLS, gets a goroutine per connection.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	defer ln.Close()
	if err := s.begin(); err != nil {
		return err
	}
	defer s.serving.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.tasks.Go(func() { // ends with this call at the latest, by its cancel
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
		ln.Close()
	})
	if s.opts.TLS == nil && s.engine.serves(ln) {
		if err := s.startEngine(); err != nil {
			return fmt.Errorf("websocket: %w", err)
		}
		err := s.engine.accept(ctx, s, ln)
		if ctx.Err() != nil {
			return nil // also when it ended before the listener was taken up
		}
		return err
	}
	return s.acceptStreams(ctx, ln)
}

// begin counts a Serve in, and starts what all of them share.
func (s *Server) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return ErrServed
	}
	if !s.started && s.opts.PingInterval > 0 {
		s.tasks.Go(s.sweep)
	}
	s.started = true
	s.serving.Add(1)
	return nil
}

// startEngine starts the event loops before the first listener that needs them.
func (s *Server) startEngine() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engine.start(s)
}

// Shutdown stops accepting, closes every connection with the given code and
// reason, and waits until all are gone, which takes CloseTimeout at most; when
// ctx ends first, the rest is dropped and its error returned. Afterwards nothing
// of the server runs. Further calls wait for the first.
func (s *Server) Shutdown(ctx context.Context, code ws.StatusCode, reason string) error {
	s.mu.Lock()
	first := !s.stopping
	s.stopping = true
	if first && len(s.conns) == 0 {
		close(s.empty)
	}
	s.mu.Unlock()
	if !first {
		select {
		case <-s.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer close(s.done)
	close(s.stop)
	for _, c := range s.snapshot() {
		c.end(ErrShutdown, code, reason)
	}
	var err error
	select {
	case <-s.empty:
	case <-ctx.Done():
		err = ctx.Err()
		for _, c := range s.snapshot() {
			c.drop(ErrShutdown)
		}
		<-s.empty
	}
	s.serving.Wait()
	s.engine.stop()
	s.tasks.Wait()
	return err
}

// Disconnect closes every connection with the given code and reason, without
// waiting for them. The server goes on.
func (s *Server) Disconnect(code ws.StatusCode, reason string) {
	for _, c := range s.snapshot() {
		c.Close(code, reason)
	}
}

// Len is the number of connections, those in their handshake or closing
// included.
func (s *Server) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) snapshot() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	return all
}

// add counts a connection in, or refuses it.
func (s *Server) add(c *Conn) bool {
	s.mu.Lock()
	ok := !s.stopping && len(s.conns) < s.opts.MaxConns
	if ok {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if !ok {
		s.metrics.handshakes.WithLabelValues("full").Inc()
	}
	return ok
}

// remove counts out a connection whose descriptor is closed.
func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	last := s.stopping && len(s.conns) == 0
	s.mu.Unlock()
	if !c.opened {
		s.metrics.handshakes.WithLabelValues("refused").Inc()
		s.opts.Log.Debug("websocket handshake refused",
			"listener", s.opts.Name, "remote", c.RemoteAddr(), "reason", c.why)
	}
	if last {
		close(s.empty)
	}
}

func (s *Server) opened(c *Conn) {
	c.opened = true
	s.metrics.handshakes.WithLabelValues("accepted").Inc()
	s.metrics.connections.Inc()
	s.handler.Open(c)
}

func (s *Server) closed(c *Conn, why error) {
	s.metrics.connections.Dec()
	s.metrics.closed.WithLabelValues(cause(why)).Inc()
	if !errors.Is(why, io.EOF) {
		s.opts.Log.Debug("websocket connection closed",
			"listener", s.opts.Name, "connection", c.id, "remote", c.RemoteAddr(), "reason", why)
	}
	s.handler.Close(c, why)
}

// sweep pings silent connections and drops those that stay silent. One pass in a
// quarter of the interval over all connections is cheaper than a timer in each.
func (s *Server) sweep() {
	tick := max(min(s.opts.PingInterval, s.opts.PongTimeout)/4, time.Millisecond)
	pingAt := uint32((s.opts.PingInterval + tick - 1) / tick)
	dropAt := pingAt + uint32((s.opts.PongTimeout+tick-1)/tick)
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
		now := s.clock.Add(1)
		for _, c := range s.silent(now, pingAt) {
			switch idle := now - c.seen.Load(); {
			case idle >= dropAt:
				c.drop(ErrSilent)
			case idle == pingAt:
				c.ping()
			}
		}
	}
}

func (s *Server) silent(now, since uint32) []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*Conn
	for c := range s.conns {
		if c.state() == open && now-c.seen.Load() >= since {
			found = append(found, c)
		}
	}
	return found
}
