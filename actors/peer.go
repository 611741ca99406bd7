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

const (
	// maxPeerOut bounds what waits to be said to the other side of a call.
	maxPeerOut = 256
	// maxPeerRecent is how many requests are remembered for their repeats.
	maxPeerRecent = 64
	// peerWait is how long the other side's owner may take to answer; then the other side is lost.
	peerWait = 10 * time.Second
)

// peer is the state of a handle whose plugin has no Janus: it has a name, and is in a call with another such handle, whose
// session may have another owner. What is said to the other side goes there one by one, so that it keeps its order.
type peer struct {
	name    string // as JSON; empty: none
	asking  string // the name that its owner is being asked for
	call    string // identity of the request that began the call; empty: there is none
	with    messages.RoomMember
	calling string // the name that it called last, as JSON
	said    int64  // number of the last message to the other side
	heard   int64  // and of the last from it
	out     []messages.PeerMessage
	sending bool
	busy    bool     // a request is being looked after
	waiting []queued // requests behind it
	bytes   int      // of them
	recent  []string // identities of requests that were acknowledged
	early   []json.RawMessage
}

// peerStep goes on with something once others have answered.
type peerStep struct{ then func() }

// servesLocally reports whether session nodes serve a plugin themselves.
func (n *Node) servesLocally(pkg string) bool {
	_, local := n.Routers[pkg].(plugin.Local)
	return local
}

// toPeer handles a request for a handle that no Janus has.
func (s *session) toPeer(r *request, verb janusjson.Verb) {
	h := r.handle
	switch verb {
	case janusjson.VerbMessage:
		s.peerMessage(h, r)
	case janusjson.VerbTrickle:
		s.peerTrickle(h, r)
	case janusjson.VerbHangup:
		s.answer(r, "success")
		if h.peer.call != "" {
			s.hangUp(h, "Remote WebRTC hangup", "Janus API")
		}
	case janusjson.VerbDetach:
		s.detachUnbound(h, r)
	}
}

// peerMessage acknowledges a message, and has it wait for its turn.
func (s *session) peerMessage(h *handle, r *request) {
	p := h.peer
	e := checkBody(r)
	if e == nil {
		e = checkJsep(r)
	}
	if e == nil && (len(p.waiting) >= maxQueued || p.bytes+len(r.raw) > maxQueuedBytes) {
		e = errTooMany
	}
	if e != nil {
		s.refuse(r, e)
		return
	}
	s.answer(r, "ack")
	if p.again(r) {
		return
	}
	p.waiting, p.bytes = append(p.waiting, queued{identity: p.recent[len(p.recent)-1], raw: r.raw}), p.bytes+len(r.raw)
	s.peerNext(h)
}

// again tells the repeat of a request from the first, which it remembers.
func (p *peer) again(r *request) bool {
	first, _ := messages.CutRepeat(r.identity)
	if slices.Contains(p.recent, first) {
		return true
	}
	if len(p.recent) == maxPeerRecent {
		p.recent = slices.Delete(p.recent, 0, 1)
	}
	p.recent = append(p.recent, first)
	return false
}

// checkJsep is jsep_parameters of src/janus.c.
func checkJsep(r *request) *messages.Error {
	if !r.Has(janusjson.KeyJsep) {
		return nil
	}
	jsep, ok := r.Object(janusjson.KeyJsep)
	if !ok {
		return messages.Errorf(messages.CodeInvalidJSONObject, "Invalid jsep object")
	}
	for _, name := range []string{"type", "sdp"} {
		switch jsep.Get(name).Kind() {
		case janusjson.KindString:
		case janusjson.KindAbsent:
			return messages.ErrMissing(name)
		default:
			return messages.ErrElementType(name, "a string")
		}
	}
	if kind, _ := jsep.Get("type").Text(); kind != "offer" && kind != "answer" {
		return messages.Errorf(messages.CodeJSEPUnknownType, "JSEP error: unknown message type '%s'", kind)
	}
	return nil
}

// peerNext runs the messages that wait, until one has to ask others.
func (s *session) peerNext(h *handle) {
	for p := h.peer; !p.busy && len(p.waiting) > 0 && s.handle(h.id) == h; {
		q := p.waiting[0]
		p.waiting, p.bytes = slices.Delete(p.waiting, 0, 1), p.bytes-len(q.raw)
		r := request{identity: q.identity, raw: q.raw, handle: h}
		if janusjson.Scan(q.raw, &r.Message) == nil {
			s.peerRun(h, &r)
		}
	}
}

// peerAsk runs f beside the actor, and then goes on with what it returns. The handle may be gone by then.
func (s *session) peerAsk(h *handle, f func(ctx context.Context) func()) {
	h.peer.busy = true
	s.node.errand(s.self, func(ctx context.Context) any {
		then := f(ctx)
		return peerStep{func() {
			then()
			h.peer.busy = false
			s.peerNext(h)
		}}
	})
}

// peerRun runs a message (janus_videocall_handler in src/plugins/janus_videocall.c).
func (s *session) peerRun(h *handle, r *request) {
	body, _ := r.Object(janusjson.KeyBody)
	text := body.Get("request")
	if text.Kind() != janusjson.KindString {
		s.peerRefuse(h, r, missing(text, "request"))
		return
	}
	switch plugin.RequestOf(body) {
	case "list":
		s.peerList(h, r)
	case "register":
		s.peerRegister(h, r, body.Get("username"))
	case "call":
		s.peerCall(h, r, body.Get("username"))
	case "accept":
		s.peerAccept(h, r)
	case "set":
		s.peerSet(h, r, body)
	case "hangup":
		s.peerHangup(h, r, body)
	default:
		name, _ := text.Text()
		s.peerRefuse(h, r, &peerError{472, "Unknown request (" + name + ")"})
	}
}

// peerError is an error of the plugin (src/plugins/janus_videocall.c has the codes).
type peerError struct {
	code  int
	cause string
}

// missing is the error for an element that is to be a text.
func missing(v janusjson.Value, name string) *peerError {
	if v.Kind() == janusjson.KindAbsent {
		return &peerError{475, "Missing mandatory element (" + name + ")"}
	}
	return &peerError{474, "Invalid element type (" + name + " should be a string)"}
}

// peerRefuse answers a message with an error.
func (s *session) peerRefuse(h *handle, r *request, e *peerError) {
	s.peerEvent(h, r.Bytes(janusjson.KeyTransaction), plugin.AppendCallError(nil, e.code, e.cause), nil)
}

// peerResult answers a message; fields are names and values in turn, the values JSON.
func (s *session) peerResult(h *handle, r *request, fields ...string) {
	s.peerEvent(h, r.Bytes(janusjson.KeyTransaction), plugin.AppendCallResult(nil, fields...), nil)
}

func (s *session) peerEvent(h *handle, transaction, data, jsep []byte) {
	if s.ending == nil && s.handle(h.id) == h {
		s.notify(s.pluginEvent(h, transaction, data, jsep))
	}
}

// peerList lists all names.
func (s *session) peerList(h *handle, r *request) {
	n, pkg := s.node, h.plugin
	s.peerAsk(h, func(ctx context.Context) func() {
		names, err := n.store.names(ctx, pkg)
		return func() {
			if err != nil {
				s.peerRefuse(h, r, &peerError{499, "Names cannot be looked up at the moment"})
				return
			}
			list := []byte{'['}
			for i, name := range names {
				if i > 0 {
					list = append(list, ',')
				}
				list = append(list, name...)
			}
			s.peerResult(h, r, "list", string(append(list, ']')))
		}
	})
}

// peerRegister gives the handle a name, if nobody has it.
func (s *session) peerRegister(h *handle, r *request, username janusjson.Value) {
	p := h.peer
	key := plugin.KeyOf(username)
	switch _, ok := username.Text(); {
	case p.name != "":
		s.peerRefuse(h, r, &peerError{477, "Already registered (" + unquote(p.name) + ")"})
		return
	case !ok:
		s.peerRefuse(h, r, missing(username, "username"))
		return
	case len(key) > maxRoomKey:
		s.peerRefuse(h, r, &peerError{474, "Invalid element (username is too long)"})
		return
	}
	p.asking = key
	n, name, me := s.node, messages.RoomName{Plugin: h.plugin, Key: p.asking}, *s.member(h)
	s.peerAsk(h, func(ctx context.Context) func() {
		answer := n.askRoom(ctx, name, messages.RoomAsk{ID: r.identity, Claim: messages.ClaimNew, Member: &me})
		return func() { s.peerRegistered(h, r, name, answer) }
	})
}

func (s *session) peerRegistered(h *handle, r *request, name messages.RoomName, answer messages.RoomAnswer) {
	p := h.peer
	p.asking = ""
	granted := answer.Member != nil && answer.Member.Session == s.id && answer.Member.Handle == h.id
	switch {
	case answer.Error != nil:
		s.peerRefuse(h, r, &peerError{499, answer.Error.Reason})
	case !granted:
		s.peerRefuse(h, r, &peerError{476, "Username '" + unquote(name.Key) + "' already taken"})
	case s.ending != nil || s.handle(h.id) != h:
		s.freeName(h, name.Key)
	default:
		p.name = name.Key
		s.keep(&h.record, h.stored(s.epoch()), nil)
		s.peerResult(h, r, "event", `"registered"`, "username", name.Key)
	}
}

// freeName tells the owner of a name that the handle has it no more.
func (s *session) freeName(h *handle, key string) {
	n, name, me := s.node, messages.RoomName{Plugin: h.plugin, Key: key}, *s.member(h)
	n.errand(s.self, func(ctx context.Context) any {
		n.askRoom(ctx, name, messages.RoomAsk{Claim: messages.ClaimFree, Member: &me})
		return peerStep{func() {}}
	})
}

// unquote is the text of a name.
func unquote(key string) string {
	o, err := janusjson.ParseObject([]byte(`{"n":` + key + `}`))
	if err != nil {
		return ""
	}
	text, _ := o.Get("n").Text()
	return text
}
