// SPDX-License-Identifier: Apache-2.0

package janusjson

import (
	"bytes"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Edit is one change of a splice.
type Edit struct {
	Key   Key
	Value []byte // raw JSON value in its place, nil to remove the key
}

// AppendSplice appends the object m with the edits made: the value of a key that
// is there is replaced or removed where it stands, a key that is not there is
// added at the end. All other bytes are copied as they are, but for space before
// the closing brace. When several edits name the same key the last one counts.
//
// The values must be valid JSON, and plain at the top: they are not looked at.
// dst must not overlap m or the values.
func (m *Message) AppendSplice(dst []byte, edits ...Edit) []byte {
	dst = slices.Grow(dst, m.spliceLen(edits))
	if len(m.raw) == 0 {
		dst = append(dst, '{')
	}
	from := 0
	for {
		e := m.nextEdit(edits, from)
		if e == nil {
			break
		}
		s := m.spans[e.Key]
		if e.Value == nil {
			dst = append(dst, m.raw[from:s.name]...)
			from = int(s.next)
			continue
		}
		dst = append(dst, m.raw[from:s.value]...)
		dst = append(dst, e.Value...)
		from = int(s.end)
	}
	if len(m.raw) > 0 {
		dst = append(dst, m.raw[from:len(m.raw)-1]...)
	}
	dst = trimMembers(dst)
	for i := range edits {
		e := &edits[i]
		if e.Value == nil || m.kinds[e.Key] != KindAbsent || overridden(edits, i) {
			continue
		}
		dst = appendMember(dst, e.Key, e.Value)
	}
	return append(dst, '}')
}

// appendMember adds a member to an open object.
func appendMember(dst []byte, k Key, value []byte) []byte {
	dst = appendComma(dst)
	dst = append(dst, '"')
	dst = append(dst, k.String()...)
	dst = append(dst, '"', ':')
	return append(dst, value...)
}

// spliceLen is at least as much as a splice appends.
func (m *Message) spliceLen(edits []Edit) int {
	n := len(m.raw) + len("{}")
	for i := range edits {
		n += len(edits[i].Value) + maxKeyLen + len(`,"":`)
	}
	return n
}

// nextEdit returns the edit of the first member at or behind from, nil when there
// is none. Edits are few, so looking at each beats sorting them.
func (m *Message) nextEdit(edits []Edit, from int) *Edit {
	var best *Edit
	for i := range edits {
		e := &edits[i]
		if m.kinds[e.Key] == KindAbsent || int(m.spans[e.Key].name) < from {
			continue
		}
		if best == nil || m.spans[e.Key].name <= m.spans[best.Key].name {
			best = e
		}
	}
	return best
}

// overridden reports whether a later edit names the same key as edits[i].
func overridden(edits []Edit, i int) bool {
	for j := i + 1; j < len(edits); j++ {
		if edits[j].Key == edits[i].Key {
			return true
		}
	}
	return false
}

// trimMembers takes off the comma and the space that removed members left behind
// at the end of an object still open.
func trimMembers(dst []byte) []byte {
	dst = bytes.TrimRight(dst, " \t\r\n")
	if dst[len(dst)-1] == ',' {
		dst = bytes.TrimRight(dst[:len(dst)-1], " \t\r\n")
	}
	return dst
}

// AppendUint appends v in decimal. An id beyond int64 is written as the negative
// number that Janus prints for it.
func AppendUint(dst []byte, v uint64) []byte {
	return strconv.AppendInt(dst, int64(v), 10)
}

// AppendQuoted appends s as a JSON string, byte for byte as jansson prints it:
// only quotes, backslashes and control characters are escaped. Bytes that are
// not UTF-8 become U+FFFD. Jansson has no strings with a NUL in them, so s must
// not have one either if it is meant for a Janus.
func AppendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		}
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= ' ':
			dst = append(dst, c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
	}
	return append(dst, '"')
}
