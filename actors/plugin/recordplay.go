// SPDX-License-Identifier: Apache-2.0

package plugin

import "github.com/januscloud/januscloud/messages/janusjson"

// RecordPlay is the router for janus.plugin.recordplay (src/plugins/janus_recordplay.c). A recording is played where its files
// are: on the Janus that made it, or on any that finds it in its folder. Whoever records under an id of his own is brought to
// the Janus that has a recording with this id already, or where somebody else is recording under it, to be refused there.
//
// Only list tells whether a Janus has a recording, and it leaves out private ones (since Janus 1.3.1). Those are remembered
// when they are made; older ones, of a time without a cluster, are found by their luck alone.
func RecordPlay() Router {
	return recorder{&Table{
		Package: "janus.plugin.recordplay", ID: "id", List: "list", Asks: "list",
		Requests: map[string]Route{
			"list": {Verb: Gather, Clients: true}, "update": {Verb: Gather},
			"play": {Verb: Bind}, "record": {Verb: Bind, Creates: true},
		},
		Present: hasRecording,
		Watch:   watchRecordPlay,
	}}
}

// recorder is the router for recordplay.
type recorder struct{ *Table }

var _ Hides = recorder{}

// Hidden implements Hides: whoever begins a recording is told its id, and that it is private.
func (recorder) Hidden(verb janusjson.Verb, data janusjson.Object) (string, bool) {
	result, _ := data.Get("result").Object()
	key := KeyOf(result.Get("id"))
	hidden := verb == janusjson.VerbEvent && result.Get("status").Is("recording") && result.Get("is_private").Bool()
	return key, hidden && key != ""
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
