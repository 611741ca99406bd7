// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

const maxControl = ws.MaxControlFramePayloadSize

// parseHeader reads a frame header from the front of b; n is its length, or 0
// when more bytes are needed. Lengths are not required to be in their shortest
// form, as in libwebsockets.
func parseHeader(b []byte) (h ws.Header, n int, err error) {
	if len(b) < 2 {
		return h, 0, nil
	}
	h.Fin = b[0]&0x80 != 0
	h.Rsv = b[0] >> 4 & 7
	h.OpCode = ws.OpCode(b[0] & 0xf)
	h.Masked = b[1]&0x80 != 0
	h.Length = int64(b[1] & 0x7f)
	n = 2
	switch h.Length {
	case 126:
		if len(b) < 4 {
			return h, 0, nil
		}
		h.Length, n = int64(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		if len(b) < 10 {
			return h, 0, nil
		}
		length := binary.BigEndian.Uint64(b[2:])
		if length>>63 != 0 {
			return h, 0, ws.ErrHeaderLengthMSB
		}
		h.Length, n = int64(length), 10
	}
	if h.Masked {
		if len(b) < n+4 {
			return h, 0, nil
		}
		copy(h.Mask[:], b[n:])
		n += 4
	}
	return h, n, nil
}

// appendFrame appends one whole unmasked frame, which is what servers send.
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	dst = append(dst, 0x80|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = append(dst, 126, byte(n>>8), byte(n))
	default:
		dst = append(dst, 127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	return append(dst, payload...)
}

// frameSize is what appendFrame adds for a payload of n bytes.
func frameSize(n int) int {
	switch {
	case n < 126:
		return 2 + n
	case n < 1<<16:
		return 4 + n
	default:
		return 10 + n
	}
}

// closeBody is the payload of a close frame, the reason cut to what fits
// without splitting a character. Codes that say "none" give an empty one.
func closeBody(code ws.StatusCode, reason string) []byte {
	if code == 0 || code == ws.StatusNoStatusRcvd {
		return nil
	}
	if len(reason) > maxControl-2 {
		cut := maxControl - 2
		for cut > 0 && !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut]
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}

// parseClose checks what a peer may put into a close frame (RFC 6455 §5.5.1 and
// §7.4; 1012 to 1014 were registered since).
func parseClose(body []byte) (*CloseError, *ProtocolError) {
	if len(body) == 0 {
		return &CloseError{Code: ws.StatusNoStatusRcvd}, nil
	}
	if len(body) == 1 {
		return nil, &ProtocolError{ws.StatusProtocolError, ws.ErrProtocolStatusCodeNotInUse}
	}
	code := ws.StatusCode(binary.BigEndian.Uint16(body))
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
	default:
		return nil, &ProtocolError{ws.StatusProtocolError, ws.ErrProtocolStatusCodeNotInUse}
	}
	if !utf8.Valid(body[2:]) {
		return nil, &ProtocolError{ws.StatusInvalidFramePayloadData, ws.ErrProtocolInvalidUTF8}
	}
	return &CloseError{Code: code, Reason: string(body[2:])}, nil
}
