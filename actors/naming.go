// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

const (
	// maxEarly bounds the candidates of a handle that are kept for the Janus that it may be moved to.
	maxEarly = 64
	// renewal is the transaction of the request by which a moved handle gets its name again.
	renewal = "januscloud"
)

// naming is the state of a handle whose plugin knows handles by names.
type naming struct {
	names   plugin.Names // nil: the plugin does not
	name    string       // that the handle has
	claimed string       // that it was granted; its Janus has not answered yet
	renewed bool         // its Janus was sent the name that the handle had before, and has not answered yet
	early   [][]byte     // candidates that came before there was a call
}

// adopt gives a handle the router of its plugin.
func (h *handle) adopt(routers plugin.Routers) {
	h.router = routers[h.plugin]
	h.names, _ = h.router.(plugin.Names)
	if _, local := h.router.(plugin.Local); local {
		h.peer = &peer{}
	}
	h.remember()
}

// recall takes over what a record says of the handle's name, and of the room or call that it is in, unless the handle has learned
// of it since. It reports whether there is a name. r may be nil.
func (h *handle) recall(r *messages.HandleRecord) bool {
	if r == nil {
		return false
	}
	for _, raw := range r.Early {
		h.enqueue(queued{raw: raw})
	}
	if h.router != nil && !h.certain {
		h.engaged, h.certain = r.Engaged, true
	}
	switch {
	case h.name != "":
		return false
	case h.peer != nil:
		h.peer.name, h.peer.call = r.Name, r.Call
		if r.With != nil {
			h.peer.with = *r.With
		}
	case h.names != nil:
		h.name = r.Name
	}
	return r.Name != ""
}

// rebind binds a handle that has a name, so that it is to be found by it, though its client may say nothing for long.
func (s *session) rebind(h *handle) {
	if h.name != "" && h.state == unbound {
		s.bind(h)
	}
}

// member is the handle as a holder of names.
func (s *session) member(h *handle) *messages.RoomMember {
	return &messages.RoomMember{Session: s.id, Handle: h.id, Server: h.server}
}

// named reports whether a message is for the Janus of the handle to answer, since it concerns no other's name.
func (h *handle) named(route plugin.Route) bool {
	switch {
	case h.names == nil:
		return false
	case route.Verb == plugin.Claim:
		return h.name != "" // it has one already
	}
	return route.Verb == plugin.Bind && (h.name == "" || h.name == route.Key) // nobody calls without a name, nor himself
}

// granted goes on with a request for a name, as the owner of the name says.
func (s *session) granted(h *handle, r *request, d errandDone) {
	m := d.answer.Member
	if m == nil || m.Session != s.id || m.Handle != h.id {
		s.say(r, h, h.names.Taken(d.route.Key))
		return
	}
	h.claimed = d.route.Key
	s.bring(h, r, messages.Member{})
}

// unclaim tells the owner of a name that what was granted is settled, whatever came of it.
func (s *session) unclaim(h *handle) {
	if h.claimed == "" {
		return
	}
	name := messages.RoomName{Plugin: h.plugin, Key: h.claimed}
	h.claimed = ""
	s.node.unclaim(name, s.member(h))
}

func (n *Node) unclaim(name messages.RoomName, member *messages.RoomMember) {
	data, err := json.Marshal(messages.RoomAsk{Claim: messages.ClaimDone, Member: member})
	if err != nil || n.Bus.Publish(name.Subject(), "", data) != nil {
		n.metrics.dropped.WithLabelValues("disconnected").Inc() // the grant ends by itself
	}
}

// meet finds the Janus that a handle with a name of its own must be brought to, as another name is there. Where it must move, its own
// name is promised to it first, so that nobody else gets the name meanwhile, or looks for it where it is no more; moves tells so. Of
// two that are about to move to each other the one with the lesser name does, and the other waits for it: each would find the other
// gone. It blocks until it knows, or ctx ends.
func (n *Node) meet(ctx context.Context, own, other messages.RoomName, identity string, m *messages.RoomMember) (answer messages.RoomAnswer, moves bool) {
	elsewhere := func() bool {
		return answer.Error == nil && !answer.Server.IsZero() && answer.Server != m.Server
	}
	for try := 1; ; try++ {
		answer = n.askRoom(ctx, other, messages.RoomAsk{ID: identity})
		if !elsewhere() {
			return answer, false
		}
		n.askRoom(ctx, own, messages.RoomAsk{ID: identity + ".move" + strconv.Itoa(try), Claim: messages.ClaimMove, Member: m})
		answer = n.askRoom(ctx, other, messages.RoomAsk{ID: identity, Hasty: own.Key > other.Key})
		if elsewhere() {
			return answer, true
		}
		n.unclaim(own, m)
		if answer.Member == nil {
			return answer, false
		}
	}
}

// renew asks the Janus that a handle was just bound to for the name that it had on another; false when it had none.
func (s *session) renew(h *handle) bool {
	if h.names == nil || h.name == "" {
		return false
	}
	body := messages.Reply{Session: s.id, Transaction: []byte(`"` + renewal + `"`)}.Append(nil, janusjson.VerbMessage.String())
	body = append(body[:len(body)-1], `,"handle_id":`...)
	body = janusjson.AppendUint(body, h.id)
	body = append(append(append(body, `,"body":`...), h.names.Register(h.name)...), '}')
	h.renewed = true
	h.attempt++
	s.passOn(h, s.ownIdentity(h.id, h.attempt), body)
	return true
}

// learn follows the names of a handle. It reports true for the answer to renew, which is not for the client.
func (s *session) learn(h *handle, m *janusjson.Message, data janusjson.Object) (own bool) {
	if h.names == nil || m.Verb() != janusjson.VerbEvent {
		return false
	}
	key, registered := h.names.Registered(data)
	own = h.renewed && m.Is(janusjson.KeyTransaction, renewal)
	switch {
	case own:
		h.renewed = false
		if !registered {
			s.log().Warn("name lost", "handle", h.id, "server", h.server.Name)
			h.name = ""
		}
	case registered:
		h.name = key
	case !h.answers(m):
		return false
	}
	s.unclaim(h)
	if own != registered {
		s.keep(&h.record, h.stored(s.epoch()), nil)
	}
	return own
}
