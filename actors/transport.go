// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"slices"
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
	if !s.unheard.IsZero() {
		s.left(s.unheard)
		s.unheard = messages.Transport{}
	}
	s.setTransport(t)
	s.claimID, _ = messages.CutRepeat(r.identity)
	if was != t {
		s.renumber(r.identity)
	}
	s.answer(r, "success")
	if was == t {
		return
	}
	if was.Polling && s.out != nil {
		s.out.drop(len(s.out.queue))
		s.passAcks()
	}
	s.doubtful(was)
	s.pump()
	s.claimed = r.now
	if was.Stays() || t.Stays() { // of the others, the edges know
		s.keep(&s.record, s.stored(), nil)
	}
	s.node.emit(messages.Event{Type: messages.EventSessionClaimed, Session: s.id, Edge: t.Edge.Name})
}

// setTransport makes a connection, or what stands for one, the session's transport.
func (s *session) setTransport(t messages.Transport) {
	s.transport, s.gone, s.address = t, false, ""
	if !t.IsZero() && !t.Stays() {
		s.address = t.String() + "."
	}
}

// eventSubject is where the session's connection gets events.
func (s *session) eventSubject() string { return s.address + messages.EventToken }

// lostTransport begins the reclaim time (transport_gone of Janus): it runs from the last request or from the loss,
// whichever is later (janus-gateway #3643).
func (s *session) lostTransport() {
	if s.ending != nil {
		return
	}
	s.setTransport(messages.Transport{})
	s.renumber("")
	s.gone, s.active = true, time.Now()
	s.endDoubt()
	s.takeBack()
	if s.limit() == 0 {
		s.end("transport gone", nil, "")
		return
	}
	s.node.Wheel.Arm(&s.timer, s.limit(), func() { s.node.tell(s.self, sessionDue{}) })
}

// left notes which connection the client has left, or lost.
func (s *session) left(t messages.Transport) {
	if s.closed != t {
		s.closed, s.wakes = t, false
	}
}

// hearFormer notes that the connection which the client has left for another asks something: its edge was frozen, or NATS kept the
// request back. What is owed to it does not go to the client any more, who would else have answers to all repeats.
func (s *session) hearFormer(identity string) {
	if s.wakes || s.closed.IsZero() || s.transport.IsZero() {
		return
	}
	t, err := messages.ParseTransport(identity)
	s.wakes = err == nil && t == s.closed
}

// onClosed hears from an edge that a connection closed.
func (s *session) onClosed(t messages.Transport) {
	s.left(t)
	switch t {
	case s.transport:
		s.lostTransport()
	case s.unheard:
		s.unheard = messages.Transport{}
		s.onDue(time.Now())
	}
	if s.out != nil && s.out.doubt == t {
		s.endDoubt()
	}
}

// onEdgesGone hears that edges are not heard any more: what they did not acknowledge is not written, as far as can be known.
func (s *session) onEdgesGone(edges []messages.Member) {
	s.pollsGone(edges)
	if s.out != nil && slices.Contains(edges, s.out.doubt.Edge) {
		s.left(s.out.doubt)
		s.endDoubt()
	}
	if !s.transport.Stays() && slices.Contains(edges, s.transport.Edge) {
		s.unheard = s.transport
		s.lostTransport()
	}
}

// onBack takes the transport back that was lost because its edge fell silent, with the events that waited. A successor of the
// owner does not know which one that was.
func (s *session) onBack(t messages.Transport) {
	if s.ending != nil || !s.gone || t == s.closed || !s.unheard.IsZero() && s.unheard != t {
		return
	}
	s.log().Info("transport is back", "edge", t.Edge.Name)
	s.setTransport(t)
	s.renumber("")
	s.unheard, s.active = messages.Transport{}, time.Now()
	s.pump() // the edge leaves out what it has written before
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
