// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"strings"
	"testing"

	"github.com/januscloud/januscloud/messages/janusjson"
)

func object(t *testing.T, text string) janusjson.Object {
	t.Helper()
	o, err := janusjson.ParseObject([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

// requests are all requests that the plugins of Janus 1.1.2 and 1.4.1 compare their "request" with, by the verb that they need,
// and a + for those that belong to what makes the room anew.
var requests = map[string]map[string]string{ //house:table nobody writes it
	"janus.plugin.videoroom": {
		"manage": "exists kick moderate listparticipants listforwarders rtp_forward stop_rtp_forward publish_remotely " +
			"unpublish_remotely listremotes add_remote_publisher update_remote_publisher remove_remote_publisher",
		"manage+": "edit allowed enable_recording",
		"gather":  "list",
		"bind":    "join joinandconfigure",
		"any":     "configure publish unpublish start pause switch subscribe unsubscribe update leave",
	},
	"janus.plugin.audiobridge": {
		"manage": "exists listparticipants kick kick_all mute unmute rtp_forward stop_rtp_forward listforwarders play_file " +
			"is_playing stop_file listannouncements stop_all_files suspend resume denoise_enable denoise_disable",
		"manage+": "edit allowed enable_recording enable_mjrs mute_room unmute_room",
		"gather":  "list",
		"bind":    "join changeroom",
		"any":     "configure leave hangup resetdecoder",
	},
	"janus.plugin.textroom": {
		"manage":  "list listparticipants exists announcement kick",
		"manage+": "edit allowed",
		"bind":    "setup ack restart",
	},
	"janus.plugin.streaming": {
		"manage":  "info kick_all recording",
		"manage+": "edit enable disable",
		"gather":  "list",
		"bind":    "watch switch",
		"any":     "start pause stop configure",
	},
	"janus.plugin.recordplay": {
		"gather": "list update",
		"bind":   "play record",
		"any":    "configure start stop pause resume",
	},
}

// TestRequests routes every request of every plugin, in capitals too, and those that none has.
func TestRequests(t *testing.T) {
	verbs := map[string]Verb{"manage": Manage, "gather": Gather, "bind": Bind, "any": Any}
	routers := Standard()
	for pkg, byVerb := range requests {
		r := routers[pkg]
		if r == nil || r.Plugin() != pkg {
			t.Fatalf("%s has the router %v", pkg, r)
		}
		id := idOf(pkg)
		byVerb["any"] += " nothing list_ createx"
		for verb, names := range byVerb {
			word, keep := strings.CutSuffix(verb, "+")
			for name := range strings.FieldsSeq(names) {
				want := Route{Verb: verbs[word], Request: name, Key: "1234", Keep: keep}
				want.Clients = pkg == "janus.plugin.textroom" || pkg == "janus.plugin.recordplay" && name == "list"
				want.Creates = pkg == "janus.plugin.recordplay" && name == "record"
				if pkg == "janus.plugin.textroom" && want.Verb != Any {
					want.Shared, want.Key, want.Part = true, textRooms, "1234"
				}
				told := r.Route(object(t, `{"request":"`+name+`"}`))
				want.Within, want.Copies, want.Away = told.Within, told.Copies, told.Away // see TestAway
				for _, spelled := range []string{name, strings.ToUpper(name)} {
					if got := r.Route(object(t, `{"request":"`+spelled+`","`+id+`":1234}`)); got != want {
						t.Errorf("%s %s: %+v, want %+v", pkg, spelled, got, want)
					}
				}
			}
		}
	}
}

func idOf(pkg string) string {
	if pkg == "janus.plugin.streaming" || pkg == "janus.plugin.recordplay" {
		return "id"
	}
	return "room"
}

// TestCreations: a room is made with the id that is asked for, or with one that Janus draws; 0 asks for that, too.
func TestCreations(t *testing.T) {
	for pkg := range requests {
		if pkg == "janus.plugin.recordplay" {
			continue
		}
		r, id := Standard()[pkg], idOf(pkg)
		for _, test := range []struct{ id, key string }{
			{"", ""}, {`"` + id + `":0`, ""}, {`"` + id + `":-0`, ""}, {`"` + id + `":1.5`, ""}, {`"` + id + `":null`, ""},
			{`"` + id + `":7`, "7"}, {`"` + id + `":"x"`, `"x"`}, {`"` + id + `":-7`, "-7"}, {`"` + id + `":"0"`, `"0"`},
			{`"` + id + `":"\u00e4\/"`, `"ä/"`}, {`"` + id + `":9223372036854775807`, "9223372036854775807"},
			{`"` + id + `":1,"` + id + `":2`, "2"},
		} {
			body := `{` + test.id + `,"request":"create"}`
			if test.id == "" {
				body = `{"request":"create"}`
			}
			want := Route{Verb: Manage, Request: "create", Key: test.key, Creates: true}
			want.Beside = pkg == "janus.plugin.audiobridge" || pkg == "janus.plugin.streaming"
			if pkg == "janus.plugin.textroom" {
				want.Clients, want.Shared, want.Key, want.Part = true, true, textRooms, test.key
			}
			if got := r.Route(object(t, body)); got != want {
				t.Errorf("%s %s: %+v, want %+v", pkg, body, got, want)
			}
		}
		if got := r.Route(object(t, `{"request":"destroy","`+id+`":0}`)); !got.Ends || got.Creates || got.Key == "" {
			t.Errorf("%s: destroy: %+v", pkg, got)
		}
	}
}

// TestAway: who may have a PeerConnection without a room, or changes from one room to another, is told that the room is elsewhere,
// in the form of an error of his plugin.
func TestAway(t *testing.T) {
	for pkg, r := range Standard() {
		for name := range strings.FieldsSeq("join joinandconfigure changeroom watch switch play record call") {
			route := r.Route(object(t, `{"request":"`+name+`","room":1,"id":1}`))
			away := route.Away
			changes := pkg == "janus.plugin.audiobridge" && name == "changeroom" || pkg == "janus.plugin.streaming" && name == "switch"
			enters := pkg == "janus.plugin.audiobridge" && name == "join" || pkg == "janus.plugin.streaming" && name == "watch"
			if route.Copies != (pkg == "janus.plugin.streaming" && (changes || enters)) || route.Within != changes || (away != "") != (changes || enters) {
				t.Errorf("%s %s: %+v", pkg, name, route)
			}
			if away != "" && (!r.Failed(object(t, away)) || r.Observe(janusjson.VerbEvent, object(t, away)) != Same) {
				t.Errorf("%s %s: %q is no error that leaves the handle where it is", pkg, name, away)
			}
		}
	}
}

// TestNoRequest: what no plugin understands goes where the handle is.
func TestNoRequest(t *testing.T) {
	for pkg, r := range Standard() {
		for _, body := range []string{`{}`, `{"request":5}`, `{"request":null,"room":1}`, `{"request":""}`, `{"Request":"list"}`} {
			if got := r.Route(object(t, body)); got.Verb != Any || got.Creates || got.Ends || got.Keep {
				t.Errorf("%s %s: %+v", pkg, body, got)
			}
		}
	}
}

// TestTextRoomWithin: a managed request of the textroom plugin can carry another, which counts.
func TestTextRoomWithin(t *testing.T) {
	r := TextRoom()
	for body, want := range map[string]Route{
		`{"request":"list","textroom":"create","room":5}`:    {Verb: Manage, Request: "create", Key: textRooms, Part: "5", Creates: true},
		`{"request":"list","textroom":"Destroy","room":5}`:   {Verb: Manage, Request: "destroy", Key: textRooms, Part: "5", Ends: true},
		`{"request":"create","textroom":"edit","room":5}`:    {Verb: Manage, Request: "edit", Key: textRooms, Part: "5", Keep: true},
		`{"request":"list","textroom":"join","room":5}`:      {Verb: Bind, Request: "join", Key: textRooms, Part: "5"},
		`{"request":"exists","textroom":"LEAVE","room":5}`:   {Verb: Bind, Request: "leave", Key: textRooms, Part: "5"},
		`{"request":"kick","textroom":"message","room":"x"}`: {Verb: Bind, Request: "message", Key: textRooms, Part: `"x"`},
		`{"request":"create","textroom":"setup","room":5}`:   {Verb: Manage, Request: "create", Key: textRooms},
		`{"request":"create","textroom":"odd","room":5}`:     {Verb: Manage, Request: "create", Key: textRooms},
		`{"request":"exists","textroom":"","room":5}`:        {Verb: Manage, Request: "exists", Key: textRooms},
		`{"request":"create","textroom":5,"room":5}`:         {Verb: Manage, Request: "create", Key: textRooms, Part: "5", Creates: true},
		`{"request":"setup","textroom":"create","room":5}`:   {Verb: Bind, Request: "setup", Key: textRooms, Part: "5"},
	} {
		want.Shared, want.Clients = true, true
		if got := r.Route(object(t, body)); got != want {
			t.Errorf("%s: %+v, want %+v", body, got, want)
		}
		want.Clients = false
		if got := r.Route(object(t, `{"transaction":"of an administrator",`+body[1:])); got != want {
			t.Errorf("%s, with a transaction: %+v, want %+v", body, got, want)
		}
	}
}
