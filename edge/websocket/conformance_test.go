// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// conversation is a client's bytes after the handshake and the frames it gets.
type conversation struct {
	name string
	send [][]byte
	want []string
	// cause is the metric label of the end; empty where the connection stays.
	cause string
}

func list(frames ...[]byte) [][]byte { return frames }

func text(s string) []byte { return client(ws.OpText, s) }

// The table goes through RFC 6455 in the order of the Autobahn suite: framing,
// pings, reserved bits, opcodes, fragments, closing, limits.
func conversations() []conversation {
	const bad, over = "close:1002:", "eof"
	long := strings.Repeat("x", 125)
	rule := func(err error) []string { return []string{bad + err.Error(), over} }
	refused := func(name string, err error, send ...[]byte) conversation {
		return conversation{name, send, rule(err), "protocol"}
	}
	stays := func(name string, want []string, send ...[]byte) conversation {
		return conversation{name: name, send: send, want: want}
	}
	closes := func(name, want string, send ...[]byte) conversation {
		return conversation{name, send, []string{want, over}, "peer"}
	}
	var all []conversation
	for _, n := range []int{0, 1, 15, 16, 17, 125, 126, 127, 128, 65535, 65536, 65537, 200_000} {
		s := strings.Repeat("0123456789abcdef", n/16+1)[:n]
		all = append(all,
			stays("text", []string{"text:" + s}, text(s)),
			stays("binary is text", []string{"text:" + s}, client(ws.OpBinary, s)),
			stays("two in one write", []string{"text:" + s, "text:" + s}, text(s), text(s)))
	}
	all = append(all,
		stays("length not in its shortest form", []string{"text:hello"},
			[]byte{0x81, 0xfe, 0, 5, 0, 0, 0, 0}, []byte("hello")),
		stays("invalid UTF-8 is the parser's", []string{"text:\xff\xfe"}, text("\xff\xfe")),
		stays("NUL bytes are kept", []string{"text:a\x00b"}, text("a\x00b")),

		stays("ping", []string{"a:"}, client(ws.OpPing, "")),
		stays("ping with payload", []string{"a:" + long}, client(ws.OpPing, long)),
		refused("ping of 126 bytes", ws.ErrProtocolControlPayloadOverflow, client(ws.OpPing, long+"x")),
		refused("ping in fragments", ws.ErrProtocolControlNotFinal, raw(bits(ws.OpPing), "x")),
		stays("unsolicited pong", []string{"a:x"}, client(ws.OpPong, "y"), client(ws.OpPing, "x")),
		stays("ten pings", strings.Split("a:0 a:1 a:2 a:3 a:4 a:5 a:6 a:7 a:8 a:9", " "),
			client(ws.OpPing, "0"), client(ws.OpPing, "1"), client(ws.OpPing, "2"), client(ws.OpPing, "3"),
			client(ws.OpPing, "4"), client(ws.OpPing, "5"), client(ws.OpPing, "6"), client(ws.OpPing, "7"),
			client(ws.OpPing, "8"), client(ws.OpPing, "9")),

		refused("first reserved bit", ws.ErrProtocolNonZeroRsv, raw(fin|rsv1|bits(ws.OpText), "x")),
		refused("second reserved bit", ws.ErrProtocolNonZeroRsv, raw(fin|rsv2|bits(ws.OpText), "x")),
		refused("third reserved bit on a ping", ws.ErrProtocolNonZeroRsv, raw(fin|rsv3|bits(ws.OpPing), "x")),
		refused("unmasked text", ws.ErrProtocolMaskRequired, unmasked(fin|bits(ws.OpText), "x")),
		refused("unmasked ping", ws.ErrProtocolMaskRequired, unmasked(fin|bits(ws.OpPing), "x")),
		refused("unmasked after a good one", ws.ErrProtocolMaskRequired, unmasked(fin|bits(ws.OpText), "x"), text("never")),
		refused("length with its highest bit", ws.ErrHeaderLengthMSB, []byte("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff....")),
	)
	for op := ws.OpCode(3); op < 16; op++ {
		if op.IsReserved() {
			all = append(all, refused("reserved opcode", ws.ErrProtocolOpCodeReserved, client(op, "")))
		}
	}
	return append(append(all, fragments(stays, refused)...), closings(closes)...)
}

func fragments(stays func(string, []string, ...[]byte) conversation,
	refused func(string, error, ...[]byte) conversation) []conversation {
	begin, middle, end := bits(ws.OpText), bits(0), fin
	return []conversation{
		stays("two fragments", []string{"text:ab"}, raw(begin, "a"), raw(end, "b")),
		stays("binary fragments", []string{"text:ab"}, raw(bits(ws.OpBinary), "a"), raw(end, "b")),
		stays("empty fragments", []string{"text:ab"},
			raw(begin, ""), raw(middle, ""), raw(middle, "ab"), raw(middle, ""), raw(end, "")),
		stays("only empty fragments", []string{"text:"}, raw(begin, ""), raw(end, "")),
		stays("many fragments", []string{"text:" + strings.Repeat("ab", 500)}, many(500)...),
		stays("pings between fragments", []string{"a:1", "a:2", "text:abc"},
			raw(begin, "a"), client(ws.OpPing, "1"), raw(middle, "b"), client(ws.OpPong, "-"), client(ws.OpPing, "2"), raw(end, "c")),
		stays("fragmented, then whole", []string{"text:ab", "text:c"}, raw(begin, "a"), raw(end, "b"), text("c")),
		stays("large fragments", []string{"text:" + strings.Repeat("z", 200_000)},
			raw(begin, strings.Repeat("z", 100_000)), raw(end, strings.Repeat("z", 100_000))),
		refused("nothing to continue", ws.ErrProtocolContinuationUnexpected, raw(end, "x")),
		refused("continues after a whole message", ws.ErrProtocolContinuationUnexpected, raw(begin, "a"), raw(end, "b"), raw(end, "c")).
			after("text:ab"),
		refused("text within fragments", ws.ErrProtocolContinuationExpected, raw(begin, "a"), text("b")),
		refused("binary within fragments", ws.ErrProtocolContinuationExpected, raw(begin, "a"), client(ws.OpBinary, "b")),
		{"message of the limit", list(text(strings.Repeat("m", testMaxMessage))),
			[]string{"text:" + strings.Repeat("m", testMaxMessage)}, ""},
		{"message over the limit", list(text(strings.Repeat("m", testMaxMessage+1))),
			[]string{"close:1009:" + ErrTooBig.Error(), "eof"}, "too_big"},
		{"announced far over the limit", list(header(fin|bits(ws.OpText), 1<<62, true), []byte("mask")),
			[]string{"close:1009:" + ErrTooBig.Error(), "eof"}, "too_big"},
		{"fragments over the limit", list(raw(begin, strings.Repeat("m", testMaxMessage)), raw(end, "m")),
			[]string{"close:1009:" + ErrTooBig.Error(), "eof"}, "too_big"},
	}
}

// after puts frames in front of those a conversation ends with.
func (c conversation) after(frames ...string) conversation {
	c.want = append(frames, c.want...)
	return c
}

func many(n int) [][]byte {
	frames := make([][]byte, n)
	for i := range frames {
		first := bits(0)
		if i == 0 {
			first = bits(ws.OpText)
		}
		if i == n-1 {
			first |= fin
		}
		frames[i] = raw(first, "ab")
	}
	return frames
}

func closings(closes func(string, string, ...[]byte) conversation) []conversation {
	all := []conversation{
		closes("empty close", "8:", client(ws.OpClose, "")),
		closes("close with reason", "close:1000:bye", byeFrame(1000, "bye")),
		closes("longest reason", "close:1000:"+strings.Repeat("r", 123), byeFrame(1000, strings.Repeat("r", 123))),
		closes("nothing after a close", "close:1000:", byeFrame(1000, ""), text("late"), client(ws.OpPing, "late")),
		closes("close within fragments", "close:1001:", raw(bits(ws.OpText), "a"), byeFrame(1001, "")),
		{"message before the close", list(text("last"), byeFrame(1000, "")), []string{"text:last", "close:1000:", "eof"}, "peer"},
		{"close of one byte", list(client(ws.OpClose, "x")),
			[]string{"close:1002:" + ws.ErrProtocolStatusCodeNotInUse.Error(), "eof"}, "protocol"},
		{"close of 126 bytes", list(byeFrame(1000, strings.Repeat("r", 124))),
			[]string{"close:1002:" + ws.ErrProtocolControlPayloadOverflow.Error(), "eof"}, "protocol"},
		{"reason not UTF-8", list(byeFrame(1000, "\xce\xba\xe1\xbd")),
			[]string{"close:1007:" + ws.ErrProtocolInvalidUTF8.Error(), "eof"}, "protocol"},
	}
	for _, code := range []ws.StatusCode{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		body := byeFrame(code, "")
		all = append(all, closes("valid code", "close:"+itoa(int(code))+":", body))
	}
	for _, code := range []ws.StatusCode{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		all = append(all, conversation{"code " + itoa(int(code)), list(byeFrame(code, "")),
			[]string{"close:1002:" + ws.ErrProtocolStatusCodeNotInUse.Error(), "eof"}, "protocol"})
	}
	return all
}

const testMaxMessage = 300_000

// chunkings are ways a network may cut the bytes of a conversation.
var chunkings = []struct {
	name string
	size int
}{{"whole", 1 << 30}, {"bytewise", 1}, {"by seven", 7}}

func TestConversations(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		f := serve(t, m, newRecorder(), Options{MaxMessage: testMaxMessage})
		n := 0
		for _, cut := range chunkings {
			for _, c := range conversations() {
				size := 0
				for _, b := range c.send {
					size += len(b)
				}
				if size/cut.size > 2000 {
					continue // a system call each: enough are left
				}
				n++
				t.Run(cut.name+"/"+c.name, func(t *testing.T) { c.run(t, f, n-1, cut.size) })
			}
		}
		lint(t, f.registry)
	})
}

func (c conversation) run(t *testing.T, f *fixture, n, chunk int) {
	before := f.count(t, "closed_total", "cause", c.cause)
	p := f.dial(t)
	var all []byte
	for _, b := range c.send {
		all = append(all, b...)
	}
	for len(all) > 0 {
		part := all[:min(chunk, len(all))]
		if _, err := p.Write(part); err != nil {
			break // the server may hang up before all of a bad frame is out
		}
		all = all[len(part):]
	}
	p.expect(c.want...)
	if c.cause == "" {
		p.write(text("still there"))
		p.expect("text:still there")
		p.Close()
		f.reason(t, n)
		return
	}
	p.Close()
	why := f.reason(t, n)
	if got := cause(why); got != c.cause {
		t.Errorf("ended by %v: cause %q, want %q", why, got, c.cause)
	}
	if after := f.count(t, "closed_total", "cause", c.cause); after != before+1 {
		t.Errorf("closed_total{%s} went from %v to %v", c.cause, before, after)
	}
}

// Two frames may come with the upgrade request: a client may not wait for the
// answer it expects.
func TestFramesWithTheUpgrade(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		f := serve(t, m, newRecorder(), Options{})
		p := f.dial(t, text("early"), text("bird"), text("half")[:4])
		p.expect("text:early", "text:bird")
		p.write(text("half")[4:])
		p.expect("text:half")
	})
}

func TestReasonsForTheHandler(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		f := serve(t, m, newRecorder(), Options{})
		p := f.dial(t)
		p.write(byeFrame(4000, "done"))
		var byPeer *CloseError
		if why := f.reason(t, 0); !errors.As(why, &byPeer) || *byPeer != (CloseError{Code: 4000, Reason: "done"}) {
			t.Errorf("close frame: reason %v", why)
		}
		p = f.dial(t)
		p.write(client(ws.OpClose, ""))
		if why := f.reason(t, 1); !errors.As(why, &byPeer) || byPeer.Code != ws.StatusNoStatusRcvd {
			t.Errorf("empty close frame: reason %v", why)
		}
		p = f.dial(t)
		p.Close()
		if why := f.reason(t, 2); !errors.Is(why, io.EOF) {
			t.Errorf("hang-up: reason %v", why)
		}
		p = f.dial(t)
		f.conn(t, 3).Close(1001, "going")
		p.expect("close:1001:going", "eof")
		p.Close()
		if why := f.reason(t, 3); !errors.As(why, &byPeer) || *byPeer != (CloseError{Code: 1001, Reason: "going", Local: true}) {
			t.Errorf("closed by us: reason %v", why)
		}
		if err := f.conn(t, 3).Send(nil); !errors.Is(err, ErrClosed) {
			t.Errorf("Send on a closed connection: %v", err)
		}
		p = f.dial(t)
		p.write(text("ok"), unmasked(fin|1, "no"))
		var broken *ProtocolError
		if why := f.reason(t, 4); !errors.As(why, &broken) || !errors.Is(why, ws.ErrProtocolMaskRequired) {
			t.Errorf("unmasked frame: reason %v", why)
		}
	})
}
