// SPDX-License-Identifier: Apache-2.0

package janusjson

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// SyntaxError is what jansson reports about a text that it refuses.
type SyntaxError struct {
	Line     int    // from 1, counted from the beginning of the text in question
	Column   int    // characters read in that line
	Position int    // bytes read
	Text     string // jansson's words; not valid UTF-8 in rare cases, see Reason
}

// Error returns the error as Janus prints it: "<string>(line,column): text".
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("<string>(%d,%d): %s", e.Line, e.Column, e.Text)
}

// Reason returns the reason of the 454 that Janus answers over WebSocket
// (src/janus.c). ok is false when jansson broke a character in two while quoting
// the input: Janus then sends an error with a code and no reason.
func (e *SyntaxError) Reason() (reason string, ok bool) {
	return "Invalid Janus API request - " + e.Error(), utf8.ValidString(e.Text)
}

// HTTPReason is Reason for the 454 of the HTTP transport
// (src/transports/janus_http.c).
func (e *SyntaxError) HTTPReason() (reason string, ok bool) {
	return fmt.Sprintf("JSON error: on line %d: %s", e.Line, e.Text), utf8.ValidString(e.Text)
}

// ErrNotObject says that an HTTP body is an array, which Janus answers with 455
// "JSON error: not an object".
var ErrNotObject = errors.New("janusjson: not an object")

// ErrTooManyTexts says that one WebSocket message holds more than MaxTexts texts.
// A Janus would run them all.
var ErrTooManyTexts = errors.New("janusjson: too many JSON texts in one message")

// MaxTexts bounds the JSON texts in one WebSocket message.
const MaxTexts = 1024

// Quirks selects between the manners of Janus versions. The zero value is that of
// Janus 1.1.4 and later.
type Quirks struct {
	// TrailingSpaceBroken makes white space behind the last text an error, as in
	// Janus 1.1.0 to 1.1.3. Scan does not know quirks: a caller that wants this
	// one passes every message to Decode.
	TrailingSpaceBroken bool
}

// Decode reads a WebSocket message as Janus does
// (src/transports/janus_websockets.c): one or several JSON texts, run in order, or
// none at all when one of them is broken. It returns each in the plain form that
// Scan accepts: a part of frame where it is plain already, fresh bytes otherwise.
// Of duplicate known keys only the last remains. An array becomes the empty
// object, for to Janus it is an object without any key. A NUL byte ends the
// message for jansson but not for Janus, so it is an error wherever it stands.
//
// The error is a *SyntaxError or ErrTooManyTexts. Over the Admin API Janus does
// not report a broken text as such: it answers as if it were the empty object.
func Decode(frame []byte, q Quirks) ([][]byte, error) {
	var texts [][]byte
	err := split(frame, q, func(text []byte) {
		texts = append(texts, plain(text))
	})
	if err != nil {
		return nil, err
	}
	return texts, nil
}

// DecodeOne reads the body of an HTTP request as Janus does
// (src/transports/janus_http.c): one object, only white space behind it, and
// nothing counts from the first NUL byte on. It returns the object in plain form,
// as Decode does. The error is a *SyntaxError or ErrNotObject.
func DecodeOne(body []byte) ([]byte, error) {
	text, _, _ := bytes.Cut(body, []byte{0})
	end, err := judgeText(text, true)
	if err != nil {
		return nil, err
	}
	text = text[skipSpace(text, 0):end]
	if text[0] == '[' {
		return nil, ErrNotObject
	}
	return plain(text), nil
}

// split calls visit with each text of a WebSocket message, up to an error.
func split(frame []byte, q Quirks, visit func(text []byte)) error {
	rest, _, cut := bytes.Cut(frame, []byte{0})
	for n := 0; ; n++ {
		end, err := judgeText(rest, false)
		if err != nil {
			return err
		}
		if n == MaxTexts {
			return ErrTooManyTexts
		}
		visit(rest[skipSpace(rest, 0):end])
		rest = rest[end:]
		for !q.TrailingSpaceBroken && len(rest) > 0 && isCSpace(rest[0]) {
			rest = rest[1:]
		}
		if len(rest) == 0 && !cut {
			return nil
		}
	}
}

// isCSpace is isspace of the C locale, which Janus skips between texts: wider
// than the white space of JSON.
func isCSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// plain returns an object or array that jansson accepts in plain form.
func plain(text []byte) []byte {
	if text[0] == '[' {
		return []byte("{}")
	}
	var m Message
	if m.scan(text) {
		return m.raw
	}
	return rewrite(text)
}

// rewrite writes an object that jansson accepts anew: known keys spelled plainly,
// and only the last member of each.
func rewrite(text []byte) []byte {
	o := Object{text}
	var last [keyCount]int
	for f := o.first(); f.found(); f = o.next(f) {
		if k := decodedKey(o.name(f)); k != keyCount {
			last[k] = f.start
		}
	}
	out := make([]byte, 0, len(text))
	out = append(out, '{')
	for f := o.first(); f.found(); f = o.next(f) {
		k := decodedKey(o.name(f))
		switch {
		case k == keyCount:
			out = appendComma(out)
			out = append(out, text[f.start:f.end]...)
		case last[k] == f.start:
			out = appendMember(out, k, text[f.value:f.end])
		}
	}
	return append(out, '}')
}
