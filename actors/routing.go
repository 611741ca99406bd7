// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/wheel"
)

// maxRoomKey bounds the id of a room, in bytes as JSON: it is part of a subject. A longer one means nothing to others.
const maxRoomKey = 1024

// routing is the state of a handle whose plugin has rooms with homes.
type routing struct {
	router  plugin.Router // nil: the plugin has none
	engaged bool          // in a room or a call: it stays where it is
	certain bool          // so it was told; a handle of another owner's time is taken for engaged until its record is read
	live    bool          // it has a PeerConnection, which ends with the handle there
	assumed bool          // so nobody knows: its media server was not there to tell when the handle was taken over
	pinned  time.Time     // since when a bind is under way that is to one server and no other; zero: none is
	away    bool          // that server was not there
	moved   bool          // it was on another server before, whose events are not the client's any more
	errand  string        // identity of the message that is being looked after; empty: none
	last    string        // identity of the last that was answered with an event
	sought  string        // transaction of a message that may engage the handle, until its event has come; empty: none
	due     wheel.Timer   // of that event
	behind  []queued      // what waits for the one or the other, in order
	naming
}

// outcomeWait is how long the event that says what became of a message is waited for before the next that may move the handle.
const outcomeWait = 5 * time.Second

// outcomeDue tells a session that an event has not come.
type outcomeDue struct {
	handle uint64
	sought string
}

// errandDone is the outcome of looking after a message.
type errandDone struct {
	handle   uint64
	identity string
	route    plugin.Route
	raw      []byte              // the message
	answer   messages.RoomAnswer // of the room's owner, or of all
	moves    bool                // the owner of the handle's own name knows that it moves
}

// route looks after a message that need not go where the handle is bound. It reports false when the message simply follows
// the handle.
func (s *session) route(h *handle, r *request) bool {
	if h.router == nil {
		return false
	}
	first, _ := messages.CutRepeat(r.identity)
	switch {
	case h.errand == first:
		return true // a repeat of what is being looked after
	case h.last == first:
		s.answer(r, "ack") // a repeat of what was answered with an event
		return true
	case h.errand != "", len(h.behind) > 0, h.state != unbound && h.state != bound:
		s.waitBehind(h, r, first)
		return true
	}
	body, ok := r.Object(janusjson.KeyBody)
	if !ok {
		return false
	}
	route := h.router.Route(body)
	if route.Verb == plugin.Manage && !route.Creates && r.Has(janusjson.KeyJsep) {
		route.Verb = plugin.Bind // Janus sets a PeerConnection up on the handle, whatever the plugin makes of it
	}
	switch {
	case h.sought != "" && !h.engaged && (route.Verb == plugin.Bind || route.Verb == plugin.Claim):
		s.waitBehind(h, r, first) // what came of the one before decides where the handle may be
		return true
	case !h.leads(route, r):
		return false
	}
	h.errand = first
	s.lookAfter(h, route, errandDone{handle: h.id, identity: r.identity, route: route, raw: r.raw}, body.Bytes())
	return true
}

// leads reports whether a message with this route may belong elsewhere than where the handle is.
func (h *handle) leads(route plugin.Route, r *request) bool {
	switch {
	case route.Verb == plugin.Any, len(route.Key) > maxRoomKey, h.named(route):
		return false
	case route.Verb == plugin.Bind && route.Within:
		return route.Key != "" && h.state == bound && h.engaged
	case route.Verb == plugin.Bind:
		return route.Key != "" && !h.engaged && (!h.live || route.Away != "")
	case route.Verb == plugin.Claim:
		return true
	}
	return !r.Has(janusjson.KeyJsep)
}

// follow has what is no message wait behind one that is being looked after: candidates belong where that one goes. It reports
// false when nothing is.
func (s *session) follow(h *handle, r *request) bool {
	if h.router == nil || h.errand == "" && len(h.behind) == 0 {
		return false
	}
	first, _ := messages.CutRepeat(r.identity)
	s.owe(r)
	s.waitBehind(h, r, first)
	return true
}

// waitBehind queues a message behind the one that is being looked after.
func (s *session) waitBehind(h *handle, r *request, first string) {
	if slices.ContainsFunc(h.behind, func(q queued) bool { return q.identity == first }) {
		return
	}
	if len(h.behind) >= maxQueued || h.queued+len(r.raw) > maxQueuedBytes {
		s.refuse(r, errTooMany)
		return
	}
	h.behind, h.queued = append(h.behind, queued{identity: first, raw: r.raw}), h.queued+len(r.raw)
}

// lookAfter asks the owner of the room, or all Janus. The outcome comes as errandDone.
func (s *session) lookAfter(h *handle, route plugin.Route, done errandDone, body []byte) {
	n, router, pkg := s.node, h.router, h.plugin
	if route.Verb == plugin.Gather {
		q := messages.PluginRequest{Partition: s.part.index, Epoch: s.epoch(), Plugin: pkg, Body: body}
		n.errand(s.self, func(ctx context.Context) any {
			done.answer = n.gather(ctx, router, route, q)
			return done
		})
		return
	}
	identity, _ := messages.CutRepeat(done.identity)
	name := ownerOf(pkg, route, identity)
	ask := messages.RoomAsk{ID: identity, Request: route.Request, Body: body}
	switch {
	case route.Beside && h.state == bound && h.engaged:
		ask.Beside = h.server
	case route.Verb == plugin.Bind && route.Creates:
		ask = messages.RoomAsk{ID: identity, Makes: true, Beside: h.server}
	case route.Verb == plugin.Bind:
		ask = messages.RoomAsk{ID: identity}
	case route.Verb == plugin.Claim:
		ask = messages.RoomAsk{ID: identity, Claim: messages.ClaimNew, Member: s.member(h)}
	}
	own, member := messages.RoomName{Plugin: pkg, Key: h.name}, s.member(h)
	stays := route.Copies && h.state == bound && (h.engaged || h.live)
	probe := roomProbe{route.Key, messages.PluginRequest{Partition: s.part.index, Epoch: s.epoch(), Plugin: pkg, Body: router.Probe(route.Key)}}
	n.errand(s.self, func(ctx context.Context) any {
		if route.Verb == plugin.Bind && own.Key != "" {
			done.answer, done.moves = n.meet(ctx, own, name, identity, member)
		} else {
			done.answer = n.askRoom(ctx, name, ask)
		}
		if home := done.answer.Server; stays && !home.IsZero() && home != member.Server && n.has(ctx, router, member.Server, probe) {
			done.answer.Server = member.Server
		}
		return done
	})
}

// roomProbe asks a Janus whether it has a room.
type roomProbe struct {
	key string
	ask messages.PluginRequest
}

// has tells whether a Janus is known to have a room, whoever else has one of that id. It blocks until it has answered or ctx ends.
func (n *Node) has(ctx context.Context, router plugin.Router, server messages.Member, p roomProbe) bool {
	reply, err := n.askSteward(ctx, server, p.ask)
	data, bad := janusjson.ParseObject(reply.Data)
	return err == nil && bad == nil && reply.Error == nil && reply.Refused.IsZero() && router.Has(p.key, data)
}

// gather asks all Janus and merges what they answer.
func (n *Node) gather(ctx context.Context, router plugin.Router, route plugin.Route, q messages.PluginRequest) messages.RoomAnswer {
	servers := n.serving(q.Plugin)
	if len(servers) == 0 {
		return messages.RoomAnswer{Error: refusal(n.Roster.View(), q.Plugin)}
	}
	answers, missing := n.askAll(ctx, servers, q)
	var failed *messages.Error
	var data []janusjson.Object
	var from []messages.Member
	for _, a := range answers {
		o, err := janusjson.ParseObject(a.data)
		switch {
		case a.err != nil:
			failed = a.err
		case err == nil:
			data, from = append(data, o), append(from, a.server)
		}
	}
	n.leaveToHomes(ctx, router, data, from)
	switch {
	case len(data) > 0:
		return messages.RoomAnswer{Data: router.Merge(route, data)}
	case failed != nil:
		return messages.RoomAnswer{Error: failed}
	}
	return messages.RoomAnswer{Error: messages.Errorf(messages.CodeUnknown, "No media server answers (%d asked)", len(missing))}
}

// onErrandDone answers the message, or sends it to where its room is, and goes on with those behind it.
func (s *session) onErrandDone(d errandDone) {
	h := s.handle(d.handle)
	if s.ending != nil {
		return
	}
	if first, _ := messages.CutRepeat(d.identity); h != nil && h.errand == first {
		h.errand = ""
	}
	r := request{identity: d.identity, raw: d.raw, handle: h}
	if janusjson.Scan(d.raw, &r.Message) != nil {
		return
	}
	if h != nil && d.moves {
		h.claimed = h.name
	}
	switch {
	case d.answer.Error != nil:
		s.refuse(&r, d.answer.Error)
	case h == nil && (d.route.Async || d.route.Verb == plugin.Bind || d.route.Verb == plugin.Claim):
		s.refuse(&r, messages.ErrHandleNotFound(d.handle, s.id))
	case d.route.Away != "" && h.stays(d.answer.Server):
		s.say(&r, h, []byte(d.route.Away))
	case d.route.Verb == plugin.Bind:
		s.bring(h, &r, d.answer.Server)
	case d.route.Verb == plugin.Claim:
		s.granted(h, &r, d)
	case len(d.answer.Data) == 0:
		s.refuse(&r, messages.Errorf(messages.CodeUnknown, "The plugin did not answer"))
	case d.route.Async:
		s.say(&r, h, d.answer.Data)
	default:
		s.settleOwed(d.identity, s.pluginReply(&r, d.handle, d.answer.Data))
	}
	if h != nil {
		s.goOn(h)
	}
}

// pluginReply is Janus's answer to a synchronous message (janus_process_incoming_request in src/janus.c).
func (s *session) pluginReply(r *request, handle uint64, data []byte) []byte {
	h := s.handle(handle)
	name := ""
	if h != nil {
		name = h.plugin
	}
	out := s.replyTo(r).Append(nil, "success")
	out = append(out[:len(out)-1], `,"sender":`...)
	out = janusjson.AppendUint(out, handle)
	out = append(out, `,"plugindata":{"plugin":`...)
	out = janusjson.AppendQuoted(out, name)
	out = append(out, `,"data":`...)
	return append(append(out, data...), `}}`...)
}

// say answers an asynchronous message as Janus does: an acknowledgement, and an event (janus_plugin_push_event in src/janus.c).
func (s *session) say(r *request, h *handle, data []byte) {
	h.last, _ = messages.CutRepeat(r.identity)
	s.answer(r, "ack")
	s.notify(s.pluginEvent(h, r.Bytes(janusjson.KeyTransaction), data, nil))
}

// pluginEvent is an event of a plugin. Without a transaction it answers nothing; jsep may be nil.
func (s *session) pluginEvent(h *handle, transaction, data, jsep []byte) []byte {
	out := messages.Reply{Session: s.id, Transaction: transaction}.Append(nil, "event")
	out = append(out[:len(out)-1], `,"sender":`...)
	out = janusjson.AppendUint(out, h.id)
	out = append(out, `,"plugindata":{"plugin":`...)
	out = janusjson.AppendQuoted(out, h.plugin)
	out = append(append(out, `,"data":`...), data...)
	out = append(out, '}')
	if jsep != nil {
		out = append(append(out, `,"jsep":`...), jsep...)
	}
	return append(out, '}')
}

// stays reports whether a handle cannot be brought to where a room is: it has a room or a PeerConnection on another Janus.
func (h *handle) stays(home messages.Member) bool {
	return h.state == bound && (h.engaged || h.live) && !home.IsZero() && home.Name != h.server.Name
}

// bring passes a message on to the server where its room is, and moves the handle there. A room that is nowhere is for any
// Janus to tell the client of.
func (s *session) bring(h *handle, r *request, home messages.Member) {
	s.seek(h, r)
	switch {
	case h.state == bound && (home.IsZero() || h.server == home || h.engaged || h.live):
		s.passOn(h, r.identity, r.raw)
		return
	case h.state == bound:
		s.leave(h, home)
	case h.state != unbound: // an administrator had it bound meanwhile
		s.wait(h, r)
		return
	}
	if !s.wait(h, r) {
		return
	}
	if home.IsZero() {
		s.bind(h)
		return
	}
	h.state, h.tried, h.pinned, h.away = placing, nil, time.Now(), false
	s.onPlaced(placed{handle: h.id, server: home, reason: "home of the room"})
}

// leave takes a handle off a Janus where it has nothing to do any more. The client hears nothing of it.
func (s *session) leave(h *handle, to messages.Member) {
	s.giveUp(h)
	s.forgetTold(h)
	event := s.about(h, messages.EventHandleMoved)
	event.Reason, event.Server = "from "+h.server.Name, to.Name
	s.node.emit(event)
	h.state, h.server, h.janus, h.moved, h.live = unbound, messages.Member{}, 0, true, false
	for _, candidate := range h.early {
		h.enqueue(queued{raw: candidate})
	}
	h.early = nil
}

// seek remembers a message whose event will tell whether the handle is engaged.
func (s *session) seek(h *handle, r *request) {
	h.sought, _ = r.Text(janusjson.KeyTransaction)
	due := outcomeDue{h.id, h.sought}
	s.node.Wheel.Arm(&h.due, outcomeWait, func() { s.node.tell(s.self, due) })
}

// answers tells the event that was waited for.
func (h *handle) answers(m *janusjson.Message) bool {
	return h.sought != "" && m.Is(janusjson.KeyTransaction, h.sought)
}

// settles looks at the reply to a message: one that is no acknowledgement is its outcome, and no event follows.
func (s *session) settles(h *handle, reply []byte) {
	var m janusjson.Message
	if h.sought != "" && janusjson.Scan(reply, &m) == nil && h.answers(&m) && !m.Is(janusjson.KeyJanus, "ack") {
		s.outcome(h)
	}
}

// onOutcomeDue waits for an event no longer.
func (s *session) onOutcomeDue(m outcomeDue) {
	if h := s.handle(m.handle); h != nil && s.ending == nil && h.sought == m.sought {
		s.outcome(h)
	}
}

// outcome goes on with what waited for an event.
func (s *session) outcome(h *handle) {
	h.sought = ""
	s.node.Wheel.Disarm(&h.due)
	s.unclaim(h)
	s.goOn(h)
}

// goOn looks after the messages that waited.
func (s *session) goOn(h *handle) {
	for len(h.behind) > 0 && h.errand == "" && (h.state == bound || h.state == unbound) {
		q, rest := h.behind[0], h.behind[1:]
		h.behind, h.queued = nil, h.queued-len(q.raw) // none is before it
		r := request{identity: q.identity, raw: q.raw, handle: h}
		if janusjson.Scan(q.raw, &r.Message) == nil {
			s.toHandle(&r, r.Verb())
		}
		again := len(h.behind) > 0
		h.behind = append(h.behind, rest...)
		switch {
		case again: // it waits for an event
			return
		case s.handle(h.id) != h:
			s.dropQueue(h, messages.ErrHandleNotFound(h.id, s.id))
		}
	}
}

// observe follows what is said of a handle. It reports false for what its client is not to hear: the end of a handle on a
// Janus that it was moved from.
func (s *session) observe(h *handle, from string, m *janusjson.Message) bool {
	if h.moved && !strings.HasPrefix(from, h.server.Name+"~") {
		return false
	}
	var data janusjson.Object
	if o, ok := m.Object(janusjson.KeyPluginData); ok {
		data, _ = o.Get("data").Object()
	}
	switch m.Verb() {
	case janusjson.VerbWebRTCUp:
		h.live, h.assumed = true, false
	case janusjson.VerbHangup, janusjson.VerbDetached:
		h.live, h.assumed = false, false
	}
	h.negotiates(m)
	heard := h.hears(m, data)
	if h.router == nil {
		return heard
	}
	answers := h.answers(m)
	s.follows(h, h.router.Observe(m.Verb(), data))
	s.tells(h, m.Verb(), data)
	own := s.learn(h, m, data)
	if answers {
		s.outcome(h)
	}
	return heard && !own
}

// tells the owner of a room of one that a handle has made, and that its Janus will not tell of when it is asked.
func (s *session) tells(h *handle, verb janusjson.Verb, data janusjson.Object) {
	router, hides := h.router.(plugin.Hides)
	if !hides {
		return
	}
	key, hidden := router.Hidden(verb, data)
	if !hidden || len(key) > maxRoomKey {
		return
	}
	n, name := s.node, messages.RoomName{Plugin: h.plugin, Key: key}
	made := messages.RoomAsk{ID: h.identity + ".made", Made: &messages.RoomMade{Server: h.server, Reason: "made there by a handle"}}
	n.errand(s.self, func(ctx context.Context) any {
		n.askRoom(ctx, name, made)
		return peerStep{func() {}}
	})
}

// follows notes what an event changed.
func (s *session) follows(h *handle, change plugin.Change) {
	was := h.engaged
	switch change {
	case plugin.Engaged:
		h.engaged, h.certain, h.early = true, true, nil
	case plugin.Free:
		h.engaged, h.certain, h.early = false, true, nil
	}
	if was != h.engaged {
		s.keep(&h.record, h.stored(s.epoch()), nil)
	}
}
