// SPDX-License-Identifier: Apache-2.0

package janusjson

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// The judge reads a text token by token in jansson's order and finds the same
// first error, in the same words, at the same place. It is the slow path: plain
// messages never meet it.

// A token's type: the byte itself for punctuation, else one of these.
const (
	tokenEnd     = 0
	tokenInvalid = '?'
	tokenScalar  = 's' // number or literal
	tokenString  = '"'
)

type judge struct {
	text  []byte
	start int  // first byte of the current token
	pos   int  // behind what was read
	nul   bool // the current token is a string with a \u0000 in it
}

// judgeText reads the first JSON text of b, which holds no NUL byte, and returns
// the index behind it. With whole set nothing but white space may follow.
func judgeText(b []byte, whole bool) (end int, err *SyntaxError) {
	j := judge{text: b}
	t, err := j.next()
	if err != nil {
		return 0, err
	}
	if t != '{' && t != '[' {
		return 0, j.failed("'[' or '{' expected")
	}
	if err = j.container(t); err != nil {
		return 0, err
	}
	end = j.pos
	if whole {
		if t, err = j.next(); err == nil && t != tokenEnd {
			err = j.failed("end of file expected")
		}
	}
	return end, err
}

// container reads the rest of the array or object that t has opened.
func (j *judge) container(t byte) *SyntaxError {
	var nest nesting
	for depth := 0; ; {
		if depth++; depth > maxDepth {
			return j.failed("maximum parsing depth reached")
		}
		open, err := false, (*SyntaxError)(nil)
		switch t {
		case '{', '[':
			nest.push(depth, t == '{')
			t, open, err = j.open(t)
		case tokenString:
			if j.nul {
				err = j.failed(`\u0000 is not allowed without JSON_ALLOW_NUL`)
			}
		case tokenScalar:
		case tokenInvalid:
			err = j.failed("invalid token")
		default:
			err = j.failed("unexpected token")
		}
		if err == nil && !open {
			t, depth, err = j.climb(&nest, depth)
		}
		if err != nil || depth == 0 {
			return err
		}
	}
}

// open reads on behind an opening bracket. It returns the first token of the
// first value, or open == false for an empty container, now closed.
func (j *judge) open(bracket byte) (t byte, open bool, err *SyntaxError) {
	if t, err = j.next(); err != nil {
		return t, false, err
	}
	if bracket == '{' {
		if t == '}' {
			return t, false, nil
		}
		t, err = j.member(t)
		return t, true, err
	}
	if t == ']' {
		return t, false, nil
	}
	if t == tokenEnd {
		return t, false, j.failed("']' expected")
	}
	return t, true, nil
}

// member reads a key, whose token is t, and its colon. It returns the first token
// of the value.
func (j *judge) member(t byte) (byte, *SyntaxError) {
	if t != tokenString {
		return t, j.failed("string or '}' expected")
	}
	if j.nul {
		return t, j.failed("NUL byte in object key not supported")
	}
	t, err := j.next()
	if err != nil {
		return t, err
	}
	if t != ':' {
		return t, j.failed("':' expected")
	}
	return j.next()
}

// climb goes on behind the value at depth, closing containers until one has a
// further value, whose first token and enclosing depth it returns; depth 0 when
// the outermost is closed.
func (j *judge) climb(nest *nesting, depth int) (t byte, outer int, err *SyntaxError) {
	for depth--; depth > 0; depth-- {
		if t, err = j.next(); err != nil {
			return t, depth, err
		}
		object := nest.object(depth)
		switch {
		case t == ',' && object:
			if t, err = j.next(); err == nil {
				t, err = j.member(t)
			}
			return t, depth, err
		case t == ',':
			if t, err = j.next(); err == nil && t == tokenEnd {
				err = j.failed("']' expected")
			}
			return t, depth, err
		case t == nest.closer(depth):
		case object:
			return t, depth, j.failed("'}' expected")
		default:
			return t, depth, j.failed("']' expected")
		}
	}
	return t, 0, nil
}

// next reads a token and returns its type.
func (j *judge) next() (t byte, err *SyntaxError) {
	j.pos = skipSpace(j.text, j.pos)
	j.start = j.pos
	if j.pos == len(j.text) {
		return tokenEnd, nil
	}
	c := j.text[j.pos]
	switch {
	case c == '"':
		return j.str()
	case c == '-' || isDigit(c):
		return j.number()
	case isLetter(c):
		return j.word()
	case c == '{' || c == '}' || c == '[' || c == ']' || c == ':' || c == ',':
		j.pos++
		return c, nil
	}
	size := j.runeLen()
	if size == 0 {
		return tokenInvalid, j.undecodable()
	}
	j.pos += size
	return tokenInvalid, nil
}

// peek returns the next byte, 0 at the end.
func (j *judge) peek() byte {
	if j.pos == len(j.text) {
		return 0
	}
	return j.text[j.pos]
}

// runeLen returns the length of the character at pos, 0 when it is not UTF-8.
func (j *judge) runeLen() int {
	r, size := utf8.DecodeRune(j.text[j.pos:])
	if r == utf8.RuneError && size <= 1 {
		return 0
	}
	return size
}

// failed makes the error that jansson would report after reading up to pos: it
// names the current token, unless that is longer than 20 bytes.
func (j *judge) failed(format string, args ...any) *SyntaxError {
	near := j.text[j.start:j.pos]
	text := fmt.Sprintf(format, args...)
	switch {
	case len(near) == 0:
		text += " near end of file"
	case len(near) <= 20:
		text += " near '" + string(near) + "'"
	}
	return j.located(text)
}

// undecodable is the error about the byte at pos, which begins no character. At
// the beginning of a token jansson names no context.
func (j *judge) undecodable() *SyntaxError {
	if j.start == j.pos {
		return j.located(fmt.Sprintf("unable to decode byte 0x%x", j.text[j.pos]))
	}
	return j.failed("unable to decode byte 0x%x", j.text[j.pos])
}

// located adds where pos is: lines from 1, columns in characters.
func (j *judge) located(text string) *SyntaxError {
	before := j.text[:j.pos]
	e := &SyntaxError{Line: 1 + bytes.Count(before, []byte{'\n'}), Position: j.pos, Text: text}
	for _, c := range before[bytes.LastIndexByte(before, '\n')+1:] {
		if c&0xC0 != 0x80 {
			e.Column++
		}
	}
	return e
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHexDigit(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
