// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"time"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/wheel"
)

// barrierWait is how long the media server may take to show that nothing older is under way.
const barrierWait = 3 * time.Second

// resync is the state of a handle whose plugin tells of others in a room: after its Janus was out of reach, what its client was
// told is compared with what there is.
//
// In order: the media server says that there was a gap; the surveyor looks at the room; a request behind which all is that Janus
// said before shows that nothing is under way that was seen already; the difference is told. What is heard after the gap counts
// more than what is seen. A handle that was taken over was told of who knows whom: of it nothing is said.
type resync struct {
	told    plugin.Told
	gap     uint64      // counts the gaps: the answer to an older one is of no use
	seen    plugin.Seen // waits for the barrier
	barrier string      // identity of that request; empty: there is none
	due     wheel.Timer
}

// barrierDue tells a session that the media server has not answered.
type barrierDue struct{ handle, gap uint64 }

// remember gives a handle of such a plugin its memory.
func (h *handle) remember() {
	if r, ok := h.router.(plugin.Resyncer); ok {
		if told := r.Remember(); told != nil {
			h.resync = &resync{told: told}
		}
	}
}

// forgetTold begins anew: the handle is in no room any more.
func (s *session) forgetTold(h *handle) {
	if h.resync != nil {
		s.node.Wheel.Disarm(&h.resync.due)
		gap := h.resync.gap
		h.remember()
		h.resync.gap = gap + 1
	}
}

// asks shows a message of the client to the memory of the handle.
func (h *handle) asks(r *request) {
	if h.resync == nil {
		return
	}
	if body, ok := r.Object(janusjson.KeyBody); ok {
		h.resync.told.Asks(body)
	}
}

// hears shows an event to the memory of the handle. It reports false for one that is not for the client.
func (h *handle) hears(verb janusjson.Verb, data janusjson.Object) bool {
	return h.resync == nil || verb != janusjson.VerbEvent || h.resync.told.Hears(data)
}

// onGap hears that a media server has found its Janus again.
func (s *session) onGap(origin string) {
	server, _, _ := messages.CutOrigin(origin)
	for _, h := range s.handles {
		if h.state == bound && s.node.originOf(h.server) == server {
			s.resync(h)
		}
	}
}

// resync finds out what the client of a handle missed.
func (s *session) resync(h *handle) {
	x := h.resync
	if x == nil {
		return
	}
	look, ok := x.told.Look()
	if !ok {
		return
	}
	x.gap++
	x.barrier = ""
	s.node.Wheel.Disarm(&x.due)
	s.node.tell(s.node.surveyor, &surveyAsk{
		key: surveyKey{h.server, h.plugin, look.Room}, look: look, session: s.self, handle: h.id, gap: x.gap,
	})
}

// onSurveyed waits for what is under way from the Janus.
func (s *session) onSurveyed(m surveyed) {
	h := s.gapOf(m.handle, m.gap)
	if h == nil {
		return
	}
	x := h.resync
	h.attempt++
	x.seen, x.barrier = m.seen, s.ownIdentity(h.id, h.attempt)
	due := barrierDue{h.id, x.gap}
	s.node.Wheel.Arm(&x.due, barrierWait, func() { s.node.tell(s.self, due) })
	body := messages.Reply{Session: s.id, Transaction: []byte(`"barrier"`)}.Append(nil, janusjson.VerbKeepalive.String())
	s.passOn(h, x.barrier, body)
}

// gapOf is the handle whose last gap this is, if it is still where it was.
func (s *session) gapOf(handle, gap uint64) *handle {
	h := s.handle(handle)
	if s.ending != nil || h == nil || h.resync == nil || h.resync.gap != gap || h.state != bound {
		return nil
	}
	return h
}

// onBarrierDue gives up: either the Janus is out of reach again, and there will be another gap, or it is lost.
func (s *session) onBarrierDue(m barrierDue) {
	if h := s.gapOf(m.handle, m.gap); h != nil && h.resync.barrier != "" {
		h.resync.forget()
		s.node.metrics.resyncs.WithLabelValues("failed").Inc()
		s.log().Warn("handle not resynchronised", "handle", h.id, "server", h.server.Name)
	}
}

// forget ends a comparison that is not to be made.
func (x *resync) forget() { x.gap, x.barrier, x.seen = x.gap+1, "", plugin.Seen{} }

// passes takes the answer of a media server if it is to the barrier.
func (s *session) passes(h *handle, in *inbound) bool {
	x := h.resync
	if x == nil || x.barrier == "" || in.msg.Reply != x.barrier {
		return false
	}
	s.node.Wheel.Disarm(&x.due)
	var m janusjson.Message
	if janusjson.Scan(in.msg.Data, &m) == nil && m.Verb() == janusjson.VerbAck && h.state == bound {
		s.tellMissed(h)
	}
	x.forget()
	return true
}

// tellMissed tells the client what it missed.
func (s *session) tellMissed(h *handle) {
	version := ""
	if p, ok := s.node.Roster.View().Find(messages.RoleMedia, h.server.Name); ok {
		version = p.Beat.Media.Version
	}
	missed := h.resync.told.Missed(h.resync.seen, version)
	result := "whole"
	if missed.Partial {
		result = "partial"
	}
	s.node.metrics.resyncs.WithLabelValues(result).Inc()
	s.node.metrics.missed.Add(float64(len(missed.Events)))
	s.log().Info("handle resynchronised", "handle", h.id, "server", h.server.Name, "events", len(missed.Events), "result", result)
	for _, event := range missed.Events {
		if data, err := janusjson.ParseObject(event); err == nil {
			s.follows(h, h.router.Observe(janusjson.VerbEvent, data))
		}
		s.notify(s.pluginEvent(h, nil, event, nil))
	}
}
