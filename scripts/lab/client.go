// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// ErrClosed is returned by calls on a connection that has ended; the reason is wrapped with it.
var ErrClosed = errors.New("lab: connection closed")

// maxKept bounds the events a client keeps for its test.
const maxKept = 200_000

// Client is one WebSocket to a Janus or an edge. It does nothing by itself (no keepalives), trusts nothing it receives, and
// keeps a list of everything that a correct server would not have sent: see Violations. Its methods may be called from any
// goroutine.
type Client struct {
	conn   net.Conn
	reader *bufio.Reader
	closed chan struct{}

	writing sync.Mutex // one frame at a time

	mu         sync.Mutex // guards the rest: the reader fills it, callers take from it
	changed    chan struct{}
	count      int
	calls      map[string]*call
	events     []Message // all, in order of arrival
	fresh      []Message // those that Next has not given out
	violations []string
	deliver    func(Message) // takes what is received instead of all this; nil: it is kept
	loose      bool          // raw frames were sent: their replies cannot be told from unasked ones
	err        error
}

// call is what is known of one transaction.
type call struct {
	sent    int
	replies []Message
	taken   int
}

// Dial connects with the subprotocol of the Janus API.
func Dial(ctx context.Context, url string) (*Client, error) {
	return DialAs(ctx, url, "janus-protocol")
}

// DialTo is Dial for a client that keeps its own books: each message is given to deliver, in order, by one goroutine, and not
// kept. Use Write to send; what waits for answers (Request, Next) never gets one.
func DialTo(ctx context.Context, url string, deliver func(Message)) (*Client, error) {
	return dial(ctx, url, "janus-protocol", deliver)
}

// DialAs connects with any subprotocol, such as janus-admin-protocol.
func DialAs(ctx context.Context, url, subprotocol string) (*Client, error) {
	return dial(ctx, url, subprotocol, nil)
}

func dial(ctx context.Context, url, subprotocol string, deliver func(Message)) (*Client, error) {
	dialer := ws.Dialer{Protocols: []string{subprotocol}}
	conn, br, handshake, err := dialer.Dial(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("lab: dial %s: %w", url, err)
	}
	if handshake.Protocol != subprotocol {
		_ = conn.Close()
		return nil, fmt.Errorf("lab: dial %s: server chose subprotocol %q", url, handshake.Protocol)
	}
	if br == nil {
		br = bufio.NewReader(conn)
	}
	c := &Client{
		conn: conn, reader: br, closed: make(chan struct{}), deliver: deliver,
		changed: make(chan struct{}), calls: make(map[string]*call),
	}
	go c.read()
	return c, nil
}

// Request sends a request and returns its direct reply: success, ack, error, server_info or pong. A Janus error is a reply,
// not an error: see Message.Error. The request is a map, which gets a transaction where it has none, or anything that
// marshals to a JSON object with a transaction.
func (c *Client) Request(ctx context.Context, request any) (Message, error) {
	transaction, err := c.Send(request)
	if err != nil {
		return Message{}, err
	}
	return c.Reply(ctx, transaction)
}

// RequestEvent is Request for what a plugin answers later: it returns the first event with the transaction of the request, or
// the reply itself when that was not an ack.
func (c *Client) RequestEvent(ctx context.Context, request any) (Message, error) {
	transaction, err := c.Send(request)
	if err != nil {
		return Message{}, err
	}
	reply, err := c.Reply(ctx, transaction)
	if err != nil || reply.Janus != "ack" {
		return reply, err
	}
	return c.Next(ctx, func(m Message) bool { return m.Transaction == transaction })
}

// Send sends a request and returns its transaction without waiting for the reply.
func (c *Client) Send(request any) (transaction string, err error) {
	if fields, ok := request.(map[string]any); ok && fields["transaction"] == nil {
		withOne := map[string]any{"transaction": c.newTransaction()}
		for k, v := range fields {
			withOne[k] = v
		}
		request = withOne
	}
	payload, err := encode(request)
	if err != nil {
		return "", err
	}
	m, err := ParseMessage(payload)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	k := c.calls[m.Transaction]
	if k == nil {
		k = &call{}
		c.calls[m.Transaction] = k
	}
	k.sent++
	c.mu.Unlock()
	return m.Transaction, c.WriteFrame(ws.NewTextFrame(payload))
}

// Write sends a request as it is, without a note of it.
func (c *Client) Write(request any) error {
	payload, err := encode(request)
	if err != nil {
		return err
	}
	return c.WriteFrame(ws.NewTextFrame(payload))
}

func encode(request any) ([]byte, error) {
	switch r := request.(type) {
	case []byte:
		return r, nil
	case string:
		return []byte(r), nil
	}
	payload, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("lab: request: %w", err)
	}
	return payload, nil
}

func (c *Client) newTransaction() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	return "lab-" + strconv.Itoa(c.count)
}

// Reply waits for the next reply to a transaction sent before.
func (c *Client) Reply(ctx context.Context, transaction string) (Message, error) {
	var reply Message
	err := c.wait(ctx, "reply to "+transaction, func() bool {
		k := c.calls[transaction]
		if k == nil || len(k.replies) <= k.taken {
			return false
		}
		reply = k.replies[k.taken]
		k.taken++
		return true
	})
	return reply, err
}

// Next waits for an event that match accepts, the oldest first, and gives each event out once. What match refuses stays for
// another call. Everything that is not the reply to a Request is an event here.
func (c *Client) Next(ctx context.Context, match func(Message) bool) (Message, error) {
	var event Message
	err := c.wait(ctx, "event", func() bool {
		i := slices.IndexFunc(c.fresh, match)
		if i < 0 {
			return false
		}
		event = c.fresh[i]
		c.fresh = slices.Delete(c.fresh, i, i+1)
		return true
	})
	return event, err
}

// wait calls ready, under the lock, after each message until it returns true.
func (c *Client) wait(ctx context.Context, what string, ready func() bool) error {
	for {
		c.mu.Lock()
		if ready() {
			c.mu.Unlock()
			return nil
		}
		err, changed := c.err, c.changed
		c.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("lab: no %s: %w", what, context.Cause(ctx))
		}
	}
}

// Events are all events of a handle so far, in order of arrival, whether Next gave them out or not. Handle 0 stands for those
// without a sender.
func (c *Client) Events(handle uint64) []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	var of []Message
	for _, m := range c.events {
		if m.Handle == handle {
			of = append(of, m)
		}
	}
	return of
}

// Replies are all replies to a transaction so far. More than one for one request is a violation as well.
func (c *Client) Replies(transaction string) []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.calls[transaction]; k != nil {
		return slices.Clone(k.replies)
	}
	return nil
}

// Violations lists what a correct server would not have sent: a second reply to one request, a reply nobody asked for, a frame
// that is masked, binary or out of order, a message that is no JSON object.
func (c *Client) Violations() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.violations)
}

// Closed is closed when the connection has ended; Err then tells why.
func (c *Client) Closed() <-chan struct{} { return c.closed }

// Err is nil while the connection is up; afterwards it wraps ErrClosed and names the close frame, if one came.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close says good-bye with a close frame, waits for the other side's for a second, and ends the connection.
func (c *Client) Close() error {
	_ = c.WriteFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
	select {
	case <-c.closed:
	case <-time.After(time.Second):
	}
	err := c.conn.Close()
	<-c.closed
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Abort ends the connection as a crashed client would: with a reset and no good-bye.
func (c *Client) Abort() {
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.conn.Close()
	<-c.closed
}

// WriteFrame sends a frame, masked as a client must. Control frames may come between fragments.
func (c *Client) WriteFrame(frame ws.Frame) error {
	encoded, err := ws.CompileFrame(ws.MaskFrame(frame))
	if err != nil {
		return fmt.Errorf("lab: frame: %w", err)
	}
	return c.WriteBytes(encoded)
}

// WriteBytes puts bytes on the connection as they are, below any framing.
func (c *Client) WriteBytes(b []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	if _, err := c.conn.Write(b); err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return nil
}

// SendRaw sends any text as one message; with more than one part, each is a fragment. Its replies are for Next: from the
// first SendRaw on, replies that nobody asked for are no violation.
func (c *Client) SendRaw(op ws.OpCode, parts ...[]byte) error {
	c.mu.Lock()
	c.loose = true
	c.mu.Unlock()
	for i, part := range parts {
		frameOp := op
		if i > 0 {
			frameOp = ws.OpContinuation
		}
		if err := c.WriteFrame(ws.NewFrame(frameOp, i == len(parts)-1, part)); err != nil {
			return err
		}
	}
	return nil
}

// read takes messages in until the connection ends.
func (c *Client) read() {
	defer close(c.closed)
	var err error
	for err == nil {
		var payload []byte
		if payload, err = c.readMessage(); err == nil {
			c.take(payload)
		}
	}
	_ = c.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = fmt.Errorf("%w: %w", ErrClosed, err)
	close(c.changed)
}

// readMessage returns one whole text message, answering pings on the way.
func (c *Client) readMessage() ([]byte, error) {
	var message []byte
	for started := false; ; {
		header, err := ws.ReadHeader(c.reader)
		if err != nil {
			return nil, err
		}
		payload := make([]byte, header.Length)
		if _, err := io.ReadFull(c.reader, payload); err != nil {
			return nil, err
		}
		if header.Masked || header.Rsv != 0 {
			c.violate("frame masked or with reserved bits: %+v", header)
		}
		if header.OpCode.IsControl() {
			if err := c.control(header.OpCode, payload); err != nil {
				return nil, err
			}
			continue
		}
		if (header.OpCode == ws.OpContinuation) != started || header.OpCode == ws.OpBinary {
			c.violate("frame with opcode %d, in a message: %v", header.OpCode, started)
		}
		started = true
		if message = append(message, payload...); header.Fin {
			return message, nil
		}
	}
}

func (c *Client) control(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpPing:
		return c.WriteFrame(ws.NewPongFrame(payload))
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(payload)
		_ = c.WriteFrame(ws.NewCloseFrame(payload))
		return fmt.Errorf("close frame %d %q", code, reason)
	}
	return nil
}

// take files a message as a reply or as an event.
func (c *Client) take(payload []byte) {
	m, err := ParseMessage(payload)
	if err != nil {
		c.violate("%v: %q", err, payload)
		return
	}
	if c.deliver != nil {
		c.deliver(m)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { close(c.changed); c.changed = make(chan struct{}) }()
	k := c.calls[m.Transaction]
	if m.IsReply() && k != nil {
		if k.replies = append(k.replies, m); len(k.replies) > k.sent {
			c.violateLocked("reply %d to transaction %q sent %d times: %s", len(k.replies), m.Transaction, k.sent, m)
		}
		return
	}
	if m.IsReply() && !c.loose {
		c.violateLocked("reply that nobody asked for: %s", m)
	}
	if len(c.events) >= maxKept {
		c.violateLocked("more than %d events, the rest is dropped", maxKept)
		return
	}
	c.events = append(c.events, m)
	c.fresh = append(c.fresh, m)
}

func (c *Client) violate(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.violateLocked(format, args...)
}

func (c *Client) violateLocked(format string, args ...any) {
	if len(c.violations) < 100 {
		c.violations = append(c.violations, fmt.Sprintf(format, args...))
	}
}
