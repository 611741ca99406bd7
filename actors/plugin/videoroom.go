// SPDX-License-Identifier: Apache-2.0

package plugin

import "github.com/januscloud/januscloud/messages/janusjson"

// VideoRoom is the router for janus.plugin.videoroom (src/plugins/janus_videoroom.c). A room is where it was created;
// publishers and subscribers join there. Feeds are numbered per room, so that they need no homes of their own.
func VideoRoom() *Table {
	manage := Route{Verb: Manage}
	keep := Route{Verb: Manage, Keep: true}
	return &Table{
		Package: "janus.plugin.videoroom", ID: "room", List: "list", Count: "num_participants", Asks: "exists", Lists: "listparticipants",
		Requests: map[string]Route{
			"create":  {Verb: Manage, Creates: true},
			"destroy": {Verb: Manage, Ends: true},
			"edit":    keep, "allowed": keep, "enable_recording": keep,
			"exists": manage, "kick": manage, "moderate": manage,
			"listparticipants": manage, "listforwarders": manage, "rtp_forward": manage, "stop_rtp_forward": manage,
			"publish_remotely": manage, "unpublish_remotely": manage, "listremotes": manage,
			"add_remote_publisher": manage, "update_remote_publisher": manage, "remove_remote_publisher": manage,
			"list": {Verb: Gather},
			"join": {Verb: Bind}, "joinandconfigure": {Verb: Bind},
		},
		Present: func(_ string, data janusjson.Object) bool { return data.Get("exists").Bool() },
		Watch:   watchVideoRoom,
		Told:    func() Told { return &videoRoomTold{} },
	}
}

// watchVideoRoom follows a handle: whoever has joined a room, or is attached to its publishers, does so for good. After he has
// left, is kicked, or the room is destroyed, Janus tells him to create a new handle, whatever he asks for.
func watchVideoRoom(verb janusjson.Verb, data janusjson.Object) Change {
	if what := data.Get("videoroom"); verb == janusjson.VerbEvent && (what.Is("joined") || what.Is("attached")) {
		return Engaged
	}
	return Same
}
