// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

const (
	// recentTime is how long an event is kept for the next owner of its session: the time in which the death of an owner is
	// noticed and its sessions are taken over, several times over.
	recentTime = 4 * time.Second
	// maxRecentBytes bounds what is kept.
	maxRecentBytes = 32 << 20
)

// recentEvent is an event that was published a moment ago.
type recentEvent struct {
	handle uint64
	seq    uint64
	body   []byte
}

// recent keeps the events of the last seconds. What was on its way to an owner that died reached nobody; the next owner asks
// for it, and the edge, which knows what it has written, leaves out what came twice.
type recent struct {
	of    map[uint64][]recentEvent // by session, in order
	order []recentAge              // of all, in order
	bytes int
}

type recentAge struct {
	session uint64
	at      time.Time
}

func newRecent() recent { return recent{of: make(map[uint64][]recentEvent)} }

func (r *recent) add(session uint64, e recentEvent, now time.Time) {
	r.of[session] = append(r.of[session], e)
	r.order = append(r.order, recentAge{session, now})
	r.bytes += len(e.body)
	for r.bytes > maxRecentBytes {
		r.drop(1)
	}
}

// expire forgets what is older than recentTime.
func (r *recent) expire(now time.Time) {
	n := 0
	for n < len(r.order) && now.Sub(r.order[n].at) > recentTime {
		n++
	}
	r.drop(n)
}

// drop forgets the n oldest.
func (r *recent) drop(n int) {
	for _, a := range r.order[:n] {
		events := r.of[a.session]
		r.bytes -= len(events[0].body)
		events[0].body = nil
		if len(events) == 1 {
			delete(r.of, a.session)
		} else {
			r.of[a.session] = events[1:]
		}
	}
	r.order = r.order[n:]
}

// replay publishes the events of a session once more, for its new owner, and then that these were all.
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
	s.recent.expire(time.Now())
	for _, e := range s.recent.of[ask.Session] {
		s.metrics.replayed.Inc()
		from := s.names.member + "." + strconv.FormatUint(e.seq, 10)
		if s.publish(messages.HandleSubject(ask.Session, messages.SessionAgain, e.handle), from, e.body) != nil {
			s.metrics.drop("event_disconnected")
		}
	}
	if s.publish(messages.HandleSubject(ask.Session, messages.SessionCaught, 0), s.names.member, nil) != nil {
		s.metrics.drop("event_disconnected")
	}
}
