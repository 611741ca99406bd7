// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"strings"
	"testing"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// The answers and events below are what Janus 1.1.2 and 1.4.1 said, the drawn ids shortened.

// TestHas asks as Janus was asked, and reads what it answered.
func TestHas(t *testing.T) {
	for _, test := range []struct {
		plugin, key, probe, data string
		has                      bool
	}{
		{"videoroom", "1234", `{"request":"exists","room":1234}`, `{"videoroom":"success","room":1234,"exists":true}`, true},
		{"videoroom", "99", `{"request":"exists","room":99}`, `{"videoroom":"success","room":99,"exists":false}`, false},
		{"videoroom", `"x"`, `{"request":"exists","room":"x"}`,
			`{"videoroom":"event","error_code":430,"error":"Invalid element type (room should be a positive integer)"}`, false},
		{"audiobridge", "1234", `{"request":"exists","room":1234}`, `{"audiobridge":"success","room":1234,"exists":true}`, true},
		{"audiobridge", "99", `{"request":"exists","room":99}`, `{"audiobridge":"success","room":99,"exists":false}`, false},
		{"audiobridge", "-1", `{"request":"exists","room":-1}`,
			`{"audiobridge":"event","error_code":484,"error":"Invalid element type (room should be a positive integer)"}`, false},
		{"textroom", textRooms, `{"request":"list","room":"*"}`,
			`{"textroom":"success","list":[{"room":1234,"description":"Demo Room","pin_required":false,"num_participants":0,"history":0}]}`, true},
		{"textroom", textRooms, `{"request":"list","room":"*"}`, `{"textroom":"success","list":[]}`, true},
		{"textroom", textRooms, `{"request":"list","room":"*"}`,
			`{"textroom":"error","error_code":419,"error":"Unauthorized (wrong admin_key)"}`, false},
		{"streaming", "1", `{"request":"info","id":1}`,
			`{"streaming":"info","info":{"id":1,"description":"Opus/VP8 live stream coming from external source","enabled":true,"type":"live"}}`, true},
		{"streaming", "99", `{"request":"info","id":99}`,
			`{"streaming":"event","error_code":455,"error":"No such mountpoint/stream 99"}`, false},
		{"recordplay", "1234", `{"request":"list","id":1234}`, recordings, true},
		{"recordplay", "123", `{"request":"list","id":123}`, recordings, false},
		{"recordplay", `"1234"`, `{"request":"list","id":"1234"}`, recordings, false},
		{"recordplay", "1234", `{"request":"list","id":1234}`, `{"recordplay":"list","list":[]}`, false},
		{"recordplay", "1234", `{"request":"list","id":1234}`, `{}`, false},
	} {
		r := Standard()["janus.plugin."+test.plugin]
		if probe := string(r.Probe(test.key)); probe != test.probe {
			t.Errorf("%s: %s is looked for by %s, not %s", test.plugin, test.key, probe, test.probe)
		}
		if r.Has(test.key, object(t, test.data)) != test.has {
			t.Errorf("%s has %s: %v, want %v, after %s", test.plugin, test.key, !test.has, test.has, test.data)
		}
	}
}

const recordings = `{"recordplay":"list","list":[{"id":1234,"name":"Lorenzo says hello!","date":"2014-02-26 13:27:16","audio":true,` +
	`"audio_codec":"opus","video":true,"video_codec":"vp8","data":false}]}`

// TestMade reads the ids of new rooms, and writes them into what made the rooms.
func TestMade(t *testing.T) {
	for _, test := range []struct{ plugin, data, key, body, named string }{
		{"videoroom", `{"videoroom":"created","room":5234,"permanent":false}`, "5234", `{"request":"create"}`, `{"request":"create","room":5234}`},
		{"videoroom", `{"videoroom":"event","error_code":427,"error":"Room 1234 already exists"}`, "", "", ""},
		{"audiobridge", `{"audiobridge":"created","room":"a/b","permanent":false}`, `"a/b"`, `{"request":"create","room":0,"pin":"p"}`,
			`{"request":"create","pin":"p","room":"a/b"}`},
		{"textroom", `{"textroom":"created","room":5234,"permanent":false}`, "5234", `{"request":"create"}`, `{"request":"create","room":5234}`},
		{"streaming", `{"streaming":"created","created":"drawn","permanent":false,"stream":{"id":5234,"type":"live","description":"drawn",` +
			`"is_private":true,"ports":[{"type":"audio","mid":"a","port":41233}]}}`, "5234", `{"request":"create","type":"rtp"}`,
			`{"request":"create","type":"rtp","id":5234}`},
		{"streaming", `{"streaming":"event","error_code":456,"error":"A stream with the provided ID already exists"}`, "", "", ""},
	} {
		r := Standard()["janus.plugin."+test.plugin]
		data := object(t, test.data)
		key, ok := r.Made(data)
		if key != test.key || ok != (test.key != "") || r.Failed(data) == ok {
			t.Errorf("%s: made %q, %v, failed: %v, by %s", test.plugin, key, ok, r.Failed(data), test.data)
		}
		if !ok {
			continue
		}
		if named := string(r.Named(object(t, test.body), key)); named != test.named {
			t.Errorf("%s: %s is named %s, want %s", test.plugin, test.body, named, test.named)
		}
	}
}

// TestMerge makes one answer of two Janus'.
func TestMerge(t *testing.T) {
	const denied = `{"streaming":"event","error_code":466,"error":"Unauthorized (wrong admin_key)"}`
	for name, test := range map[string]struct {
		plugin  string
		answers []string
		want    string
	}{
		"rooms of both, the one in both where people are": {
			"videoroom",
			[]string{
				`{"videoroom":"success","list":[{"room":1234,"num_participants":0},{"room":5,"num_participants":1}]}`,
				`{"videoroom":"success","list":[{"room":1234,"num_participants":2},{"room":"5","num_participants":0}]}`,
			},
			`{"videoroom":"success","list":[{"room":1234,"num_participants":2},{"room":5,"num_participants":1},{"room":"5","num_participants":0}]}`,
		},
		"mountpoints of both, the first of two": {
			"streaming",
			[]string{
				`{"streaming":"list","list":[{"id":1,"type":"live","description":"here"}]}`,
				`{"streaming":"list","list":[{"id":2,"type":"on demand"},{"id":1,"type":"live","description":"there"}]}`,
			},
			`{"streaming":"list","list":[{"id":1,"type":"live","description":"here"},{"id":2,"type":"on demand"}]}`,
		},
		"one fails": {"streaming", []string{denied, `{"streaming":"list","list":[]}`, denied}, `{"streaming":"list","list":[]}`},
		"all fail":  {"streaming", []string{denied, denied}, denied},
		"one":       {"recordplay", []string{recordings}, recordings},
		"none has any": {
			"recordplay", []string{`{"recordplay":"list","list":[]}`, `{"recordplay":"list","list":[]}`}, `{"recordplay":"list","list":[]}`,
		},
		"one success of an update": {
			"recordplay",
			[]string{`{"recordplay":"event","error_code":499,"error":"x"}`, `{"recordplay":"ok"}`}, `{"recordplay":"ok"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := Standard()["janus.plugin."+test.plugin]
			var answers []janusjson.Object
			for _, a := range test.answers {
				answers = append(answers, object(t, a))
			}
			if got := string(r.Merge(Route{Verb: Gather, Request: "list"}, answers)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestObserve follows handles by what Janus said to their clients.
func TestObserve(t *testing.T) {
	for _, test := range []struct {
		plugin, data string
		want         Change
	}{
		{"videoroom", `{"videoroom":"joined","room":5,"description":"ours","id":1,"private_id":7,"publishers":[],"attendees":[]}`, Engaged},
		{"videoroom", `{"videoroom":"attached","room":5,"streams":[{"type":"audio","mid":"0"}]}`, Engaged},
		{"videoroom", `{"videoroom":"event","room":5,"joining":{"id":2}}`, Same},
		{"videoroom", `{"videoroom":"event","room":5,"leaving":2}`, Same},
		{"videoroom", `{"videoroom":"event","room":5,"leaving":"ok"}`, Same},
		{"videoroom", `{"videoroom":"event","room":5,"leaving":"ok","reason":"kicked"}`, Same},
		{"videoroom", `{"videoroom":"event","room":5,"left":"ok"}`, Same},
		{"videoroom", `{"videoroom":"destroyed","room":5}`, Same},
		{"videoroom", `{"videoroom":"event","error_code":425,"error":"Not in a room (create a new handle)"}`, Same},
		{"audiobridge", `{"audiobridge":"joined","room":5,"id":1,"participants":[]}`, Engaged},
		{"audiobridge", `{"audiobridge":"joined","room":5,"participants":[{"id":2,"setup":false,"muted":false}]}`, Engaged},
		{"audiobridge", `{"audiobridge":"roomchanged","room":6,"id":1,"participants":[]}`, Engaged},
		{"audiobridge", `{"audiobridge":"event","room":5,"leaving":2}`, Same},
		{"audiobridge", `{"audiobridge":"event","room":5,"kicked":1}`, Same},
		{"audiobridge", `{"audiobridge":"event","room":5,"kicked_all":1}`, Free},
		{"audiobridge", `{"audiobridge":"left","room":5,"id":1}`, Free},
		{"audiobridge", `{"audiobridge":"destroyed","room":5}`, Free},
		{"audiobridge", `{"audiobridge":"event","result":"ok"}`, Same},
		{"audiobridge", `{"audiobridge":"event","error_code":487,"error":"Can't configure (not in a room)"}`, Free},
		{"audiobridge", `{"audiobridge":"event","error_code":491,"error":"Already in a room (use changeroom to join another one)"}`, Engaged},
		{"audiobridge", `{"audiobridge":"event","error_code":485,"error":"No such room (6)"}`, Same},
		{"textroom", `{"textroom":"event","result":"ok"}`, Engaged},
		{"textroom", `{"textroom":"error","error_code":416,"error":"PeerConnection already setup"}`, Same},
		{"streaming", `{"streaming":"event","result":{"status":"preparing"}}`, Engaged},
		{"streaming", `{"streaming":"event","result":{"status":"starting"}}`, Engaged},
		{"streaming", `{"streaming":"event","result":{"status":"pausing"}}`, Same},
		{"streaming", `{"streaming":"event","result":{"switched":"ok","id":2}}`, Same},
		{"streaming", `{"streaming":"event","result":{"status":"stopping"}}`, Free},
		{"streaming", `{"streaming":"event","result":{"status":"stopped"}}`, Free},
		{"streaming", `{"streaming":"event","result":{"status":"kicked_all"}}`, Free},
		{"streaming", `{"streaming":"event","error_code":460,"error":"Already watching mountpoint 1"}`, Same},
		{"recordplay", `{"recordplay":"event","result":{"status":"preparing","id":1234}}`, Engaged},
		{"recordplay", `{"recordplay":"event","result":{"status":"recording","id":5}}`, Engaged},
		{"recordplay", `{"recordplay":"event","result":{"status":"restarting","id":1234}}`, Engaged},
		{"recordplay", `{"recordplay":"event","result":{"status":"paused","id":5}}`, Same},
		{"recordplay", `{"recordplay":"event","result":{"status":"stopped","id":5,"is_private":0}}`, Free},
		{"recordplay", `{"recordplay":"event","result":"done"}`, Free},
		{"recordplay", `{"recordplay":"event","error_code":416,"error":"No such recording"}`, Same},
	} {
		r, data := Standard()["janus.plugin."+test.plugin], object(t, test.data)
		if got := r.Observe(janusjson.VerbEvent, data); got != test.want {
			t.Errorf("%s: %s is %d, want %d", test.plugin, test.data, got, test.want)
		}
		if got := r.Observe(janusjson.VerbSuccess, data); got != Same {
			t.Errorf("%s: the answer %s is %d", test.plugin, test.data, got)
		}
	}
}

// TestObserveHangup: a lost PeerConnection frees those whose plugin forgets them with it.
func TestObserveHangup(t *testing.T) {
	for pkg, want := range map[string]Change{
		"videoroom": Same, "audiobridge": Free, "textroom": Free, "streaming": Free, "recordplay": Free,
	} {
		r := Standard()["janus.plugin."+pkg]
		if got := r.Observe(janusjson.VerbHangup, janusjson.Object{}); got != want {
			t.Errorf("%s: a hangup is %d, want %d", pkg, got, want)
		}
		for _, verb := range []janusjson.Verb{janusjson.VerbWebRTCUp, janusjson.VerbMedia, janusjson.VerbSlowLink, janusjson.VerbDetached} {
			if got := r.Observe(verb, janusjson.Object{}); got != Same {
				t.Errorf("%s: %v is %d", pkg, verb, got)
			}
		}
	}
}

// FuzzRoute: whatever a client says, a route can be told, and its key can be asked for.
func FuzzRoute(f *testing.F) {
	f.Add(`{"request":"join","room":1}`)
	f.Add(`{"request":"list","textroom":"create","room":"\u0000\"x"}`)
	f.Add(`{"request":"watch","id":-0}`)
	f.Fuzz(func(t *testing.T, body string) {
		o, err := janusjson.ParseObject([]byte(body))
		if err != nil {
			return
		}
		for pkg, r := range Standard() {
			route := r.Route(o)
			if route.Key == "" || strings.HasSuffix(pkg, "videocall") {
				continue
			}
			if probe := r.Probe(route.Key); invalid(probe) {
				t.Errorf("%s: %s is looked for by %s", pkg, body, probe)
			}
		}
	})
}

func invalid(text []byte) bool {
	_, err := janusjson.ParseObject(text)
	return err != nil
}

// TestTwice: what more than one list has is known by its id, and can be left out.
func TestTwice(t *testing.T) {
	lists, ok := Standard()["janus.plugin.videoroom"].(Lists)
	if !ok {
		t.Fatal("no lists")
	}
	a := object(t, `{"videoroom":"success","list":[{"room":1},{"room":"1"},{"room":2},{"room":2}]}`)
	b := object(t, `{"videoroom":"success","list":[{"room":3},{"room":1,"d":"b"}]}`)
	denied := object(t, `{"videoroom":"event","error_code":433,"error":"Unauthorized (wrong admin_key)"}`)
	twice := lists.Twice([]janusjson.Object{a, denied, b})
	if len(twice) != 1 || twice[0] != "1" {
		t.Errorf("twice: %q", twice)
	}
	if got := string(lists.Without(b, twice).Bytes()); got != `{"videoroom":"success","list":[{"room":3}]}` {
		t.Errorf("without: %s", got)
	}
	if got := lists.Without(denied, twice); string(got.Bytes()) != string(denied.Bytes()) {
		t.Errorf("an error: %s", got.Bytes())
	}
}

// TestHidden: only who begins a private recording is told of something that nobody lists.
func TestHidden(t *testing.T) {
	r, ok := RecordPlay().(Hides)
	if !ok {
		t.Fatal("recordings are not hidden")
	}
	for data, want := range map[string]string{
		`{"recordplay":"event","result":{"status":"recording","id":7,"is_private":true}}`:  "7",
		`{"recordplay":"event","result":{"status":"recording","id":7,"is_private":false}}`: "",
		`{"recordplay":"event","result":{"status":"recording","id":7}}`:                    "",
		`{"recordplay":"event","result":{"status":"stopped","id":7,"is_private":true}}`:    "",
		`{"recordplay":"event","error_code":420,"error":"Recording 7 already exists"}`:     "",
	} {
		if key, ok := r.Hidden(janusjson.VerbEvent, object(t, data)); ok != (want != "") || ok && key != want {
			t.Errorf("%s: %q, %v", data, key, ok)
		}
	}
}

// TestVacating asks who is in a room, and ends it.
func TestVacating(t *testing.T) {
	for name, can := range map[string]bool{"videoroom": true, "audiobridge": true, "textroom": false, "streaming": false} {
		v := Standard()["janus.plugin."+name].(Vacating)
		if got, want := string(v.Guests("5")), `{"request":"listparticipants","room":5}`; (got == want) != can || got != "" && !can {
			t.Errorf("%s: guests are asked for by %s", name, got)
		}
	}
	v := VideoRoom()
	for data, want := range map[string]bool{
		`{"videoroom":"participants","room":5,"participants":[]}`: true, `{"participants":[{"id":1}]}`: false, `{"error_code":426}`: false,
	} {
		if got := v.Empty(object(t, data)); got != want {
			t.Errorf("%s is empty: %v", data, got)
		}
	}
	for made, want := range map[string]string{
		`{"request":"create","room":5}`:                    `{"request":"destroy","room":"a"}`,
		`{"request":"create","secret":"s\"","pin":"none"}`: `{"request":"destroy","room":"a","secret":"s\""}`,
	} {
		if got := string(v.End(`"a"`, object(t, made))); got != want {
			t.Errorf("what %s made is ended by %s, want %s", made, got, want)
		}
	}
}
