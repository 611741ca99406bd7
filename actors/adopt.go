// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// adoptEvery is how often a media server is asked again for what its earlier incarnation held; adoptSpread is how much later
	// it may be, so that sessions that ask together drift apart.
	adoptEvery  = time.Second
	adoptSpread = 500 * time.Millisecond
)

// serversChanged tells sessions that a media server came, went, or came back as another incarnation.
type serversChanged struct{}

// absence is a media server that has handles of the session and is not heard, or is heard as an incarnation that has not taken
// them over yet. Media go on meanwhile: its Janus lives, as far as anybody knows. What clients ask of the handles waits.
type absence struct {
	name  string
	until time.Time       // when the handles are given up
	asked messages.Member // the incarnation that was asked to take them over; zero: none
	timer wheel.Timer
}

// absenceDue tells a session to look again for a media server.
type absenceDue struct{ name string }

// mediaSeen is what sessions care for of a media server.
type mediaSeen struct {
	member messages.Member
	serves bool
}

// watchMedia tells the sessions when the media servers that are heard are not the same any more.
func (k *keeper) watchMedia(v *roster.View) {
	now := make([]mediaSeen, 0, len(k.media))
	for _, p := range v.Media() {
		if present(p) {
			now = append(now, mediaSeen{p.Beat.Member, p.Beat.Media.Serves()})
		}
	}
	if slices.Equal(now, k.media) {
		return
	}
	k.media = now
	for p := range k.owned {
		k.node.tell(k.parts[p], serversChanged{})
	}
}

// present reports whether a media server takes requests, whatever its Janus does.
func present(p roster.Peer) bool {
	return !p.Silent && (p.Beat.State == messages.StateReady || p.Beat.State == messages.StateDraining)
}

// server is the incarnation of a media server that takes requests now, and whether its Janus is up; ok is false when none does.
func (n *Node) server(name string) (m messages.Member, serves, ok bool) {
	p, found := n.Roster.View().Find(messages.RoleMedia, name)
	if !found || !present(p) {
		return messages.Member{}, false, false
	}
	return p.Beat.Member, p.Beat.Media.Serves(), true
}

// reviewServers compares the media servers of the session with those that are heard.
func (s *session) reviewServers() {
	if s.ending != nil {
		return
	}
	for _, server := range slices.Clone(s.servers) {
		s.reviewServer(server.Name)
	}
	s.reviewBinds()
}

// reviewServer lets the handles on a media server wait when it is not heard, go on when it is heard again, and be taken over when
// it is another incarnation.
func (s *session) reviewServer(name string) {
	now, serves, heard := s.node.server(name)
	var back []*handle
	waits := false
	for _, h := range s.handles {
		if h.server.Name != name || h.state != bound && h.state != adrift {
			continue
		}
		switch {
		case heard && h.server == now:
			if h.state == adrift {
				back = append(back, h)
			}
		default:
			h.state, waits = adrift, true
		}
	}
	for _, h := range back {
		s.goOnAgain(h)
	}
	former := heard && serves && slices.ContainsFunc(s.servers, func(m messages.Member) bool { return m.Name == name && m.Inc < now.Inc })
	if !waits && (!former || s.unread) {
		s.endAbsence(name)
		return
	}
	a := s.absence(name)
	if a == nil {
		a = &absence{name: name, until: time.Now().Add(s.node.MediaGrace)}
		s.absent = append(s.absent, a)
		s.armAbsence(a)
	}
	if former && a.asked != now {
		a.asked, a.until = now, time.Now().Add(s.node.MediaGrace)
		s.askAdopt(a)
	}
}

func (s *session) absence(name string) *absence {
	i := slices.IndexFunc(s.absent, func(a *absence) bool { return a.name == name })
	if i < 0 {
		return nil
	}
	return s.absent[i]
}

func (s *session) endAbsence(name string) {
	s.absent = slices.DeleteFunc(s.absent, func(a *absence) bool {
		if a.name == name {
			s.node.Wheel.Disarm(&a.timer)
		}
		return a.name == name
	})
	if len(s.absent) == 0 {
		s.absent = nil
	}
}

func (s *session) armAbsence(a *absence) {
	due := absenceDue{a.name}
	s.node.Wheel.Arm(&a.timer, min(adoptEvery+rand.N(adoptSpread), max(0, time.Until(a.until))), func() { s.node.tell(s.self, due) })
}

// onAbsenceDue asks once more, or gives up. A node that was not listening itself knows nothing of the silence of others.
func (s *session) onAbsenceDue(m absenceDue) {
	a := s.absence(m.name)
	if a == nil || s.ending != nil {
		return
	}
	if s.node.stale() || !s.node.Bus.Connected() {
		a.until = time.Now().Add(max(time.Until(a.until), adoptEvery))
		s.armAbsence(a)
		return
	}
	asked := a.asked
	s.reviewServer(m.name)
	switch a = s.absence(m.name); {
	case a == nil:
	case !time.Now().Before(a.until):
		s.giveServerUp(m.name)
	default:
		if a.asked == asked && !asked.IsZero() {
			s.askAdopt(a)
		}
		s.armAbsence(a)
	}
}

// giveServerUp frees the handles of a media server that did not come back in time.
func (s *session) giveServerUp(name string) {
	s.endAbsence(name)
	for _, h := range slices.Clone(s.handles) {
		if h.state == adrift && h.server.Name == name {
			s.log().Warn("handle given up", "handle", h.id, "server", name, "after", s.node.MediaGrace)
			s.notify(messages.AppendNotice(nil, "hangup", s.id, h.id, errServerLost.Reason))
			s.unbind(h, "media server silent")
		}
	}
}

// errServerLost is what waited for a media server that did not come back.
var errServerLost = messages.Errorf(messages.CodeUnknown, "Media server lost")

// askAdopt asks a media server to go on with the handles that it had as another incarnation. What it is not asked for ends there.
func (s *session) askAdopt(a *absence) {
	var held []messages.HoldingHandle
	for _, h := range s.handles {
		if h.state == adrift && h.server.Name == a.name {
			held = append(held, h.held())
		}
	}
	whole := len(held) <= messages.MaxAdopt && !s.unread && !s.bindsAt(a.name)
	for first := true; first || len(held) > 0; first = false {
		n := min(len(held), messages.MaxAdopt)
		if !s.publishAdopt(a.asked, whole, held[:n]) {
			return // it is asked again
		}
		held = held[n:]
	}
}

// bindsAt reports whether a handle is being bound at a media server, which may have attached it already.
func (s *session) bindsAt(name string) bool {
	return slices.ContainsFunc(s.handles, func(h *handle) bool {
		return h.server.Name == name && (h.state == binding || h.state == recording || h.state == renewing)
	})
}

// held is what a media server is told of a handle that it has, or is to have. A PeerConnection that there may be can come or go
// while its Janus is not listened to.
func (h *handle) held() messages.HoldingHandle {
	return messages.HoldingHandle{
		Handle: h.id, Janus: h.janus, Plugin: h.plugin, Attach: h.identity, Live: h.live,
		Assumed: h.assumed || h.state == adrift && (h.live || h.negotiated),
	}
}

// publishAdopt asks a media server for handles; whole: the session has no others there.
func (s *session) publishAdopt(server messages.Member, whole bool, held []messages.HoldingHandle) bool {
	data, err := json.Marshal(messages.Adopt{
		Epoch: s.epoch(), Whole: whole, HoldingSession: messages.HoldingSession{Session: s.id, Handles: held},
	})
	if err == nil {
		err = s.node.Bus.Publish(messages.MediaAdopt(server), "", data)
	}
	if err != nil {
		s.node.metrics.dropped.WithLabelValues("disconnected").Inc()
	}
	return err == nil
}

// assure tells the media server of a handle what is known of it, and learns whether it has it.
func (s *session) assure(h *handle) {
	s.publishAdopt(h.server, false, []messages.HoldingHandle{h.held()})
}

// onAdopted hears that a media server has the handles of an earlier incarnation in hand. What Janus said of them meanwhile nobody
// has heard.
func (s *session) onAdopted(in *inbound) {
	var m messages.Adopted
	if json.Unmarshal(in.msg.Data, &m) != nil || m.From.IsZero() {
		s.node.metrics.dropped.WithLabelValues("malformed").Inc()
		return
	}
	if now, _, heard := s.node.server(m.From.Name); s.ending != nil || !heard || now != m.From {
		return // it is gone again
	}
	for _, id := range m.Missing {
		if h := s.handle(id); h != nil && h.state == bound && h.server == m.From {
			s.assure(h)
		}
	}
	if len(m.Missing) > 0 {
		return // no answer to an Adopt
	}
	for _, id := range m.Handles {
		h := s.handle(id)
		if h == nil || h.state != bound && h.state != adrift || h.server.Name != m.From.Name || m.From.Inc < h.server.Inc {
			continue
		}
		former := h.server != m.From
		if former {
			h.server = m.From
			s.touch(m.From)
			s.keep(&h.record, h.stored(s.epoch()), nil)
			s.node.metrics.adopted.Inc()
		}
		if h.state == adrift {
			s.goOnAgain(h)
		}
		if former {
			s.resync(h)
		}
	}
	s.forgetFormer(m.From)
}

// forgetFormer takes the earlier incarnations of a media server from those that have a part of the session, if they have none any
// more.
func (s *session) forgetFormer(now messages.Member) {
	former := func(m messages.Member) bool { return m.Name == now.Name && m.Inc < now.Inc }
	if slices.ContainsFunc(s.handles, func(h *handle) bool { return former(h.server) }) {
		return
	}
	s.servers = slices.DeleteFunc(s.servers, former)
	s.touch(now)
	s.endAbsence(now.Name)
}

// goOnAgain ends the wait of a handle: its media server is there.
func (s *session) goOnAgain(h *handle) {
	h.state = bound
	s.runQueue(h)
}
