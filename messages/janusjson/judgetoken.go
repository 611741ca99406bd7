// SPDX-License-Identifier: Apache-2.0

package janusjson

import (
	"bytes"
	"unicode/utf8"
)

// word reads a run of letters: a literal or an invalid token.
func (j *judge) word() (t byte, err *SyntaxError) {
	for isLetter(j.peek()) {
		j.pos++
	}
	if err = j.ahead(); err != nil {
		return tokenInvalid, err
	}
	switch string(j.text[j.start:j.pos]) {
	case "true", "false", "null":
		return tokenScalar, nil
	}
	return tokenInvalid, nil
}

// number reads a number. One of broken form is an invalid token, which is an
// error only where a value is due; one out of range is an error at once.
func (j *judge) number() (t byte, err *SyntaxError) {
	valid, real := j.digits()
	if err = j.ahead(); err != nil || !valid {
		return tokenInvalid, err
	}
	v := j.text[j.start:j.pos]
	if real {
		if overflows(v) {
			return tokenInvalid, j.failed("real number overflow")
		}
		return tokenScalar, nil
	}
	if _, ok := parseInteger(v); !ok {
		if v[0] == '-' {
			return tokenInvalid, j.failed("too big negative integer")
		}
		return tokenInvalid, j.failed("too big integer")
	}
	return tokenScalar, nil
}

// digits moves over as much of a number as has valid form.
func (j *judge) digits() (valid, real bool) {
	if j.peek() == '-' {
		j.pos++
	}
	if j.peek() == '0' {
		j.pos++
		if isDigit(j.peek()) {
			return false, false
		}
	} else if !j.someDigits() {
		return false, false
	}
	if j.peek() == '.' {
		j.pos++
		real = true
		if !j.someDigits() {
			return false, true
		}
	}
	if j.peek()|0x20 == 'e' {
		j.pos++
		real = true
		if c := j.peek(); c == '+' || c == '-' {
			j.pos++
		}
		return j.someDigits(), true
	}
	return true, real
}

func (j *judge) someDigits() bool {
	before := j.pos
	j.pos = skipDigits(j.text, before)
	return j.pos > before
}

// ahead complains about the next character if it is not UTF-8: words and numbers
// read one character further than they reach.
func (j *judge) ahead() *SyntaxError {
	if j.pos < len(j.text) && j.runeLen() == 0 {
		return j.undecodable()
	}
	return nil
}

// str reads a string, whose opening quote is the next byte.
func (j *judge) str() (t byte, err *SyntaxError) {
	j.pos++
	for j.peek() != '"' {
		if err = j.ahead(); err != nil {
			return tokenInvalid, err
		}
		switch c := j.peek(); {
		case j.pos == len(j.text):
			return tokenInvalid, j.failed("premature end of input")
		case c == '\n':
			return tokenInvalid, j.failed("unexpected newline")
		case c < ' ':
			return tokenInvalid, j.failed("control character 0x%x", c)
		case c == '\\':
			j.pos++
			err = j.escape()
		default:
			j.pos += j.runeLen()
			j.pos = skipPrintable(j.text, j.pos)
		}
		if err != nil {
			return tokenInvalid, err
		}
	}
	j.pos++
	return tokenString, j.codePoints()
}

// escape reads what follows a backslash. The byte at which it fails counts as
// read, even where that is the first one of a longer character: such an error
// text is not UTF-8.
func (j *judge) escape() *SyntaxError {
	if err := j.ahead(); err != nil {
		return err
	}
	switch j.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		j.pos++
		return nil
	case 'u':
		j.pos++
	default:
		return j.badEscape()
	}
	for range 4 {
		if err := j.ahead(); err != nil {
			return err
		}
		if !isHexDigit(j.peek()) {
			return j.badEscape()
		}
		j.pos++
	}
	return nil
}

func (j *judge) badEscape() *SyntaxError {
	if j.pos < len(j.text) {
		j.pos++
	}
	return j.failed("invalid escape")
}

// codePoints checks the \uXXXX of the string token just read, in which the form
// of every escape is valid, and notes a \u0000.
func (j *judge) codePoints() *SyntaxError {
	j.nul = false
	inside := j.text[j.start+1 : j.pos-1]
	for i := 0; ; i++ {
		escape := bytes.IndexByte(inside[i:], '\\')
		if escape < 0 {
			return nil
		}
		i += escape
		first := hex4(inside[i:])
		if first < 0 {
			i++
			continue
		}
		i += 5
		j.nul = j.nul || first == 0
		if first < 0xD800 || first > 0xDFFF {
			continue
		}
		second := hex4(inside[i+1:])
		if first > 0xDBFF || second < 0 {
			return j.failed(`invalid Unicode '\u%04X'`, first)
		}
		if second < 0xDC00 || second > 0xDFFF {
			return j.failed(`invalid Unicode '\u%04X\u%04X'`, first, second)
		}
		i += 6
	}
}

// skipPrintable returns the index of the first byte from b[i] on that a string may
// not hold as it is, or that is not ASCII.
func skipPrintable(b []byte, i int) int {
	for i < len(b) && ' ' <= b[i] && b[i] < utf8.RuneSelf && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}
