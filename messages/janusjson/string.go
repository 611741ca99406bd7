// SPDX-License-Identifier: Apache-2.0

package janusjson

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// skipString returns the index behind the closing quote of the string whose
// inside begins at b[i], or -1 when jansson would refuse it: raw control
// characters, invalid UTF-8, unknown escapes, lone surrogates, \u0000.
//
// It looks at eight bytes at a time. That a string is UTF-8 is checked at its end,
// if it has any byte beyond ASCII: such bytes cannot hide a quote, a backslash or
// a control character.
func skipString(b []byte, i int) int {
	start := i
	var seen uint64 // all bytes that were passed, one over the other
	for {
		for len(b)-i >= 8 {
			w := binary.LittleEndian.Uint64(b[i:])
			seen |= w
			quote := w ^ (lowBits * '"')
			slash := w ^ (lowBits * '\\')
			// In each byte the high bit tells whether the byte is special. It is
			// right up to the first that is; a borrow reaches only those behind.
			special := ((w - lowBits*' ') | (quote - lowBits) | (slash - lowBits)) & ^w & highBits
			if special != 0 {
				i += bits.TrailingZeros64(special) / 8
				break
			}
			i += 8
		}
		if i >= len(b) {
			return -1
		}
		switch c := b[i]; {
		case c == '\\':
			if i = skipEscapes(b, i); i < 0 {
				return -1
			}
		case c == '"':
			if seen&highBits != 0 && !utf8.Valid(b[start:i]) {
				return -1
			}
			return i + 1
		case c < ' ':
			return -1
		default:
			seen |= uint64(c)
			i++
		}
	}
}

// skipEscapes returns the index behind the run of escapes that begins at b[i], -1
// when jansson would refuse one. Line ends in an SDP are two in a row.
func skipEscapes(b []byte, i int) int {
	for i < len(b) && b[i] == '\\' {
		if i+1 < len(b) && isShortEscape(b[i+1]) {
			i += 2
			continue
		}
		_, size := unicodeEscape(b[i:])
		if size == 0 {
			return -1
		}
		i += size
	}
	return i
}

// isShortEscape reports whether a backslash and c are an escape by themselves. The
// letters are looked up as bits: a switch would be a chain of branches.
func isShortEscape(c byte) bool {
	const (
		low  = 1<<'"' | 1<<'/'
		high = 1<<('\\'-64) | 1<<('b'-64) | 1<<('f'-64) | 1<<('n'-64) | 1<<('r'-64) | 1<<('t'-64)
	)
	switch c / 64 {
	case 0:
		return uint64(low)>>c&1 != 0
	case 1:
		return uint64(high)>>(c-64)&1 != 0
	}
	return false
}

// unicodeEscape reads \uXXXX, or two of them when they are a surrogate pair, at
// the beginning of b. The size is 0 when there is none that jansson accepts.
func unicodeEscape(b []byte) (r rune, size int) {
	r = hex4(b)
	if r >= 0xD800 && r < 0xDC00 && len(b) > 6 {
		low := hex4(b[6:])
		if low >= 0xDC00 && low < 0xE000 {
			return (r-0xD800)<<10 + (low - 0xDC00) + 0x10000, 12
		}
	}
	if r <= 0 || r >= 0xD800 && r < 0xE000 {
		return 0, 0
	}
	return r, 6
}

// hex4 returns the code unit of a \uXXXX at the beginning of b, -1 for anything
// else.
func hex4(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// appendUnescaped appends what the inside of a valid string stands for.
func appendUnescaped(dst, inside []byte) []byte {
	for i := 0; i < len(inside); {
		c := inside[i]
		if c != '\\' || i+1 == len(inside) {
			dst = append(dst, c)
			i++
			continue
		}
		c = inside[i+1]
		if c == 'u' {
			r, size := unicodeEscape(inside[i:])
			if size == 0 {
				r, size = utf8.RuneError, 2
			}
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		}
		dst = append(dst, unescaped(c))
		i += 2
	}
	return dst
}

// unescaped is the byte that a backslash and c stand for.
func unescaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	}
	return c
}
