// SPDX-License-Identifier: Apache-2.0

package janusjson

import (
	"math"
	"strconv"
)

// skipNumber walks over a number. Integers outside of int64 and reals beyond
// float64 are refused, as jansson refuses them.
func skipNumber(b []byte, i int) (end int, kind Kind) {
	start := i
	if i < len(b) && b[i] == '-' {
		i++
	}
	whole := i
	i = skipDigits(b, i)
	if i == whole || b[whole] == '0' && i > whole+1 {
		return -1, KindAbsent
	}
	if i >= len(b) || b[i] != '.' && b[i]|0x20 != 'e' {
		if _, ok := parseInteger(b[start:i]); !ok {
			return -1, KindAbsent
		}
		return i, KindInteger
	}
	if b[i] == '.' {
		fraction := i + 1
		if i = skipDigits(b, fraction); i == fraction {
			return -1, KindAbsent
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		exponent := i
		if i = skipDigits(b, i); i == exponent {
			return -1, KindAbsent
		}
	}
	if overflows(b[start:i]) {
		return -1, KindAbsent
	}
	return i, KindReal
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	return i
}

// parseInteger reads an integer of valid form; !ok when it is beyond int64.
func parseInteger(b []byte) (v int64, ok bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) > len("9223372036854775808") {
		return 0, false
	}
	var u uint64
	for _, c := range b {
		u = u*10 + uint64(c-'0')
	}
	if negative {
		return -int64(u), u <= -math.MinInt64
	}
	return int64(u), u <= math.MaxInt64
}

// overflows reports whether a real of valid form is beyond float64. Short ones
// without an exponent cannot be.
func overflows(b []byte) bool {
	const sure = 300 // digits that stay below the largest float64, 1.8e308
	if len(b) < sure {
		exponent := false
		for _, c := range b {
			exponent = exponent || c|0x20 == 'e'
		}
		if !exponent {
			return false
		}
	}
	v, _ := strconv.ParseFloat(string(b), 64)
	return math.IsInf(v, 0)
}
