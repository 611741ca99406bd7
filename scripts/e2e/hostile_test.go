// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/januscloud/januscloud/scripts/lab"
)

// attack is something no good client does.
type attack struct {
	name string
	do   func(ctx context.Context, c *lab.Client, url string) error
	// closes: the edge must end the connection. Otherwise it must still answer on it.
	closes bool
}

const ping = `{"janus":"ping","transaction":"after"}`

// attacks are the bytes below any framing, then frames, then texts.
func attacks() []attack {
	all := []attack{
		raw("bytes that are no frame", []byte("GET / HTTP/1.1\r\n\r\n")),
		raw("a frame that is not masked", ws.MustCompileFrame(ws.NewTextFrame([]byte(ping)))),
		raw("reserved bits", masked(0xf1, []byte(ping))),
		raw("a reserved opcode", masked(0x83, []byte(ping))),
		raw("a reserved control opcode", masked(0x8b, nil)),
		raw("a control frame in fragments", masked(0x09, nil)),
		raw("a control frame of 126 bytes", masked(0x89, make([]byte, 126))),
		raw("a fragment of nothing", masked(0x80, []byte(ping))),
		raw("a message inside another", append(masked(0x01, []byte("{")), masked(0x81, []byte(ping))...)),
		raw("a length beyond 63 bits", length(0x81, 1<<63)),
		raw("a length of 2^62", length(0x81, 1<<62)),
		raw("a length of 2 MiB", length(0x81, 2<<20)),
		raw("a close frame of one byte", masked(0x88, []byte{1})),
		raw("a close frame with a reserved code", masked(0x88, []byte{0x03, 0xed})),
		raw("a close frame that is no UTF-8", masked(0x88, []byte{0x03, 0xe8, 0xff})),
		{"a message of many megabytes in fragments", endlessMessage, true},
		{"requests without reading the answers", deafFlood, true},
	}
	for name, text := range hostileTexts() {
		all = append(all, attack{name, func(_ context.Context, c *lab.Client, _ string) error {
			return c.SendRaw(ws.OpText, []byte(text))
		}, false})
	}
	return append(all,
		attack{"a thousand pings", func(_ context.Context, c *lab.Client, _ string) error {
			return c.WriteBytes(bytes.Repeat(masked(0x89, []byte("ping")), 1000))
		}, false},
		attack{"a message of ten thousand fragments", func(_ context.Context, c *lab.Client, _ string) error {
			b := masked(0x01, []byte("{"))
			b = append(b, bytes.Repeat(masked(0x00, []byte(" ")), 10_000)...)
			return c.WriteBytes(append(b, masked(0x80, []byte("}"))...))
		}, false},
		attack{"frames a byte at a time", func(_ context.Context, c *lab.Client, _ string) error {
			for _, b := range masked(0x81, []byte(ping)) {
				if err := c.WriteBytes([]byte{b}); err != nil {
					return err
				}
			}
			return nil
		}, false},
	)
}

func hostileTexts() map[string]string {
	return map[string]string{
		"deep arrays":               strings.Repeat("[", 500_000),
		"deep objects":              strings.Repeat(`{"a":`, 100_000),
		"a deep body":               `{"janus":"message","transaction":"t","session_id":1,"body":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`,
		"half a megabyte of key":    `{"` + strings.Repeat("k", 500_000) + `":1}`,
		"a hundred thousand keys":   `{` + strings.Repeat(`"k":1,`, 100_000) + `"janus":"ping","transaction":"t"}`,
		"a hundred thousand texts":  strings.Repeat(`{}`, 100_000),
		"a number of 100000 digits": `{"janus":"ping","transaction":"t","n":` + strings.Repeat("9", 100_000) + `}`,
		"half a megabyte of blanks": strings.Repeat(" ", 500_000) + ping,
		"only escapes":              `{"janus":"` + strings.Repeat(`\u0041`, 80_000) + `","transaction":"t"}`,
		"a subject as transaction":  `{"janus":"keepalive","session_id":1,"transaction":"janus.> * \r\n PUB x 0"}`,
		"somebody else's prefix":    `{"janus":"keepalive","session_id":1,"transaction":"1|2|3"}`,
		"text that is no UTF-8":     "{\"janus\":\"\xff\"}",
		"no JSON at all":            "\x00\x01\x02 rubbish",
	}
}

func raw(name string, b []byte) attack {
	return attack{name, func(_ context.Context, c *lab.Client, _ string) error { return c.WriteBytes(b) }, true}
}

// masked is a frame with a first byte of any kind, masked with zeros.
func masked(first byte, payload []byte) []byte {
	b := []byte{first, 0x80 | byte(min(len(payload), 126))}
	if len(payload) > 125 {
		b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// length is the head of a frame that is said to be that long.
func length(first byte, n uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{first, 0xff}, n), 0, 0, 0, 0)
}

// endlessMessage sends fragments until the edge has enough of them.
func endlessMessage(ctx context.Context, c *lab.Client, _ string) error {
	fragment := masked(0x00, bytes.Repeat([]byte("x"), 60_000))
	fragment[0] = 0x01
	for ctx.Err() == nil {
		if c.WriteBytes(fragment) != nil {
			return nil // it hung up
		}
		fragment[0] = 0x00
	}
	return context.Cause(ctx)
}

// deafFlood asks for more and more and reads nothing, on a connection of its own.
func deafFlood(ctx context.Context, c *lab.Client, url string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", strings.TrimPrefix(url, "ws://"))
	if err != nil {
		return err
	}
	defer conn.Close()
	go func() {
		<-ctx.Done()
		conn.Close()
	}()
	if _, err := io.WriteString(conn, upgrade); err != nil {
		return err
	}
	flood := bytes.Repeat(masked(0x81, []byte(`{"janus":"info","transaction":"i"}`)), 500)
	for ctx.Err() == nil {
		if _, err := conn.Write(flood); err != nil {
			c.Abort() // this attack was another connection's
			return nil
		}
	}
	return context.Cause(ctx)
}

const upgrade = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: janus-protocol\r\n\r\n"

// TestHostileClients attacks a live edge in many ways while another client's conversation goes on: it must notice nothing.
func TestHostileClients(t *testing.T) {
	c := startCluster(t, clusterShape{nats: 1, edges: 1, nodes: 1, janus: 1})
	edge := c.edges[0]
	ctx := within(t, 2*time.Minute)
	c.warmUp(t)

	good := c.connect(ctx, t, "good", 1)[0]
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- converseOn(ctx, good, stop) }()

	for _, a := range attacks() {
		t.Run(strings.ReplaceAll(a.name, " ", "-"), func(t *testing.T) { runAttack(t, edge.Ready.WS, a) })
	}
	t.Run("handshakes", func(t *testing.T) { attackHandshake(t, edge.Ready.WS) })
	t.Run("noise", func(t *testing.T) { attackWithNoise(t, edge.Ready.WS) })

	close(stop)
	if err := <-done; err != nil {
		t.Fatalf("the good client was disturbed: %v", err)
	}
	if err := good.checkAll(); err != nil {
		t.Errorf("the good client was disturbed: %v", err)
	}
	t.Logf("the good client had %d messages answered meanwhile", len(good.sent))
	lab.WaitFor(t, 20*time.Second, func() string {
		return mismatch(edge, map[string]float64{"januscloud_edge_connections": 1, "januscloud_edge_pending_requests": 0})
	})
	const enough = 256 << 20
	if resident := metric(t, edge, "process_resident_memory_bytes"); resident > enough {
		t.Errorf("the edge grew to %.0f MiB", resident/(1<<20))
	}
}

// converseOn sends a message every 10 ms until stop is closed. None may take long.
func converseOn(ctx context.Context, k *caller, stop <-chan struct{}) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-ticker.C:
		}
		one, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := k.say(one)
		cancel()
		if err != nil {
			return err
		}
	}
}

func runAttack(t *testing.T, url string, a attack) {
	ctx := within(t, 30*time.Second)
	c, err := lab.Dial(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort()
	if err := a.do(ctx, c, url); err != nil && !a.closes {
		t.Fatal(err)
	}
	if a.closes {
		select {
		case <-c.Closed():
		case <-ctx.Done():
			t.Error("the edge keeps the connection")
		}
		return
	}
	if err := c.SendRaw(ws.OpText, []byte(ping)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(ctx, func(m lab.Message) bool { return m.Janus == "pong" && m.Transaction == "after" }); err != nil {
		t.Errorf("the edge does not answer any more: %v", err)
	}
}

// attackHandshake sends what is no upgrade request. The edge must hang up on each, or answer with an error.
func attackHandshake(t *testing.T, url string) {
	for name, request := range map[string]string{
		"no HTTP":             "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"a plain GET":         "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"no subprotocol":      strings.Replace(upgrade, "Sec-WebSocket-Protocol: janus-protocol\r\n", "", 1),
		"another subprotocol": strings.Replace(upgrade, "janus-protocol", "chat", 1),
		"an endless header":   "GET / HTTP/1.1\r\nHost: " + strings.Repeat("x", 1<<20),
		"endless headers":     "GET / HTTP/1.1\r\n" + strings.Repeat("X-Y: z\r\n", 1<<17),
		"half a request":      upgrade[:len(upgrade)/2],
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(url, "ws://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			// The edge may hang up before it has all of it: then writing fails, and reading tells what it said.
			_, _ = io.WriteString(conn, request)
			answer, err := io.ReadAll(conn)
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				t.Errorf("the edge keeps the connection, and said %q", answer)
			}
			if bytes.HasPrefix(answer, []byte("HTTP/1.1 101")) {
				t.Errorf("the edge agreed: %q", answer)
			}
		})
	}
}

// attackWithNoise sends random frames. Nothing is known of the answers but that the edge survives them.
func attackWithNoise(t *testing.T, url string) {
	ctx := within(t, 30*time.Second)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		c, err := lab.Dial(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + r.IntN(5) {
			if c.WriteBytes(noise(r)) != nil {
				break // it hung up
			}
		}
		c.Abort()
	}
}

// noise is a frame, more or less.
func noise(r *rand.Rand) []byte {
	payload := []byte(`{"janus":"message","session_id":1,"handle_id":2,"body":{},"transaction":"t"}`)
	for range r.IntN(8) {
		payload[r.IntN(len(payload))] = byte(r.IntN(256))
	}
	frame := masked(0x81, payload[:r.IntN(len(payload)+1)])
	for range r.IntN(3) {
		frame[r.IntN(min(len(frame), 6))] = byte(r.IntN(256))
	}
	return frame
}
