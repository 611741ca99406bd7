// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// peerCall calls who has the name. Until he has answered that it rings, the handle is busy for others already.
func (s *session) peerCall(h *handle, r *request, username janusjson.Value) {
	p := h.peer
	key := plugin.KeyOf(username)
	switch _, ok := username.Text(); {
	case p.name == "":
		s.peerRefuse(h, r, &peerError{473, "Register a username first"})
		return
	case p.call != "":
		s.peerRefuse(h, r, &peerError{480, "Already in a call"})
		return
	case !ok:
		s.peerRefuse(h, r, missing(username, "username"))
		return
	case key == p.name:
		s.peerRefuse(h, r, &peerError{479, "You can't call yourself... use the EchoTest for that"})
		return
	}
	call := r.identity
	p.begin(call, messages.RoomMember{})
	p.calling = key
	first := s.peerWords(h, messages.PeerCall, r.Bytes(janusjson.KeyJsep), "")
	for _, candidate := range p.early {
		s.peerSay(h, messages.PeerTrickle, candidate, "")
	}
	p.early = nil
	n, name := s.node, messages.RoomName{Plugin: h.plugin, Key: key}
	s.peerAsk(h, func(ctx context.Context) func() {
		found := n.askRoom(ctx, name, messages.RoomAsk{})
		var answer messages.PeerAnswer
		if found.Member != nil {
			first.To = *found.Member
			answer = n.askPeer(ctx, first)
		}
		return func() { s.peerRings(h, r, first, found, answer) }
	})
}

// begin begins a call.
func (p *peer) begin(call string, with messages.RoomMember) {
	p.call, p.with, p.heard = call, with, 0
}

// peerRings goes on when the other side was told of a call, or could not be.
func (s *session) peerRings(h *handle, r *request, first messages.PeerMessage, found messages.RoomAnswer, answer messages.PeerAnswer) {
	p := h.peer
	rings := found.Member != nil && !answer.Gone && !answer.Busy && first.Data != nil
	if p.call != first.Call || s.ending != nil || s.handle(h.id) != h {
		if with := found.Member; p.call != "" && with != nil && with.Session == p.with.Session && with.Handle == p.with.Handle {
			s.peerRefuse(h, r, &peerError{480, "Already in a call"}) // he was quicker
		}
		if rings { // the caller left meanwhile
			s.peerOver([]messages.PeerMessage{{
				Kind: messages.PeerHangup, To: first.To, From: first.From, Name: first.Name, Call: first.Call, N: first.N + 1, Reason: "Remote WebRTC hangup",
			}})
		}
		return
	}
	if rings {
		p.with = first.To
		s.keep(&h.record, h.stored(s.epoch()), nil)
		s.peerResult(h, r, "event", `"calling"`)
		s.peerSend(h)
		return
	}
	p.begin("", messages.RoomMember{})
	switch {
	case found.Error != nil:
		s.peerRefuse(h, r, &peerError{499, found.Error.Reason})
	case found.Member == nil || answer.Gone:
		body, _ := r.Object(janusjson.KeyBody)
		name, _ := body.Get("username").Text()
		s.peerRefuse(h, r, &peerError{478, "Username '" + name + "' doesn't exist"})
	case answer.Busy:
		s.peerResult(h, r, "event", `"hangup"`, "username", p.name, "reason", `"User busy"`)
	default:
		s.peerRefuse(h, r, &peerError{482, "Missing SDP"})
	}
}

// peerAccept accepts a call.
func (s *session) peerAccept(h *handle, r *request) {
	switch {
	case h.peer.call == "":
		s.peerRefuse(h, r, &peerError{481, "No incoming call to accept"})
	case !r.Has(janusjson.KeyJsep):
		s.peerRefuse(h, r, &peerError{482, "Missing SDP"})
	default:
		s.peerSay(h, messages.PeerAccepted, r.Bytes(janusjson.KeyJsep), "")
		s.peerSend(h)
		s.peerResult(h, r, "event", `"accepted"`)
	}
}

// peerSet passes a new negotiation on. What else is set concerns media that do not come by.
func (s *session) peerSet(h *handle, r *request, body janusjson.Object) {
	if e := checkSet(body); e != nil {
		s.peerRefuse(h, r, e)
		return
	}
	if h.peer.call != "" && r.Has(janusjson.KeyJsep) {
		s.peerSay(h, messages.PeerUpdate, r.Bytes(janusjson.KeyJsep), "")
		s.peerSend(h)
	}
	s.peerResult(h, r, "event", `"set"`)
}

// checkSet is set_parameters of the plugin.
func checkSet(body janusjson.Object) *peerError {
	for _, p := range []struct{ name, want string }{
		{"audio", "a boolean"}, {"video", "a boolean"}, {"bitrate", "a positive integer"}, {"record", "a boolean"},
		{"filename", "a string"}, {"restart", "a boolean"},
	} {
		v := body.Get(p.name)
		n, whole := v.Int()
		fits := map[string]bool{
			"a boolean":          v.Kind() == janusjson.KindTrue || v.Kind() == janusjson.KindFalse,
			"a positive integer": whole && n >= 0, "a string": v.Kind() == janusjson.KindString,
		}[p.want]
		if v.Kind() != janusjson.KindAbsent && !fits {
			return &peerError{474, "Invalid element type (" + p.name + " should be " + p.want + ")"}
		}
	}
	for _, name := range []string{"substream", "temporal"} {
		if n, whole := body.Get(name).Int(); body.Get(name).Kind() != janusjson.KindAbsent && (!whole || n < 0 || n > 2) {
			return &peerError{474, "Invalid value (" + name + " should be 0, 1 or 2)"}
		}
	}
	if n, whole := body.Get("fallback").Int(); body.Get("fallback").Kind() != janusjson.KindAbsent && (!whole || n < 0) {
		return &peerError{474, "Invalid value (fallback should be a positive integer)"}
	}
	return nil
}

// peerHangup ends a call at the client's wish.
func (s *session) peerHangup(h *handle, r *request, body janusjson.Object) {
	p := h.peer
	reason, ok := body.Get("reason").Text()
	if !ok {
		reason = "We did the hangup"
	}
	fields := []string{"event", `"hangup"`}
	if p.name != "" {
		fields = append(fields, "username", p.name)
	}
	s.peerResult(h, r, append(fields, "reason", `"Explicit hangup"`)...)
	if p.call != "" {
		s.hangUp(h, reason, "Close PC")
	}
}

// hangUp ends the call of a handle: the other side hears reason, its own client why its PeerConnection is over.
func (s *session) hangUp(h *handle, reason, why string) {
	s.peerSay(h, messages.PeerHangup, nil, reason)
	s.peerSend(h)
	s.peerEnded(h, why)
}

// peerEnded forgets the call. What is still to be said goes out.
func (s *session) peerEnded(h *handle, why string) {
	h.peer.call, h.peer.with, h.peer.early = "", messages.RoomMember{}, nil
	s.keep(&h.record, h.stored(s.epoch()), nil)
	s.notify(messages.AppendNotice(nil, "hangup", s.id, h.id, why))
}

// peerTrickle passes candidates on, or keeps them for the call that they are for.
func (s *session) peerTrickle(h *handle, r *request) {
	one, many := r.Has(janusjson.KeyCandidate), r.Has(janusjson.KeyCandidates)
	list, isList := r.Value(janusjson.KeyCandidates).Array()
	switch {
	case !one && !many:
		s.refuse(r, messages.ErrMissing("candidate|candidates"))
		return
	case one && many:
		s.refuse(r, messages.Errorf(messages.CodeInvalidJSON, "Can't have both candidate and candidates"))
		return
	case many && !isList:
		s.refuse(r, messages.Errorf(messages.CodeInvalidElementType, "candidates is not an array"))
		return
	}
	s.answer(r, "ack")
	if h.peer.again(r) {
		return
	}
	if one {
		s.peerCandidate(h, r.Value(janusjson.KeyCandidate))
		return
	}
	for v := range list.All() {
		s.peerCandidate(h, v)
	}
}

// peerCandidate passes one candidate on; null is the end of them.
func (s *session) peerCandidate(h *handle, v janusjson.Value) {
	p, candidate := h.peer, json.RawMessage(v.Bytes())
	switch {
	case v.Kind() == janusjson.KindNull:
		candidate = json.RawMessage(`{"completed":true}`)
	case v.Kind() != janusjson.KindObject:
		return
	}
	if p.call == "" {
		if len(p.early) < maxEarly {
			p.early = append(p.early, candidate)
		}
		return
	}
	s.peerSay(h, messages.PeerTrickle, candidate, "")
	s.peerSend(h)
}

// peerWords is something for the other side. Its number grows over take-overs, too.
func (s *session) peerWords(h *handle, kind messages.PeerKind, data []byte, reason string) messages.PeerMessage {
	p := h.peer
	p.said = max(p.said+1, time.Now().UnixMicro())
	return messages.PeerMessage{
		Kind: kind, To: p.with, From: *s.member(h), Name: json.RawMessage(p.name), Call: p.call, N: p.said, Data: data, Reason: reason,
	}
}

// peerSay queues something for the other side.
func (s *session) peerSay(h *handle, kind messages.PeerKind, data []byte, reason string) {
	if len(h.peer.out) >= maxPeerOut && kind != messages.PeerHangup {
		s.node.metrics.dropped.WithLabelValues("call full").Inc()
		return
	}
	h.peer.out = append(h.peer.out, s.peerWords(h, kind, data, reason))
}

// peerSend says the next to the other side, when the one before was answered. What was queued before the other side was known
// waits until it is, or comes to nothing.
func (s *session) peerSend(h *handle) {
	p := h.peer
	p.out = slices.DeleteFunc(p.out, func(m messages.PeerMessage) bool { return m.To.Session == 0 && m.Call != p.call })
	if p.sending || len(p.out) == 0 {
		return
	}
	m := p.out[0]
	if m.To.Session == 0 {
		if m.To = p.with; m.To.Session == 0 {
			return
		}
	}
	p.sending = true
	n := s.node
	n.errand(s.self, func(ctx context.Context) any {
		ctx, cancel := context.WithTimeout(ctx, peerWait)
		defer cancel()
		answer := n.askPeer(ctx, m)
		lost := answer.Gone || ctx.Err() != nil
		return peerStep{func() { s.peerSaid(h, m, lost) }}
	})
}

func (s *session) peerSaid(h *handle, m messages.PeerMessage, lost bool) {
	p := h.peer
	p.sending = false
	p.out = slices.DeleteFunc(p.out, func(o messages.PeerMessage) bool { return o.N == m.N || lost && o.Call == m.Call })
	if s.ending != nil || s.handle(h.id) != h {
		return
	}
	if lost && p.call == m.Call && p.call != "" {
		s.peerLost(h, nil)
	}
	s.peerSend(h)
}

// peerLost ends a call whose other side hung up, or is gone; name is that of the other side, if he said so.
func (s *session) peerLost(h *handle, m *messages.PeerMessage) {
	fields := []string{"event", `"hangup"`}
	reason := "Remote WebRTC hangup"
	if m != nil {
		fields, reason = append(fields, "username", string(m.Name)), m.Reason
	}
	s.peerEvent(h, nil, plugin.AppendCallResult(nil, append(fields, "reason", string(janusjson.AppendQuoted(nil, reason)))...), nil)
	s.peerEnded(h, "Close PC")
}

// peerLeave gives up what a handle has that ends: its call and its name.
func (s *session) peerLeave(h *handle) {
	p := h.peer
	if p == nil {
		return
	}
	if p.call != "" && p.with.Session != 0 {
		s.peerSay(h, messages.PeerHangup, nil, "Remote WebRTC hangup")
	}
	s.peerOver(p.out)
	p.out, p.call = nil, ""
	if p.name != "" {
		s.freeName(h, p.name)
	}
}

// peerOver says the last words of a handle.
func (s *session) peerOver(last []messages.PeerMessage) {
	last = slices.DeleteFunc(slices.Clone(last), func(m messages.PeerMessage) bool { return m.To.Session == 0 })
	if len(last) == 0 {
		return
	}
	n := s.node
	n.errand(s.self, func(ctx context.Context) any {
		for _, m := range last {
			if n.askPeer(ctx, m).Gone {
				break
			}
		}
		return peerStep{func() {}}
	})
}

// onPeer takes what another handle says.
func (s *session) onPeer(in *inbound) {
	var m messages.PeerMessage
	if in.msg.Reply == "" || json.Unmarshal(in.msg.Data, &m) != nil {
		s.node.metrics.dropped.WithLabelValues("malformed").Inc()
		return
	}
	answer := messages.PeerAnswer{Gone: true}
	if h := s.handle(in.subject.Handle()); h != nil && h.peer != nil && s.ending == nil {
		answer = s.peerHears(h, &m)
	} else if s.unread {
		return // it may be known in a moment; it is asked again
	}
	answerPeer(s.node, in.msg.Reply, answer)
}

func answerPeer(n *Node, to string, a messages.PeerAnswer) {
	data, err := json.Marshal(a)
	if err != nil || n.Bus.Publish(to, "", data) != nil {
		n.metrics.dropped.WithLabelValues("disconnected").Inc() // it is asked again
	}
}

// peerHears lets a handle hear what another one says.
func (s *session) peerHears(h *handle, m *messages.PeerMessage) messages.PeerAnswer {
	p := h.peer
	switch {
	case m.Kind == messages.PeerHeld:
		return messages.PeerAnswer{Gone: p.name != string(m.Name) && p.asking != string(m.Name)}
	case m.Kind == messages.PeerCall && p.call != m.Call:
		return s.peerIncoming(h, m)
	case p.call != m.Call, p.with.Session != m.From.Session, p.with.Handle != m.From.Handle:
		return messages.PeerAnswer{Gone: true}
	case m.N <= p.heard:
		return messages.PeerAnswer{} // again
	}
	p.heard = m.N
	switch m.Kind {
	case messages.PeerAccepted:
		s.peerEvent(h, nil, plugin.AppendCallResult(nil, "event", `"accepted"`, "username", string(m.Name)), m.Data)
	case messages.PeerUpdate:
		s.peerEvent(h, nil, plugin.AppendCallResult(nil, "event", `"update"`), m.Data)
	case messages.PeerTrickle:
		out := messages.AppendNotice(nil, "trickle", s.id, h.id, "")
		s.notify(append(append(append(out[:len(out)-1], `,"candidate":`...), m.Data...), '}'))
	case messages.PeerHangup:
		s.peerLost(h, m)
	}
	return messages.PeerAnswer{}
}

// givesWay reports whether the call that the handle is about to begin comes second to one that it gets: of two who call each
// other at once, the call of the lesser name is the one.
func (p *peer) givesWay(m *messages.PeerMessage) bool {
	return p.with.Session == 0 && p.calling == string(m.Name) && string(m.Name) < p.name && m.Data != nil
}

// peerIncoming rings, unless the handle is in a call already.
func (s *session) peerIncoming(h *handle, m *messages.PeerMessage) messages.PeerAnswer {
	p := h.peer
	switch {
	case p.name == "":
		return messages.PeerAnswer{Gone: true}
	case p.call != "" && !p.givesWay(m):
		return messages.PeerAnswer{Busy: true}
	case m.Data == nil:
		return messages.PeerAnswer{}
	}
	early := p.early
	p.begin(m.Call, m.From)
	p.early, p.heard = nil, m.N
	s.keep(&h.record, h.stored(s.epoch()), nil)
	s.peerEvent(h, nil, plugin.AppendCallResult(nil, "event", `"incomingcall"`, "username", string(m.Name)), m.Data)
	for _, candidate := range early {
		s.peerSay(h, messages.PeerTrickle, candidate, "")
	}
	s.peerSend(h)
	return messages.PeerAnswer{}
}
