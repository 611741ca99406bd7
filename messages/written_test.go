// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"slices"
	"testing"
)

func TestWritten(t *testing.T) {
	want := []Written{{1029, 1763742000123, 57, 55}, {1030, 1, 1, 0}}
	var message []byte
	for _, w := range want {
		message = w.Append(message)
	}
	var got []Written
	if !EachWritten(message, func(w Written) { got = append(got, w) }) || !slices.Equal(got, want) {
		t.Errorf("%s: read as %v", message, got)
	}
	for _, bad := range []string{"", "1-2-3", "1-2-3-4-5", "1-2-3-x", "1-2-3-4 ", "1-2-3--4"} {
		if EachWritten([]byte(bad), func(Written) {}) {
			t.Errorf("%q is taken for an acknowledgement", bad)
		}
	}
}

func TestAcked(t *testing.T) {
	want := []Acked{{1029, 57}, {1030, 1}}
	var message []byte
	for _, a := range want {
		message = a.Append(message)
	}
	var got []Acked
	if !EachAcked(message, func(a Acked) { got = append(got, a) }) || !slices.Equal(got, want) {
		t.Errorf("%s: read as %v", message, got)
	}
	if EachAcked([]byte("1029-57-3"), func(Acked) {}) {
		t.Error("three numbers are taken for two")
	}
}
