// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"slices"
	"strings"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// maxHandles bounds the handles of one session. WHIP servers keep all their users' handles in one session.
	maxHandles = 20_000
	// maxQueued and maxQueuedBytes bound what waits for a handle to be bound.
	maxQueued      = 256
	maxQueuedBytes = 1 << 20
)

// handle is a handle of a session: a number that the client knows, bound to a handle on some Janus when the first
// request shows what it is for, and unbound again when that Janus is lost.
type handle struct {
	id       uint64
	identity string // of the attach request
	plugin   string
	opaqueID string
	request  []byte // the attach request, as it goes to the media server
	created  time.Time

	server messages.Member // zero: not bound
	janus  uint64          // the handle's id there
	state  handleState
	detach string // identity of the detach request in flight

	queue   []queued  // waits for the bind
	queued  int       // bytes of it
	attempt uint64    // counts the attempts to bind, over the handle's life
	asked   time.Time // when the last of them began
	tried   []messages.Member
	reason  string // why server was chosen
	timer   wheel.Timer
	record  record

	peer       *peer   // of plugins that session nodes serve themselves; nil: of a Janus
	resync     *resync // nil: nothing of it was ever compared, nor is it in a room
	negotiated bool    // there was a jsep, or may have been: it may have a PeerConnection
	routing            // of plugins whose rooms have homes
}

type handleState uint8

const (
	unbound   handleState = iota
	placing               // the placer was asked
	binding               // the media server was asked
	recording             // the bind is being stored
	renewing              // the name that the handle had elsewhere is being given to it again
	bound
	adrift // bound, but the media server is not heard, or has not taken the handle over from its earlier incarnation
)

// queued is a request that waits for its handle to be bound.
type queued struct {
	identity string // "": a trickle that was acknowledged already, or an administrator
	raw      []byte
	repeat   bool   // it came before, and may have been run
	admin    string // where an administrator waits to hear that the handle is bound; "": none does
}

// attach makes a handle. It is bound later (see bind.go): what it is for shows only with its first message.
func (s *session) attach(r *request) {
	if e := checkAttach(r); e != nil {
		s.refuse(r, e)
		return
	}
	first, _ := messages.CutRepeat(r.identity)
	h := &handle{id: messages.HandleID(s.id, first), identity: first, created: r.now}
	h.plugin, _ = r.Text(janusjson.KeyPlugin)
	h.opaqueID, _ = r.Text(janusjson.KeyOpaqueID)
	success := s.replyTo(r).AppendID(nil, h.id)
	at, exists := s.find(h.id)
	if exists { // a repeat: ids are derived from identities
		s.settleOwed(r.identity, success)
		return
	}
	if has, known := knowsPlugin(s.node.Roster.View(), h.plugin); !has && !s.node.servesLocally(h.plugin) {
		s.refuse(r, absentPlugin(h.plugin, known))
		return
	}
	if len(s.handles) >= maxHandles {
		s.refuse(r, messages.Errorf(messages.CodeUnknown, "Too many handles in session %d", s.id))
		return
	}
	h.request = attachRequest(r)
	h.adopt(s.node.Routers)
	h.record.key = handleKey(s.id, h.id)
	s.handles = slices.Insert(s.handles, at, h)
	s.node.metrics.handles.Inc()
	s.owe(r)
	identity := r.identity
	s.keep(&h.record, h.stored(s.epoch()), func() { s.settleOwed(identity, success) })
	s.node.emit(s.about(h, messages.EventHandleAttached))
}

// absentPlugin is Janus's answer when it has no such plugin. While no media server was ever heard, none is missing.
func absentPlugin(plugin string, known bool) *messages.Error {
	if !known {
		return messages.Errorf(messages.CodePluginAttach, "No media server has joined the cluster yet")
	}
	return messages.Errorf(messages.CodePluginNotFound, "No such plugin '%s'", plugin)
}

// checkAttach is attach_parameters of src/janus.c.
func checkAttach(r *request) *messages.Error {
	loop, isInt := r.Int(janusjson.KeyLoopIndex)
	switch {
	case !r.Has(janusjson.KeyPlugin):
		return messages.ErrMissing("plugin")
	case r.Kind(janusjson.KeyPlugin) != janusjson.KindString:
		return messages.ErrElementType("plugin", "a string")
	case r.Has(janusjson.KeyOpaqueID) && r.Kind(janusjson.KeyOpaqueID) != janusjson.KindString:
		return messages.ErrElementType("opaque_id", "a string")
	case r.Has(janusjson.KeyLoopIndex) && (!isInt || loop < 0):
		return messages.ErrElementType("loop_index", "a positive integer")
	}
	return nil
}

// attachRequest is what the media server is sent to bind the handle: the client's own text, without its secrets and
// its transaction.
func attachRequest(r *request) []byte {
	return r.AppendSplice(nil,
		janusjson.Edit{Key: janusjson.KeyTransaction, Value: []byte(`"bind"`)},
		janusjson.Edit{Key: janusjson.KeyAPISecret}, janusjson.Edit{Key: janusjson.KeyToken},
		janusjson.Edit{Key: janusjson.KeySessionID})
}

func (h *handle) stored(epoch messages.Epoch) messages.HandleRecord {
	r := messages.HandleRecord{
		Epoch: epoch, Identity: h.identity, Plugin: h.plugin, Request: h.request,
		Server: h.server, Janus: h.janus, Created: h.created.UnixMilli(), Name: h.name, Engaged: h.engaged, Early: h.earlyTrickles(),
	}
	if p := h.peer; p != nil {
		r.Name, r.Call = p.name, p.call
		if p.call != "" {
			r.With = &p.with
		}
	}
	return r
}

// about is an event that concerns a handle.
func (s *session) about(h *handle, what string) messages.Event {
	return messages.Event{Type: what, Session: s.id, Handle: h.id, Plugin: h.plugin, OpaqueID: h.opaqueID, Server: h.server.Name}
}

// toHandle handles a request for a handle: it passes it on to where the handle is bound, or answers it as Janus
// answers for a handle that has no PeerConnection yet, or has it wait until the handle is bound.
func (s *session) toHandle(r *request, verb janusjson.Verb) {
	h := r.handle
	if verb == janusjson.VerbMessage {
		h.negotiates(&r.Message)
		h.asks(r)
	}
	switch {
	case h.peer != nil:
		s.toPeer(r, verb)
		return
	case verb == janusjson.VerbMessage && s.route(h, r), verb != janusjson.VerbMessage && s.follow(h, r):
		return
	case verb == janusjson.VerbTrickle:
		h.keepEarly(r)
	}
	switch {
	case h.state == bound:
		if verb == janusjson.VerbDetach {
			h.detach, _ = messages.CutRepeat(r.identity)
		}
		if verb != janusjson.VerbMessage {
			s.owe(r)
		}
		s.passOn(h, r.identity, r.raw)
	case h.state != unbound:
		if verb != janusjson.VerbMessage {
			s.owe(r)
		}
		s.wait(h, r)
	case verb == janusjson.VerbMessage:
		if e := checkBody(r); e != nil {
			s.refuse(r, e)
			return
		}
		if s.wait(h, r) {
			s.bind(h)
		}
	case verb == janusjson.VerbHangup: // plugins have something to say to it, even without a PeerConnection
		s.owe(r)
		if s.wait(h, r) {
			s.bind(h)
		}
	case verb == janusjson.VerbTrickle:
		s.trickleUnbound(h, r)
	case verb == janusjson.VerbDetach:
		s.detachUnbound(h, r)
	}
}

// checkBody is body_parameters of src/janus.c: a message that Janus would refuse for them need not bind a handle.
func checkBody(r *request) *messages.Error {
	switch {
	case !r.Has(janusjson.KeyBody):
		return messages.ErrMissing("body")
	case r.Kind(janusjson.KeyBody) != janusjson.KindObject:
		return messages.ErrElementType("body", "an object")
	}
	return nil
}

var errTooMany = messages.Errorf(messages.CodeUnknown, "Too many requests wait for this handle")

// wait queues a request until the handle is bound.
func (s *session) wait(h *handle, r *request) bool {
	first, repeat := messages.CutRepeat(r.identity)
	if slices.ContainsFunc(h.queue, func(q queued) bool { return q.identity == first }) {
		return false // a repeat of what waits already
	}
	// While a handle was not bound nothing can have been run on it.
	if !h.enqueue(queued{identity: first, raw: r.raw, repeat: repeat && h.state == adrift}) {
		s.refuse(r, errTooMany)
		return false
	}
	return true
}

func (h *handle) enqueue(q queued) bool {
	if len(h.queue) >= maxQueued || h.queued+len(q.raw) > maxQueuedBytes {
		return false
	}
	h.queue, h.queued = append(h.queue, q), h.queued+len(q.raw)
	return true
}

// passOn sends a request to the media server that the handle is bound to. Its reply comes to the session under the
// same identity, so nothing need be remembered here.
func (s *session) passOn(h *handle, identity string, raw []byte) {
	to := messages.MediaSubject{Server: h.server, Partition: s.part.index, Epoch: s.epoch(), Session: s.id, Handle: h.id}
	if s.node.Bus.Publish(to.String(), identity, raw) != nil {
		s.node.metrics.dropped.WithLabelValues("disconnected").Inc() // the edge will repeat
	}
}

// reply passes the answer of a media server to whoever asked.
func (s *session) reply(in *inbound) {
	h := s.handle(in.subject.Handle())
	own := isOwn(in.msg)
	switch {
	case own && in.subject.Handle() == 0:
		s.confirmed()
		return
	case own:
		if h != nil && !s.passes(h, in) {
			s.onBindReply(h, in)
		}
		return
	}
	s.settleOwed(in.msg.Reply, in.msg.Data)
	if h != nil {
		s.settles(h, in.msg.Data)
	}
	if h != nil && h.detach != "" && h.detach == in.msg.Reply {
		h.detach = ""
		var m janusjson.Message
		if janusjson.Scan(in.msg.Data, &m) == nil && m.Verb() == janusjson.VerbSuccess {
			s.remove(h)
		}
	}
}

// isOwn tells the answer to a request that the session itself made.
func isOwn(m *bus.Msg) bool {
	return strings.HasPrefix(m.Reply, "janus.session.")
}

// event passes on what a media server says of its own accord.
func (s *session) event(in *inbound, from source) {
	if s.ending != nil {
		return
	}
	var m janusjson.Message
	if janusjson.Scan(in.msg.Data, &m) != nil {
		s.node.metrics.dropped.WithLabelValues("malformed").Inc()
		return
	}
	s.hear(from)
	h := s.handle(in.subject.Handle())
	if h != nil && !s.observe(h, from.origin, &m) {
		s.passAcks()
		return
	}
	switch {
	case m.Is(janusjson.KeyJanus, messages.VerbGap):
		s.onGap(from.server)
		return
	case m.Is(janusjson.KeyJanus, messages.VerbUnbound):
		if h != nil {
			s.unbind(h, "media server lost")
		}
		s.passAcks()
		return
	case m.Verb() == janusjson.VerbDetached && h != nil && h.detach == "":
		s.remove(h) // the plugin ended it, or an administrator
	}
	s.toClient(outgoing{body: in.msg.Data, source: from})
}

// remove takes a handle that is no more out of the session.
func (s *session) remove(h *handle) {
	at, ok := s.find(h.id)
	if !ok {
		return
	}
	s.handles = slices.Delete(s.handles, at, at+1)
	s.disarmHandle(h)
	s.unclaim(h)
	s.peerLeave(h)
	s.dropQueue(h, messages.ErrHandleNotFound(h.id, s.id))
	s.forget(&h.record, nil)
	if s.unread && len(s.removed) < maxHandles {
		s.removed = append(s.removed, h.id)
	}
	s.node.metrics.handles.Dec()
	s.node.emit(s.about(h, messages.EventHandleDetached))
}

// detachUnbound detaches a handle that no Janus knows of.
func (s *session) detachUnbound(h *handle, r *request) {
	h.queue, h.queued = nil, 0
	s.remove(h)
	s.answer(r, "success")
	s.notify(messages.AppendNotice(nil, "detached", s.id, h.id, ""))
}

// onExpired forgets a request that waits for its handle: the client was told that it timed out, and is not to see it run.
func (s *session) onExpired(identity string) {
	first, _ := messages.CutRepeat(identity)
	for _, h := range s.handles {
		expired := func(q queued) bool {
			if q.identity != first {
				return false
			}
			h.queued -= len(q.raw)
			s.node.metrics.dropped.WithLabelValues("expired").Inc()
			return true
		}
		h.queue, h.behind = slices.DeleteFunc(h.queue, expired), slices.DeleteFunc(h.behind, expired)
	}
}

// dropQueue answers what waits for a handle with an error.
func (s *session) dropQueue(h *handle, e *messages.Error) {
	h.queue, h.behind = append(h.queue, h.behind...), nil
	s.refuseQueue(h, e)
}

// refuseQueue answers what waits for a handle to be bound with an error.
func (s *session) refuseQueue(h *handle, e *messages.Error) {
	queue := h.queue
	h.queue, h.queued = nil, 0
	for _, q := range h.behind {
		h.queued += len(q.raw)
	}
	for _, q := range queue {
		if q.admin != "" {
			s.node.answerAdmin(q.admin, messages.AdminAnswer{Error: e})
			continue
		}
		r := request{identity: q.identity}
		if q.identity != "" && janusjson.Scan(q.raw, &r.Message) == nil {
			s.refuse(&r, e)
		}
	}
}
