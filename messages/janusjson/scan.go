// SPDX-License-Identifier: Apache-2.0

package janusjson

import (
	"bytes"
	"errors"
	"math"
)

// ErrOdd says that jansson accepts the bytes but they are not in plain form:
// several texts, an array, a known key twice or written with escapes. Decode
// writes them anew.
var ErrOdd = errors.New("janusjson: legal JSON, but not in plain form")

// Scan reads one JSON object in plain form into m, which from then on refers to
// raw: the caller keeps raw unchanged as long as it uses m. White space around
// the object is skipped and not part of m.Raw.
//
// It returns nil, ErrOdd, or a *SyntaxError exactly where Decode without quirks
// returns one; after an error m is empty. A successful scan allocates nothing. A
// message beyond 4 GiB is odd for good, even after Decode.
func Scan(raw []byte, m *Message) error {
	if m.scan(raw) {
		return nil
	}
	*m = Message{}
	var syntax *SyntaxError
	if err := split(raw, Quirks{}, func([]byte) {}); errors.As(err, &syntax) {
		return syntax
	}
	return ErrOdd
}

// scan reports whether raw is one object in plain form.
func (m *Message) scan(raw []byte) bool {
	m.kinds = [keyCount]Kind{}
	if uint64(len(raw)) > math.MaxUint32 {
		return false
	}
	start := skipSpace(raw, 0)
	if start >= len(raw) || raw[start] != '{' {
		return false
	}
	b := raw[start:]
	i := skipSpace(b, 1)
	for more := i < len(b) && b[i] != '}'; more; {
		if i, more = m.member(b, i); i < 0 {
			return false
		}
	}
	if i >= len(b) {
		return false
	}
	m.raw = b[: i+1 : i+1]
	return skipSpace(b, i+1) == len(b)
}

// member reads the member whose key begins at b[i]. It returns the beginning of
// the next member and true, the closing brace and false, or -1 where the object
// is not plain.
func (m *Message) member(b []byte, i int) (next int, more bool) {
	if i >= len(b) || b[i] != '"' {
		return -1, false
	}
	name := i
	if i = skipString(b, i+1); i < 0 {
		return -1, false
	}
	key := keyNamed(b[name+1 : i-1])
	if key == keyCount && hidesKey(b[name+1:i-1]) {
		return -1, false
	}
	value := skipColon(b, i)
	if value < 0 {
		return -1, false
	}
	end, kind := skipValue(b, value, 1)
	if end < 0 {
		return -1, false
	}
	next = skipSpace(b, end)
	if next >= len(b) {
		return -1, false
	}
	switch b[next] {
	case ',':
		next, more = skipSpace(b, next+1), true
	case '}':
	default:
		return -1, false
	}
	if key == keyCount {
		return next, more
	}
	if m.kinds[key] != KindAbsent {
		return -1, false
	}
	m.kinds[key] = kind
	m.spans[key] = span{uint32(name), uint32(value), uint32(end), uint32(next)}
	return next, more
}

// hidesKey reports whether name, the inside of a valid string that is itself no
// known key, becomes one once its escapes are understood.
func hidesKey(name []byte) bool {
	return bytes.IndexByte(name, '\\') >= 0 && decodedKey(name) != keyCount
}

// decodedKey returns the known key that name, the inside of a valid string,
// stands for; keyCount when it stands for another.
func decodedKey(name []byte) Key {
	if len(name) > maxKeyLen*len(`\u0000`) {
		return keyCount
	}
	var buf [maxKeyLen * len(`\u0000`)]byte
	return keyNamed(appendUnescaped(buf[:0], name))
}
