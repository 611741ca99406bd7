// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// A client that does not read gets what fits, then is closed with a reason.
func TestSlowReader(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		const limit = 256 << 10
		f := serve(t, m, newRecorder(), Options{MaxQueue: limit, CloseTimeout: time.Minute})
		p := f.dial(t)
		c := f.conn(t, 0)
		message := bytes.Repeat([]byte("m"), 10_000)
		sent := 0
		for ; ; sent++ {
			if n := c.Unsent(); n > limit {
				t.Fatalf("%d bytes are queued, over the limit of %d", n, limit)
			}
			if err := c.Send(message); err != nil {
				if !errors.Is(err, ErrQueueFull) {
					t.Fatalf("message %d: %v", sent, err)
				}
				break
			}
		}
		if err := c.Send(message); !errors.Is(err, ErrClosed) {
			t.Errorf("Send after the queue was full: %v", err)
		}
		if why := f.reason(t, 0); !errors.Is(why, ErrQueueFull) {
			t.Errorf("reason %v", why)
		}
		// It comes to its senses in time: nothing that was accepted is missing.
		for i := range sent {
			if got := p.frame(); got != "text:"+string(message) {
				t.Fatalf("message %d of %d: %.40q", i, sent, got)
			}
		}
		p.expect("close:1008:outbound queue full", "eof")
		if got := f.count(t, "closed_total", "cause", "queue_full"); got != 1 {
			t.Errorf("closed_total{queue_full} = %v", got)
		}
	})
}

// One that never reads is dropped when the time for closing is over, and leaves
// nothing behind.
func TestSlowReaderThatNeverReads(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		f := serve(t, m, newRecorder(), Options{MaxQueue: 100 << 10, CloseTimeout: 10 * time.Millisecond})
		p := f.dial(t)
		c := f.conn(t, 0)
		for c.Send(make([]byte, 10_000)) == nil {
		}
		f.reason(t, 0)
		waitFor(t, func() string {
			if n := f.server.Len(); n != 0 {
				return fmt.Sprintf("%d connections left", n)
			}
			return ""
		})
		if m.name == "epoll" && c.Unsent() == 0 {
			t.Error("Unsent says that all was sent")
		}
		waitFor(t, func() string {
			c.mu.Lock()
			defer c.mu.Unlock()
			if n := c.link.unsent(); n > 0 {
				return fmt.Sprintf("%d bytes kept for a client that is gone", n)
			}
			return ""
		})
		if _, err := io.Copy(io.Discard, p.r); err == nil && m.name == "epoll" {
			t.Error("the client saw an orderly end of a truncated stream")
		}
	})
}

// A client that stops taking its queue is dropped after WriteTimeout, however
// little there is of it.
func TestStalledReader(t *testing.T) {
	f := serve(t, modes[0], newRecorder(), Options{WriteTimeout: 20 * time.Millisecond, MaxQueue: 64 << 20})
	f.dial(t)
	c := f.conn(t, 0)
	for c.Unsent() == 0 {
		if err := c.Send(make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
	}
	if queued, taken := c.Progress(); taken >= queued {
		t.Errorf("%d of %d bytes were taken, nothing was read", taken, queued)
	}
	if why := f.reason(t, 0); !errors.Is(why, ErrStalled) && !strings.Contains(why.Error(), "timed out") {
		t.Errorf("reason %v", why)
	}
}

// A message larger than the socket's buffers goes out in many writes, unharmed
// and in order.
func TestPartialWrites(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		f := serve(t, m, newRecorder(), Options{MaxQueue: 64 << 20})
		p := f.dial(t)
		c := f.conn(t, 0)
		var want []string
		for i := range 8 {
			s := strings.Repeat(string(rune('a'+i)), 3_000_000+i)
			want = append(want, "text:"+s, "text:"+itoa(i))
			if err := c.Send([]byte(s)); err != nil {
				t.Fatal(err)
			}
			if err := c.Send([]byte(itoa(i))); err != nil {
				t.Fatal(err)
			}
		}
		p.expect(want...)
		waitFor(t, func() string {
			if n := c.Unsent(); n != 0 {
				return fmt.Sprintf("Unsent is %d after all was read", n)
			}
			return ""
		})
		if queued, taken := c.Progress(); queued != taken || queued < 8*3_000_000 {
			t.Errorf("%d bytes were queued and %d taken, all was read", queued, taken)
		}
	})
}

// Send may be called from many goroutines: each one's messages keep their order
// and none is torn.
func TestSendersAtOnce(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		const senders, each = 8, 300
		f := serve(t, m, newRecorder(), Options{})
		p := f.dial(t)
		c := f.conn(t, 0)
		var group sync.WaitGroup
		for s := range senders {
			group.Go(func() {
				for i := range each {
					if err := c.Send(fmt.Appendf(nil, "%d %d", s, i)); err != nil {
						t.Errorf("sender %d: %v", s, err)
						return
					}
				}
			})
		}
		var next [senders]int
		for range senders * each {
			var s, i int
			if _, err := fmt.Sscanf(p.frame(), "text:%d %d", &s, &i); err != nil {
				t.Fatal(err)
			}
			if i != next[s] {
				t.Fatalf("sender %d: message %d when %d was due", s, i, next[s])
			}
			next[s]++
		}
		group.Wait()
	})
}

// Many clients at once, each with many messages in flight, get their own back in
// order.
func TestManyClients(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		const clients, messages = 50, 200
		f := serve(t, m, newRecorder(), Options{})
		var group sync.WaitGroup
		for n := range clients {
			p := f.dial(t)
			group.Go(func() {
				for i := range messages {
					p.Write(text(fmt.Sprintf("%d %d %s", n, i, strings.Repeat("x", i*n%700))))
				}
			})
			group.Go(func() {
				for i := range messages {
					got := p.frame()
					if want := fmt.Sprintf("text:%d %d %s", n, i, strings.Repeat("x", i*n%700)); got != want {
						t.Errorf("client %d got %.40q, want %.40q", n, got, want)
						return
					}
				}
			})
		}
		group.Wait()
		seen := make(map[uint64]bool)
		last := uint64(0)
		for n := range clients {
			id := f.conn(t, n).ID()
			if seen[id] || id == 0 {
				t.Errorf("connection %d has id %d again", n, id)
			}
			seen[id], last = true, max(last, id)
		}
		if last != clients {
			t.Errorf("%d connections have ids up to %d", clients, last)
		}
	})
}

// A client that floods its poller with the smallest frames does not keep another
// one on it waiting until it is done.
func TestFairness(t *testing.T) {
	const frames = 8000
	r := newRecorder()
	gate, held := make(chan struct{}), make(chan struct{})
	var handled, atReply int // of the only poller
	r.onMessage = func(c *Conn, data []byte) {
		switch string(data) {
		case "hold": // so that both are ready when the poller looks next
			close(held)
			<-gate
		case "me too":
			atReply = handled
			_ = c.Send(data)
		case "count":
			_ = c.Send([]byte(itoa(handled) + " " + itoa(atReply)))
		default:
			handled++
		}
	}
	f := serve(t, modes[0], r, Options{Pollers: 1})
	flood, victim := f.dial(t), f.dial(t)
	flood.write(text("hold"))
	<-held
	flood.write(bytes.Repeat(text(""), frames))
	victim.write(text("me too"))
	close(gate)
	victim.expect("text:me too")
	flood.write(text("count"))
	var total, before int
	if _, err := fmt.Sscanf(flood.frame(), "text:%d %d", &total, &before); err != nil {
		t.Fatal(err)
	}
	if limit := 4 * turnFrames; before > limit {
		t.Errorf("the other client waited for %d frames, want at most %d", before, limit)
	}
	if total != frames {
		t.Errorf("%d of %d frames handled", total, frames)
	}
}

// Whole frames may be held back when a turn is over; the end of the stream does
// not overtake them.
func TestHangUpBehindManyFrames(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		r := newRecorder()
		var mu sync.Mutex
		handled := 0
		r.onMessage = func(*Conn, []byte) { mu.Lock(); handled++; mu.Unlock() }
		f := serve(t, m, r, Options{})
		p := f.dial(t)
		const frames = 5000
		p.write(bytes.Repeat(text("x"), frames))
		p.Close()
		f.reason(t, 0)
		mu.Lock()
		defer mu.Unlock()
		if handled != frames {
			t.Errorf("%d of %d messages were handled before the end", handled, frames)
		}
	})
}

func TestAbruptEnds(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		f := serve(t, m, newRecorder(), Options{})
		reset := f.dial(t)
		f.conn(t, 0)
		tcp(reset.Conn).SetLinger(0)
		tcp(reset.Conn).Close()
		if why := f.reason(t, 0); cause(why) != "lost" {
			t.Errorf("after a reset: %v", why)
		}
		half := f.dial(t)
		f.conn(t, 1)
		half.write(raw(1, "begun"))
		if err := half.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if why := f.reason(t, 1); !errors.Is(why, io.EOF) {
			t.Errorf("after a half-close: %v", why)
		}
	})
}

func tcp(nc net.Conn) *net.TCPConn {
	if inner, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = inner.NetConn()
	}
	return nc.(*net.TCPConn)
}

// A handler may do with a connection what it likes, from within its calls.
func TestHandlerActsOnItsConnection(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		r := newRecorder()
		r.onOpen = func(c *Conn) {
			c.SetData(c.RemoteAddr())
			_ = c.Send([]byte("welcome"))
		}
		r.onMessage = func(c *Conn, data []byte) {
			if string(data) == "bye" {
				_ = c.Send([]byte("bye " + c.Data().(string)))
				c.Close(1000, strings.Repeat("é", 100))
				c.Close(1011, "too late")
			}
		}
		f := serve(t, m, r, Options{})
		p := f.dial(t)
		p.write(text("bye"), text("never"))
		p.expect("text:welcome", "text:bye "+p.LocalAddr().String(), "close:1000:"+strings.Repeat("é", 61), "eof")
	})
}
