// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// TestFrame: what is sent is what the WebSocket library reads.
func TestFrame(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 387, 4096, 65535} {
		text := bytes.Repeat([]byte{'x'}, size)
		framed, err := frame(append(bytes.Repeat([]byte{0xff}, headerRoom), text...))
		if err != nil {
			t.Fatal(err)
		}
		r := bytes.NewReader(framed)
		h, err := ws.ReadHeader(r)
		payload := framed[len(framed)-r.Len():]
		if err != nil || !h.Fin || h.OpCode != ws.OpText || !h.Masked || h.Mask != [4]byte{} || h.Length != int64(size) || !bytes.Equal(payload, text) {
			t.Errorf("%d bytes: %+v, %v", size, h, err)
		}
	}
	if _, err := frame(make([]byte, headerRoom+65536)); err == nil {
		t.Error("a frame of 65,536 bytes")
	}
}

// TestCutFrame: frames are found wherever a read ends.
func TestCutFrame(t *testing.T) {
	texts := []string{"", "a", strings.Repeat("b", 126), strings.Repeat("c", 4000)}
	var stream []byte
	for _, text := range texts {
		b, err := ws.CompileFrame(ws.NewTextFrame([]byte(text)))
		if err != nil {
			t.Fatal(err)
		}
		stream = append(stream, b...)
	}
	for split := range stream {
		var got []string
		var rest []byte
		for _, part := range [][]byte{stream[:split], stream[split:]} {
			b := append(rest, part...)
			for {
				text, left, whole, err := cutFrame(b)
				if err != nil {
					t.Fatal(err)
				}
				if b = left; !whole {
					break
				}
				got = append(got, string(text))
			}
			rest = append([]byte(nil), b...)
		}
		if len(rest) > 0 || strings.Join(got, "|") != strings.Join(texts, "|") {
			t.Fatalf("split at %d: %d frames, %d bytes left", split, len(got), len(rest))
		}
	}
}

func TestCutFrameRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"fragment": {0x01, 1, 'a'}, "binary": {0x82, 1, 'a'}, "ping": {0x89, 0},
		"masked": {0x81, 0x81, 0, 0, 0, 0, 'a'}, "reserved bit": {0xc1, 1, 'a'}, "too large": {0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0},
	} {
		if _, _, _, err := cutFrame(b); !errors.Is(err, errFraming) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCutClose: who is hung up on is told why.
func TestCutClose(t *testing.T) {
	b, err := ws.CompileFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, "edge is stopping")))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := cutFrame(b); !errors.Is(err, errClosed) || !strings.Contains(err.Error(), `1001 "edge is stopping"`) {
		t.Error(err)
	}
	if _, _, _, err := cutFrame([]byte{0x88, 0}); !errors.Is(err, errClosed) {
		t.Error(err)
	}
}

func FuzzCutFrame(f *testing.F) {
	f.Add([]byte{0x81, 1, 'a', 0x81, 126, 0, 1, 'b'})
	f.Fuzz(func(t *testing.T, b []byte) {
		text, rest, whole, err := cutFrame(b)
		if whole && (len(text)+len(rest) >= len(b) || err != nil) {
			t.Fatalf("%d and %d bytes of %d, %v", len(text), len(rest), len(b), err)
		}
		if !whole && err == nil && len(rest) != len(b) {
			t.Fatalf("%d bytes lost", len(b)-len(rest))
		}
	})
}
