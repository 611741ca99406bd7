// SPDX-License-Identifier: Apache-2.0

package janusapi

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/gobwas/ws"
)

// TestAppendFrame lets another implementation read what we write.
func TestAppendFrame(t *testing.T) {
	var b []byte
	sizes := []int{0, 1, 125, 126, 65535, 65536, 100_000}
	for _, n := range sizes {
		b = appendFrame(b, ws.OpText, bytes.Repeat([]byte("y"), n))
	}
	r := bytes.NewReader(b)
	for _, n := range sizes {
		f, err := readFrame(r)
		if err != nil {
			t.Fatal(err)
		}
		if !f.Header.Masked || !f.Header.Fin || f.Header.OpCode != ws.OpText || f.Header.Length != int64(n) {
			t.Errorf("header of %d bytes: %+v", n, f.Header)
		}
		if f = ws.UnmaskFrame(f); bytes.Count(f.Payload, []byte("y")) != n {
			t.Errorf("payload of %d bytes came changed", n)
		}
	}
	if r.Len() != 0 {
		t.Errorf("%d bytes left over", r.Len())
	}
}

// FuzzMessageReader feeds anything, cut anywhere: the reader ends with an error, and what it gives out is the same however the
// bytes arrive and never larger than allowed.
func FuzzMessageReader(f *testing.F) {
	for _, seed := range []string{
		"\x81\x02{}", "\x01\x01{\x80\x01}", "\x01\x01{\x89\x02hi\x80\x01}", "\x88\x02\x03\xe8", "\x81\x7e\x00\x7e", "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
		"\x82\x00", "\x81\x81\x00\x00\x00\x00a", "\x0b\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		whole, err := readAll(bytes.NewReader(input))
		pieces, pieceErr := readAll(iotest.OneByteReader(bytes.NewReader(input)))
		if err.Error() != pieceErr.Error() || !bytes.Equal(bytes.Join(whole, []byte{0}), bytes.Join(pieces, []byte{0})) {
			t.Fatalf("in one: %q %v; byte by byte: %q %v", whole, err, pieces, pieceErr)
		}
	})
}

func readAll(from io.Reader) ([][]byte, error) {
	const limit = 1000
	r := messageReader{from: bufio.NewReader(from), limit: limit, control: func(op ws.OpCode, payload []byte) error {
		if len(payload) > maxControl {
			return errors.New("control frame too long")
		}
		return nil
	}}
	var messages [][]byte
	for {
		m, err := r.next()
		if err != nil {
			return messages, err
		}
		if len(m) > limit {
			return messages, errors.New("message too long")
		}
		messages = append(messages, m)
	}
}

// readFrame reads one frame of our own making.
func readFrame(r io.Reader) (ws.Frame, error) {
	h, err := ws.ReadHeader(r)
	if err != nil {
		return ws.Frame{}, err
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}
