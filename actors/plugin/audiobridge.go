// SPDX-License-Identifier: Apache-2.0

package plugin

import "github.com/januscloud/januscloud/messages/janusjson"

// AudioBridge is the router for janus.plugin.audiobridge (src/plugins/janus_audiobridge.c). A mix is where it was created;
// participants join there. One who is in a room can change to another on the same Janus only, for his PeerConnection ends
// there. So a room that he makes is made beside him, and changeroom to one that is elsewhere tells him what to do instead.
func AudioBridge() *Table {
	manage := Route{Verb: Manage}
	keep := Route{Verb: Manage, Keep: true}
	const away = `{"audiobridge":"event","error_code":499,` +
		`"error":"This room is on another media server: leave the room, hang up, and join that one"}`
	return &Table{
		Package: "janus.plugin.audiobridge", ID: "room", List: "list", Count: "num_participants", Asks: "exists", Lists: "listparticipants",
		Requests: map[string]Route{
			"create":  {Verb: Manage, Creates: true, Beside: true},
			"destroy": {Verb: Manage, Ends: true},
			"edit":    keep, "allowed": keep, "enable_recording": keep, "enable_mjrs": keep,
			"mute_room": keep, "unmute_room": keep,
			"exists": manage, "listparticipants": manage, "kick": manage, "kick_all": manage, "mute": manage, "unmute": manage,
			"rtp_forward": manage, "stop_rtp_forward": manage, "listforwarders": manage,
			"play_file": manage, "is_playing": manage, "stop_file": manage,
			// Since 1.2 or later; an older Janus refuses them.
			"listannouncements": manage, "stop_all_files": manage, "suspend": manage, "resume": manage,
			"denoise_enable": manage, "denoise_disable": manage,
			"list": {Verb: Gather},
			"join": {Verb: Bind, Away: away}, "changeroom": {Verb: Bind, Within: true, Away: away},
		},
		Present: func(_ string, data janusjson.Object) bool { return data.Get("exists").Bool() },
		Watch:   watchAudioBridge,
		Told:    func() Told { return &audioBridgeTold{} },
	}
}

// notJoined and alreadyJoined are errors that tell whether a handle is in a room (JANUS_AUDIOBRIDGE_ERROR_NOT_JOINED and
// JANUS_AUDIOBRIDGE_ERROR_ALREADY_JOINED).
const (
	notJoined     = 487
	alreadyJoined = 491
)

// watchAudioBridge follows a handle: it is in a room from its joining until it leaves, loses its PeerConnection, all are
// kicked, or the room is destroyed. That one is kicked is said to all in the same words, and ends his PeerConnection; who has
// none learns from the next error that he is out.
func watchAudioBridge(verb janusjson.Verb, data janusjson.Object) Change {
	what := data.Get("audiobridge")
	code, _ := data.Get("error_code").Int()
	switch {
	case verb == janusjson.VerbHangup:
		return Free
	case verb != janusjson.VerbEvent:
		return Same
	case what.Is("joined"), what.Is("roomchanged"), code == alreadyJoined:
		return Engaged
	case what.Is("left"), what.Is("destroyed"), data.Get("kicked_all").Kind() != janusjson.KindAbsent, code == notJoined:
		return Free
	}
	return Same
}
