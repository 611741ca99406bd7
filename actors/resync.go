// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/wheel"
)

// barrierWait is how long the media server may take to show that nothing older is under way.
const barrierWait = 3 * time.Second

// resync is the state of a handle that is compared, after its Janus was out of reach, with what its client was told: its
// PeerConnection, and the room that it is in.
//
// In order: the media server says that there was a gap; the surveyor looks at the room and at the handle; a request behind which all
// is that Janus said before shows that nothing is under way that was seen already; the difference is told. What is heard after the
// gap counts more than what is seen. Of a handle that was taken over nobody knows what was told of a room: nothing is said.
type resync struct {
	told    plugin.Told // nil: the plugin tells of nobody else
	gap     uint64      // counts the gaps: the answer to an older one is of no use
	owed    int         // looks that are under way
	seen    plugin.Seen // by those that are over
	barrier string      // identity of that request; empty: it was not made
	passed  bool        // it was answered while what Janus said before is still being caught up on
	due     wheel.Timer
	moved   bool           // its PeerConnection was heard of since the gap
	media   []string       // parts of it that were, by mid as JSON
	said    janusjson.Verb // of its PeerConnection, for Janus, which may have begun to say so itself; VerbUnknown: nothing
}

// maxMedia bounds the parts of a PeerConnection that are remembered.
const maxMedia = 64

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
	h.negotiated, h.assumed = false, false
	last := h.resync
	if last == nil {
		return
	}
	s.node.Wheel.Disarm(&last.due)
	h.resync = &resync{}
	h.remember()
	h.resync.gap = last.gap + 1
}

// negotiates notes that a message bears a jsep: what is said of a PeerConnection from now on is said of that.
func (h *handle) negotiates(m *janusjson.Message) {
	if !m.Has(janusjson.KeyJsep) {
		return
	}
	h.negotiated = true
	if h.resync != nil {
		h.resync.said = janusjson.VerbUnknown
	}
}

// asks shows a message of the client to the memory of the handle.
func (h *handle) asks(r *request) {
	if h.resync == nil || h.resync.told == nil {
		return
	}
	if body, ok := r.Object(janusjson.KeyBody); ok {
		h.resync.told.Asks(body)
	}
}

// hears shows an event to the memory of the handle. It reports false for one that is not for the client.
func (h *handle) hears(m *janusjson.Message, data janusjson.Object) bool {
	x, verb := h.resync, m.Verb()
	switch {
	case x == nil:
		return true
	case verb == janusjson.VerbWebRTCUp || verb == janusjson.VerbHangup:
		doubled := x.said == verb
		x.moved, x.said = true, janusjson.VerbUnknown
		return !doubled
	case verb == janusjson.VerbMedia && x.compares() && len(x.media) < maxMedia:
		if o, err := janusjson.ParseObject(m.Raw()); err == nil {
			x.media = append(x.media, string(o.Get("mid").Bytes()))
		}
	case verb == janusjson.VerbEvent && x.told != nil:
		jsep, _ := m.Object(janusjson.KeyJsep)
		return x.told.Hears(data, jsep) || m.Has(janusjson.KeyTransaction) // an answer is awaited
	}
	return true
}

// onGap hears that a media server has found its Janus again.
func (s *session) onGap(server string) {
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
		if !h.negotiated && !h.live {
			return
		}
		x = &resync{}
		h.resync = x
	}
	s.node.Wheel.Disarm(&x.due)
	x.gap++
	x.owed, x.seen, x.barrier, x.passed, x.moved, x.media = 0, plugin.Seen{}, "", false, false, nil
	key := surveyKey{server: h.server, plugin: h.plugin}
	if x.told != nil {
		if look, ok := x.told.Look(); ok {
			key.room = look.Room
			s.survey(s.node.surveyor, h, key, look)
		}
	}
	if h.negotiated || h.live {
		s.survey(s.node.examiner, h, surveyKey{server: h.server, session: s.id, janus: h.janus}, plugin.Look{})
	}
}

func (s *session) survey(surveyor *actor.PID, h *handle, key surveyKey, look plugin.Look) {
	h.resync.owed++
	s.node.tell(surveyor, &surveyAsk{key: key, look: look, session: s.self, handle: h.id, gap: h.resync.gap})
}

// onSurveyed waits, when all is seen, for what is under way from the Janus.
func (s *session) onSurveyed(m surveyed) {
	h := s.gapOf(m.handle, m.gap)
	if h == nil {
		return
	}
	x := h.resync
	if x.owed--; len(m.seen.Info.Bytes()) > 0 {
		x.seen.Info = m.seen.Info
	} else if len(m.seen.List.Bytes()) > 0 {
		x.seen.List, x.seen.Visit = m.seen.List, m.seen.Visit
	}
	if x.owed > 0 {
		return
	}
	h.attempt++
	x.barrier = s.ownIdentity(h.id, h.attempt)
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

// compares reports whether a comparison is under way.
func (x *resync) compares() bool { return x.owed > 0 || x.barrier != "" || x.passed }

// forget ends a comparison that is not to be made.
func (x *resync) forget() { x.gap, x.barrier, x.passed, x.seen = x.gap+1, "", false, plugin.Seen{} }

// passes takes the answer of a media server if it is to the barrier.
func (s *session) passes(h *handle, in *inbound) bool {
	x := h.resync
	if x == nil || x.barrier == "" || in.msg.Reply != x.barrier {
		return false
	}
	s.node.Wheel.Disarm(&x.due)
	var m janusjson.Message
	behind := janusjson.Scan(in.msg.Data, &m) == nil && m.Verb() == janusjson.VerbAck && h.state == bound
	switch {
	case behind && s.catching != nil:
		x.barrier, x.passed = "", true
		return true
	case behind:
		s.tellMissed(h)
	}
	x.forget()
	return true
}

// passLate goes on with the handles whose barriers were passed while the session caught up.
func (s *session) passLate() {
	if s.catching != nil {
		return
	}
	for _, h := range s.handles {
		if x := h.resync; x != nil && x.passed {
			if h.state == bound {
				s.tellMissed(h)
			}
			x.forget()
		}
	}
}

// tellMissed tells the client what it missed.
func (s *session) tellMissed(h *handle) {
	x, version := h.resync, ""
	if p, ok := s.node.Roster.View().Find(messages.RoleMedia, h.server.Name); ok {
		version = p.Beat.Media.Version
	}
	var missed plugin.Missed
	if x.told != nil {
		missed = x.told.Missed(x.seen, version)
	}
	result := "whole"
	if missed.Partial {
		result = "partial"
	}
	s.node.metrics.resyncs.WithLabelValues(result).Inc()
	s.node.metrics.missed.Add(float64(len(missed.Events)))
	if len(missed.Events) > 0 || missed.Partial { // there may be thousands of whom there is nothing to say
		s.log().Info("handle resynchronised", "handle", h.id, "server", h.server.Name, "events", len(missed.Events), "result", result)
	}
	for _, event := range missed.Events {
		if data, err := janusjson.ParseObject(event.Data); err == nil {
			s.follows(h, h.router.Observe(janusjson.VerbEvent, data))
		}
		s.notify(s.pluginEvent(h, nil, event.Data, event.Jsep))
	}
	s.tellLink(h, missed.Link)
}

// hungUpMeanwhile is the reason of a hang-up whose own reason Janus gave to nobody.
const hungUpMeanwhile = "PeerConnection ended while its media server was out of reach"

// tellLink tells the client what became of its PeerConnection. room is what the room shows of it.
func (s *session) tellLink(h *handle, room plugin.Link) {
	x := h.resync
	link, media := plugin.LinkOf(x.seen.Info)
	if link == plugin.LinkUnknown {
		link = room
	}
	if x.moved || link == plugin.LinkUnknown || !h.negotiated && !h.live {
		return
	}
	switch {
	case h.assumed: // nobody knows what the client was told
		h.live, h.assumed = link == plugin.LinkUp, false
	case link == plugin.LinkDown && h.live:
		h.live, x.said = false, janusjson.VerbHangup
		if h.router != nil {
			s.follows(h, h.router.Observe(janusjson.VerbHangup, janusjson.Object{}))
		}
		s.node.metrics.missed.Inc()
		s.notify(messages.AppendNotice(nil, janusjson.VerbHangup.String(), s.id, h.id, hungUpMeanwhile))
	case link == plugin.LinkUp && !h.live:
		h.live, x.said = true, janusjson.VerbWebRTCUp
		s.node.metrics.missed.Inc()
		s.notify(messages.AppendNotice(nil, janusjson.VerbWebRTCUp.String(), s.id, h.id, ""))
		s.tellMedia(h, media)
	}
	s.assure(h)
}

// tellMedia tells the client what Janus receives of it, but for what Janus has said itself.
func (s *session) tellMedia(h *handle, media []plugin.Medium) {
	for _, m := range media {
		if !slices.Contains(h.resync.media, string(m.Mid)) {
			s.node.metrics.missed.Inc()
			notice := messages.AppendNotice(nil, janusjson.VerbMedia.String(), s.id, h.id, "")
			s.notify(fmt.Appendf(notice[:len(notice)-1], `,"mid":%s,"type":%s,"receiving":true}`, m.Mid, m.Type))
		}
	}
}
