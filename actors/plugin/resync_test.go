// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// remembers is the memory of a handle of a plugin of Janus.
func remembers(t *testing.T, name string) Told {
	t.Helper()
	r, ok := Standard()["janus.plugin."+name].(Resyncer)
	if !ok || r.Remember() == nil {
		t.Fatalf("%s remembers nothing", name)
	}
	return r.Remember()
}

// hears shows events to a memory, each of which is for the client.
func hears(t *testing.T, told Told, events ...string) {
	t.Helper()
	for _, e := range events {
		if !told.Hears(object(t, e), janusjson.Object{}) {
			t.Errorf("kept from the client: %s", e)
		}
	}
}

// missed looks, hears what comes meanwhile, and compares with what is seen.
func missed(t *testing.T, told Told, version, list, visit string, meanwhile ...string) Missed {
	t.Helper()
	if _, ok := told.Look(); !ok {
		t.Fatal("does not look")
	}
	hears(t, told, meanwhile...)
	seen := Seen{List: object(t, list)}
	if visit != "" {
		seen.Visit = object(t, visit)
	}
	return told.Missed(seen, version)
}

func wantMissed(t *testing.T, m Missed, partial bool, want ...string) {
	t.Helper()
	var got []string
	for _, e := range m.Events {
		object(t, string(e.Data))
		got = append(got, string(e.Data))
	}
	if !slices.Equal(got, want) || m.Partial != partial {
		t.Errorf("missed, partial: %v,\n%s\nwant\n%s", m.Partial, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What Janus 1.1.2 said of a room with two publishers and a listener, whose names are shortened.
const (
	feedOne = `{"id":1,"display":"one","audio_codec":"opus","video_codec":"vp8","streams":[` +
		`{"type":"audio","mindex":0,"mid":"0","codec":"opus","stereo":true},{"type":"video","mindex":1,"mid":"1","codec":"vp8"}]}`
	feedTwo = `{"id":2,"display":"two","audio_codec":"opus","streams":[` +
		`{"type":"audio","mindex":0,"mid":"0","codec":"opus","talking":false}],"talking":false}`
	feedTwoNotified = `{"id":2,"display":"two","audio_codec":"opus","streams":[{"type":"audio","mindex":0,"mid":"0","codec":"opus"}]}`

	videoJoined = `{"videoroom":"joined","room":77,"description":"Room 77","id":21,"private_id":2046951361,"publishers":[` + feedOne + `]}`
	videoList   = `{"videoroom":"participants","room":77,"participants":[%s]}`
	personOne   = `{"id":1,"display":"one","publisher":true,"talking":false}`
	personTwo   = `{"id":2,"display":"two","publisher":true,"talking":false}`
	personOwn   = `{"id":21,"publisher":false}`
)

func videoParticipants(list ...string) string { return fmt.Sprintf(videoList, strings.Join(list, ",")) }

// visited is what a visitor is told who joins.
func visited(feeds ...string) string {
	return `{"videoroom":"joined","room":77,"description":"Room 77","id":4611686018427387999,"private_id":1,"publishers":[` + strings.Join(feeds, ",") + `]}`
}

// TestVideoRoomLook asks for the participants, and visits the room when somebody publishes there, with what the client joined with.
func TestVideoRoomLook(t *testing.T) {
	told := remembers(t, "videoroom")
	if _, ok := told.Look(); ok {
		t.Error("looks without a room")
	}
	told.Asks(object(t, `{"request":"JOIN","ptype":"publisher","room":77,"pin":"p","token":"t","display":"me"}`))
	hears(t, told, videoJoined)
	told.Asks(object(t, `{"request":"join","room":78,"pin":"other"}`)) // refused: it is in a room
	look, ok := told.Look()
	if !ok || look.Room != "77" || string(look.List) != `{"request":"listparticipants","room":77}` {
		t.Fatalf("%+v", look)
	}
	if body := look.Visit(object(t, videoParticipants(personOwn))); body != nil {
		t.Errorf("nobody publishes: %s", body)
	}
	visit := object(t, string(look.Visit(object(t, videoParticipants(personOwn, personOne)))))
	for name, want := range map[string]string{"request": `"join"`, "ptype": `"publisher"`, "room": "77", "pin": `"p"`, "token": `"t"`} {
		if got := string(visit.Get(name).Bytes()); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if !isVisitor(KeyOf(visit.Get("id"))) {
		t.Errorf("not known as a visitor: %s", visit.Bytes())
	}
	told.Asks(object(t, `{"request":"leave"}`))
	if _, ok := told.Look(); ok {
		t.Error("looks though it leaves")
	}
}

// TestVideoRoomMissed tells what was missed, once, as Janus would have.
func TestVideoRoomMissed(t *testing.T) {
	const (
		stopped = `{"videoroom":"event","room":77,"unpublished":1}`
		left    = `{"videoroom":"event","room":77,"leaving":1}`
	)
	for name, test := range map[string]struct {
		version     string
		told        []string
		list, visit string
		meanwhile   []string
		link        Link
		want        []string
	}{
		"nothing": {list: videoParticipants(personOne, personOwn), visit: visited(feedOne), link: LinkDown},
		"nothing but space and talk": {
			list:  videoParticipants(personOwn, personOne),
			visit: visited(strings.ReplaceAll(strings.ReplaceAll(feedOne, `"stereo":true`, `"stereo": true, "talking":true`), `,"mid"`, ", \n   \"mid\"")), link: LinkDown,
		},
		"a publisher who is gone":    {list: videoParticipants(personOwn), link: LinkDown, want: []string{left}},
		"as of 1.3, with a name":     {version: "1.4.1", list: videoParticipants(personOwn), link: LinkDown, want: []string{`{"videoroom":"event","room":77,"display":"one","leaving":1}`}},
		"one who does not publish":   {list: videoParticipants(personOwn, `{"id":1,"display":"one","publisher":false}`), link: LinkDown, want: []string{stopped}},
		"one who stopped, then left": {told: []string{stopped}, list: videoParticipants(personOwn), link: LinkDown, want: []string{left}},
		"one who came": {
			list: videoParticipants(personTwo, personOne, personOwn), visit: visited(feedTwo, feedOne), link: LinkDown,
			want: []string{`{"videoroom":"event","room":77,"publishers":[` + feedTwoNotified + `]}`},
		},
		"one with other streams": {
			list: videoParticipants(personOne, personOwn), visit: visited(strings.Replace(feedOne, "vp8", "vp9", 2)), link: LinkDown,
			want: []string{`{"videoroom":"event","room":77,"publishers":[` + strings.Replace(feedOne, "vp8", "vp9", 2) + `]}`},
		},
		"another name": {
			list: videoParticipants(`{"id":1,"display":"eins","publisher":true}`, personOwn), visit: visited(feedOne), link: LinkDown,
			want: []string{`{"videoroom":"event","id":1,"display":"eins"}`},
		},
		"those who only listen are not told of": {list: videoParticipants(personOwn, personOne, `{"id":3,"display":"x","publisher":false}`), visit: visited(feedOne), link: LinkDown},
		"but for rooms that do": {
			told: []string{`{"videoroom":"joined","room":77,"id":21,"publishers":[],"attendees":[{"id":1,"display":"one"},{"id":5}]}`},
			list: videoParticipants(personOwn, `{"id":1,"display":"one","publisher":false}`, `{"id":3,"display":"x","publisher":false}`,
				`{"id":4,"dummy":true,"publisher":true}`, `{"id":4611686018427388000,"publisher":false}`), link: LinkDown,
			visit: visited(),
			want:  []string{`{"videoroom":"event","room":77,"leaving":5}`, `{"videoroom":"event","room":77,"joining":{"id":3,"display":"x"}}`},
		},
		"what was heard meanwhile is newer": {
			list: videoParticipants(personOwn, personTwo), visit: visited(feedTwo), link: LinkDown,
			meanwhile: []string{
				`{"videoroom":"event","room":77,"publishers":[` + feedOne + `]}`, `{"videoroom":"event","room":77,"leaving":2}`,
				`{"videoroom":"event","room":77,"publishers":[{"id":6,"streams":[]}]}`,
			},
		},
		"who was kicked":         {list: videoParticipants(personOne), link: LinkDown, want: []string{`{"videoroom":"event","room":77,"leaving":"ok","reason":"kicked"}`}},
		"a room that is no more": {list: `{"videoroom":"event","error_code":426,"error":"No such room (77)"}`, link: LinkDown, want: []string{`{"videoroom":"destroyed","room":77}`}},
		"its own PeerConnection": {list: videoParticipants(personOne, `{"id":21,"publisher":true}`), visit: visited(feedOne, `{"id":21,"streams":[]}`), link: LinkUp},
	} {
		t.Run(name, func(t *testing.T) {
			told := remembers(t, "videoroom")
			hears(t, told, videoJoined)
			hears(t, told, test.told...)
			m := missed(t, told, test.version, test.list, test.visit, test.meanwhile...)
			wantMissed(t, m, false, test.want...)
			if m.Link != test.link {
				t.Errorf("PeerConnection: %v", m.Link)
			}
			if len(test.meanwhile) > 0 {
				return
			}
			if _, in := told.Look(); in {
				wantMissed(t, missed(t, told, test.version, test.list, test.visit), false)
			}
		})
	}
}

// TestVideoRoomDoubled keeps from the client what Janus says itself after it was said for it: it had begun to when it was looked at.
func TestVideoRoomDoubled(t *testing.T) {
	told := remembers(t, "videoroom")
	hears(t, told, videoJoined)
	wantMissed(t, missed(t, told, "", videoParticipants(personOwn, personOne, personTwo), visited(feedOne, feedTwo)), false,
		`{"videoroom":"event","room":77,"publishers":[`+feedTwoNotified+`]}`)
	again := object(t, `{"videoroom":"event","room":77,"publishers":[`+feedTwoNotified+`]}`)
	if told.Hears(again, janusjson.Object{}) {
		t.Error("doubled")
	}
	if !told.Hears(again, janusjson.Object{}) {
		t.Error("a publisher who negotiates anew is kept from the client")
	}
}

// TestVideoRoomPartial says so when it is not all known.
func TestVideoRoomPartial(t *testing.T) {
	told := remembers(t, "videoroom")
	hears(t, told, videoJoined)
	wantMissed(t, missed(t, told, "", videoParticipants(personOwn, personTwo), ""), true,
		`{"videoroom":"event","room":77,"leaving":1}`)
	wantMissed(t, missed(t, told, "", `{"videoroom":"event","error_code":499,"error":"x"}`, ""), true)
	for id := range maxTold + 10 {
		hears(t, told, fmt.Sprintf(`{"videoroom":"event","room":77,"publishers":[{"id":%d,"streams":[]}]}`, 1000+id))
	}
	if n := len(told.(*videoRoomTold).known); n != maxTold {
		t.Errorf("%d are remembered", n)
	}
	m := missed(t, told, "", videoParticipants(personOwn, personTwo), visited(feedTwo))
	if len(m.Events) != maxTold || !m.Partial || strings.Contains(string(m.Events[len(m.Events)-1].Data), "publishers") {
		t.Errorf("%d events, partial: %v", len(m.Events), m.Partial)
	}
}

// TestVisitor keeps what Janus says of a visitor from those who do not know of him.
func TestVisitor(t *testing.T) {
	for _, room := range []string{"77", `"seventy"`} {
		told := remembers(t, "videoroom")
		id := visitorID(room, 1<<60+5)
		about := []string{
			`{"videoroom":"event","room":%s,"joining":{"id":%s}}`, `{"videoroom":"event","room":%s,"unpublished":%s}`,
			`{"videoroom":"event","room":%s,"leaving":%s}`,
		}
		for _, known := range []bool{false, true} {
			for _, e := range about {
				if told.Hears(object(t, fmt.Sprintf(e, room, id)), janusjson.Object{}) {
					t.Errorf("told, in a room: %v: %s of %s", known, e, id)
				}
			}
			hears(t, told, `{"videoroom":"joined","room":`+room+`,"id":3,"publishers":[],"attendees":[]}`)
		}
		hears(t, told, `{"videoroom":"joined","room":`+room+`,"id":3,"publishers":[],"attendees":[{"id":`+id+`}]}`,
			fmt.Sprintf(about[1], room, id), fmt.Sprintf(about[2], room, id))
		if told.Hears(object(t, fmt.Sprintf(about[2], room, id)), janusjson.Object{}) {
			t.Error("told that he leaves again")
		}
	}
	for _, id := range []string{"1", "9007199254740991", "9223372036854775807", `"januscloud"`, ""} {
		if isVisitor(id) {
			t.Errorf("%s is no visitor", id)
		}
	}
}

// TestAudioBridgeMissed does for audio bridges what TestVideoRoomMissed does.
func TestAudioBridgeMissed(t *testing.T) {
	const (
		joined = `{"audiobridge":"joined","room":5,"id":21,"participants":[{"id":1,"display":"one","setup":true,"muted":false}]}`
		one    = `{"id":1,"display":"one","setup":true,"muted":false,"talking":true}`
		own    = `{"id":21,"setup":true,"muted":false}`
	)
	list := func(all ...string) string {
		return `{"audiobridge":"participants","room":5,"participants":[` + strings.Join(all, ",") + `]}`
	}
	for name, test := range map[string]struct {
		list      string
		meanwhile []string
		link      Link
		want      []string
	}{
		"nothing":      {list: list(own, one)},
		"who is gone":  {list: list(own), want: []string{`{"audiobridge":"event","room":5,"leaving":1}`}},
		"who came":     {list: list(own, one, `{"id":2,"setup":false,"muted":true}`), want: []string{`{"audiobridge":"joined","room":5,"participants":[{"id":2,"setup":false,"muted":true}]}`}},
		"who is muted": {list: list(own, strings.Replace(one, `"muted":false`, `"muted":true`, 1)), want: []string{`{"audiobridge":"event","room":5,"participants":[{"id":1,"display":"one","setup":true,"muted":true}]}`}},
		"what is newer": {
			list: list(own, `{"id":2,"setup":false,"muted":true}`),
			meanwhile: []string{
				`{"audiobridge":"event","room":5,"leaving":2}`,
				`{"audiobridge":"event","room":5,"participants":[{"id":1,"display":"one","setup":true,"muted":true}]}`,
			},
		},
		"its PeerConnection": {list: list(`{"id":21,"setup":false,"muted":false}`, one), link: LinkDown},
		"it is out":          {list: list(one), link: LinkDown},
		"no such room": {
			list: `{"audiobridge":"event","error_code":485,"error":"No such room (5)"}`, link: LinkDown,
			want: []string{`{"audiobridge":"destroyed","room":5}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			told := remembers(t, "audiobridge")
			hears(t, told, joined)
			m := missed(t, told, "", test.list, "", test.meanwhile...)
			wantMissed(t, m, false, test.want...)
			if m.Link != test.link {
				t.Errorf("PeerConnection: %v", m.Link)
			}
			if _, in := told.Look(); in && len(test.meanwhile) == 0 {
				wantMissed(t, missed(t, told, "", test.list, ""), false)
			}
		})
	}
}

// TestOfferMissed sends a subscriber the offer that waits for his answer, if it is not the one that he was sent last.
func TestOfferMissed(t *testing.T) {
	const (
		attached = `{"videoroom":"attached","room":77,"streams":[{"type":"video","active":true,"mindex":0,"mid":"0","feed_id":1}]}`
		offer    = `{"type":"offer","sdp":"v=0\r\no=- 17 %d IN IP4 192.0.2.1\r\ns=VideoRoom 77\r\n"}`
		updated  = `{"videoroom":"updated","room":77,"streams":[]}`
		info     = `{"plugin_specific":{"type":"subscriber","room":77,"answered":%v,"streams":[{"type":"video","active":false}]},` +
			`"sdps":{"local":"v=0\r\no=- 17 %d IN IP4 192.0.2.1\r\ns=VideoRoom 77\r\n"}}`
	)
	for name, test := range map[string]struct {
		info string
		want bool
	}{
		"the one that he was sent": {fmt.Sprintf(info, false, 1), false},
		"the next":                 {fmt.Sprintf(info, false, 2), true},
		"the next, answered":       {fmt.Sprintf(info, true, 2), false},
		"nothing is known":         {`{}`, false},
		"a publisher":              {strings.Replace(fmt.Sprintf(info, false, 2), `"subscriber"`, `"publisher"`, 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			told := remembers(t, "videoroom")
			told.Hears(object(t, attached), object(t, fmt.Sprintf(offer, 1)))
			if _, ok := told.Look(); ok {
				t.Error("a subscriber looks at the room")
			}
			for range 2 {
				m := told.Missed(Seen{Info: object(t, test.info)}, "")
				if !test.want {
					wantMissed(t, m, false)
					continue
				}
				wantMissed(t, m, false, `{"videoroom":"updated","room":77,"streams":[{"type":"video","active":false}]}`)
				if got := string(m.Events[0].Jsep); got != fmt.Sprintf(offer, 2) {
					t.Errorf("offers %s", got)
				}
				test.want = false // it is sent once
				if next := object(t, fmt.Sprintf(offer, 2)); told.Hears(object(t, updated), next) || !told.Hears(object(t, updated), next) {
					t.Error("Janus, which had begun to send it, is heard, or not heard again")
				}
			}
		})
	}
}

// TestLinkOf reads the state of a PeerConnection from what the Admin API says of a handle.
func TestLinkOf(t *testing.T) {
	for info, want := range map[string]Link{
		`{}`: LinkUnknown,
		`{"flags":{"ready":false,"negotiated":true},"sdps":{}}`: LinkDown,
		`{"flags":{"ready":true},"sdps":{}}`:                    LinkDown,
		`{"flags":{"ready":true},"webrtc":{"media":{}}}`:        LinkUp,
	} {
		if got, media := LinkOf(object(t, info)); got != want || media != nil {
			t.Errorf("%s: %v, %v", info, got, media)
		}
	}
	_, media := LinkOf(object(t, `{"flags":{"ready":true},"webrtc":{"media":{"0":{"type":"audio","mindex":0,"mid":"0","stats":{"in":{"packets":3}}},`+
		`"1":{"type":"video","mid":"1","stats":{"in":{"packets":0}}},"2":{"type":"data","mid":"2","stats":{"in":{"packets":9}}}}}}`))
	if len(media) != 1 || string(media[0].Mid) != `"0"` || string(media[0].Type) != `"audio"` {
		t.Errorf("receives %q", media)
	}
}

// FuzzTold lets memories hear and see anything.
func FuzzTold(f *testing.F) {
	f.Add(videoJoined, videoParticipants(personOwn, personTwo), visited(feedOne, feedTwo))
	f.Add(`{"videoroom":"event","room":77,"leaving":"ok"}`, `{"participants":[1,{},{"id":21},{"id":{}}]}`, `{"publishers":[3,{"id":7,"streams":3}]}`)
	f.Add(`{"audiobridge":"joined","room":"x","id":"y","participants":[{"id":"z"}]}`, `{"participants":[{"id":"y"}]}`, `{}`)
	f.Fuzz(func(t *testing.T, event, list, visit string) {
		var objects []janusjson.Object
		for _, text := range []string{event, list, visit} {
			o, err := janusjson.ParseObject([]byte(text))
			if err != nil {
				return
			}
			objects = append(objects, o)
		}
		for _, told := range []Told{&videoRoomTold{}, &audioBridgeTold{}} {
			for _, e := range []string{videoJoined, `{"audiobridge":"joined","room":77,"id":21,"participants":[]}`} {
				told.Hears(object(t, e), janusjson.Object{})
			}
			told.Hears(objects[0], objects[2])
			if look, ok := told.Look(); ok && look.Visit != nil {
				look.Visit(objects[1])
			}
			for _, e := range told.Missed(Seen{objects[1], objects[2], objects[2]}, "1.4.1").Events {
				object(t, string(e.Data))
			}
			LinkOf(objects[2])
		}
	})
}
