// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"strconv"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// received is a message of Janus.
type received struct {
	link *link
	raw  []byte
}

// fromJanus takes a message of Janus. It trusts nothing in it: a Janus with a broken plugin must not harm the others.
func (s *server) fromJanus(m *received) {
	if m.link != s.link || s.link == nil {
		s.metrics.drop("old_connection")
		return
	}
	s.heard = time.Now()
	if err := janusjson.Scan(m.raw, &s.said); err != nil {
		s.metrics.drop("garbage")
		s.log.Warn("Janus said something that is no message", "bytes", len(m.raw), "error", err)
		return
	}
	switch verb := s.said.Verb(); verb {
	case janusjson.VerbAck, janusjson.VerbSuccess, janusjson.VerbError, janusjson.VerbPong, janusjson.VerbServerInfo:
		s.fromJanusReply(verb)
	case janusjson.VerbTimeout:
		s.onTimeout()
	default:
		s.fromJanusEvent(verb)
	}
}

// fromJanusReply finds the request that Janus answers.
func (s *server) fromJanusReply(verb janusjson.Verb) {
	r := s.flight.take(s.cutTransaction())
	if r == nil {
		s.metrics.drop("late_reply")
		if verb == janusjson.VerbError && !s.said.Has(janusjson.KeyTransaction) {
			s.log.Error("Janus did not understand us", "code", s.janusError().Code)
		}
		return
	}
	s.memory.stop(r)
	switch r.verb {
	case janusjson.VerbMessage, janusjson.VerbTrickle, janusjson.VerbHangup:
		s.passed(r, verb)
	case janusjson.VerbDetach:
		s.detached(r, verb)
	case janusjson.VerbAttach:
		s.attached(r, verb)
	case janusjson.VerbDestroy:
		s.destroyed(r)
	case janusjson.VerbCreate:
		s.created(r, verb)
	case janusjson.VerbKeepalive:
		if r.identity != "" {
			s.passed(r, verb) // of an owner: what was said before is behind it
			break
		}
		s.keptAlive(r, verb)
	case janusjson.VerbPing:
		s.metrics.ping.Observe(s.heard.Sub(s.pinged).Seconds())
	case janusjson.VerbInfo:
		s.onInfo(r, verb)
	case janusjson.VerbClaim:
		s.claimed(r, verb)
	}
	s.flight.free(r)
	s.checkIdle()
}

// cutTransaction reads our prefix from the transaction, 0 where there is none, and leaves the client's part in s.own.
func (s *server) cutTransaction() uint64 {
	s.own = s.own[:0]
	if s.said.Kind(janusjson.KeyTransaction) != janusjson.KindString {
		return 0
	}
	var prefix []byte
	s.own, prefix, _ = janusjson.AppendCut(s.own, s.said.Bytes(janusjson.KeyTransaction))
	n, err := strconv.ParseUint(string(prefix), prefixBase, 64)
	if err != nil {
		return 0
	}
	return n
}

// prefixBase is the base in which prefixes of transactions are written: short, and no characters to escape.
const prefixBase = 36

// appendTransaction writes the transaction that r has on Janus.
func (r *request) appendTransaction(dst []byte) []byte {
	var prefix [16]byte
	return janusjson.AppendPrefixed(dst, string(strconv.AppendUint(prefix[:0], r.prefix, prefixBase)), r.transaction)
}

// passed hands Janus's answer to whoever asked.
func (s *server) passed(r *request, verb janusjson.Verb) {
	if verb == janusjson.VerbError {
		switch s.janusError().Code {
		case messages.CodeSessionNotFound:
			// To the client its session lives on: what was lost is this Janus's part of it.
			s.answerAnew(r, errLost)
			s.loseSession(s.sessions[r.session], "session lost by Janus")
			return
		case messages.CodeHandleNotFound:
			s.notThere(r)
			return
		}
	}
	s.forward(r)
}

// notThere handles that Janus does not have a handle that it was to have.
func (s *server) notThere(r *request) {
	h := s.ours[handleKey{r.session, r.handle}]
	switch {
	case h == nil || !h.held:
		s.answerAnew(r, messages.ErrHandleNotFound(r.handle, r.session)) // Janus names its own id
		if h != nil {
			s.endHandle(h, true) // its event "detached" may still be to come
		}
		return
	// It ended before this incarnation could hear of it.
	case r.verb == janusjson.VerbDetach:
		s.keepReply(r, messages.Reply{Session: r.session, Transaction: r.transaction}.Append(nil, "success"))
		if remembered(r.identity) {
			s.event(r.session, r.handle, messages.AppendNotice(nil, "detached", r.session, r.handle, ""))
		}
	default:
		s.answerAnew(r, errLost)
		s.loseHandle(h)
	}
	s.endHandle(h, false)
}

// forward publishes what Janus answered, under the client's transaction and our handle id, and remembers it.
func (s *server) forward(r *request) {
	s.keepReply(r, s.restored(r.handle))
}

// answerAnew answers a request that ran with an error instead of what Janus said.
func (s *server) answerAnew(r *request, e *messages.Error) {
	s.keepReply(r, messages.Reply{Session: r.session, Transaction: r.transaction}.AppendError(nil, e))
}

func (s *server) keepReply(r *request, body []byte) {
	if s.reply(r.session, r.handle, r.identity, body) {
		body = messages.Reply{Session: r.session, Transaction: r.transaction}.AppendError(nil, errTooLarge)
		s.reply(r.session, r.handle, r.identity, body)
	}
	if r.key != 0 {
		s.memory.keep(r.key, r.identity, body, s.now)
	}
}

// restored is what Janus said, with the transaction as the client wrote it (s.own) and the handle's id in the cluster.
func (s *server) restored(handle uint64) []byte {
	var id [24]byte
	var edits [2]janusjson.Edit
	n := 0
	if len(s.own) > 0 {
		edits[n] = janusjson.Edit{Key: janusjson.KeyTransaction, Value: s.own}
		n++
	}
	if s.said.Has(janusjson.KeySender) {
		edits[n] = janusjson.Edit{Key: janusjson.KeySender, Value: janusjson.AppendUint(id[:0], handle)}
		n++
	}
	return s.said.AppendSplice(nil, edits[:n]...)
}

// janusError reads the error of what Janus said; never nil.
func (s *server) janusError() *messages.Error { return errorOf(&s.said) }

// errorOf reads the error of a message of Janus; never nil.
func errorOf(m *janusjson.Message) *messages.Error {
	e := &messages.Error{Code: messages.CodeUnknown}
	if o, ok := m.Object(janusjson.KeyError); ok {
		if code, ok := o.Get("code").Int(); ok {
			e.Code = messages.Code(code)
		}
		e.Reason, _ = o.Get("reason").Text()
	}
	return e
}

// fromJanusEvent passes on what Janus says of its own accord.
func (s *server) fromJanusEvent(verb janusjson.Verb) {
	id, _ := s.said.Uint(janusjson.KeySessionID)
	if s.sessions[id] == nil {
		s.metrics.drop("stray_event")
		return
	}
	sender, ok := s.said.Uint(janusjson.KeySender)
	if !ok {
		s.cutTransaction()
		s.event(id, 0, s.restored(0))
		return
	}
	h := s.janus[handleKey{id, sender}]
	if h == nil {
		s.metrics.drop("stray_event")
		return
	}
	s.cutTransaction()
	s.event(id, h.id, s.restored(h.id))
	switch verb {
	case janusjson.VerbWebRTCUp:
		h.live, h.assumed = true, false
	case janusjson.VerbHangup:
		h.live, h.assumed, h.negotiated = false, false, false
	case janusjson.VerbEvent:
		h.negotiated = h.negotiated || s.said.Has(janusjson.KeyJsep)
	case janusjson.VerbDetached:
		s.endHandle(h, false)
	}
}

// event publishes an event of a session or one of its handles (0: none).
func (s *server) event(session, handle uint64, body []byte) {
	s.seq++
	s.metrics.events.Inc()
	before, dropped := s.undelivered.add(session, keptEvent{handle, s.seq, body}, s.now)
	from := messages.AppendOrigin(make([]byte, 0, 96), s.origin, s.seq, before)
	if dropped > 0 {
		s.metrics.overflow.Add(float64(dropped))
	}
	if s.publish(messages.HandleSubject(session, messages.SessionEvent, handle), string(from), body) != nil {
		s.metrics.drop("event_disconnected")
	}
}

// onTimeout handles that Janus timed a session out: it lost its part of it. The client's session is the owner's to end.
func (s *server) onTimeout() {
	id, _ := s.said.Uint(janusjson.KeySessionID)
	if x := s.sessions[id]; x != nil && x.phase == ready {
		s.loseSession(x, "session timed out on Janus")
	}
}
