// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// videoRoomTold is what somebody who joined a video room as a publisher was told of the others (janus_videoroom_notify_participants
// of src/plugins/janus_videoroom.c).
//
// Who is in the room is said by listparticipants. The streams of publishers, which clients need to subscribe, are said in one place
// only: to whoever joins (listparticipants has none, the Admin API's handle_info leaves out what is disabled, moderated, or of remote
// publishers, and a subscription has no ids of data channels and costs an ICE agent). So a visitor joins, under an id that is
// known as one, and leaves at once. What Janus says of him to the others stops here.
type videoRoomTold struct {
	people
	joining bool              // the room tells of those who do not publish, too
	proof   []janusjson.Field // pin and token that the client joined with
	offers  subscription
}

const noSuchRoom = 426 // JANUS_VIDEOROOM_ERROR_NO_SUCH_ROOM

// Asks implements Told.
func (t *videoRoomTold) Asks(body janusjson.Object) {
	switch RequestOf(body) {
	case "join", "joinandconfigure":
		if t.room != "" {
			return
		}
		t.proof = nil
		for _, name := range []string{"pin", "token"} {
			if text := keptText(body.Get(name)); text != "" {
				t.proof = append(t.proof, janusjson.Field{Name: name, Value: []byte(text)})
			}
		}
	case "leave":
		t.left = t.room != ""
	}
}

// Hears implements Told.
func (t *videoRoomTold) Hears(data, jsep janusjson.Object) bool {
	if !t.offers.hears(data, jsep) {
		return false
	}
	switch what := data.Get("videoroom"); {
	case what.Is("joined"):
		t.enter(KeyOf(data.Get("room")), KeyOf(data.Get("id")))
		t.joining = data.Get("attendees").Kind() != janusjson.KindAbsent
		t.hearAll(data.Get("attendees"), false)
		t.hearAll(data.Get("publishers"), true)
	case what.Is("destroyed"):
		t.people = people{}
	case what.Is("event"):
		return t.hearEvent(data)
	}
	return true
}

func (t *videoRoomTold) hearAll(list janusjson.Value, publish bool) {
	array, _ := list.Array()
	for v := range array.All() {
		entry, _ := v.Object()
		t.set(KeyOf(entry.Get("id")), publisher(entry, publish))
	}
}

// publisher is what is remembered of an entry in a list.
func publisher(entry janusjson.Object, publishes bool) person {
	p := person{display: keptText(entry.Get("display")), active: publishes}
	if publishes {
		p.state = streamsOf(entry)
	}
	return p
}

// streamsOf is the fingerprint of what a publisher publishes, without what changes from moment to moment or is told in other ways.
func streamsOf(entry janusjson.Object) uint64 {
	return fingerprint(entry, []string{"metadata"}, "streams", []string{
		"type", "mindex", "mid", "disabled", "description", "codec", "stereo", "fec", "dtx", "h264_profile", "vp9_profile",
		"simulcast", "svc",
	})
}

// hearEvent learns from what Janus says of others.
func (t *videoRoomTold) hearEvent(data janusjson.Object) bool {
	for _, name := range []string{"unpublished", "leaving", "kicked"} {
		if v := data.Get(name); v.Kind() != janusjson.KindAbsent {
			return t.hearGone(name, v)
		}
	}
	if who, ok := data.Get("joining").Object(); ok {
		id := KeyOf(who.Get("id"))
		return !isVisitor(id) && (t.room == "" || t.hearPerson(id, publisher(who, false)))
	}
	if t.room == "" {
		return true
	}
	if list, ok := data.Get("publishers").Array(); ok {
		return t.hearPublishers(list)
	}
	if who, there := t.known[KeyOf(data.Get("id"))]; there && data.Get("display").Kind() == janusjson.KindString {
		who.display = keptText(data.Get("display"))
		t.known[KeyOf(data.Get("id"))] = who
	}
	return true
}

// hearGone learns that somebody does not publish any more, or is not there any more.
func (t *videoRoomTold) hearGone(name string, v janusjson.Value) bool {
	id := KeyOf(v)
	who, there := t.known[id]
	switch {
	case isVisitor(id):
		if name != "unpublished" {
			delete(t.known, id)
		}
		return there // somebody who joined in that moment was told of him
	case v.Is("ok") && name == "leaving":
		t.people = people{}
	case t.room == "" || v.Is("ok"):
	case name == "unpublished":
		t.move(id)
		if there {
			who.active, who.state = false, 0
			t.known[id] = who
		}
	default:
		t.move(id)
		delete(t.known, id)
	}
	return true
}

// hearPublishers reports false when all of it was told for Janus before it came to say it itself.
func (t *videoRoomTold) hearPublishers(list janusjson.Array) bool {
	news := false
	for v := range list.All() {
		entry, _ := v.Object()
		news = t.hearPerson(KeyOf(entry.Get("id")), publisher(entry, true)) || news
	}
	return news
}

// hearPerson reports whether it is news.
func (t *videoRoomTold) hearPerson(id string, who person) bool {
	was := t.known[id]
	t.move(id)
	t.set(id, who)
	return !was.fresh || was.active != who.active || was.state != who.state
}

// Look implements Told.
func (t *videoRoomTold) Look() (Look, bool) {
	if !t.looking() {
		return Look{}, false
	}
	room, proof := t.room, t.proof
	return Look{
		Room: room, Proof: fmt.Sprintf("%s", proof),
		List: []byte(`{"request":"listparticipants","room":` + room + `}`),
		Visit: func(list janusjson.Object) []byte {
			if !someonePublishes(list) {
				return nil
			}
			id := visitorID(room, rand.Uint64())
			body, _ := janusjson.ParseObject([]byte(`{"request":"join","ptype":"publisher","room":` + room + `,"id":` + id + `}`))
			return body.AppendSplice(nil, proof...)
		},
	}, true
}

func someonePublishes(list janusjson.Object) bool {
	all, _ := list.Get("participants").Array()
	for v := range all.All() {
		if p, _ := v.Object(); p.Get("publisher").Bool() {
			return true
		}
	}
	return false
}

// Missed implements Told. Who is not in the room any more was kicked, which ends his PeerConnection.
func (t *videoRoomTold) Missed(seen Seen, version string) Missed {
	looked := t.moved != nil
	defer func() { t.moved = nil }()
	if t.room == "" || t.left || !looked {
		return t.offers.missed(seen.Info)
	}
	if code, _ := seen.List.Get("error_code").Int(); code == noSuchRoom {
		return t.over(`{"videoroom":"destroyed","room":` + t.room + `}`)
	}
	list, listed := seen.List.Get("participants").Array()
	if !listed {
		return Missed{Partial: true}
	}
	m := videoRoomMissed{videoRoomTold: t, named: atLeast(version, 1, 3), there: byID(list)}
	own, in := m.there[t.own]
	if !in {
		return t.over(`{"videoroom":"event","room":` + t.room + `,"leaving":"ok","reason":"kicked"}`)
	}
	m.missed.Link = LinkDown
	if own.Get("publisher").Bool() {
		m.missed.Link = LinkUp
	}
	m.compare(list, seen.Visit)
	return m.missed
}

// videoRoomMissed is a comparison under way.
type videoRoomMissed struct {
	*videoRoomTold
	named  bool // who leaves is named
	there  map[string]janusjson.Object
	missed Missed
}

func (m *videoRoomMissed) say(event []byte) {
	m.missed.Events = append(m.missed.Events, Event{Data: event})
}

// compare finds what was missed: who is gone, then who is called otherwise, who came, and who publishes.
func (m *videoRoomMissed) compare(list janusjson.Array, visit janusjson.Object) {
	for _, id := range slices.Sorted(maps.Keys(m.known)) {
		if m.compares(id) {
			m.gone(id)
		}
	}
	for v := range list.All() {
		who, _ := v.Object()
		if id := KeyOf(who.Get("id")); m.compares(id) {
			m.came(id, who)
		}
	}
	publishers, visited := visit.Get("publishers").Array()
	for v := range publishers.All() {
		entry, _ := v.Object()
		if id := KeyOf(entry.Get("id")); m.compares(id) {
			m.publishes(id, entry)
		}
	}
	m.missed.Partial = m.full || !visited && m.anyNew()
}

// anyNew reports whether somebody publishes whom the client was not told of.
func (m *videoRoomMissed) anyNew() bool {
	for id, who := range m.there {
		if m.compares(id) && who.Get("publisher").Bool() && !m.known[id].active {
			return true
		}
	}
	return false
}

// gone tells that somebody is not there any more, or does not publish any more. Of one who asked to leave Janus says nothing else;
// that he was kicked, or that his connection ended, which it says in more words, cannot be known.
func (m *videoRoomMissed) gone(id string) {
	now, there := m.there[id]
	who := m.known[id]
	switch {
	case !there:
		m.sayGone("leaving", id, who.display)
		delete(m.known, id)
	case who.active && !now.Get("publisher").Bool():
		m.sayGone("unpublished", id, who.display)
		who.active, who.state = false, 0
		m.known[id] = who
	}
}

func (m *videoRoomMissed) sayGone(name, id, display string) {
	out := []byte(`{"videoroom":"event","room":` + m.room)
	if m.named && display != "" {
		out = append(out, `,"display":`+display...)
	}
	m.say(append(out, `,"`+name+`":`+id+`}`...))
}

// came tells of somebody who joined, where that is told, or has another name now.
func (m *videoRoomMissed) came(id string, now janusjson.Object) {
	who, known := m.known[id]
	display := keptText(now.Get("display"))
	switch {
	case known && display != "" && who.display != "" && display != who.display:
		who.display = display
		m.known[id] = who
		m.say([]byte(`{"videoroom":"event","id":` + id + `,"display":` + display + `}`))
	case !known && m.joining && !m.full && !now.Get("remote").Bool() && !now.Get("dummy").Bool(): // those join nothing
		user := []byte(`{"videoroom":"event","room":` + m.room + `,"joining":{"id":` + id)
		for _, name := range []string{"display", "metadata"} {
			if v := now.Get(name); v.Kind() != janusjson.KindAbsent {
				user = append(append(user, `,"`+name+`":`...), v.Bytes()...)
			}
		}
		m.say(append(user, "}}"...))
		m.set(id, person{display: display, fresh: true})
	}
}

// publishes tells of somebody who publishes, or publishes otherwise than was told.
func (m *videoRoomMissed) publishes(id string, entry janusjson.Object) {
	was, now := m.known[id], publisher(entry, true)
	if was.active && was.state == now.state {
		return
	}
	if !was.active && m.full {
		return // he may have been told of
	}
	now.fresh = true
	m.set(id, now)
	out := []byte(`{"videoroom":"event","room":` + m.room + `,"publishers":[`)
	m.say(append(asNotified(out, entry), "]}"...))
}

// asNotified writes the entry of a publisher, which somebody who joins was told, as those are told who are in the room
// (janus_videoroom_notify_about_publisher): without what is of the moment.
func asNotified(dst []byte, entry janusjson.Object) []byte {
	var streams []byte
	array, _ := entry.Get("streams").Array()
	for v := range array.All() {
		if streams != nil {
			streams = append(streams, ',')
		}
		stream, _ := v.Object()
		streams = stream.AppendSplice(streams, janusjson.Field{Name: "talking"})
	}
	streams = append(append([]byte("["), streams...), ']')
	return entry.AppendSplice(dst, janusjson.Field{Name: "talking"}, janusjson.Field{Name: "dummy"},
		janusjson.Field{Name: "streams", Value: streams})
}
