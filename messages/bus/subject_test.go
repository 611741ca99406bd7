// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"strings"
	"testing"
)

// naive is scanSubject written for the reader.
func naive(s string) (prefix int, ok bool) {
	for _, c := range []byte(s) {
		if c <= ' ' || c == 0x7f {
			return -1, false
		}
	}
	tokens := strings.Split(s, ".")
	for _, token := range tokens {
		if token == "" || token == "*" || token == ">" {
			return -1, false
		}
	}
	if len(tokens) < 4 {
		return -1, true
	}
	return len(strings.Join(tokens[:3], ".")), true
}

func FuzzScanSubject(f *testing.F) {
	for _, s := range []string{
		"", ".", "a", "a.b", "a.b.c", "a.b.c.", "a.b.c.d", "a.b.c.d.e", "a..b", "*", "a.*", "a.>", "a.*b", "a b", "a.b.c.\n",
		"janus.session.17.5", "janus.media.m1-77.17.1-n1.5.7", "é.ü.ö.x", "a.b.c.\x7f", "$KV.sessions.17.5", "_INBOX.x.y.z", "a-b.c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		prefix, ok := scanSubject(s)
		wantPrefix, wantOK := naive(s)
		if ok != wantOK || ok && prefix != wantPrefix {
			t.Fatalf("%q: %d %v, not %d %v", s, prefix, ok, wantPrefix, wantOK)
		}
		if ok && thirdDot(s) != prefix {
			t.Fatalf("%q: a received one has its prefix until %d, a sent one until %d", s, thirdDot(s), prefix)
		}
		if plainPrefix(s) != (ok && strings.Count(s, ".") == 2) {
			t.Fatalf("%q: plainPrefix %v", s, plainPrefix(s))
		}
		if got := plainReply(s); got != !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			t.Fatalf("%q: plainReply %v", s, got)
		}
	})
}
