// SPDX-License-Identifier: Apache-2.0

package plugin

import "github.com/januscloud/januscloud/messages/janusjson"

// RecordPlay is the router for janus.plugin.recordplay (src/plugins/janus_recordplay.c). A recording is played where its files
// are: on the Janus that made it, or on any that finds it in its folder. Whoever records under an id of his own is brought to
// the Janus that has a recording with this id already, to be refused there.
//
// Only list tells whether a Janus has a recording: private ones, which it leaves out, are found by their luck alone.
func RecordPlay() *Table {
	return &Table{
		Package: "janus.plugin.recordplay", ID: "id", List: "list", Asks: "list",
		Requests: map[string]Route{
			"list": {Verb: Gather, Clients: true}, "update": {Verb: Gather},
			"play": {Verb: Bind}, "record": {Verb: Bind},
		},
		Present: hasRecording,
		Watch:   watchRecordPlay,
	}
}

// hasRecording looks for an id in a list.
func hasRecording(key string, data janusjson.Object) bool {
	list, _ := data.Get("list").Array()
	for v := range list.All() {
		if o, _ := v.Object(); KeyOf(o.Get("id")) == key {
			return true
		}
	}
	return false
}

// watchRecordPlay follows a handle: it records or plays until it stops or its PeerConnection is gone.
func watchRecordPlay(verb janusjson.Verb, data janusjson.Object) Change {
	if verb == janusjson.VerbEvent && data.Get("result").Is("done") {
		return Free
	}
	return watchStatus(verb, data, []string{"recording", "preparing", "playing", "restarting"}, []string{"stopped"})
}
