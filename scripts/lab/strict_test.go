// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// scripted serves one WebSocket with serve and returns a client of it.
func scripted(t *testing.T, serve func(net.Conn)) *Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		u := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) == "janus-protocol" }}
		if _, err := u.Upgrade(conn); err == nil {
			serve(conn)
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	c, err := Dial(testContext(t), "ws://"+l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	return c
}

// say sends frames one after another and waits for the client to leave.
func say(frames ...ws.Frame) func(net.Conn) {
	return func(conn net.Conn) {
		for _, f := range frames {
			if ws.WriteFrame(conn, f) != nil {
				return
			}
		}
		_, _ = wsutil.ReadClientText(conn)
	}
}

func text(s string) ws.Frame { return ws.NewTextFrame([]byte(s)) }

// TestViolations is what a server may be caught at, and what it may do.
func TestViolations(t *testing.T) {
	last := text(`{"janus":"event","last":true}`)
	for _, tt := range []struct {
		name   string
		frames []ws.Frame
		want   string
	}{
		{"events", []ws.Frame{text(`{"janus":"webrtcup"}`), text(`{"janus":"event","transaction":"x"}`)}, ""},
		{"fragments and pings", []ws.Frame{
			ws.NewFrame(ws.OpText, false, []byte(`{"janus":`)), ws.NewPingFrame([]byte("p")),
			ws.NewFrame(ws.OpContinuation, true, []byte(`"media"}`)),
		}, ""},
		{"unasked reply", []ws.Frame{text(`{"janus":"success","transaction":"x"}`)}, "nobody asked"},
		{"unasked error", []ws.Frame{text(`{"janus":"error","error":{"code":454}}`)}, "nobody asked"},
		{"binary", []ws.Frame{ws.NewBinaryFrame([]byte(`{"janus":"event"}`))}, "opcode 2"},
		{"masked", []ws.Frame{ws.MaskFrame(text(`{"janus":"event"}`))}, "masked"},
		{"no JSON", []ws.Frame{text(`hello`)}, "not a Janus message"},
		{"no object", []ws.Frame{text(`null`)}, "no JSON object"},
		{"two objects", []ws.Frame{text(`{"janus":"ack"}{"janus":"ack"}`)}, "not a Janus message"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := scripted(t, say(append(slices.Clone(tt.frames), last)...))
			if _, err := c.Next(testContext(t), func(m Message) bool { return m.Get("last") != nil }); err != nil {
				t.Fatal(err)
			}
			got := strings.Join(c.Violations(), "\n")
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("violations %q, want %q", got, tt.want)
			}
		})
	}
}

// TestDuplicateReply: two replies to one request are caught, an event with its transaction is none.
func TestDuplicateReply(t *testing.T) {
	ctx := testContext(t)
	c := scripted(t, func(conn net.Conn) {
		request, err := wsutil.ReadClientText(conn)
		if err != nil {
			return
		}
		m, _ := ParseMessage(request)
		say(text(`{"janus":"event","transaction":"`+m.Transaction+`"}`),
			text(`{"janus":"ack","transaction":"`+m.Transaction+`"}`),
			text(`{"janus":"ack","transaction":"`+m.Transaction+`"}`),
			text(`{"janus":"hangup"}`))(conn)
	})
	tx, err := c.Send(map[string]any{"janus": "message"})
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := c.Reply(ctx, tx); err != nil || reply.Janus != "ack" {
		t.Fatalf("%v, %v", reply, err)
	}
	if _, err := c.Next(ctx, func(m Message) bool { return m.Janus == "hangup" }); err != nil {
		t.Fatal(err)
	}
	if v := c.Violations(); len(v) != 1 || !strings.Contains(v[0], "reply 2 to transaction") {
		t.Errorf("violations %q", v)
	}
	if replies, events := c.Replies(tx), c.Events(0); len(replies) != 2 || len(events) != 2 || events[0].Transaction != tx {
		t.Errorf("replies %v, events %v", replies, events)
	}
}

// TestNextOrder: events are given out oldest first, once, and those not asked for stay.
func TestNextOrder(t *testing.T) {
	ctx := testContext(t)
	c := scripted(t, say(text(`{"janus":"event","sender":1,"n":1}`), text(`{"janus":"event","sender":2,"n":2}`),
		text(`{"janus":"event","sender":1,"n":3}`)))
	all := func(Message) bool { return true }
	for i, tt := range []struct {
		match func(Message) bool
		want  uint64
	}{{func(m Message) bool { return m.Handle == 2 }, 2}, {all, 1}, {all, 3}} {
		m, err := c.Next(ctx, tt.match)
		if err != nil || m.Number("n") != tt.want {
			t.Errorf("%d: %v, %v", i, m, err)
		}
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if m, err := c.Next(short, all); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a fourth event: %v, %v", m, err)
	}
	if of := c.Events(1); len(of) != 2 || of[1].Number("n") != 3 {
		t.Errorf("events of handle 1: %v", of)
	}
}

// TestServerCloses: waiting calls end with the close frame's code.
func TestServerCloses(t *testing.T) {
	c := scripted(t, say(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusPolicyViolation, "too much"))))
	_, err := c.Next(testContext(t), func(Message) bool { return true })
	if !errors.Is(err, ErrClosed) || !strings.Contains(err.Error(), `1008 "too much"`) {
		t.Errorf("ended with %v", err)
	}
	<-c.Closed()
	if c.Err() == nil {
		t.Error("no error after the end")
	}
	if _, err := c.Request(testContext(t), map[string]any{"janus": "info"}); !errors.Is(err, ErrClosed) {
		t.Errorf("request after the end: %v", err)
	}
}

// TestRawFrames talks to a real Janus below the API: fragments, binary, several objects in one message, rubbish.
func TestRawFrames(t *testing.T) {
	ctx := testContext(t)
	janus := Janus(t)
	c, err := Dial(ctx, janus.WSURL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	next := func(match func(Message) bool) Message {
		t.Helper()
		m, err := c.Next(ctx, match)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	tx := func(want string) func(Message) bool { return func(m Message) bool { return m.Transaction == want } }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.SendRaw(ws.OpText, []byte(`{"janus":"ping",`), []byte(`"transaction"`), []byte(`:"pieces"}`)))
	next(tx("pieces"))
	must(c.SendRaw(ws.OpBinary, []byte(`{"janus":"ping","transaction":"binary"}`)))
	next(tx("binary"))
	must(c.SendRaw(ws.OpText, []byte(`{"janus":"ping","transaction":"one"}{"janus":"ping","transaction":"two"}`)))
	next(tx("one"))
	next(tx("two"))
	must(c.SendRaw(ws.OpText, []byte(`{"janus"`)))
	if m := next(func(m Message) bool { return m.Janus == "error" }); m.Error.Code != 454 {
		t.Errorf("rubbish: %v", m)
	}
	must(c.WriteBytes([]byte{0xff, 0xff}))
	<-c.Closed()
	if v := c.Violations(); len(v) > 0 {
		t.Errorf("violations %q", v)
	}
}

// TestJanusLife freezes, kills and restarts a real Janus.
func TestJanusLife(t *testing.T) {
	ctx := testContext(t)
	janus := Janus(t)
	c, err := Dial(ctx, janus.WSURL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort()
	session, err := c.Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	janus.Freeze()
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := c.Keepalive(short, session); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a frozen Janus: %v", err)
	}
	janus.Thaw()
	if err := c.Keepalive(ctx, session); err != nil {
		t.Errorf("a thawed Janus: %v", err)
	}
	janus.Restart()
	<-c.Closed()
	again, err := Dial(ctx, janus.WSURL())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	var refused *Error
	if err := again.Claim(ctx, session); !errors.As(err, &refused) || refused.Code != 458 {
		t.Errorf("claim after the restart: %v", err)
	}
}

func TestDialRefused(t *testing.T) {
	ctx := testContext(t)
	if _, err := Dial(ctx, "ws://127.0.0.1:1"); err == nil {
		t.Error("dialled nobody")
	}
	if _, err := DialAs(ctx, Janus(t).WSURL(), "other-protocol"); err == nil {
		t.Error("a Janus spoke a protocol that it does not know")
	}
}

func TestMessage(t *testing.T) {
	m, err := ParseMessage([]byte(`{"janus":"event","session_id":-1,"sender":9007199254740993,"plugindata":{"data":{"room":18446744073709551615,"s":"x"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if m.Session != 1<<64-1 || m.Handle != 1<<53+1 || m.Number("plugindata", "data", "room") != 1<<64-1 || m.Text("plugindata", "data", "s") != "x" {
		t.Errorf("%+v", m)
	}
	if m.Get("plugindata", "no", "such") != nil || m.Text("janus", "x") != "" || m.Number("janus") != 0 {
		t.Error("absent values are not empty")
	}
	if _, err := encode(map[string]any{"x": func() {}}); err == nil {
		t.Error("a function was marshalled")
	}
}

// FuzzMessage: nothing a server sends breaks the client, and what it takes is a JSON object.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{`{"janus":"ack"}`, `{"session_id":1e400}`, `{"sender":"1"}`, `[]`, `null`, ` {}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseMessage(raw)
		if err != nil {
			return
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(raw, &object); err != nil || object == nil {
			t.Fatalf("%q was taken: %v", raw, err)
		}
		_, _, _ = m.Get("a", "b"), m.Number("janus"), m.String()
	})
}
