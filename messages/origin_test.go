// SPDX-License-Identifier: Apache-2.0

package messages

import "testing"

// An event's number, and that of the one before it, stand behind the name of a media server, whatever marks that has.
func TestOrigin(t *testing.T) {
	for _, server := range []string{"media~a1", "media-2~a-1", "a.b-3~c"} {
		for _, before := range []uint64{0, 6} {
			numbered := string(AppendOrigin(nil, server, 7, before))
			origin, got := CutBefore(numbered)
			name, seq, ok := CutOrigin(origin)
			if got != before || name != server || seq != 7 || !ok {
				t.Errorf("%s: %d of %q, before it %d (%v)", numbered, seq, name, got, ok)
			}
		}
	}
	for _, odd := range []string{"", "media-7", "m.7-x", "m.7-"} {
		if origin, before := CutBefore(odd); origin != odd || before != 0 {
			t.Errorf("%q: %q and %d", odd, origin, before)
		}
	}
}
