// SPDX-License-Identifier: Apache-2.0

package janustest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// Conn is one connection to the server.
type Conn struct {
	conn     net.Conn
	reader   *bufio.Reader
	fragment int

	mu    sync.Mutex // guards queue and ended
	queue [][]byte
	ended bool
	wake  chan struct{} // one token: there is something to write, or the connection ended
}

func newConn(conn net.Conn, fragment int) *Conn {
	return &Conn{conn: conn, reader: bufio.NewReaderSize(conn, 64<<10), fragment: fragment, wake: make(chan struct{}, 1)}
}

// Send sends a message. What is JSON is indented as Debian's Janus does; anything else goes as it is. It does not wait.
func (c *Conn) Send(message string) {
	var text bytes.Buffer
	if json.Indent(&text, []byte(message), "", "   ") != nil {
		text.Reset()
		text.WriteString(message)
	}
	c.mu.Lock()
	c.queue = append(c.queue, text.Bytes())
	c.mu.Unlock()
	c.signal()
}

func (c *Conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// reset ends the connection with a reset, as that of a process that was killed.
func (c *Conn) reset() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.conn.Close()
	c.signal()
}

// write writes what was sent until the connection ends.
func (c *Conn) write() {
	var batch bytes.Buffer
	for range c.wake {
		c.mu.Lock()
		queue, ended := c.queue, c.ended
		c.queue = nil
		c.mu.Unlock()
		if ended {
			return
		}
		batch.Reset()
		for _, text := range queue {
			c.frames(&batch, text)
		}
		_, _ = c.conn.Write(batch.Bytes()) // the reader notices the end
	}
}

// frames writes a message as one frame, or in fragments.
func (c *Conn) frames(to *bytes.Buffer, text []byte) {
	op := ws.OpText
	for c.fragment > 0 && len(text) > c.fragment {
		_ = ws.WriteFrame(to, ws.NewFrame(op, false, text[:c.fragment])) // a buffer takes everything
		text, op = text[c.fragment:], ws.OpContinuation
	}
	_ = ws.WriteFrame(to, ws.NewFrame(op, true, text))
}

// read returns the next message of a client.
func (c *Conn) read() ([]byte, error) {
	return wsutil.ReadClientText(readWriter{c.reader, c.conn})
}

// readWriter lets control frames be answered on the connection that is read through a buffer.
type readWriter struct {
	*bufio.Reader
	net.Conn
}

func (r readWriter) Read(p []byte) (int, error) { return r.Reader.Read(p) }
