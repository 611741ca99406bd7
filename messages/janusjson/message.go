// SPDX-License-Identifier: Apache-2.0

package janusjson

// Message is the result of a Scan: where each known key stands in the raw bytes.
// It copies nothing and can be scanned into again. The zero Message is empty. Not
// safe for use while another goroutine scans into it.
type Message struct {
	raw   []byte
	kinds [keyCount]Kind
	spans [keyCount]span // meaningful where kinds says so
}

// span is where a member stands in Message.raw.
type span struct {
	name  uint32 // opening quote of the key
	value uint32 // first byte of the value
	end   uint32 // behind the value
	next  uint32 // first byte of the next member, or the closing brace
}

// Raw returns the bytes of the object, from brace to brace: a part of what was
// scanned. Nil for an empty Message.
func (m *Message) Raw() []byte { return m.raw }

// Kind returns the kind of the value of k, KindAbsent when the key is not there.
func (m *Message) Kind(k Key) Kind { return m.kinds[k] }

// Has reports whether k is there, with whatever value.
func (m *Message) Has(k Key) bool { return m.kinds[k] != KindAbsent }

// Bytes returns the raw bytes of the value of k, the quotes of a string
// included: a part of what was scanned. Nil when k is absent.
func (m *Message) Bytes(k Key) []byte {
	if m.kinds[k] == KindAbsent {
		return nil
	}
	s := m.spans[k]
	return m.raw[s.value:s.end:s.end]
}

// Value returns the value of k; that of an absent key has the kind KindAbsent.
func (m *Message) Value(k Key) Value { return Value{m.kinds[k], m.Bytes(k)} }

// Uint returns the integer value of k as Janus reads ids: a negative one as its
// unsigned 64-bit value. ok is false for every other kind, reals included.
func (m *Message) Uint(k Key) (v uint64, ok bool) { return m.Value(k).Uint() }

// Int returns the integer value of k; ok is false for every other kind.
func (m *Message) Int(k Key) (v int64, ok bool) { return m.Value(k).Int() }

// Text returns the string value of k with its escapes understood; ok is false
// for every other kind. It allocates the string.
func (m *Message) Text(k Key) (s string, ok bool) { return m.Value(k).Text() }

// Is reports whether the value of k is the string s. It does not allocate.
func (m *Message) Is(k Key, s string) bool { return m.Value(k).Is(s) }

// Object returns the object value of k for reads inside it; ok is false for
// every other kind.
func (m *Message) Object(k Key) (o Object, ok bool) { return m.Value(k).Object() }
