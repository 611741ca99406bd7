// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// state is the life of a connection; it only moves forward.
type state uint32

const (
	handshaking state = iota
	open
	closing // our last frame is queued or sent; what comes in is discarded
	aborted // nothing more is sent; the connection's goroutine is about to let go
	gone    // the descriptor is closed
)

// Conn is one client. Exported methods are safe from any goroutine unless they
// say otherwise, and none of them blocks.
type Conn struct {
	server *Server
	link   link
	id     uint64
	data   any
	remote netip.AddrPort

	// Of the connection's goroutine (its poller, or its own).
	in     *inbound // nil between messages
	opened bool     // Handler.Open was called
	told   bool     // Handler.Close was called

	seen  atomic.Uint32 // Server.clock when bytes last came
	phase atomic.Uint32 // a state; written with mu held

	// mu orders writers among themselves and against the descriptor's end, so
	// that nobody writes to a number the kernel has given to somebody else. It is
	// held for one non-blocking write at most.
	mu      sync.Mutex
	out     *buffer     // frames not yet taken by the kernel; nil when there are none
	why     error       // first reason for the end
	timer   *time.Timer // see expectEnd; nil while nothing is bounded
	moved   bool        // bytes left since the timer was set
	dropped int         // bytes accepted and given up with the connection
	queued  uint64      // bytes that were ever put into out
}

// link is what carries the bytes: an epoll descriptor or a net.Conn. All of it
// is called with Conn.mu held.
type link interface {
	// flush sends of Conn.out what goes without waiting, sees to the rest later,
	// and ends the sending side once a closing connection has sent all.
	flush()
	// attend has Conn.settle called soon on the connection's goroutine.
	attend()
	// unsent counts bytes accepted and not yet taken by the kernel.
	unsent() int
}

// ID identifies the connection: drawn from 1 upwards when it opens, in the
// order of opening, unique among servers that share Options.IDs.
func (c *Conn) ID() uint64 { return c.id }

// Data returns what SetData left.
func (c *Conn) Data() any { return c.data }

// SetData keeps one value of the owner's with the connection, so that a message
// needs no look-up. Call it in Handler.Open, nowhere else: readers rely on the
// order Open, Message, Close instead of a lock.
func (c *Conn) SetData(v any) { c.data = v }

// RemoteAddr is the peer's "ip:port", or empty for a listener without such.
func (c *Conn) RemoteAddr() string {
	if !c.remote.IsValid() {
		return ""
	}
	return c.remote.String()
}

// Remote is the peer's address; the zero value where RemoteAddr is empty.
func (c *Conn) Remote() netip.AddrPort { return c.remote }

// Send sends data as one text message; data is the caller's again on return.
// Nil means that the message was handed to the kernel or queued behind others,
// in the order of the calls; see Unsent. ErrQueueFull means that the client does
// not read: the message is dropped and the connection closes with 1008. After
// that, and after any other end, it is ErrClosed.
func (c *Conn) Send(data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state() != open {
		return ErrClosed
	}
	if c.link.unsent()+frameSize(len(data)) > c.server.opts.MaxQueue {
		c.close(ErrQueueFull, closeBody(ws.StatusPolicyViolation, "outbound queue full"))
		c.link.attend()
		return ErrQueueFull
	}
	c.push(ws.OpText, data)
	c.link.flush()
	if c.state() != open {
		return ErrClosed // writing brought to light that the peer is gone
	}
	c.server.metrics.sent.Inc()
	return nil
}

// Unsent is the number of bytes that Send accepted and the kernel has not taken.
// Zero means that the messages of all earlier Sends that returned nil are out of
// this process's hands: the time to acknowledge an event. It stays above zero on
// a connection that ended before that.
func (c *Conn) Unsent() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link.unsent() + c.dropped
}

// Progress is how many bytes were queued since the connection opened, and how many
// of them the kernel has taken: when it has taken as many as were queued at some
// moment, the messages sent before that moment are out of this process's hands.
func (c *Conn) Progress() (queued, taken uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queued, c.queued - uint64(c.link.unsent()+c.dropped)
}

// Close sends what is queued and a close frame, and waits in the background,
// CloseTimeout at most, for the peer to hang up. The reason is cut to 123 bytes.
// Handler.Close follows, from the connection's goroutine. On a connection that
// is already ending it does nothing.
func (c *Conn) Close(code ws.StatusCode, reason string) {
	c.end(&CloseError{Code: code, Reason: reason, Local: true}, code, reason)
}

func (c *Conn) end(why error, code ws.StatusCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.state() {
	case handshaking:
		c.abort(why)
		c.link.attend()
	case open:
		c.close(why, closeBody(code, reason))
		c.link.attend()
	}
}

// drop ends the connection without a word.
func (c *Conn) drop(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state() < aborted {
		c.abort(why)
		c.link.attend()
	}
}

func (c *Conn) state() state { return state(c.phase.Load()) }

// enter, push, close and abort are called with mu held.
func (c *Conn) enter(s state) { c.phase.Store(uint32(s)) }

func (c *Conn) push(op ws.OpCode, payload []byte) {
	if c.out == nil {
		c.out = c.server.getBuffer()
	}
	before := len(c.out.bytes)
	c.out.bytes = appendFrame(c.out.bytes, op, payload)
	c.queued += uint64(len(c.out.bytes) - before)
}

// close begins the orderly end of an open connection with a close frame.
func (c *Conn) close(why error, body []byte) {
	c.why = why
	c.push(ws.OpClose, body)
	c.enter(closing)
	c.link.flush()
	c.expectEnd(c.server.opts.CloseTimeout)
}

// expectEnd bounds the handshake, the closing, or a wait for room to write.
func (c *Conn) expectEnd(within time.Duration) {
	c.stopTimer()
	if c.state() >= aborted {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(within, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.timer == t { // else it was stopped too late
			c.timer = nil
			c.expire()
		}
	})
	c.timer = t
}

func (c *Conn) stopTimer() {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

func (c *Conn) expire() {
	switch c.state() {
	case handshaking:
		c.abort(fmt.Errorf("%w: not complete after %v", ErrHandshake, c.server.opts.HandshakeTimeout))
		c.link.attend()
	case closing:
		c.abort(nil) // the reason is known already
		c.link.attend()
	case open:
		c.expireQueue()
	}
}

// expectRoom bounds the wait of a queue from its first byte to its last, anew
// with every byte that leaves. Called with mu held, on an open connection.
func (c *Conn) expectRoom() {
	if c.timer == nil && c.state() == open {
		c.moved = false
		c.expectEnd(c.server.opts.WriteTimeout)
	}
}

func (c *Conn) expireQueue() {
	switch {
	case c.link.unsent() == 0:
	case c.moved:
		c.expectRoom()
	default:
		c.abort(ErrStalled)
		c.link.attend()
	}
}

func (c *Conn) abort(why error) {
	if c.why == nil {
		c.why = why
	}
	c.enter(aborted)
}

// ping is the liveness probe of the sweep.
func (c *Conn) ping() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state() == open {
		c.push(ws.OpPing, nil)
		c.link.flush()
	}
}

// settle runs on the connection's goroutine after everything that may have
// ended it: it tells the Handler once, and reports whether the link must let go.
func (c *Conn) settle() (release bool) {
	s := c.state()
	if s < closing {
		return false
	}
	if c.opened && !c.told {
		c.told = true
		c.mu.Lock()
		why := c.why
		c.mu.Unlock()
		c.server.closed(c, why)
	}
	return s == aborted
}

// released is the last act of a connection, after its link has let go of the
// descriptor. Called with mu held, on the connection's goroutine.
func (c *Conn) released() {
	c.enter(gone)
	c.stopTimer()
	if c.out != nil {
		c.dropped += c.out.len()
		c.server.putBuffer(c.out)
		c.out = nil
	}
	c.in = nil
}
