// SPDX-License-Identifier: Apache-2.0

package janusjson

import (
	"bytes"
	"unicode/utf8"
)

// Kind is the type of a JSON value as jansson tells them apart.
type Kind uint8

// The kinds. A number is an integer unless it has a fraction or an exponent:
// 1.0 and 1e3 are reals, which Janus does not take for ids.
const (
	KindAbsent Kind = iota // no such key
	KindNull
	KindFalse
	KindTrue
	KindInteger
	KindReal
	KindString
	KindObject
	KindArray
)

// String names the kind, for logs and test failures.
func (k Kind) String() string {
	switch k {
	case KindAbsent:
		return "absent"
	case KindNull:
		return "null"
	case KindFalse:
		return "false"
	case KindTrue:
		return "true"
	case KindInteger:
		return "integer"
	case KindReal:
		return "real"
	case KindString:
		return "string"
	case KindObject:
		return "object"
	case KindArray:
		return "array"
	}
	return "unknown"
}

// Value is one JSON value as a span of validated bytes. The zero Value is that
// of a key which is not there.
type Value struct {
	kind Kind
	raw  []byte
}

// Kind returns the kind of the value.
func (v Value) Kind() Kind { return v.kind }

// Bytes returns the raw bytes of the value, the quotes of a string included: a
// part of what was scanned. Nil when absent.
func (v Value) Bytes() []byte { return v.raw }

// Int returns an integer; ok is false for every other kind.
func (v Value) Int() (i int64, ok bool) {
	if v.kind != KindInteger {
		return 0, false
	}
	return parseInteger(v.raw)
}

// Uint returns an integer as Janus reads ids, which casts it: a negative one is
// its unsigned 64-bit value. ok is false for every other kind.
func (v Value) Uint() (u uint64, ok bool) {
	i, ok := v.Int()
	return uint64(i), ok
}

// Text returns a string with its escapes understood; ok is false for every other
// kind. It allocates the string.
func (v Value) Text() (s string, ok bool) {
	if v.kind != KindString {
		return "", false
	}
	inside := v.raw[1 : len(v.raw)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return string(inside), true
	}
	return string(appendUnescaped(make([]byte, 0, len(inside)), inside)), true
}

// Is reports whether the value is the string s. It does not allocate.
func (v Value) Is(s string) bool {
	return v.kind == KindString && standsFor(v.raw[1:len(v.raw)-1], s)
}

// Bool reports whether the value is the literal true, which is how jansson's
// json_is_true reads every kind.
func (v Value) Bool() bool { return v.kind == KindTrue }

// Object returns an object for reads inside it; ok is false for every other
// kind.
func (v Value) Object() (o Object, ok bool) {
	if v.kind != KindObject {
		return Object{}, false
	}
	return Object{v.raw}, true
}

// Array returns an array for reads inside it; ok is false for every other kind.
func (v Value) Array() (a Array, ok bool) {
	if v.kind != KindArray {
		return Array{}, false
	}
	return Array{v.raw}, true
}

// standsFor reports whether inside, that of a valid string, means s.
func standsFor(inside []byte, s string) bool {
	for len(inside) > 0 {
		c, size := rune(inside[0]), 1
		if c == '\\' {
			if inside[1] == 'u' {
				c, size = unicodeEscape(inside)
			} else {
				c, size = rune(unescaped(inside[1])), 2
			}
		} else if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRune(inside)
		}
		got, width := utf8.DecodeRuneInString(s)
		if got != c || width == 0 || got == utf8.RuneError && width == 1 {
			return false
		}
		inside, s = inside[size:], s[width:]
	}
	return s == ""
}
