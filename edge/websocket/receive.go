// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"fmt"

	"github.com/gobwas/ws"
)

// turnFrames is how many frames of one connection are handled before the others
// on its poller have their turn.
const turnFrames = 64

// inbound is a message that has begun and is not complete. A frame that arrives
// whole never needs one.
type inbound struct {
	header  ws.Header // of the frame being received, or of the last one
	left    int64     // payload bytes of it still to come
	message []byte    // joined and unmasked so far; grows with what arrives, never by what is announced
}

// receive handles bytes of the peer in order and returns those it could not use
// yet: the front of an incomplete header or control frame, or, with again set,
// whatever follows the last frame of this turn. It overwrites b.
func (c *Conn) receive(b []byte) (rest []byte, again bool) {
	if c.server.opts.PingInterval > 0 {
		c.seen.Store(c.server.clock.Load())
	}
	for frames := 0; len(b) > 0; frames++ {
		if frames == turnFrames {
			return b, true
		}
		var used int
		switch c.state() {
		case handshaking:
			used = c.handshake(b)
		case open:
			used = c.frame(b)
		default:
			return nil, false
		}
		if used == 0 {
			return b, false
		}
		b = b[used:]
	}
	return nil, false
}

// frame handles the front of b: a whole frame, or as much of a payload as there
// is. It returns the bytes used, 0 when it needs more.
func (c *Conn) frame(b []byte) (used int) {
	if c.in != nil && c.in.left > 0 {
		return c.payload(b)
	}
	h, n, err := parseHeader(b)
	if err != nil {
		return c.fail(b, ws.StatusProtocolError, err)
	}
	if n == 0 {
		return 0
	}
	expect, joined := ws.StateServerSide, int64(0)
	if c.in != nil {
		expect, joined = expect.Set(ws.StateFragmented), int64(len(c.in.message))
	}
	if err := ws.CheckHeader(h, expect); err != nil {
		return c.fail(b, ws.StatusProtocolError, err)
	}
	if h.OpCode.IsControl() {
		return c.control(b, h, n)
	}
	if limit := int64(c.server.opts.MaxMessage); h.Length > limit-joined {
		return c.fail(b, ws.StatusMessageTooBig, ErrTooBig)
	}
	if end := n + int(h.Length); c.in == nil && h.Fin && len(b) >= end {
		ws.Cipher(b[n:end], h.Mask, 0)
		c.deliver(b[n:end:end])
		return end
	}
	if c.in == nil {
		c.in = new(inbound)
	}
	c.in.header, c.in.left = h, h.Length
	return n + c.payload(b[n:])
}

// payload adds to the message under way and delivers it with its last byte.
func (c *Conn) payload(b []byte) (used int) {
	in := c.in
	part := b[:min(in.left, int64(len(b)))]
	ws.Cipher(part, in.header.Mask, int(in.header.Length-in.left)&3)
	in.message = append(in.message, part...)
	in.left -= int64(len(part))
	if in.left == 0 && in.header.Fin {
		c.in = nil
		c.deliver(in.message)
	}
	return len(part)
}

func (c *Conn) deliver(message []byte) {
	m := c.server.metrics
	m.received.Inc()
	m.receivedBytes.Add(float64(len(message)))
	c.server.handler.Message(c, message)
}

// control handles one control frame, once it is whole.
func (c *Conn) control(b []byte, h ws.Header, n int) (used int) {
	end := n + int(h.Length)
	if len(b) < end {
		return 0
	}
	body := b[n:end]
	ws.Cipher(body, h.Mask, 0)
	switch h.OpCode {
	case ws.OpPing:
		c.pong(body)
	case ws.OpClose:
		c.peerClosed(b, body)
	}
	return end
}

// pong answers a ping. Under a peer that sends pings and reads nothing it obeys
// the bound of the queue like any message.
func (c *Conn) pong(body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state() != open {
		return
	}
	if c.link.unsent()+frameSize(len(body)) > c.server.opts.MaxQueue {
		c.close(ErrQueueFull, closeBody(ws.StatusPolicyViolation, "outbound queue full"))
		return
	}
	c.push(ws.OpPong, body)
	c.link.flush()
}

// peerClosed echoes the peer's close frame, code and reason alike, as
// libwebsockets does.
func (c *Conn) peerClosed(b, body []byte) {
	why, broken := parseClose(body)
	if broken != nil {
		c.fail(b, broken.Code, broken.Rule)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state() == open {
		c.close(why, body)
	}
}

// fail ends a connection whose peer broke the protocol; nothing after the
// offence can be trusted, so all of b counts as used.
func (c *Conn) fail(b []byte, code ws.StatusCode, rule error) (used int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state() == open {
		c.close(&ProtocolError{code, rule}, closeBody(code, rule.Error()))
	}
	return len(b)
}

// lost ends a connection on which reading failed or, with io.EOF, ended.
func (c *Conn) lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state() == handshaking {
		err = fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	if c.state() < aborted {
		c.abort(err)
	}
}
