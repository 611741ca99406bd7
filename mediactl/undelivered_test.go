// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"fmt"
	"testing"
	"time"

	"github.com/januscloud/januscloud/messages"
)

func (u *undelivered) numbers(session uint64) string {
	var all []uint64
	for _, e := range u.of[session].events {
		all = append(all, e.seq)
	}
	return fmt.Sprint(all)
}

// Events are kept until they are acknowledged, each session's for itself.
func TestUndelivered(t *testing.T) {
	u := newUndelivered()
	for n := range uint64(6) {
		u.add(1+n%2, keptEvent{handle: 9, seq: n, body: []byte("12345")}, time.Time{})
	}
	u.ack(1, 2)
	u.ack(2, 0)
	u.ack(3, 9)
	if u.numbers(1) != "[4]" || u.numbers(2) != "[1 3 5]" || u.bytes != 20 || u.count != 4 {
		t.Errorf("kept are %s and %s, %d bytes of %d events", u.numbers(1), u.numbers(2), u.bytes, u.count)
	}
	u.end(2)
	if u.ack(1, 99); len(u.of) != 0 || u.bytes != 0 || u.count != 0 || len(u.order) != 0 {
		t.Errorf("%d sessions, %d bytes, %d of order are left", len(u.of), u.bytes, len(u.order))
	}
}

// One session that acknowledges nothing has its bound, and so have all together: the oldest go.
func TestUndeliveredOverflow(t *testing.T) {
	u := newUndelivered()
	for n := range uint64(maxUndelivered + 3) {
		if _, dropped := u.add(1, keptEvent{seq: n}, time.Time{}); dropped != 0 && n < maxUndelivered {
			t.Fatalf("%d dropped for event %d", dropped, n)
		}
	}
	if first := u.of[1].events[0].seq; first != 3 || u.count != maxUndelivered {
		t.Errorf("the first of %d is %d", u.count, first)
	}
	if _, dropped := u.add(1, keptEvent{seq: 5000, body: make([]byte, maxUndeliveredBytes+1)}, time.Time{}); dropped != maxUndelivered || u.count != 1 {
		t.Errorf("%d dropped for a large one, %d left", dropped, u.count)
	}
	u.end(1)
	const each = maxUndeliveredBytes
	for n := range uint64(maxKeptBytes/each + 2) {
		u.add(100+n, keptEvent{seq: 6000 + n, body: make([]byte, each)}, time.Time{})
	}
	if u.bytes > maxKeptBytes || len(u.of[100].events) != 0 || len(u.of[101].events) != 0 || len(u.of[102].events) != 1 {
		t.Errorf("%d bytes of %d sessions are kept", u.bytes, len(u.of))
	}
}

// What is acknowledged behind one that never is takes no memory.
func TestUndeliveredOrder(t *testing.T) {
	u := newUndelivered()
	u.add(1, keptEvent{seq: 1}, time.Time{})
	for n := range uint64(10_000) {
		u.add(2, keptEvent{seq: 2 + n}, time.Time{})
		u.ack(2, 2+n)
	}
	if len(u.order) > 100 || u.numbers(1) != "[1]" {
		t.Errorf("%d of order for %d events", len(u.order), u.count)
	}
}

// Each event names the one before it that is kept. What stays without acknowledgement is asked about, less and less often.
func TestUndeliveredLast(t *testing.T) {
	u := newUndelivered()
	begin := time.Now()
	for n := range uint64(3) {
		if before, _ := u.add(1, keptEvent{seq: 10 + n}, begin); n > 0 && before != 9+n || n == 0 && before != 0 {
			t.Errorf("%d comes before %d", before, 10+n)
		}
	}
	var asked []time.Duration
	for after := time.Duration(0); after < 2*time.Minute; after += pingEvery {
		u.lasts(begin.Add(after), func(session, seq uint64) {
			if session != 1 || seq != 12 {
				t.Errorf("asked about %d of %d", seq, session)
			}
			asked = append(asked, after)
		})
	}
	if got := fmt.Sprint(asked); got != "[1s 3s 7s 15s 31s 1m1s 1m31s]" {
		t.Error("asked after", got)
	}
	u.ack(1, 12)
	if before, _ := u.add(1, keptEvent{seq: 13}, begin); before != 0 {
		t.Errorf("%d comes before 13, though it was acknowledged", before)
	}
	u.ack(1, 13)
	u.lasts(begin.Add(time.Hour), func(session, seq uint64) { t.Errorf("asked about %d, of session %d", seq, session) })
}

// When there is a connection to NATS again, owners are asked at once: what was said last may have got lost with the one before, with
// the question whether it was heard.
func TestBusBack(t *testing.T) {
	f := newFake(t)
	f.undelivered.add(1, keptEvent{seq: 7}, f.now)
	f.onTick(f.now.Add(lastAfter + pingEvery))
	f.take() // got lost
	f.receive(busBack{})
	var asked []string
	for _, m := range f.take() {
		if s, err := messages.ParseSessionSubject(m.Subject); err == nil && s.Kind == messages.SessionLast {
			asked = append(asked, m.Reply)
		}
	}
	if got := fmt.Sprint(asked); got != "[media-1~inc1.7]" {
		t.Errorf("asked about %s", got)
	}
	again := 0
	f.undelivered.lasts(f.now.Add(lastAfter), func(uint64, uint64) { again++ })
	if again != 1 {
		t.Errorf("asked %d times more within a second", again)
	}
}
