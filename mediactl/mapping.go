// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"time"

	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/wheel"
)

// phase is how far a session is on Janus.
type phase uint8

const (
	creating phase = iota // create was sent
	adopting              // claim was sent: an earlier incarnation of this role made it
	ready
	ending // destroy was sent
	over   // not mapped any more
)

// session is a Janus session. Its id is that of the client's session.
type session struct {
	id      uint64
	phase   phase
	retried bool // a create that met a session of the same id is tried once more
	// first tells that no earlier incarnation of this role can have run anything for the session in this Janus: that would
	// have kept the session for longer than requests are repeated.
	first bool
	// inherited tells that an earlier incarnation made it: Janus may have handles in it that are not mapped yet.
	inherited bool
	// unsure is since when its owner has not said that it wants what an earlier incarnation, in this process, had of it; zero: it
	// has, or there was none.
	unsure  time.Time
	handles *handle
	count   int // of handles, without those that are gone
	// waiting are requests that came before Janus answered the create or destroy, in order.
	waiting []*bus.Msg
	active  time.Time // when something was last sent for it; see keepalive
	empty   time.Time // since when it has no handles; zero while it has some
	timer   wheel.Timer
	due     func() // of timer
}

// handle is one handle of the cluster on this Janus.
type handle struct {
	session *session
	id      uint64 // the cluster's
	janus   uint64 // of Janus; 0 until it is bound
	plugin  string
	attach  string // identity of the request that bound it
	live    bool   // it has a PeerConnection
	// negotiated tells that there was a jsep: it may have a PeerConnection of which nothing was said yet.
	negotiated bool
	// assumed tells that nobody knows whether it has one: what Janus said of it may have been lost.
	assumed bool
	unsure  bool // see session
	held    bool // mapped at its owner's word: this incarnation did not attach it
	heard   heardFirst
	// gone is when it ended, for what Janus still says about it (detached, hangup); zero while it lives.
	gone    time.Time
	waiting []*bus.Msg // requests that came before Janus answered the attach, in order

	next, prev *handle // of the session
}

// handleKey names a handle: ids are unique in their session only.
type handleKey struct{ session, handle uint64 }

// mapping knows the sessions and handles of this Janus by the ids of both sides.
type mapping struct {
	sessions map[uint64]*session
	ours     map[handleKey]*handle // living ones
	janus    map[handleKey]*handle // bound ones, and those gone of which Janus may still speak
	gone     []*handle             // in order of their end
}

func newMapping() mapping {
	return mapping{
		sessions: make(map[uint64]*session), ours: make(map[handleKey]*handle), janus: make(map[handleKey]*handle),
	}
}

// addHandle maps a handle that is about to be attached.
func (m *mapping) addHandle(s *session, id uint64) *handle {
	h := &handle{session: s, id: id, next: s.handles}
	if h.next != nil {
		h.next.prev = h
	}
	s.handles = h
	s.count++
	s.empty = time.Time{}
	m.ours[handleKey{s.id, id}] = h
	return h
}

// bind makes a handle known by its id on Janus.
func (m *mapping) bind(h *handle, janus uint64) {
	h.janus = janus
	m.janus[handleKey{h.session.id, janus}] = h
}

// end unmaps a handle. With linger, what Janus still says about it finds it for goneTime.
func (m *mapping) end(h *handle, now time.Time, linger bool) {
	if h.gone.IsZero() {
		h.gone = now
		delete(m.ours, handleKey{h.session.id, h.id})
		if h.session.count--; h.session.count == 0 {
			h.session.empty = now
		}
		h.unlink()
		if linger && h.janus != 0 {
			m.gone = append(m.gone, h)
			return
		}
	}
	if !linger && h.janus != 0 {
		delete(m.janus, handleKey{h.session.id, h.janus})
	}
}

func (h *handle) unlink() {
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		h.session.handles = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	}
	h.prev, h.next = nil, nil
}

// goneTime is how long a handle that ended is known for what Janus still says about it: its own hang-up timer runs in
// whole seconds.
const goneTime = 5 * time.Second

// expire forgets the handles that ended more than goneTime ago.
func (m *mapping) expire(now time.Time) {
	n := 0
	for n < len(m.gone) && now.Sub(m.gone[n].gone) > goneTime {
		h := m.gone[n]
		key := handleKey{h.session.id, h.janus}
		if m.janus[key] == h {
			delete(m.janus, key)
		}
		m.gone[n] = nil
		n++
	}
	if m.gone = m.gone[n:]; len(m.gone) == 0 {
		m.gone = nil
	}
}

// drop unmaps a session and its handles, those gone included.
func (m *mapping) drop(s *session, now time.Time) {
	for s.handles != nil {
		m.end(s.handles, now, false)
	}
	if m.sessions[s.id] == s {
		delete(m.sessions, s.id)
	}
	s.phase = over
}
