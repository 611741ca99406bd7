// SPDX-License-Identifier: Apache-2.0

package plugin

import "github.com/januscloud/januscloud/messages/janusjson"

// Medium is a part of a PeerConnection that Janus receives something of.
type Medium struct{ Mid, Type []byte } // as JSON

// LinkOf tells from what the Admin API says of a handle (handle_info of src/janus.c) whether it has a PeerConnection, and what Janus
// receives over it.
func LinkOf(info janusjson.Object) (Link, []Medium) {
	flags, known := info.Get("flags").Object()
	webrtc, there := info.Get("webrtc").Object()
	switch {
	case !known:
		return LinkUnknown, nil
	case !there || !flags.Get("ready").Bool():
		return LinkDown, nil
	}
	var receives []Medium
	media, _ := webrtc.Get("media").Object()
	for _, v := range media.All() {
		m, _ := v.Object()
		stats, _ := m.Get("stats").Object()
		in, _ := stats.Get("in").Object()
		packets, _ := in.Get("packets").Int()
		if what := m.Get("type"); packets > 0 && (what.Is("audio") || what.Is("video")) && m.Get("mid").Kind() == janusjson.KindString {
			receives = append(receives, Medium{m.Get("mid").Bytes(), what.Bytes()})
		}
	}
	return LinkUp, receives
}
