// SPDX-License-Identifier: Apache-2.0

package janusapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// echo returns every message to its sender.
func echo(conn net.Conn) {
	for {
		message, op, err := wsutil.ReadClientData(conn)
		if err != nil || wsutil.WriteServerMessage(conn, op, message) != nil {
			return
		}
	}
}

// TestEcho sends messages around every limit of the framing and gets each back whole.
func TestEcho(t *testing.T) {
	p := dial(t, listen(t, echo), Options{})
	for _, n := range []int{0, 1, 125, 126, 2800, 2801, 65535, 65536, 3 << 20} {
		message := strings.Repeat("x", n)
		if err := p.Send([]byte(message)); err != nil {
			t.Fatal(err)
		}
		p.wantMessage(t, message)
	}
	p.Close()
	p.wantClose(t, ErrClosed)
	if err := p.Send([]byte("{}")); !errors.Is(err, ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
}

// TestSendFromMany sends from many goroutines at once: each message arrives whole, those of one sender in order.
func TestSendFromMany(t *testing.T) {
	const senders, each = 8, 500
	p := dial(t, listen(t, echo), Options{})
	var last [senders]int
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		for range senders * each {
			m := <-p.messages
			var sender, n int
			_, err := fmt.Sscan(m, &sender, &n)
			must(t, err)
			if len(m) != 300 || n != last[sender] {
				t.Errorf("sender %d: message %d of %d bytes, want %d", sender, n, len(m), last[sender])
			}
			last[sender]++
		}
	}()
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				must(t, p.Send(fmt.Appendf(nil, "%-300s", fmt.Sprint(s, i))))
			}
		})
	}
	wg.Wait()
	select {
	case <-counted:
	case <-time.After(patience):
		t.Fatal("messages are missing")
	}
}

// TestFragments joins what Janus sends in pieces, with a ping between two of them.
func TestFragments(t *testing.T) {
	pong := make(chan string, 1)
	p := dial(t, listen(t, func(conn net.Conn) {
		for i, part := range []string{`{"a":`, `"`, strings.Repeat("b", 2800), `"}`} {
			op := ws.OpContinuation
			if i == 0 {
				op = ws.OpText
			}
			must(t, ws.WriteFrame(conn, ws.NewFrame(op, i == 3, []byte(part))))
			if i == 1 {
				must(t, ws.WriteFrame(conn, ws.NewPingFrame([]byte("alive?"))))
			}
		}
		must(t, ws.WriteFrame(conn, ws.NewTextFrame([]byte("{}"))))
		frame, err := readFrame(conn)
		must(t, err)
		pong <- string(ws.UnmaskFrame(frame).Payload)
		_, _ = io.Copy(io.Discard, conn)
	}), Options{})
	p.wantMessage(t, `{"a":"`+strings.Repeat("b", 2800)+`"}`)
	p.wantMessage(t, "{}")
	select {
	case got := <-pong:
		if got != "alive?" {
			t.Errorf("pong %q", got)
		}
	case <-time.After(patience):
		t.Fatal("no pong")
	}
}

// TestMessagesAreKept checks that a receiver may keep what it got.
func TestMessagesAreKept(t *testing.T) {
	var kept [][]byte
	done := make(chan struct{})
	conn, err := Dial(t.Context(), listen(t, func(conn net.Conn) {
		for _, m := range []string{"first", "second"} {
			must(t, ws.WriteFrame(conn, ws.NewFrame(ws.OpText, false, []byte(m[:2]))))
			must(t, ws.WriteFrame(conn, ws.NewFrame(ws.OpContinuation, true, []byte(m[2:]))))
		}
	}), Options{
		OnMessage: func(raw []byte) { kept = append(kept, raw) },
		OnClose:   func(error) { close(done) },
	})
	if err != nil {
		t.Fatal(err)
	}
	<-done
	<-conn.Done()
	if got := string(bytes.Join(kept, []byte(" "))); got != "first second" {
		t.Errorf("kept %q", got)
	}
}

// TestServerEnds is every way in which the other side can end a connection.
func TestServerEnds(t *testing.T) {
	raw := func(b ...byte) func(net.Conn) {
		return func(conn net.Conn) { _, err := conn.Write(b); must(t, err) }
	}
	for _, tt := range []struct {
		name  string
		serve func(net.Conn)
		want  error
		text  string
	}{
		{"connection cut", func(net.Conn) {}, io.EOF, "EOF"},
		{"cut in a message", raw(0x81, 5, 'a'), io.ErrUnexpectedEOF, "EOF"},
		{"close frame", func(c net.Conn) {
			must(t, ws.WriteFrame(c, ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, "bye"))))
		}, nil, `closed by Janus: 1001 "bye"`},
		{"masked", raw(0x81, 0x81, 0, 0, 0, 0, 'a'), ErrProtocol, ""},
		{"reserved bit", raw(0xc1, 1, 'a'), ErrProtocol, ""},
		{"binary", raw(0x82, 1, 'a'), ErrProtocol, ""},
		{"continuation of nothing", raw(0x80, 1, 'a'), ErrProtocol, ""},
		{"message inside a message", raw(0x01, 1, 'a', 0x81, 1, 'b'), ErrProtocol, ""},
		{"fragmented ping", raw(0x09, 1, 'a'), ErrProtocol, ""},
		{"long ping", raw(0x89, 126, 0, 200), ErrProtocol, ""},
		{"unknown control frame", raw(0x8b, 0), ErrProtocol, ""},
		{"too large", raw(0x81, 127, 0, 0, 0, 0, 0, 1, 0, 1), ErrTooLarge, ""},
		{"too large together", raw(0x01, 2, 'a', 'b', 0x80, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff), ErrTooLarge, ""},
		{"length above any integer", raw(0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255), ErrTooLarge, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := dial(t, listen(t, tt.serve), Options{MaxMessage: 0xffff})
			<-p.Done()
			err := <-p.closed
			p.closed <- err
			p.wantClose(t, tt.want)
			if !strings.Contains(err.Error(), tt.text) {
				t.Errorf("closed with %q, want %q", err, tt.text)
			}
		})
	}
}

// TestBusy fills the queue of a server that does not read: Send refuses and takes nothing in half, and when the kernel takes
// nothing either, the write deadline ends the connection.
func TestBusy(t *testing.T) {
	const limit = 1 << 20
	release := make(chan struct{})
	p := dial(t, listen(t, func(net.Conn) { <-release }), Options{MaxQueue: limit, WriteTimeout: 100 * time.Millisecond})
	defer close(release)
	message := bytes.Repeat([]byte("x"), 64<<10)
	var refused uint64
	for deadline := time.Now().Add(patience); ; {
		err := p.Send(message)
		if errors.Is(err, ErrClosed) {
			break
		}
		if errors.Is(err, ErrBusy) {
			refused++
			runtime.Gosched()
		} else if err != nil || p.Queued() > limit {
			t.Fatalf("%v, queued %d", err, p.Queued())
		}
		if time.Now().After(deadline) {
			t.Fatal("the connection never ended")
		}
	}
	if refused == 0 || p.Refused() != refused {
		t.Errorf("refused %d, counted %d", refused, p.Refused())
	}
	p.wantClose(t, os.ErrDeadlineExceeded)
}

// slowConn takes part of each write and lets the deadline pass, for the first few times.
type slowConn struct {
	net.Conn
	late  int
	taken []byte
}

func (c *slowConn) SetWriteDeadline(time.Time) error { return nil }

func (c *slowConn) Write(b []byte) (int, error) {
	if c.late > 0 {
		c.late--
		c.taken = append(c.taken, b[:len(b)/2]...)
		return len(b) / 2, os.ErrDeadlineExceeded
	}
	c.taken = append(c.taken, b...)
	return len(b), nil
}

// A process that was stopped in a write wakes after its deadline: the write goes on where it was, once.
func TestStoppedWhileWriting(t *testing.T) {
	for late, want := range []error{nil, nil, os.ErrDeadlineExceeded} {
		slow := &slowConn{late: late}
		c := &Conn{conn: slow}
		if err := c.writeAll([]byte("0123456789")); !errors.Is(err, want) {
			t.Errorf("%d deadlines passed: %v", late, err)
		}
		if want == nil && string(slow.taken) != "0123456789" {
			t.Errorf("wrote %q", slow.taken)
		}
	}
}

// TestCloseWhileWriting ends a connection whose writer is stuck.
func TestCloseWhileWriting(t *testing.T) {
	release := make(chan struct{})
	p := dial(t, listen(t, func(net.Conn) { <-release }), Options{WriteTimeout: time.Hour, MaxQueue: 64 << 20})
	defer close(release)
	must(t, p.Send(make([]byte, 32<<20)))
	p.Close()
	p.Close()
	p.wantClose(t, ErrClosed)
}

// TestCloseFromCallbacks must not deadlock.
func TestCloseFromCallbacks(t *testing.T) {
	connected := make(chan *Conn, 1)
	closed := make(chan error, 2)
	conn, err := Dial(t.Context(), listen(t, echo), Options{
		OnMessage: func([]byte) { (<-connected).Close() },
		OnClose:   func(err error) { closed <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	connected <- conn
	must(t, conn.Send([]byte("{}")))
	if err := <-closed; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	<-conn.Done()
}

func TestDialFails(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, tt := range []struct{ name, url, subprotocol string }{
		{"no scheme", "127.0.0.1:1", ""},
		{"nobody there", "ws://127.0.0.1:1", ""},
		{"never answers", "ws://" + silent.Addr().String(), ""},
		{"other subprotocol", listen(t, echo), "refused"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		conn, err := Dial(ctx, tt.url, Options{Subprotocol: tt.subprotocol})
		cancel()
		if err == nil {
			t.Errorf("%s: dialled", tt.name)
			conn.Close()
		}
		if tt.subprotocol != "" && errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
