// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"hash/fnv"
	"strings"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// subscription is which offer of a video room its subscriber was sent last. Janus sends no other before that one is answered: if it
// got lost, the subscriber would never see anybody new.
type subscription struct {
	room  string
	offer uint64 // see offerOf; 0: none is known
	fresh bool   // it was sent for Janus, which may yet be heard to send it: it had begun to when it was looked at
}

// hears learns from an event. It reports false for an offer that was sent already.
func (s *subscription) hears(data, jsep janusjson.Object) bool {
	what := data.Get("videoroom")
	if what.Is("attached") {
		*s = subscription{room: KeyOf(data.Get("room"))}
	}
	if s.room == "" || !jsep.Get("type").Is("offer") {
		return true
	}
	offer := offerOf(jsep.Get("sdp"))
	doubled := s.fresh && offer == s.offer
	s.offer, s.fresh = offer, false
	return !doubled
}

// offerOf is the fingerprint of the origin of an SDP, whose version Janus counts up with each offer; 0 without one.
func offerOf(v janusjson.Value) uint64 {
	text, _ := v.Text()
	_, rest, _ := strings.Cut(text, "\no=")
	origin, _, found := strings.Cut(rest, "\r\n")
	if !found {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(origin)) // never fails (hash.Hash)
	return h.Sum64()
}

// missed is an offer that waits for its answer and was not sent, as the Admin API shows it (janus_videoroom_query_session and
// handle_info).
func (s *subscription) missed(info janusjson.Object) Missed {
	sdps, _ := info.Get("sdps").Object()
	state, _ := info.Get("plugin_specific").Object()
	sdp, streams := sdps.Get("local"), state.Get("streams")
	offer := offerOf(sdp)
	if s.room == "" || s.offer == 0 || offer == 0 || offer == s.offer || state.Get("answered").Kind() != janusjson.KindFalse ||
		!state.Get("type").Is("subscriber") || streams.Kind() != janusjson.KindArray {
		return Missed{}
	}
	s.offer, s.fresh = offer, true
	data := []byte(`{"videoroom":"updated","room":` + s.room + `,"streams":`)
	jsep := append([]byte(`{"type":"offer","sdp":`), sdp.Bytes()...)
	return Missed{Events: []Event{{Data: append(append(data, streams.Bytes()...), '}'), Jsep: append(jsep, '}')}}}
}
