// SPDX-License-Identifier: Apache-2.0

package bus

import "strings"

// scanSubject checks a subject that is published to, and finds where its prefix of three
// tokens ends: the index of the third dot, -1 for a subject that has no such prefix with
// something below it.
func scanSubject(s string) (prefix int, ok bool) {
	prefix = -1
	dots, start := 0, 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c > '.' && c != 0x7f {
			continue
		}
		if c <= ' ' || c == 0x7f {
			return -1, false
		}
		if c == '.' {
			if !plainToken(s[start:i]) {
				return -1, false
			}
			start = i + 1
			if dots++; dots == 3 {
				prefix = i
			}
		}
	}
	return prefix, plainToken(s[start:])
}

// plainToken tells whether a token is neither empty nor a wildcard.
func plainToken(t string) bool {
	return len(t) > 1 || len(t) == 1 && t != "*" && t != ">"
}

// plainReply tells whether a reply field can go on the wire: it is one word. What it means
// is no concern of the bus: the wire also puts sequence numbers there.
func plainReply(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// plainPrefix tells whether a prefix is three tokens without wildcards.
func plainPrefix(s string) bool {
	_, ok := scanSubject(s)
	return ok && strings.Count(s, ".") == 2
}

// thirdDot finds where the prefix of a received subject ends, -1 if nowhere.
func thirdDot(s string) int {
	at := -1
	for range 3 {
		i := strings.IndexByte(s[at+1:], '.')
		if i < 0 {
			return -1
		}
		at += i + 1
	}
	return at
}
