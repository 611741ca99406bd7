// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"testing"
	"time"
)

// Events are kept for recentTime, and no more of them than maxRecentBytes.
func TestRecent(t *testing.T) {
	r := newRecent()
	start := time.Now()
	for n := range uint64(6) {
		r.add(1+n%2, recentEvent{handle: 9, seq: n, body: []byte("12345")}, start.Add(time.Duration(n)*time.Second))
	}
	if r.expire(start.Add(recentTime + 2500*time.Millisecond)); len(r.of[1]) != 1 || len(r.of[2]) != 2 || r.bytes != 15 || len(r.order) != 3 {
		t.Errorf("kept are %v and %v, %d bytes", r.of[1], r.of[2], r.bytes)
	}
	if r.of[1][0].seq != 4 || r.of[2][0].seq != 3 || r.of[2][1].seq != 5 {
		t.Errorf("kept are %v and %v", r.of[1], r.of[2])
	}
	r.add(3, recentEvent{body: make([]byte, maxRecentBytes)}, start)
	if len(r.of) != 1 || len(r.of[3]) != 1 || r.bytes != maxRecentBytes {
		t.Errorf("%d sessions, %d bytes are kept", len(r.of), r.bytes)
	}
	r.add(3, recentEvent{body: []byte("1")}, start)
	if r.bytes != 1 || len(r.order) != 1 {
		t.Errorf("%d bytes of %d events are kept", r.bytes, len(r.order))
	}
	if r.expire(start.Add(time.Hour)); len(r.of) != 0 || len(r.order) != 0 || r.bytes != 0 {
		t.Errorf("%d sessions, %d bytes are left", len(r.of), r.bytes)
	}
}
