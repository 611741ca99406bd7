// SPDX-License-Identifier: Apache-2.0

package janusjson

import "iter"

// Array reads inside one JSON array of validated bytes. The zero Array has no
// elements.
type Array struct {
	raw []byte // from bracket to bracket
}

// Bytes returns the raw bytes of the array, from bracket to bracket.
func (a Array) Bytes() []byte { return a.raw }

// All yields the elements in order. It does not allocate.
func (a Array) All() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if len(a.raw) == 0 {
			return
		}
		i := skipSpace(a.raw, 1)
		for a.raw[i] != ']' {
			end, kind := skipValue(a.raw, i, 1)
			if !yield(Value{kind, a.raw[i:end:end]}) {
				return
			}
			if i = skipSpace(a.raw, end); a.raw[i] == ',' {
				i = skipSpace(a.raw, i+1)
			}
		}
	}
}
