// SPDX-License-Identifier: Apache-2.0

package janusapi

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/gobwas/ws"
)

// maxHeader is the longest header of a client's frame: two bytes, a 64-bit length and the mask.
const maxHeader = 14

// maxControl is the longest payload of a control frame (RFC 6455, 5.5).
const maxControl = 125

// appendFrame appends a whole message as one frame. A client has to mask, to keep scripts in browsers from forging HTTP towards
// proxies; no such script is here, so the mask is zero, which costs nothing.
func appendFrame(b []byte, op ws.OpCode, payload []byte) []byte {
	const fin, masked = 0x80, 0x80
	b = append(b, fin|byte(op))
	switch n := len(payload); {
	case n <= 125:
		b = append(b, masked|byte(n))
	case n <= 0xffff:
		b = append(b, masked|126)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b = append(b, masked|127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}

// messageReader reads whole text messages. Janus sends anything above 2,800 bytes in fragments (janus_websockets.c).
type messageReader struct {
	from    *bufio.Reader
	limit   int
	control func(op ws.OpCode, payload []byte) error
	scratch []byte // the fragments of one message
}

// next returns the next message in a slice of its own.
func (r *messageReader) next() ([]byte, error) {
	r.scratch = r.scratch[:0]
	for started := false; ; {
		h, err := r.header()
		if err != nil {
			return nil, err
		}
		if h.op.IsControl() {
			if err := r.readControl(h); err != nil {
				return nil, err
			}
			continue
		}
		if want := ws.OpContinuation; started && h.op != want || !started && h.op != ws.OpText {
			return nil, fmt.Errorf("%w: opcode %d", ErrProtocol, h.op)
		}
		if h.length > uint64(r.limit-len(r.scratch)) {
			return nil, fmt.Errorf("%w: over %d bytes", ErrTooLarge, r.limit)
		}
		if h.fin && !started {
			message := make([]byte, h.length)
			return message, r.fill(message)
		}
		started = true
		begin := len(r.scratch)
		r.scratch = grow(r.scratch, int(h.length))
		if err := r.fill(r.scratch[begin:]); err != nil {
			return nil, err
		}
		if h.fin {
			return r.joined(), nil
		}
	}
}

// joined copies the collected fragments out.
func (r *messageReader) joined() []byte {
	message := append(make([]byte, 0, len(r.scratch)), r.scratch...)
	if cap(r.scratch) > keptBuffer {
		r.scratch = nil
	}
	return message
}

// grow makes b n bytes longer. Their content is arbitrary.
func grow(b []byte, n int) []byte {
	if free := cap(b) - len(b); free < n {
		b = append(b[:cap(b)], make([]byte, n-free)...)[:len(b)]
	}
	return b[:len(b)+n]
}

func (r *messageReader) fill(b []byte) error {
	_, err := io.ReadFull(r.from, b)
	return err
}

func (r *messageReader) readControl(h header) error {
	if h.length > maxControl || !h.fin || h.op > ws.OpPong {
		return fmt.Errorf("%w: control frame %d of %d bytes", ErrProtocol, h.op, h.length)
	}
	var payload [maxControl]byte
	if err := r.fill(payload[:h.length]); err != nil {
		return err
	}
	return r.control(h.op, payload[:h.length])
}

// header is what a frame's first bytes say.
type header struct {
	fin    bool
	op     ws.OpCode
	length uint64
}

// header reads a frame's header. A server does not mask, and no extension that would use the reserved bits was agreed on.
func (r *messageReader) header() (header, error) {
	const fin, reserved, masked = 0x80, 0x70, 0x80
	b, err := r.from.Peek(2)
	if err != nil {
		return header{}, err
	}
	h := header{fin: b[0]&fin != 0, op: ws.OpCode(b[0] & 0x0f), length: uint64(b[1] &^ masked)}
	if b[0]&reserved != 0 || b[1]&masked != 0 {
		return header{}, fmt.Errorf("%w: header %#x", ErrProtocol, b)
	}
	size := 2
	switch h.length {
	case 126:
		size = 4
	case 127:
		size = 10
	}
	if b, err = r.from.Peek(size); err != nil {
		return header{}, err
	}
	switch size {
	case 4:
		h.length = uint64(binary.BigEndian.Uint16(b[2:]))
	case 10:
		h.length = binary.BigEndian.Uint64(b[2:])
	}
	_, err = r.from.Discard(size)
	return h, err
}
