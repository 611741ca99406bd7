// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"fmt"
	"io"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/januscloud/januscloud/edge/netpoll"
)

// readBuffer is what one poller reads at a time, for all its connections.
const readBuffer = 64 << 10

// poller is one event loop with the buffer its connections share.
type poller struct {
	loop *netpoll.Loop
	buf  []byte
}

// socket carries a connection over a raw descriptor of an event loop. Only the
// loop's goroutine reads and closes the descriptor; writers hold mu and look at
// the state first.
type socket struct {
	Conn
	poller *poller
	fd     int
	key    netpoll.Key

	armed bool // watched for room to write; guarded by mu

	// Of the loop's goroutine: bytes received and not used yet, and whether there
	// are whole frames among them, which are served before anything is read.
	carry *buffer
	more  bool
}

func newSocket(s *Server, p *poller, fd int, remote netip.AddrPort) {
	c := &socket{Conn: Conn{server: s, remote: remote}, poller: p, fd: fd}
	c.link = c
	if !s.add(&c.Conn) {
		// Not worth waiting for: a peer that cannot take it at once gets nothing.
		_, _ = unix.Write(fd, []byte(tooManyConns))
		unix.Close(fd)
		return
	}
	c.mu.Lock() // Ready may come, on another loop, before Add returns the key
	defer c.mu.Unlock()
	key, err := p.loop.Add(fd, c, netpoll.Readable)
	if err != nil {
		c.abort(fmt.Errorf("%w: %w", ErrHandshake, err))
		unix.Close(fd)
		c.released()
		s.remove(&c.Conn)
		return
	}
	c.key = key
	c.expectEnd(s.opts.HandshakeTimeout)
}

// Ready implements netpoll.Handler: one turn of the connection.
func (c *socket) Ready(ev netpoll.Events) (again bool) {
	if c.state() == gone {
		return false
	}
	if ev&netpoll.Writable != 0 {
		c.mu.Lock()
		c.drain()
		c.mu.Unlock()
	}
	if ev&netpoll.Readable != 0 || c.more {
		again = c.turn()
	}
	if c.settle() {
		c.release()
		return false
	}
	return again
}

// turn serves what is left of the last turn, or else what one read gives.
func (c *socket) turn() (again bool) {
	if c.more {
		rest, more := c.receive(c.carry.rest())
		c.more = more
		c.carry.taken = len(c.carry.bytes) - len(rest)
		if len(rest) == 0 {
			c.forget()
		}
		return more
	}
	buf := c.poller.buf
	n := 0
	if c.carry != nil {
		n = copy(buf, c.carry.rest())
		c.forget()
	}
	m, err := unix.Read(c.fd, buf[n:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		m = 0
	case err != nil:
		c.lost(fmt.Errorf("websocket: read: %w", err))
		return false
	case m == 0:
		c.lost(io.EOF)
		return false
	}
	rest, more := c.receive(buf[:n+m])
	if len(rest) > 0 {
		c.carry = c.server.getBuffer()
		c.carry.bytes = append(c.carry.bytes, rest...)
	}
	c.more = more
	return more
}

// forget gives back what was kept of the input.
func (c *socket) forget() {
	c.server.putBuffer(c.carry)
	c.carry = nil
}

// release closes the descriptor, before anybody else can see the state change.
func (c *socket) release() {
	c.mu.Lock()
	c.poller.loop.Remove(c.fd, c.key)
	if c.out.len() > 0 {
		// The peer does not take it; the kernel need not keep it either.
		_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	unix.Close(c.fd)
	if c.carry != nil {
		c.forget()
	}
	c.released()
	c.mu.Unlock()
	c.server.remove(&c.Conn)
}

func (c *socket) attend() { c.poller.loop.Wake(c) }

func (c *socket) unsent() int { return c.out.len() }

// flush writes at once unless others are waiting already.
func (c *socket) flush() {
	if !c.armed {
		c.drain()
	}
}

// drain writes until all is sent or the kernel has no room, and then waits for
// room. Several queued messages go in one write.
func (c *socket) drain() {
	for c.out.len() > 0 && c.state() < aborted {
		pending := c.out.len()
		n, err := unix.Write(c.fd, c.out.rest())
		if n > 0 {
			c.out.take(n)
			c.moved = true
			c.server.metrics.sentBytes.Add(float64(n))
		}
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN || err == nil && n < pending:
			c.arm(true)
			c.expectRoom()
			return
		case err != nil:
			c.abort(fmt.Errorf("websocket: write: %w", err))
			c.attend()
			return
		}
	}
	if c.state() >= aborted {
		return
	}
	if c.out != nil {
		c.server.putBuffer(c.out)
		c.out = nil
	}
	c.arm(false)
	if c.state() == closing {
		// The peer sees the end of our stream behind the close frame and hangs up;
		// until then its bytes are read and thrown away, since closing over unread
		// input would reset the connection and could cost it the close frame.
		_ = unix.Shutdown(c.fd, unix.SHUT_WR)
	}
}

func (c *socket) arm(on bool) {
	if c.armed == on {
		return
	}
	want := netpoll.Readable
	if on {
		want |= netpoll.Writable
	}
	if err := c.poller.loop.Modify(c.fd, c.key, want); err != nil {
		c.abort(fmt.Errorf("websocket: %w", err))
		c.attend()
		return
	}
	c.armed = on
}
