// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"bytes"
	"strconv"
)

// Written tells the owner of a session how far an edge has come with its deliveries. Both numbers are cumulative.
type Written struct {
	Session  uint64
	Epoch    uint64 // Number of the epoch in which the deliveries are counted
	Received uint64 // Seq up to which they came
	Written  uint64 // Seq up to which they are in the hands of the client's TCP connection; 0: nothing new
}

// Acked tells a media server that the client has the session's events up to this number of the server, or needs none of them.
type Acked struct {
	Session uint64
	Seq     uint64
}

// MaxAcks is how many Written or Acked go into one message, which keeps it well under NATS's limit of 1 MiB.
const MaxAcks = 2000

// In a message, numbers are separated by one character and what they tell of by another.
const (
	numberMark = '-'
	entryMark  = ' '
)

// Append appends w to a message of several.
func (w Written) Append(dst []byte) []byte {
	return appendNumbers(dst, w.Session, w.Epoch, w.Received, w.Written)
}

// Append appends a to a message of several.
func (a Acked) Append(dst []byte) []byte { return appendNumbers(dst, a.Session, a.Seq) }

// EachWritten calls f for what Written.Append wrote, and reports false when it meets something else.
func EachWritten(message []byte, f func(Written)) bool {
	var n [4]uint64
	return eachEntry(message, n[:], func() { f(Written{n[0], n[1], n[2], n[3]}) })
}

// EachAcked calls f for what Acked.Append wrote, and reports false when it meets something else.
func EachAcked(message []byte, f func(Acked)) bool {
	var n [2]uint64
	return eachEntry(message, n[:], func() { f(Acked{n[0], n[1]}) })
}

func appendNumbers(dst []byte, numbers ...uint64) []byte {
	if len(dst) > 0 {
		dst = append(dst, entryMark)
	}
	for i, n := range numbers {
		if i > 0 {
			dst = append(dst, numberMark)
		}
		dst = strconv.AppendUint(dst, n, 10)
	}
	return dst
}

// eachEntry reads entry after entry into numbers.
func eachEntry(message []byte, numbers []uint64, each func()) bool {
	for entry := range bytes.SplitSeq(message, []byte{entryMark}) {
		i := 0
		for number := range bytes.SplitSeq(entry, []byte{numberMark}) {
			n, err := strconv.ParseUint(string(number), 10, 64)
			if err != nil || i == len(numbers) {
				return false
			}
			numbers[i] = n
			i++
		}
		if i != len(numbers) {
			return false
		}
		each()
	}
	return true
}
