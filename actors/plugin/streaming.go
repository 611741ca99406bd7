// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"slices"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// Streaming is the router for janus.plugin.streaming (src/plugins/janus_streaming.c). A mountpoint is where it was created, or
// where its configuration file is; viewers watch it there. A viewer can switch to another one of the same Janus only, for his
// PeerConnection ends there. So what he makes is made beside him, and a switch to one that is elsewhere tells him what to do
// instead. Mountpoints that several Janus have from their configuration send the same, whichever of them he is on.
//
// A recording of a mountpoint is not begun anew with the mountpoint, since its files would be overwritten.
func Streaming() *Table {
	manage := Route{Verb: Manage}
	keep := Route{Verb: Manage, Keep: true}
	const away = `{"streaming":"event","error_code":470,` +
		`"error":"This mountpoint is on another media server: stop, wait for the hangup, and watch that one"}`
	return &Table{
		Package: "janus.plugin.streaming", ID: "id", Within: "stream", List: "list", Asks: "info",
		Requests: map[string]Route{
			"create":  {Verb: Manage, Creates: true, Beside: true},
			"destroy": {Verb: Manage, Ends: true},
			"edit":    keep, "enable": keep, "disable": keep,
			"info": manage, "kick_all": manage, "recording": manage,
			"list":  {Verb: Gather},
			"watch": {Verb: Bind, Copies: true, Away: away}, "switch": {Verb: Bind, Within: true, Copies: true, Away: away},
		},
		Present: func(_ string, data janusjson.Object) bool { return data.Get("streaming").Is("info") },
		Watch:   watchStreaming,
	}
}

// watchStreaming follows a handle: it watches a mountpoint until it stops, is thrown out, or the mountpoint ends.
func watchStreaming(verb janusjson.Verb, data janusjson.Object) Change {
	return watchStatus(verb, data, []string{"preparing", "starting", "started", "updating"}, []string{"stopping", "stopped", "kicked_all"})
}

// watchStatus follows a handle by the status in the result of its events. Without its PeerConnection it is free.
func watchStatus(verb janusjson.Verb, data janusjson.Object, engaged, free []string) Change {
	if verb == janusjson.VerbHangup {
		return Free
	}
	result, _ := data.Get("result").Object()
	status, _ := result.Get("status").Text()
	switch {
	case verb != janusjson.VerbEvent:
		return Same
	case slices.Contains(engaged, status):
		return Engaged
	case slices.Contains(free, status):
		return Free
	}
	return Same
}
