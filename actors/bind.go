// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

const (
	// bindWait is how long a media server may take to attach a handle before another one is tried.
	bindWait = 4 * time.Second
	// bindAgain is when it is asked once more: NATS may have lost the question, or the answer.
	bindAgain = time.Second
	// bindTries is how many media servers are tried for one request.
	bindTries = 3
	// pinWait is when it is looked again for a media server that was not there, and is the only one where the handle can be bound.
	pinWait = 500 * time.Millisecond
	// renewWait is how long Janus may take to acknowledge the name of a handle that was moved.
	renewWait = time.Second
)

// bindDue tells a session that a media server did not answer in time.
type bindDue struct{ handle, attempt uint64 }

// bind finds a Janus for a handle. In order: the placer chooses a media server, the media server attaches a handle on
// its Janus, the bind is recorded, and only then the waiting requests leave: were the record later than the first
// request, a successor could run it on a second Janus.
func (s *session) bind(h *handle) {
	h.state, h.tried, h.pinned = placing, nil, time.Time{}
	s.place(h)
}

func (s *session) place(h *handle) {
	h.state = placing
	s.node.tell(s.node.placer, place{session: s.self, handle: h.id, plugin: h.plugin, not: h.tried})
}

// onPlaced asks the chosen media server to attach.
func (s *session) onPlaced(p placed) {
	h := s.handle(p.handle)
	if h == nil || h.state != placing || s.ending != nil {
		return
	}
	if p.err != nil {
		s.failBind(h, p.err)
		return
	}
	h.state, h.server, h.reason = binding, p.server, p.reason
	h.tried = append(h.tried, p.server)
	h.attempt++
	s.reviewServer(p.server.Name) // what it is to take over of an earlier incarnation goes first
	s.touch(p.server)
	h.asked = time.Now()
	s.askBind(h)
}

// askBind asks the chosen media server to attach the handle. It does so once, however often it is asked.
func (s *session) askBind(h *handle) {
	due := bindDue{h.id, h.attempt}
	s.node.Wheel.Arm(&h.timer, bindAgain, func() { s.node.tell(s.self, due) })
	s.passOn(h, s.ownIdentity(h.id, h.attempt), h.request)
}

// askAgain repeats, with a raised epoch, what media servers refused for the old one. Edges repeat the rest.
func (s *session) askAgain() {
	for _, h := range s.handles {
		if h.state == binding {
			s.passOn(h, s.ownIdentity(h.id, h.attempt), h.request)
		}
	}
	for _, a := range s.absent {
		if !a.asked.IsZero() {
			s.askAdopt(a)
		}
	}
}

// onBindReply takes the media server's answer to an attach.
func (s *session) onBindReply(h *handle, in *inbound) {
	if h.state == renewing && in.msg.Reply == s.ownIdentity(h.id, h.attempt) {
		s.bindDone(h)
		return
	}
	if h.state != binding || in.msg.Reply != s.ownIdentity(h.id, h.attempt) {
		return // of an attempt that was given up
	}
	s.node.Wheel.Disarm(&h.timer)
	id, failure := attached(in.msg.Data)
	if failure != nil {
		s.log().Warn("attach failed", "handle", h.id, "server", h.server.Name, "error", failure)
		if time.Since(h.asked) >= bindAgain { // it was asked twice, and may yet attach
			s.giveUp(h)
		}
		s.retryBind(h, failure)
		return
	}
	h.state, h.janus = recording, id
	s.keep(&h.record, h.stored(s.epoch()), func() { s.onRecorded(h) })
}

// attached reads the answer to an attach: the id on the Janus, or why there is none.
func attached(body []byte) (uint64, *messages.Error) {
	var m janusjson.Message
	if err := janusjson.Scan(body, &m); err != nil {
		return 0, messages.Errorf(messages.CodePluginAttach, "Malformed answer of the media server")
	}
	if m.Verb() == janusjson.VerbSuccess {
		if data, ok := m.Object(janusjson.KeyData); ok {
			if id, ok := data.Get("id").Uint(); ok {
				return id, nil
			}
		}
	}
	failure := messages.Errorf(messages.CodePluginAttach, "Couldn't attach to plugin")
	if e, ok := m.Object(janusjson.KeyError); ok {
		if code, ok := e.Get("code").Int(); ok {
			failure.Code = messages.Code(code)
		}
		if reason, ok := e.Get("reason").Text(); ok {
			failure.Reason = reason
		}
	}
	return 0, failure
}

// onRecorded lets the waiting requests go to the Janus that the handle is bound to, when it has its name there: Janus hands the
// messages of one handle to several threads, so that a call could overtake the name that it is made with.
func (s *session) onRecorded(h *handle) {
	if h.state != recording || s.ending != nil {
		return
	}
	if !s.renew(h) {
		s.bindDone(h)
		return
	}
	h.state = renewing
	due := bindDue{h.id, h.attempt}
	s.node.Wheel.Arm(&h.timer, renewWait, func() { s.node.tell(s.self, due) })
}

// bindDone lets the waiting requests go.
func (s *session) bindDone(h *handle) {
	s.node.Wheel.Disarm(&h.timer)
	h.state, h.tried = bound, nil
	event := s.about(h, messages.EventHandleBound)
	event.Reason = h.reason
	s.node.emit(event)
	s.log().Debug("handle bound", "handle", h.id, "server", h.server.Name, "reason", h.reason)
	h.reason = ""
	if !s.node.alive(h.server) {
		s.reviewServer(h.server.Name)
	}
	if h.state == bound {
		s.runQueue(h)
	}
}

// runQueue lets go what waited for a handle.
func (s *session) runQueue(h *handle) {
	queue := h.queue
	h.queue, h.queued = nil, 0
	for _, q := range queue {
		s.release1(h, q)
	}
	if slices.ContainsFunc(queue, func(q queued) bool { return q.isEarly() }) {
		s.keep(&h.record, h.stored(s.epoch()), nil)
	}
	s.goOn(h)
}

// release1 passes one waiting request on, or tells an administrator that the handle is bound.
func (s *session) release1(h *handle, q queued) {
	if q.admin != "" {
		s.node.answerAdmin(q.admin, s.describe(h.id))
		return
	}
	if q.isEarly() {
		h.attempt++
		s.passOn(h, s.ownIdentity(h.id, h.attempt), q.raw)
		return
	}
	var m janusjson.Message
	if janusjson.Scan(q.raw, &m) == nil && m.Verb() == janusjson.VerbDetach {
		h.detach = q.identity
	}
	if q.repeat {
		q.identity = messages.MarkRepeat(q.identity)
	}
	s.passOn(h, q.identity, q.raw)
}

// retryBind tries another media server, or gives up. Where there can be no other, the one is waited for while it may come back.
func (s *session) retryBind(h *handle, failure *messages.Error) {
	if !h.pinned.IsZero() && s.pinAgain(h) {
		return
	}
	s.bindElsewhere(h, failure)
}

// bindElsewhere tries another media server, if there is one to be tried.
func (s *session) bindElsewhere(h *handle, failure *messages.Error) {
	h.server = messages.Member{}
	if !h.pinned.IsZero() || len(h.tried) >= bindTries {
		s.failBind(h, failure)
		return
	}
	s.place(h)
}

// pinAgain goes on with a bind to a media server that was not there: it waits for it, or asks what is there now. It reports false
// when that server has had its chance.
func (s *session) pinAgain(h *handle) bool {
	now, serves, heard := s.node.server(h.server.Name)
	switch {
	case time.Since(h.pinned) >= s.node.MediaGrace || heard && !serves:
		return false
	case heard && (h.away || now != h.server):
		h.state, h.away = placing, false
		s.onPlaced(placed{handle: h.id, server: now, reason: h.reason})
		return true
	case heard:
		return false
	}
	s.waitForPinned(h)
	return true
}

// waitForPinned looks again for the media server of a bind in a while.
func (s *session) waitForPinned(h *handle) {
	h.away = true
	due := bindDue{h.id, h.attempt}
	s.node.Wheel.Arm(&h.timer, pinWait, func() { s.node.tell(s.self, due) })
}

// failBind leaves the handle unbound and answers what waited for it.
func (s *session) failBind(h *handle, failure *messages.Error) {
	h.state, h.server, h.janus, h.tried, h.sought = unbound, messages.Member{}, 0, nil, ""
	s.log().Warn("handle not bound", "handle", h.id, "plugin", h.plugin, "error", failure)
	early := len(h.earlyTrickles()) > 0
	if s.dropQueue(h, failure); early {
		s.keep(&h.record, h.stored(s.epoch()), nil)
	}
}

// reviewBinds waits no longer for media servers that are not heard any more, or that the one before has left the name to.
func (s *session) reviewBinds() {
	for _, h := range slices.Clone(s.handles) {
		if now, _, heard := s.node.server(h.server.Name); h.state == binding && (h.away || !heard || now != h.server) {
			s.node.Wheel.Disarm(&h.timer)
			s.onBindDue(bindDue{h.id, h.attempt})
		}
	}
}

// onBindDue gives up on a media server that does not answer an attach.
func (s *session) onBindDue(due bindDue) {
	h := s.handle(due.handle)
	if h != nil && h.state == renewing && h.attempt == due.attempt && s.ending == nil {
		s.bindDone(h)
		return
	}
	if h == nil || h.state != binding || h.attempt != due.attempt || s.ending != nil {
		return
	}
	now, _, heard := s.node.server(h.server.Name)
	if heard && now == h.server && !h.away && time.Since(h.asked) < bindWait {
		s.askBind(h)
		return
	}
	if !h.pinned.IsZero() && s.pinAgain(h) {
		return // what it may have attached is welcome
	}
	s.giveUp(h)
	s.bindElsewhere(h, messages.Errorf(messages.CodePluginAttach, "Media server %s did not answer", h.server.Name))
}

// giveUp detaches what a media server may attach after all: it does what one handle is asked for in order.
func (s *session) giveUp(h *handle) {
	body := messages.Reply{Session: s.id, Transaction: []byte(`""`)}.Append(nil, janusjson.VerbDetach.String())
	s.passOn(h, s.ownIdentity(h.id, 0), body)
}

// onUnheard handles that a request of our own met no media server: arg is <handle>.<n> of its identity.
func (s *session) onUnheard(arg string) {
	handleID, n, _ := strings.Cut(arg, ".")
	id, _ := strconv.ParseUint(handleID, 10, 64)
	attempt, _ := strconv.ParseUint(n, 10, 64)
	if id == 0 {
		s.confirmed()
		return
	}
	h := s.handle(id)
	if h == nil || h.state != binding || h.attempt != attempt || s.ending != nil {
		return
	}
	s.node.Wheel.Disarm(&h.timer)
	if !h.pinned.IsZero() && time.Since(h.pinned) < s.node.MediaGrace { // others may not know yet that it is gone
		s.waitForPinned(h)
		return
	}
	s.retryBind(h, messages.Errorf(messages.CodePluginAttach, "Media server %s is not there", h.server.Name))
}

// unbind frees a handle whose Janus was lost: its next message binds it anew.
func (s *session) unbind(h *handle, why string) {
	if h.state == renewing {
		s.bindDone(h) // what waits is answered as lost
	}
	if h.state != bound && h.state != adrift {
		return
	}
	event := s.about(h, messages.EventHandleUnbound)
	event.Reason = why
	h.state, h.server, h.janus, h.detach, h.engaged, h.live = unbound, messages.Member{}, 0, "", false, false
	h.certain = true
	s.forgetTold(h)
	s.keep(&h.record, h.stored(s.epoch()), nil)
	s.node.emit(event)
	s.log().Info("handle unbound", "handle", h.id, "reason", why)
	s.refuseQueue(h, errServerLost)
	s.rebind(h)
	s.outcome(h)
}
