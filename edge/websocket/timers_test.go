// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

// pipes is a listener of in-memory connections, for tests that need to own the
// clock.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// halfPipe can close its sending side, as a TCP connection can; the reader is
// not told, as one is not that does not read.
type halfPipe struct{ net.Conn }

func (halfPipe) CloseWrite() error { return nil }

// inBubble runs a test with a server over in-memory connections and a clock that
// jumps when everybody waits.
func inBubble(t *testing.T, opts Options, test func(t *testing.T, r *recorder, dial func() net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		r, ln := newRecorder(), newPipes()
		opts.Log, opts.Subprotocols = quiet(), []string{"janus-protocol"}
		s := New(r, opts)
		served := make(chan error, 1)
		go func() { served <- s.Serve(context.Background(), ln) }()
		test(t, r, func() net.Conn {
			ours, theirs := net.Pipe()
			ln.conns <- halfPipe{theirs}
			return ours
		})
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		s.Shutdown(ctx, ws.StatusGoingAway, "")
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		r.balanced(t)
	})
}

func shake(t *testing.T, nc net.Conn) *peer {
	t.Helper()
	p := &peer{t: t, Conn: nc, r: bufio.NewReader(nc)}
	p.write([]byte(replaced()))
	p.head()
	return p
}

// lasts reports how long it takes until nothing more comes from nc.
func lasts(nc net.Conn) time.Duration {
	start := time.Now()
	_, _ = io.Copy(io.Discard, nc)
	return time.Since(start)
}

func TestHandshakeTimeout(t *testing.T) {
	inBubble(t, Options{HandshakeTimeout: 5 * time.Second}, func(t *testing.T, r *recorder, dial func() net.Conn) {
		nc := dial()
		if got := lasts(nc); got != 5*time.Second {
			t.Errorf("who says nothing is cut off after %v", got)
		}
		nc = dial()
		go func() { // one byte a second: never late, never done
			for _, b := range []byte(replaced()) {
				if _, err := nc.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		if got := lasts(nc); got != 5*time.Second {
			t.Errorf("who says it slowly is cut off after %v", got)
		}
		p := shake(t, dial())
		time.Sleep(time.Hour) // the clock of the handshake has stopped
		p.write(text("still here"))
		p.expect("text:still here")
		p.Close()
	})
}

func TestCloseTimeout(t *testing.T) {
	inBubble(t, Options{CloseTimeout: 3 * time.Second}, func(t *testing.T, r *recorder, dial func() net.Conn) {
		p := shake(t, dial())
		c := r.conn(t, 0)
		start := time.Now()
		c.Close(1000, "")
		p.expect("close:1000:")
		synctest.Wait()
		if why := r.reason(t, 0); cause(why) != "server" {
			t.Errorf("reason %v", why)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("the handler waited %v for a client that does not hang up", waited)
		}
		if got := lasts(p); got != 3*time.Second {
			t.Errorf("the descriptor was kept for %v", got)
		}
	})
}

func TestWriteTimeout(t *testing.T) {
	inBubble(t, Options{WriteTimeout: 7 * time.Second}, func(t *testing.T, r *recorder, dial func() net.Conn) {
		shake(t, dial())
		c := r.conn(t, 0)
		start := time.Now()
		if err := c.Send([]byte("nobody reads this")); err != nil {
			t.Fatal(err)
		}
		if why := r.reason(t, 0); !errors.Is(why, ErrStalled) {
			t.Errorf("reason %v", why)
		}
		if waited := time.Since(start).Round(100 * time.Millisecond); waited != 7*time.Second {
			t.Errorf("given up after %v", waited)
		}
		if c.Unsent() == 0 {
			t.Error("Unsent says that all was sent")
		}
	})
}

func TestSilentClients(t *testing.T) {
	const interval, timeout = 8 * time.Second, 4 * time.Second
	const tick = timeout / 4 // the grain of the sweep
	inBubble(t, Options{PingInterval: interval, PongTimeout: timeout}, func(t *testing.T, r *recorder, dial func() net.Conn) {
		p := shake(t, dial())
		start := time.Now()
		p.expect("9:")
		if after := time.Since(start); after < interval-tick || after > interval+tick {
			t.Errorf("pinged after %v of silence", after)
		}
		p.expect("eof")
		if after := time.Since(start); after < interval+timeout-tick || after > interval+timeout+tick {
			t.Errorf("dropped after %v of silence", after)
		}
		if why := r.reason(t, 0); !errors.Is(why, ErrSilent) {
			t.Errorf("reason %v", why)
		}

		p = shake(t, dial())
		for range 3 { // a pong is life
			p.expect("9:")
			p.write(client(ws.OpPong, ""))
		}
		for range 30 { // and so is anything else: no ping comes in between
			time.Sleep(interval / 4)
			p.write(text("x"))
			p.expect("text:x")
		}
		p.Close()
		if why := r.reason(t, 1); !errors.Is(why, io.EOF) {
			t.Errorf("reason %v", why)
		}
	})
}
