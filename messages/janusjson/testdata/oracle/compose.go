// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// compose makes a valid object with keys that matter in every spelling.
func compose(random *rand.Rand) string {
	names := []string{"janus", "transaction", "session_id", "handle_id", "id", "token", "body", "x", "a b", "é", ""}
	var b strings.Builder
	space(random, &b)
	b.WriteByte('{')
	for i := range random.IntN(7) {
		if i > 0 {
			b.WriteByte(',')
			space(random, &b)
		}
		quote(random, &b, names[random.IntN(len(names))])
		space(random, &b)
		b.WriteByte(':')
		space(random, &b)
		value(random, &b, 0)
		space(random, &b)
	}
	b.WriteByte('}')
	space(random, &b)
	return b.String()
}

func value(random *rand.Rand, b *strings.Builder, depth int) {
	switch n := random.IntN(10); {
	case n == 0:
		b.WriteString([]string{"true", "false", "null"}[random.IntN(3)])
	case n < 3:
		fmt.Fprint(b, int64(random.Uint64())>>random.IntN(64))
	case n == 3:
		fmt.Fprint(b, random.NormFloat64(), "e", random.IntN(9))
	case n < 8 || depth > 3:
		quote(random, b, []string{"attach", "a\nb", "\"", "日本", "😀\t\\", "/", "\x01\x7f", "plain text of some length, over eight bytes"}[random.IntN(8)])
	case n == 8:
		b.WriteByte('[')
		for i := range random.IntN(4) {
			if i > 0 {
				b.WriteByte(',')
			}
			value(random, b, depth+1)
		}
		b.WriteByte(']')
	default:
		b.WriteString(strings.TrimSpace(compose(random)))
	}
}

// quote writes s as a string, some of its characters as escapes.
func quote(random *rand.Rand, b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r < ' ' || r == '"' || r == '\\' || r < 0x10000 && random.IntN(12) == 0:
			fmt.Fprintf(b, []string{`\u%04x`, `\u%04X`}[random.IntN(2)], r)
		case r >= 0x10000 && random.IntN(2) == 0:
			r -= 0x10000
			fmt.Fprintf(b, `\u%04x\u%04X`, 0xD800+r>>10, 0xDC00+r&0x3FF)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

func space(random *rand.Rand, b *strings.Builder) {
	for random.IntN(6) == 0 {
		b.WriteByte(" \n\r\t"[random.IntN(4)])
	}
}
