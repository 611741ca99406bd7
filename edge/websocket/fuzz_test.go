// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// desk is a link to nowhere: it keeps what a connection sends.
type desk struct {
	Conn
	output []byte
}

func (d *desk) flush() {
	if d.out != nil {
		d.output = append(d.output, d.out.rest()...)
		d.out = nil
	}
}
func (d *desk) attend()     {}
func (d *desk) unsent() int { return d.out.len() }

// feed gives a fresh connection its input in chunks whose sizes cycle through
// cuts, as a link would, and returns all that came of it.
func feed(opts Options, input []byte, cuts []byte) (messages []string, output []byte, end error) {
	r := newRecorder()
	r.onMessage = func(_ *Conn, data []byte) { messages = append(messages, string(data)) }
	d := &desk{Conn: Conn{server: New(r, opts)}}
	d.link = d
	var kept []byte
	for i := 0; len(input) > 0; i++ {
		n := len(input)
		if len(cuts) > 0 {
			n = min(n, int(cuts[i%len(cuts)])+1)
		}
		chunk := append(kept, input[:n]...)
		input = input[n:]
		rest, again := d.receive(chunk)
		for again {
			rest, again = d.receive(rest)
		}
		kept = slices.Clone(rest)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopTimer()
	return messages, d.output, d.why
}

func seeds(f *testing.F, add func(frames []byte)) {
	for _, c := range conversations() {
		if all := bytes.Join(c.send, nil); len(all) < 2000 {
			add(all)
		}
	}
	add(bytes.Repeat(text(""), 200))
}

// However the network cuts the bytes, the same comes of them: messages, answers
// and reason.
func FuzzChunks(f *testing.F) {
	opts := Options{Log: quiet(), MaxMessage: 1000, Subprotocols: []string{"janus-protocol"}, CloseTimeout: time.Hour}
	seeds(f, func(frames []byte) {
		f.Add(frames, []byte{0})
		f.Add(frames, []byte{6, 0, 30})
	})
	f.Fuzz(func(t *testing.T, frames, cuts []byte) {
		input := append([]byte(replaced()), frames...)
		wholeMessages, wholeOutput, wholeEnd := feed(opts, slices.Clone(input), nil)
		messages, output, end := feed(opts, input, cuts)
		if !slices.Equal(messages, wholeMessages) {
			t.Errorf("messages %q, when whole %q", messages, wholeMessages)
		}
		if !bytes.Equal(output, wholeOutput) {
			t.Errorf("output %q, when whole %q", output, wholeOutput)
		}
		if fmt.Sprint(end) != fmt.Sprint(wholeEnd) {
			t.Errorf("end %v, when whole %v", end, wholeEnd)
		}
		for _, m := range messages {
			if len(m) > opts.MaxMessage {
				t.Errorf("a message of %d bytes", len(m))
			}
		}
	})
}

// Arbitrary requests for an upgrade end in an answer or a hang-up.
func FuzzHandshake(f *testing.F) {
	opts := Options{Log: quiet(), Subprotocols: []string{"janus-protocol"}, CloseTimeout: time.Hour}
	f.Add([]byte(replaced()))
	f.Add([]byte(replaced("Sec-WebSocket-Protocol: ,;=\"")))
	f.Add([]byte(request("GET / HTTP/1.1", "Host: x", "")))
	f.Add([]byte("\r\n\r\n"))
	f.Add(bytes.Repeat([]byte("a"), maxRequest))
	f.Fuzz(func(t *testing.T, input []byte) {
		_, output, end := feed(opts, input, nil)
		complete := bytes.Contains(input[:min(len(input), maxRequest)], []byte("\r\n\r\n"))
		if !complete && len(input) < maxRequest {
			if len(output) > 0 || end != nil {
				t.Errorf("half a request: answered %q, end %v", output, end)
			}
			return
		}
		switch upgraded := bytes.HasPrefix(output, []byte("HTTP/1.1 101 ")); {
		case upgraded && !bytes.Contains(output, []byte("\r\nSec-WebSocket-Protocol: janus-protocol\r\n")):
			t.Errorf("upgraded without a subprotocol: %q", output)
		case !upgraded && end == nil:
			t.Errorf("neither upgraded nor refused: %q", output)
		}
	})
}

// Arbitrary bytes after a handshake, over real sockets, never disturb another
// connection of the same poller.
func FuzzFrames(f *testing.F) {
	seeds(f, func(frames []byte) { f.Add(frames, uint8(7)) })
	fix := serve(f, modes[0], newRecorder(), Options{MaxMessage: 1000, MaxQueue: 10_000, Pollers: 1})
	bystander := fix.dial(f)
	bystander.SetDeadline(time.Time{})
	f.Fuzz(func(t *testing.T, frames []byte, cut uint8) {
		p := fix.connect(t)
		p.write([]byte(replaced()))
		half := int(cut) % (len(frames) + 1)
		_, _ = p.Write(frames[:half])
		_, _ = p.Write(frames[half:])
		tcp(p.Conn).CloseWrite()
		if _, err := io.Copy(io.Discard, p); err != nil && !isReset(err) {
			t.Errorf("the connection did not end: %v", err)
		}
		p.Close()
		if _, err := bystander.Write(client(ws.OpText, "still")); err != nil {
			t.Fatal(err)
		}
		bystander.t = t
		if got := bystander.frame(); got != "text:still" {
			t.Fatalf("the other connection got %q", got)
		}
	})
}
