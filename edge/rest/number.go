// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"math"
	"strings"
)

// parseID is strtoull of C in base 10, with which Janus reads ids: white space, a sign, digits and then whatever. No
// digits are 0, too many the greatest number, and a negative number is taken as unsigned.
func parseID(s string) uint64 {
	negative, digits := number(s)
	var n uint64
	for _, c := range []byte(digits) {
		d := uint64(c - '0')
		if n > (math.MaxUint64-d)/10 {
			return math.MaxUint64
		}
		n = 10*n + d
	}
	if negative {
		return -n
	}
	return n
}

// parseInt is atoi of the GNU C library: strtol, of which 32 bits are kept.
func parseInt(s string) int32 {
	negative, digits := number(s)
	var n uint64
	for _, c := range []byte(digits) {
		n = 10*n + uint64(c-'0')
		if n > math.MaxInt64 {
			if negative {
				return 0 // the lower half of the least number
			}
			return -1 // that of the greatest
		}
	}
	if negative {
		return int32(-n)
	}
	return int32(n)
}

// number finds the sign and the digits that a text begins with, after white space (isspace in the C locale).
func number(s string) (negative bool, digits string) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative, s = s[0] == '-', s[1:]
	}
	for n := range len(s) {
		if s[n] < '0' || s[n] > '9' {
			return negative, s[:n]
		}
	}
	return negative, s
}
