// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

const (
	// maxUndelivered and maxUndeliveredBytes bound the events that are kept for one session: as many as its owner keeps.
	maxUndelivered      = 1024
	maxUndeliveredBytes = 256 << 10
	// maxKeptBytes bounds those of all sessions.
	maxKeptBytes = 32 << 20
)

// keptEvent is an event that was published and may be needed again.
type keptEvent struct {
	handle uint64
	seq    uint64
	body   []byte
}

// undelivered keeps events until their session's owner says that they were written to the client. What was on its way to an
// owner that died, or waited there for a poll or a transport, the next owner asks for.
type undelivered struct {
	of    map[uint64]sessionEvents
	order []keptAge // oldest first; some may be gone
	count int
	bytes int
}

// sessionEvents are those of one session, in order.
type sessionEvents struct {
	events []keptEvent
	bytes  int
	due    time.Time     // when the owner is told of the last one, if that is not acknowledged before
	pause  time.Duration // from that to the next time
}

const (
	// lastAfter is how long the last event of a session may be unacknowledged before its owner is asked whether it got it:
	// no later event shows that it did not. Edges acknowledge within a tenth of that.
	lastAfter = time.Second
	// longestLast bounds the time between two such questions, which doubles: a client may be away, or not read.
	longestLast = 30 * time.Second
)

type keptAge struct{ session, seq uint64 }

func newUndelivered() undelivered { return undelivered{of: make(map[uint64]sessionEvents)} }

// add keeps an event. It returns the number of the one before it that is kept, and how many older ones had to go for it.
func (u *undelivered) add(session uint64, e keptEvent, now time.Time) (before uint64, dropped int) {
	x := u.of[session]
	if n := len(x.events); n > 0 {
		before = x.events[n-1].seq
	}
	x.due, x.pause = now.Add(lastAfter), lastAfter
	x.events, x.bytes = append(x.events, e), x.bytes+len(e.body)
	u.of[session] = x
	u.count, u.bytes = u.count+1, u.bytes+len(e.body)
	u.order = append(u.order, keptAge{session, e.seq})
	for last := len(x.events) - 1; dropped < last && (last+1-dropped > maxUndelivered || u.of[session].bytes > maxUndeliveredBytes); dropped++ {
		u.drop(session, 1)
	}
	for u.bytes > maxKeptBytes && u.count > 1 {
		u.sweep()
		u.drop(u.order[0].session, 1)
		dropped++
	}
	u.sweep()
	return before, dropped
}

// lasts calls f for the last event of each session whose owner is to be asked whether it has it.
func (u *undelivered) lasts(now time.Time, f func(session, seq uint64)) {
	for session, x := range u.of {
		if now.Before(x.due) {
			continue
		}
		x.pause = min(2*x.pause, longestLast)
		x.due = now.Add(x.pause)
		u.of[session] = x
		f(session, x.events[len(x.events)-1].seq)
	}
}

// hurry has the owners of all sessions asked now, as if nobody had been asked before.
func (u *undelivered) hurry(now time.Time) {
	for session, x := range u.of {
		x.due, x.pause = now, lastAfter/2
		u.of[session] = x
	}
}

// ack forgets the events of a session up to a number.
func (u *undelivered) ack(session, seq uint64) {
	n := 0
	for _, e := range u.of[session].events {
		if e.seq > seq {
			break
		}
		n++
	}
	u.drop(session, n)
	u.sweep()
}

// end forgets all events of a session.
func (u *undelivered) end(session uint64) { u.drop(session, len(u.of[session].events)) }

// drop forgets the n oldest of a session.
func (u *undelivered) drop(session uint64, n int) {
	if n == 0 {
		return
	}
	x := u.of[session]
	for i := range x.events[:n] {
		size := len(x.events[i].body)
		x.bytes, u.bytes = x.bytes-size, u.bytes-size
		x.events[i].body = nil
	}
	u.count -= n
	if x.events = x.events[n:]; len(x.events) == 0 {
		delete(u.of, session)
	} else {
		u.of[session] = x
	}
}

// sweep takes those that are gone out of order, from its front; and all of them when they have become the greater part.
func (u *undelivered) sweep() {
	for len(u.order) > 0 && u.gone(u.order[0]) {
		u.order = u.order[1:]
	}
	if len(u.order) > 2*u.count+64 {
		u.order = slices.DeleteFunc(u.order, u.gone)
	}
}

func (u *undelivered) gone(a keptAge) bool {
	events := u.of[a.session].events
	return len(events) == 0 || a.seq < events[0].seq
}

// acked hears from a session node which events are not needed any more.
func (s *server) acked(m *bus.Msg) {
	if !messages.EachAcked(m.Data, func(a messages.Acked) { s.undelivered.ack(a.Session, a.Seq) }) {
		s.metrics.drop("malformed")
	}
}

// tellLasts asks owners that have not acknowledged an event for long whether they have it.
func (s *server) tellLasts(now time.Time) {
	s.undelivered.lasts(now, func(session, seq uint64) {
		from := messages.AppendOrigin(nil, s.origin, seq, 0)
		if s.publish(messages.HandleSubject(session, messages.SessionLast, 0), string(from), nil) != nil {
			s.metrics.drop("last_disconnected")
		}
	})
}

// replay publishes the undelivered events of a session once more, for its new owner, and then that these were all.
func (s *server) replay(m *bus.Msg) {
	var ask messages.Replay
	if json.Unmarshal(m.Data, &ask) != nil || ask.Session == 0 {
		s.metrics.drop("malformed")
		return
	}
	partition := messages.PartitionOf(ask.Session)
	if highest, ok := s.fence.admit(partition, ask.Epoch); !ok {
		s.refuse(messages.MediaSubject{Server: s.member, Partition: partition, Epoch: ask.Epoch, Session: ask.Session}, "", highest)
		return
	}
	for _, e := range s.undelivered.of[ask.Session].events {
		s.metrics.replayed.Inc()
		from := messages.AppendOrigin(nil, s.origin, e.seq, 0)
		if s.publish(messages.HandleSubject(ask.Session, messages.SessionAgain, e.handle), string(from), e.body) != nil {
			s.metrics.drop("event_disconnected")
		}
	}
	if s.publish(messages.HandleSubject(ask.Session, messages.SessionCaught, 0), s.origin, nil) != nil {
		s.metrics.drop("event_disconnected")
	}
}
