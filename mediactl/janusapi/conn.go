// SPDX-License-Identifier: Apache-2.0

// Package janusapi is the wire to one Janus: a WebSocket that carries the messages of many sessions in both directions (Conn),
// and a client for its admin API (Admin).
//
// Neither knows what a session is. A Conn moves whole JSON texts and tells when it ends; matching replies to requests,
// claiming sessions and dialling again is the caller's work.
package janusapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// Errors of a Conn.
var (
	// ErrBusy refuses a message because Janus does not read as fast as we write: the queue is full, and nothing of the message
	// was taken.
	ErrBusy = errors.New("janusapi: write queue is full")
	// ErrClosed is returned by Send after the connection has ended, and given to OnClose when we closed it.
	ErrClosed = errors.New("janusapi: connection closed")
	// ErrTooLarge ends a connection on which a message larger than Options.MaxMessage begins.
	ErrTooLarge = errors.New("janusapi: message too large")
	// ErrProtocol ends a connection on which something came that Janus never sends (RFC 6455, 5).
	ErrProtocol = errors.New("janusapi: broken framing")
)

// Subprotocols of Janus's WebSocket transport (janus_websockets.c). It refuses a handshake that offers neither.
const (
	Subprotocol      = "janus-protocol"
	AdminSubprotocol = "janus-admin-protocol"
)

const (
	defaultMaxMessage   = 16 << 20
	defaultMaxQueue     = 8 << 20
	defaultWriteTimeout = 2 * time.Second

	readBuffer = 64 << 10
	// keptBuffer is the size up to which a write buffer is used again.
	keptBuffer = 1 << 20
)

// Options of Dial. The zero value of each field asks for its default.
type Options struct {
	// OnMessage gets each whole text message, one after another, on the connection's reading goroutine: while it runs, nothing
	// is read. The slice is the receiver's to keep and change. It may be called before Dial has returned.
	OnMessage func(raw []byte)
	// OnClose is called exactly once for each successful Dial, after the last OnMessage and after the last write, with the
	// reason: ErrClosed when it was Close.
	OnClose func(err error)
	// Subprotocol is offered to Janus. Default Subprotocol.
	Subprotocol string
	// MaxMessage is the largest message received, in bytes. Default 16 MiB. MaxQueue bounds what waits to be written, frame
	// headers included, in bytes. Default 8 MiB.
	MaxMessage, MaxQueue int
	// WriteTimeout ends the connection when Janus takes none of what is written for so long. Default 2 s.
	WriteTimeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.OnMessage == nil {
		o.OnMessage = func([]byte) {}
	}
	if o.OnClose == nil {
		o.OnClose = func(error) {}
	}
	if o.Subprotocol == "" {
		o.Subprotocol = Subprotocol
	}
	if o.MaxMessage <= 0 {
		o.MaxMessage = defaultMaxMessage
	}
	if o.MaxQueue <= 0 {
		o.MaxQueue = defaultMaxQueue
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = defaultWriteTimeout
	}
	return o
}

// Conn is one WebSocket to a Janus. Two goroutines serve it: one reads, one writes. Its methods may be called from any
// goroutine, OnMessage and OnClose included.
type Conn struct {
	conn    net.Conn
	options Options
	wake    chan struct{} // one token: there is something to write
	closing chan struct{} // closed by the first cause of the end
	done    chan struct{} // closed when both goroutines are through

	mu      sync.Mutex // guards the rest; held for the copy of one message at most
	pending []byte     // frames that wait to be written
	refused uint64
	cause   error
}

// Dial connects to the WebSocket address of a Janus. ctx bounds the connecting only.
func Dial(ctx context.Context, url string, options Options) (*Conn, error) {
	options = options.withDefaults()
	dialer := ws.Dialer{Protocols: []string{options.Subprotocol}}
	conn, early, handshake, err := dialer.Dial(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("janusapi: dial %s: %w", url, err)
	}
	if handshake.Protocol != options.Subprotocol {
		_ = conn.Close()
		return nil, fmt.Errorf("janusapi: dial %s: no %s spoken there", url, options.Subprotocol)
	}
	c := &Conn{
		conn: conn, options: options,
		wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
	}
	reader := bufio.NewReaderSize(conn, readBuffer)
	if early != nil {
		// What came right behind the handshake lies in the dialer's buffer, which reads from the same connection.
		reader = early
	}
	written := make(chan struct{})
	go c.write(written)
	go c.read(reader, written)
	return c, nil
}

// Send queues one message, a whole JSON text, to be written with whatever else is waiting. The message is copied. It returns
// ErrBusy or ErrClosed when it was not taken; nil does not mean that Janus has it.
func (c *Conn) Send(message []byte) error {
	return c.enqueue(ws.OpText, message, c.options.MaxQueue)
}

func (c *Conn) enqueue(op ws.OpCode, payload []byte, limit int) error {
	c.mu.Lock()
	if c.cause != nil {
		c.mu.Unlock()
		return ErrClosed
	}
	if len(c.pending)+maxHeader+len(payload) > limit {
		c.refused++
		c.mu.Unlock()
		return ErrBusy
	}
	c.pending = appendFrame(c.pending, op, payload)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

// Close ends the connection at once: what waits to be written is dropped, for the sessions it belongs to will be answered for
// on another connection. It does not wait: OnClose, or Done, tells when all is over.
func (c *Conn) Close() { c.end(ErrClosed) }

// Done is closed when nothing of the connection runs any more and OnClose has returned.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Queued is the number of bytes that wait to be written; those being written right now do not count.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending)
}

// Refused is the number of messages that got ErrBusy.
func (c *Conn) Refused() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// end closes the connection for a reason. Only the first counts.
func (c *Conn) end(cause error) {
	c.mu.Lock()
	first := c.cause == nil
	if first {
		c.cause = cause
		c.pending = nil
	}
	c.mu.Unlock()
	if !first {
		return
	}
	close(c.closing)
	_ = c.conn.Close()
}

// write writes what is pending in one go, as often as there is something. While one write is on its way, what is sent
// gathers in the other buffer.
func (c *Conn) write(written chan<- struct{}) {
	defer close(written)
	var spare []byte
	for {
		select {
		case <-c.wake:
		case <-c.closing:
			return
		}
		c.mu.Lock()
		batch := c.pending
		c.pending = spare[:0]
		c.mu.Unlock()
		if err := c.writeAll(batch); err != nil {
			c.end(fmt.Errorf("janusapi: write: %w", err))
			return
		}
		if spare = batch; cap(spare) > keptBuffer {
			spare = nil
		}
	}
}

// writeAll writes a batch in pieces, each of which has the whole time-out: the deadline is on progress, not on size. A deadline may
// have passed while this process was stopped, which says nothing of the peer; so there is a second try.
func (c *Conn) writeAll(batch []byte) error {
	const piece = 256 << 10
	again := true
	for len(batch) > 0 {
		if err := c.conn.SetWriteDeadline(time.Now().Add(c.options.WriteTimeout)); err != nil {
			return err
		}
		n, err := c.conn.Write(batch[:min(len(batch), piece)])
		if err != nil && (!again || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
		again = err == nil
		batch = batch[n:]
	}
	return nil
}

// read passes messages on until the connection ends, then waits for the writer and reports.
func (c *Conn) read(reader *bufio.Reader, written <-chan struct{}) {
	defer close(c.done)
	m := messageReader{from: reader, limit: c.options.MaxMessage, control: c.control}
	for {
		message, err := m.next()
		if err != nil {
			c.end(fmt.Errorf("janusapi: read: %w", err))
			break
		}
		c.options.OnMessage(message)
	}
	<-written
	c.mu.Lock()
	cause := c.cause
	c.mu.Unlock()
	c.options.OnClose(cause)
}

// control answers a control frame. Pongs may go a little above the bound, so that a full queue does not make Janus think that
// we are gone.
func (c *Conn) control(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpPing:
		const allowance = 4096
		if err := c.enqueue(ws.OpPong, payload, c.options.MaxQueue+allowance); errors.Is(err, ErrClosed) {
			return err
		}
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(payload)
		return fmt.Errorf("closed by Janus: %d %q", code, reason)
	}
	return nil
}
