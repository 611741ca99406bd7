// SPDX-License-Identifier: Apache-2.0

package plugin

import "github.com/januscloud/januscloud/messages/janusjson"

// Streaming is the router for janus.plugin.streaming (src/plugins/janus_streaming.c). A mountpoint is where it was created, or
// where its configuration file is; viewers watch it there. A viewer can switch to another one of the same Janus only, for his
// PeerConnection ends there: switch stays where he is, and is answered "No such mountpoint" when the other one is elsewhere.
//
// A recording of a mountpoint is not begun anew with the mountpoint, since its files would be overwritten.
func Streaming() *Table {
	manage := Route{Verb: Manage}
	keep := Route{Verb: Manage, Keep: true}
	return &Table{
		Package: "janus.plugin.streaming", ID: "id", Within: "stream", List: "list", Asks: "info",
		Requests: map[string]Route{
			"create":  {Verb: Manage, Creates: true},
			"destroy": {Verb: Manage, Ends: true},
			"edit":    keep, "enable": keep, "disable": keep,
			"info": manage, "kick_all": manage, "recording": manage,
			"list":  {Verb: Gather},
			"watch": {Verb: Bind},
		},
		Present: func(_ string, data janusjson.Object) bool { return data.Get("streaming").Is("info") },
		Watch:   watchStreaming,
	}
}

// watchStreaming follows a handle: it watches a mountpoint until it stops, is thrown out, or the mountpoint ends.
func watchStreaming(verb janusjson.Verb, data janusjson.Object) Change {
	switch verb {
	case janusjson.VerbHangup:
		return Free
	case janusjson.VerbEvent:
	default:
		return Same
	}
	result, _ := data.Get("result").Object()
	status := result.Get("status")
	switch {
	case status.Is("preparing"), status.Is("starting"), status.Is("started"), status.Is("updating"):
		return Engaged
	case status.Is("stopping"), status.Is("stopped"), status.Is("kicked_all"):
		return Free
	}
	return Same
}
