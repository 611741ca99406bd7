// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"slices"
	"strconv"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// destroy ends the session at the client's wish.
func (s *session) destroy(r *request) {
	success := s.replyTo(r).Append(nil, "success")
	s.owe(r)
	first, _ := messages.CutRepeat(r.identity)
	s.node.emit(messages.Event{Type: messages.EventSessionDestroyed, Session: s.id})
	s.end("destroyed", success, first)
}

// end ends the session: its parts on media servers are destroyed and its records deleted before the client hears of
// it, so that what it does next meets nothing of the past; but it waits no longer than endWait.
func (s *session) end(why string, success []byte, asked string) {
	if s.ending != nil {
		return
	}
	s.ending = &ending{why: why, last: success, asked: asked}
	s.node.Wheel.Disarm(&s.timer)
	if s.gap != nil {
		s.endGap()
	}
	s.node.Wheel.Arm(&s.ending.timer, endWait, func() { s.node.tell(s.self, endDue{}) })
	for _, server := range s.servers {
		if s.sendDestroy(server) {
			s.ending.owed++
		}
	}
	for _, h := range s.handles {
		s.peerLeave(h)
		s.dropQueue(h, messages.ErrSessionNotFound(s.id))
		s.node.Wheel.Disarm(&h.timer)
		s.forget(&h.record, nil)
	}
	s.node.metrics.handles.Sub(float64(len(s.handles)))
	s.forget(&s.record, nil)
	s.maybeFinish()
}

// sendDestroy asks a media server to destroy its part of the session.
func (s *session) sendDestroy(server messages.Member) bool {
	if !s.node.alive(server) {
		now, serves, heard := s.node.server(server.Name)
		if !heard || !serves {
			return false
		}
		server = now // it knows what its earlier incarnation left on Janus
	}
	body := messages.Reply{Session: s.id, Transaction: []byte(`""`)}.Append(nil, janusjson.VerbDestroy.String())
	to := messages.MediaSubject{Server: server, Partition: s.part.index, Epoch: s.epoch(), Session: s.id}
	return s.node.Bus.Publish(to.String(), s.ownIdentity(0, 0), body) == nil
}

// ownIdentity is the identity of a request that the owner itself makes to a media server.
func (s *session) ownIdentity(handle, n uint64) string {
	return messages.SessionSubject{
		Partition: s.part.index, Session: s.id, Kind: messages.SessionOwn,
		Arg: strconv.FormatUint(handle, 10) + "." + strconv.FormatUint(n, 10),
	}.String()
}

// confirmed notes that a media server destroyed its part.
func (s *session) confirmed() {
	if s.ending != nil && s.ending.owed > 0 {
		s.ending.owed--
		s.maybeFinish()
	}
}

// maybeFinish finishes an ending session when nothing is owed to it any more; and when it had to be finished before its records
// were deleted, it says that they are.
func (s *session) maybeFinish() {
	switch {
	case s.ending == nil || len(s.ops) > 0:
	case s.ending.done:
		s.node.tell(s.part.self, remainsGone{s.self})
	case s.ending.owed == 0:
		s.finish()
	}
}

// maxNext bounds what is kept for the next session of an id.
const maxNext = 64

// leaveToNext keeps a create with the id of the session that is over, and what comes behind it, until nothing is left of the
// session: as soon as a client hears of the end, the id is free. It reports false for what is still this session's.
func (s *session) leaveToNext(in *inbound, create bool) bool {
	e := s.ending
	if first, _ := messages.CutRepeat(in.msg.Reply); len(e.next) == 0 && (!create || first == s.identity) || len(e.next) == maxNext {
		return false
	}
	e.next = append(e.next, in.msg)
	return true
}

// finish answers who asked for the end, and hands what must be remembered of the session to its partition. Where the store did
// not delete the records in time, that is tried on: else a later owner would take them for a session.
func (s *session) finish() {
	if s.ending == nil || s.ending.done {
		return
	}
	s.ending.done, s.ending.until = true, time.Now().Add(remainsTime)
	s.disarm()
	s.node.metrics.sessionEnds.WithLabelValues(s.ending.why).Inc()
	if s.ending.last != nil {
		s.settleOwed(s.ending.asked, s.ending.last)
	}
	s.payAll()
	if s.out != nil {
		s.node.Wheel.Disarm(&s.out.timer)
	}
	s.handles, s.out = nil, nil
	tomb := tombstone{created: s.identity, identity: s.ending.asked, reply: s.ending.last, at: time.Now()}
	s.node.tell(s.part.self, sessionEnded{id: s.id, tomb: tomb, next: s.ending.next, remains: len(s.ops) > 0})
}

// abandon stops the session, which lives on elsewhere or is over.
func (s *session) abandon() {
	s.disarm()
	for _, r := range s.ops {
		s.node.Wheel.Disarm(&r.retry)
	}
	if s.ending == nil {
		s.node.metrics.handles.Sub(float64(len(s.handles)))
	}
}

// disarm stops all timers but those of writes, so that nothing points at the session any more.
func (s *session) disarm() {
	s.node.Wheel.Disarm(&s.timer)
	if s.out != nil {
		s.node.Wheel.Disarm(&s.out.timer)
	}
	if s.ending != nil {
		s.node.Wheel.Disarm(&s.ending.timer)
	}
	for _, a := range s.absent {
		s.node.Wheel.Disarm(&a.timer)
	}
	for _, h := range s.handles {
		s.disarmHandle(h)
	}
	for _, p := range s.polls {
		s.node.Wheel.Disarm(&p.timer) // it ends by its edge's own time, as those of Janus do
	}
}

func (s *session) disarmHandle(h *handle) {
	s.node.Wheel.Disarm(&h.timer)
	s.node.Wheel.Disarm(&h.due)
	if h.resync != nil {
		s.node.Wheel.Disarm(&h.resync.due)
	}
}

// touch notes that a media server has a part of the session.
func (s *session) touch(server messages.Member) {
	if !slices.Contains(s.servers, server) {
		s.servers = append(s.servers, server)
	}
}
