// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"time"

	"github.com/januscloud/januscloud/messages"
)

// claim moves the session to the connection that asks. What waits for a poll is lost to it, as in Janus; what came while
// nobody owned the session is not.
func (s *session) claim(r *request) {
	t, err := messages.ParseTransport(r.identity)
	if err != nil {
		s.node.metrics.dropped.WithLabelValues("malformed").Inc()
		return
	}
	was := s.transport
	s.transport, s.gone, s.unheard = t, false, messages.Transport{}
	s.claimID, _ = messages.CutRepeat(r.identity)
	if was != t {
		s.renumber(r.identity)
	}
	s.answer(r, "success")
	if was.Polling {
		s.kept, s.keptBytes = nil, 0
	}
	s.notifyKept()
	if was == t {
		return
	}
	s.claimed = r.now
	if was.Stays() || t.Stays() { // of the others, the edges know
		s.keep(&s.record, s.stored(), nil)
	}
	s.node.emit(messages.Event{Type: messages.EventSessionClaimed, Session: s.id, Edge: t.Edge.Name})
}

// lostTransport begins the reclaim time (transport_gone of Janus): it runs from the last request or from the loss,
// whichever is later (janus-gateway #3643).
func (s *session) lostTransport() {
	if s.ending != nil {
		return
	}
	s.transport, s.gone, s.active = messages.Transport{}, true, time.Now()
	s.renumber("")
	if s.limit() == 0 {
		s.end("transport gone", nil, "")
		return
	}
	s.node.Wheel.Arm(&s.timer, s.limit(), func() { s.node.tell(s.self, sessionDue{}) })
}

// onClosed hears from an edge that a connection closed.
func (s *session) onClosed(t messages.Transport) {
	s.closed = t
	switch t {
	case s.transport:
		s.lostTransport()
	case s.unheard:
		s.unheard = messages.Transport{}
		s.onDue(time.Now())
	}
}

// onBack takes the transport back that was lost because its edge fell silent, with the events that waited. A successor of the
// owner does not know which one that was.
func (s *session) onBack(t messages.Transport) {
	if s.ending != nil || !s.gone || t == s.closed || !s.unheard.IsZero() && s.unheard != t {
		return
	}
	s.log().Info("transport is back", "edge", t.Edge.Name)
	s.transport, s.gone, s.unheard, s.active = t, false, messages.Transport{}, time.Now()
	s.renumber("")
	s.notifyKept()
	s.node.Wheel.Arm(&s.timer, s.limit(), func() { s.node.tell(s.self, sessionDue{}) })
}

// edgeGrace is how long an edge may be silent before the sessions end that do not outlive their transport.
const edgeGrace = 5 * time.Second

// limit is how long the session may be without a request.
func (s *session) limit() time.Duration {
	switch {
	case s.gone && !s.unheard.IsZero():
		return max(s.node.ReclaimTimeout, edgeGrace)
	case s.gone:
		return s.node.ReclaimTimeout
	case s.silence() == 0:
		return forever
	}
	return s.silence()
}

// forever is longer than a process lives.
const forever = 10 * 365 * 24 * time.Hour

// notifyKept delivers what waited for a transport.
func (s *session) notifyKept() {
	kept := s.kept
	s.kept, s.keptBytes = nil, 0
	for _, event := range kept {
		s.tellClient(event)
	}
}
