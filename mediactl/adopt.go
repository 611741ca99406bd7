// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"encoding/json"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
)

const (
	// adoptTime is how long after the start of this role the owner of a session may still have to say which handles, made by an
	// earlier incarnation, are to be kept.
	adoptTime = 15 * time.Second
	// sureTime is how long what this role held in an earlier incarnation is kept without its owner asking for it.
	sureTime = time.Minute
)

// adopt goes on with the handles that an earlier incarnation of this role had in a session of this Janus, at the wish of their
// owner: the session is claimed, and the handles are mapped. The owner asks again until it is told that they are, or that they
// are lost; so nothing is kept here for what cannot be done at the moment.
func (s *server) adopt(m *bus.Msg) {
	var a messages.Adopt
	if json.Unmarshal(m.Data, &a) != nil || a.Session == 0 {
		s.metrics.drop("malformed")
		return
	}
	to := messages.MediaSubject{Server: s.member, Partition: messages.PartitionOf(a.Session), Epoch: a.Epoch, Session: a.Session}
	if highest, ok := s.fence.admit(to.Partition, a.Epoch); !ok {
		s.refuse(to, "", highest)
		return
	}
	if s.stage != serving {
		s.metrics.drop("down")
		return
	}
	x := s.sessions[a.Session]
	switch {
	case x == nil && len(a.Handles) == 0:
		s.destroyOwn(a.Session) // nobody wants what Janus may have of it
		s.tellAdopted(a.Session, nil)
	case x == nil:
		s.takeOver(&a)
	case x.phase == ready || x.phase == adopting:
		s.confirm(x, &a)
	case len(x.waiting) < maxWaiting:
		x.waiting = append(x.waiting, m)
	}
}

// takeOver claims a session of an earlier incarnation, with the handles that its owner knows of. What else Janus has in it ends
// with the session.
func (s *server) takeOver(a *messages.Adopt) {
	x := s.newSession(a.Session)
	x.phase = adopting
	if !s.claim(x) {
		return
	}
	s.sessions[x.id] = x
	for _, held := range a.Handles {
		s.mapHeld(x, held)
	}
	s.count()
}

func (s *server) mapHeld(x *session, held messages.HoldingHandle) {
	h := s.addHandle(x, held.Handle)
	h.plugin, h.attach, h.live, h.assumed, h.held = held.Plugin, held.Attach, held.Live, held.Assumed, true
	s.bind(h, held.Janus)
}

// confirm compares what an owner wants of a session with what is mapped.
func (s *server) confirm(x *session, a *messages.Adopt) {
	x.unsure = time.Time{}
	kept := make([]uint64, 0, len(a.Handles))
	for _, held := range a.Handles {
		h := s.ours[handleKey{x.id, held.Handle}]
		switch {
		case h == nil && x.inherited && s.janus[handleKey{x.id, held.Janus}] == nil:
			s.mapHeld(x, held)
		case h == nil || h.janus != held.Janus:
			s.loseHandle(&handle{session: x, id: held.Handle})
			continue
		default:
			h.unsure = false
			if h.assumed { // else Janus has told since
				h.live, h.assumed = held.Live, held.Assumed
			}
		}
		kept = append(kept, held.Handle)
	}
	if a.Whole {
		s.endUnsure(x)
	}
	s.count()
	if x.phase == ready {
		s.tellAdopted(x.id, kept)
	}
}

// endUnsure detaches what an earlier incarnation had and nobody has asked for. The owner has given it up, and may use the id of
// the handle again: it is to hear nothing of this.
func (s *server) endUnsure(x *session) {
	for h := x.handles; h != nil; {
		next := h.next
		if h.unsure && h.janus != 0 {
			s.endHandle(h, false)
			if r := s.flight.open(janusjson.VerbDetach, s.now); r != nil {
				r.session = x.id
				s.sendOwn(r, h.janus)
			}
		}
		h = next
	}
}

// adopted takes Janus's consent to the claim of a session that an earlier incarnation had.
func (s *server) adopted(x *session) {
	x.phase, x.inherited = ready, true
	s.log.Debug("session adopted", "session", x.id, "handles", x.count)
	s.tellMapped(x)
	s.resume(x)
}

// notClaimed handles that Janus does not have a session that was to be claimed.
func (s *server) notClaimed(x *session) {
	if x.phase == adopting && x.retried { // an attach waits for it
		s.loseHandles(x)
		for x.handles != nil {
			s.endHandle(x.handles, false)
		}
		if s.createAgain(x) {
			return
		}
	}
	s.loseSession(x, "session lost by Janus")
}

// tellMapped tells the owner of a session which of its handles are in hand.
func (s *server) tellMapped(x *session) {
	var bound []uint64
	for h := x.handles; h != nil; h = h.next {
		if h.janus != 0 {
			bound = append(bound, h.id)
		}
	}
	for len(bound) > messages.MaxAdopt {
		s.tellAdopted(x.id, bound[:messages.MaxAdopt])
		bound = bound[messages.MaxAdopt:]
	}
	s.tellAdopted(x.id, bound)
}

func (s *server) tellAdopted(session uint64, handles []uint64) {
	s.metrics.adopted.Add(float64(len(handles)))
	s.tellOwner(session, messages.Adopted{From: s.member, Handles: handles})
}

func (s *server) tellOwner(session uint64, m messages.Adopted) {
	body, err := json.Marshal(m)
	if err == nil {
		err = s.publish(messages.HandleSubject(session, messages.SessionAdopted, 0), "", body)
	}
	if err != nil {
		s.metrics.drop("disconnected")
	}
}

// mayBeAdopted reports whether the owner of a session may still have to say what it wants of it.
func (s *server) mayBeAdopted() bool { return s.now.Sub(s.memory.born) < adoptTime }

// renew goes on as another incarnation: whatever was sent to the one before is dropped. Janus may say on the old connection what
// it has to say; its answers tell what became of the requests that it was given.
func (s *server) renew(now time.Time) {
	was := s.member
	next, ok := s.renewed()
	if !ok {
		return
	}
	s.member, s.names = next, namesOf(next)
	s.log.Warn("was kept from running: going on as another incarnation", "was", was.String(), "now", s.member.String())
	s.heard, s.ticked = now, now // it was us who did not listen
	s.held, s.heldBytes = nil, 0
	for _, x := range s.sessions {
		x.unsure, x.waiting = now, nil
		for h := x.handles; h != nil; h = h.next {
			h.unsure, h.waiting = true, nil
		}
	}
	s.beat()
}
