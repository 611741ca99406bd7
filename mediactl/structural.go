// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// attach binds a handle: it attaches one on Janus, in a session of the client's id, which is made when there is none yet.
// It is repeat-safe by itself: a handle that is bound already stays.
func (s *server) attach(q *query) {
	if h := s.ours[handleKey{q.session, q.handle}]; h != nil {
		s.attachAgain(q, h)
		return
	}
	switch {
	case q.handle == 0:
		s.answer(q, messages.ErrUnhandled("attach"), "malformed")
		return
	case s.stage != serving:
		s.answer(q, errNoJanus, "down")
		return
	case s.full():
		s.answer(q, errFull, "full")
		return
	}
	x := s.sessions[q.session]
	if x == nil {
		if x = s.create(q.session); x == nil {
			s.answer(q, errBusy, "busy")
			return
		}
	}
	if x.phase != ready {
		s.wait(&x.waiting, q)
		return
	}
	s.sendAttach(q, x)
}

// attachAgain answers an attach for a handle that is mapped.
func (s *server) attachAgain(q *query, h *handle) {
	switch {
	case h.janus != 0:
		s.metrics.absorbed.Inc()
		reply := messages.Reply{Session: q.session, Transaction: q.Bytes(janusjson.KeyTransaction)}
		s.reply(q.session, q.handle, q.identity, reply.AppendID(nil, h.janus))
	case h.attach == q.identity:
		s.metrics.absorbed.Inc()
	default: // of another owner, or after its detach: it takes what comes of the first
		s.wait(&h.waiting, q)
	}
}

func (s *server) sendAttach(q *query, x *session) {
	r := s.open(q)
	if r == nil {
		return
	}
	var id [24]byte
	var prefixed [64]byte
	s.text = q.AppendSplice(s.text[:0],
		janusjson.Edit{Key: janusjson.KeySessionID, Value: janusjson.AppendUint(id[:0], x.id)},
		janusjson.Edit{Key: janusjson.KeyHandleID}, // Janus refuses an attach that names a handle
		janusjson.Edit{Key: janusjson.KeyTransaction, Value: r.appendTransaction(prefixed[:0])},
		janusjson.Edit{Key: janusjson.KeyAPISecret, Value: s.secret},
		janusjson.Edit{Key: janusjson.KeyToken},
	)
	if !s.sent(q, r) {
		return
	}
	x.active = s.now
	h := s.addHandle(x, q.handle)
	h.attach = q.identity
	h.plugin, _ = q.Text(janusjson.KeyPlugin)
	r.binding = h
	s.count()
}

// attached takes Janus's answer to an attach.
func (s *server) attached(r *request, verb janusjson.Verb) {
	h := r.binding
	id, ok := s.dataID()
	switch {
	case !h.gone.IsZero():
		s.forward(r) // its session was destroyed behind it
	case verb == janusjson.VerbSuccess && ok:
		s.bind(h, id)
		s.forward(r)
		if r.identity == "" && len(h.waiting) == 0 {
			s.abandonHandle(h) // whoever asked was told that it failed
		}
	case verb == janusjson.VerbError && s.janusError().Code == messages.CodeSessionNotFound:
		s.answerAnew(r, errNoJanus)
		s.endHandle(h, false)
		s.loseSession(s.sessions[r.session], "session lost by Janus")
	default:
		s.forward(r)
		s.endHandle(h, false)
	}
	queue := h.waiting
	h.waiting = nil
	s.again(queue)
}

// dataID is the id that Janus gave to what it made.
func (s *server) dataID() (uint64, bool) { return idOf(&s.said) }

// idOf is the id that a message of Janus gives to what was made.
func idOf(m *janusjson.Message) (uint64, bool) {
	data, ok := m.Object(janusjson.KeyData)
	if !ok {
		return 0, false
	}
	id, ok := data.Get("id").Uint()
	return id, ok && id != 0
}

// abandonHandle detaches a handle that nobody wants.
func (s *server) abandonHandle(h *handle) {
	if r := s.flight.open(janusjson.VerbDetach, s.now); r != nil {
		r.session, r.handle = h.session.id, h.id
		s.sendOwn(r, h.janus)
	}
}

// detached takes Janus's answer to a detach.
func (s *server) detached(r *request, verb janusjson.Verb) {
	h := s.ours[handleKey{r.session, r.handle}]
	s.passed(r, verb)
	if h != nil && verb == janusjson.VerbSuccess {
		// Its event "detached" is still to come. It is not for the client of an owner who only moved the handle elsewhere.
		s.endHandle(h, remembered(r.identity))
	}
}

// endHandle unmaps a handle, and answers what waited for it.
func (s *server) endHandle(h *handle, linger bool) {
	s.mapping.end(h, s.now, linger)
	queue := h.waiting
	h.waiting = nil
	s.again(queue)
	s.count()
}

// create makes a Janus session; nil when too much is under way.
func (s *server) create(id uint64) *session {
	x := s.newSession(id)
	if !s.sendCreate(x) {
		return nil
	}
	s.sessions[id] = x
	s.count()
	return x
}

func (s *server) newSession(id uint64) *session {
	x := &session{id: id, active: s.now, empty: s.now}
	x.due = func() { s.tell(keepaliveDue{x}) }
	return x
}

func (s *server) sendCreate(x *session) bool {
	r := s.flight.open(janusjson.VerbCreate, s.now)
	if r == nil {
		return false
	}
	r.target = x
	return s.sendOwn(r, 0)
}

// created takes Janus's answer to a create.
func (s *server) created(r *request, verb janusjson.Verb) {
	x := r.target
	if x.phase != creating {
		return
	}
	if id, _ := s.dataID(); verb == janusjson.VerbSuccess && id == x.id {
		x.phase = ready
		x.first = !x.retried && s.info.protection() == messages.JanusUp
		s.keepFrom(x, s.now)
		s.resume(x)
		return
	}
	e := s.janusError()
	if e.Code == messages.CodeSessionConflict && !x.retried {
		// A session that an earlier incarnation of this role left behind. What the owner may yet want of it must not die.
		x.retried = true
		if s.mayBeAdopted() {
			s.log.Info("session exists on Janus: claiming it", "session", x.id)
			if x.phase = adopting; s.claim(x) {
				return
			}
		} else if s.createAgain(x) {
			return
		}
	}
	s.log.Warn("session not created", "session", x.id, "error", e)
	s.failSession(x, messages.Errorf(messages.CodePluginAttach, "Couldn't create session on media server: %s", e.Reason))
}

// createAgain makes a session whose id is taken on Janus by one that nobody wants.
func (s *server) createAgain(x *session) bool {
	s.log.Info("session exists on Janus: destroying it first", "session", x.id)
	x.phase = creating
	return s.destroyOwn(x.id) && s.sendCreate(x)
}

// resume handles what waited for a session to be made or ended.
func (s *server) resume(x *session) {
	queue := x.waiting
	x.waiting = nil
	s.again(queue)
}

// failSession gives up on a session that could not be made, and answers what waited for it.
func (s *server) failSession(x *session, e *messages.Error) {
	queue := x.waiting
	x.waiting = nil
	s.drop(x)
	for _, m := range queue {
		s.answerHeld(m, e)
	}
}

// answerHeld answers a request that waited and is not to be run.
func (s *server) answerHeld(m *bus.Msg, e *messages.Error) {
	to, err := messages.ParseMediaSubject(m.Subject)
	if err != nil || janusjson.Scan(m.Data, &s.in) != nil {
		return
	}
	identity, _ := messages.CutRepeat(m.Reply)
	q := query{Message: &s.in, msg: m, verb: s.in.Verb(), session: to.Session, handle: to.Handle, identity: identity}
	if q.verb == janusjson.VerbDestroy {
		s.succeed(&q)
		return
	}
	s.answer(&q, e, "lost")
}

// destroy ends the Janus session. To the owner it succeeds in any case: afterwards there is none.
func (s *server) destroy(q *query) {
	s.undelivered.end(q.session)
	x := s.sessions[q.session]
	switch {
	case x == nil:
		if s.stage == serving && s.mayBeAdopted() {
			s.destroyOwn(q.session) // an earlier incarnation may have made it
		}
		s.succeed(q)
	case x.phase == ready:
		s.sendDestroy(q, x)
	default:
		s.wait(&x.waiting, q)
	}
}

func (s *server) succeed(q *query) {
	reply := messages.Reply{Session: q.session, Transaction: q.Bytes(janusjson.KeyTransaction)}
	s.reply(q.session, q.handle, q.identity, reply.Append(nil, "success"))
}

// sendDestroy ends a session at the wish of an owner.
func (s *server) sendDestroy(q *query, x *session) {
	r := s.open(q)
	if r == nil {
		return
	}
	var id [24]byte
	var prefixed [64]byte
	s.text = q.AppendSplice(s.text[:0],
		janusjson.Edit{Key: janusjson.KeySessionID, Value: janusjson.AppendUint(id[:0], x.id)},
		janusjson.Edit{Key: janusjson.KeyHandleID}, // Janus refuses a destroy that names a handle
		janusjson.Edit{Key: janusjson.KeyTransaction, Value: r.appendTransaction(prefixed[:0])},
		janusjson.Edit{Key: janusjson.KeyAPISecret, Value: s.secret},
		janusjson.Edit{Key: janusjson.KeyToken},
	)
	if s.sent(q, r) {
		r.target = x
		s.ending(x)
	}
}

// ending unmaps the handles of a session whose destroy was sent: the owner has no more use for them.
func (s *server) ending(x *session) {
	x.phase = ending
	s.wheel.Disarm(&x.timer)
	for x.handles != nil {
		s.endHandle(x.handles, false)
	}
}

// destroyed takes Janus's answer to a destroy, whatever it is, or its absence.
func (s *server) destroyed(r *request) {
	if x := r.target; x != nil && x.phase == ending {
		s.drop(x)
		defer s.resume(x)
	}
	s.reply(r.session, 0, r.identity,
		messages.Reply{Session: r.session, Transaction: r.transaction}.Append(nil, "success"))
}

// destroyOwn destroys a session of Janus, mapped or not. What becomes of it is not waited for.
func (s *server) destroyOwn(id uint64) bool {
	r := s.flight.open(janusjson.VerbDestroy, s.now)
	if r == nil {
		return false
	}
	r.session = id
	return s.sendOwn(r, 0)
}

// loseSession handles that Janus has lost its part of a session: the owner hears of each handle that it hung up and is
// bound no more. A nil session is none.
func (s *server) loseSession(x *session, reason string) {
	if x == nil || x.phase == over {
		return
	}
	s.log.Info("session lost", "session", x.id, "handles", x.count, "reason", reason)
	s.loseHandles(x)
	s.drop(x)
	s.resume(x)
}

func (s *server) loseHandles(x *session) {
	for h := x.handles; h != nil; h = h.next {
		if h.janus != 0 {
			s.loseHandle(h)
		}
	}
}

// loseHandle tells the owner that a handle is lost.
func (s *server) loseHandle(h *handle) {
	s.metrics.lost.Inc()
	s.event(h.session.id, h.id, messages.AppendNotice(nil, "hangup", h.session.id, h.id, errLost.Reason))
	s.event(h.session.id, h.id, messages.AppendNotice(nil, messages.VerbUnbound, h.session.id, h.id, ""))
}

// drop unmaps a session with its handles. What waited for a handle is answered.
func (s *server) drop(x *session) {
	s.wheel.Disarm(&x.timer)
	var queue []*bus.Msg
	for h := x.handles; h != nil; h = h.next {
		queue = append(queue, h.waiting...)
		h.waiting = nil
	}
	s.mapping.drop(x, s.now)
	s.count()
	s.again(queue)
}

// full reports whether the cap on handles is reached.
func (s *server) full() bool { return s.maxHandles() > 0 && len(s.ours) >= s.maxHandles() }

// count publishes the numbers of sessions and handles to whoever beats or measures.
func (s *server) count() {
	s.status.sessions.Store(int64(len(s.sessions)))
	s.status.handles.Store(int64(len(s.ours)))
}
