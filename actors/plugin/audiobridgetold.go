// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"maps"
	"slices"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// audioBridgeTold is what a participant of an audio bridge was told of the others (src/plugins/janus_audiobridge.c). All of it
// is in what listparticipants answers.
type audioBridgeTold struct{ people }

const noSuchBridge = 485 // JANUS_AUDIOBRIDGE_ERROR_NO_SUCH_ROOM

// Asks implements Told.
func (t *audioBridgeTold) Asks(body janusjson.Object) {
	if RequestOf(body) == "leave" {
		t.left = t.room != ""
	}
}

// Hears implements Told.
func (t *audioBridgeTold) Hears(data, _ janusjson.Object) bool {
	switch what := data.Get("audiobridge"); {
	case what.Is("roomchanged"), what.Is("joined") && data.Get("id").Kind() != janusjson.KindAbsent:
		t.enter(KeyOf(data.Get("room")), KeyOf(data.Get("id")))
		t.hearAll(data)
	case t.room == "":
	case what.Is("joined"):
		return t.hearAll(data)
	case what.Is("left"), what.Is("destroyed"):
		t.people = people{}
	case what.Is("event"):
		return t.hearEvent(data)
	}
	return true
}

func (t *audioBridgeTold) hearEvent(data janusjson.Object) bool {
	switch code, _ := data.Get("error_code").Int(); {
	case code == notJoined, data.Get("kicked_all").Kind() != janusjson.KindAbsent:
		t.people = people{}
		return true
	case code != 0:
		t.left = false
		return true
	}
	for _, name := range []string{"leaving", "kicked"} {
		if id := KeyOf(data.Get(name)); id != "" {
			t.move(id)
			delete(t.known, id)
			if id == t.own {
				t.people = people{}
			}
			return true
		}
	}
	if data.Get("participants").Kind() == janusjson.KindArray {
		return t.hearAll(data)
	}
	return true
}

// hearAll reports false when all of it was told for Janus before it came to say it itself.
func (t *audioBridgeTold) hearAll(data janusjson.Object) bool {
	news := false
	list, _ := data.Get("participants").Array()
	for v := range list.All() {
		entry, _ := v.Object()
		id := KeyOf(entry.Get("id"))
		was, now := t.known[id], participant(entry)
		news = news || !was.fresh || was != (person{display: now.display, state: now.state, fresh: true})
		t.move(id)
		t.set(id, now)
	}
	return news
}

// participant is what is remembered of an entry in a list.
func participant(entry janusjson.Object) person {
	return person{
		display: keptText(entry.Get("display")),
		state:   fingerprint(entry, []string{"setup", "muted", "suspended", "spatial_position"}, "", nil),
	}
}

// Look implements Told.
func (t *audioBridgeTold) Look() (Look, bool) {
	if !t.looking() {
		return Look{}, false
	}
	return Look{Room: t.room, List: []byte(`{"request":"listparticipants","room":` + t.room + `}`)}, true
}

// Missed implements Told. Who is not in the room any more has lost his PeerConnection, or was kicked, which ends it.
func (t *audioBridgeTold) Missed(seen Seen, _ string) Missed {
	looked := t.moved != nil
	defer func() { t.moved = nil }()
	if t.room == "" || t.left || !looked {
		return Missed{}
	}
	if code, _ := seen.List.Get("error_code").Int(); code == noSuchBridge {
		return t.over(`{"audiobridge":"destroyed","room":` + t.room + `}`)
	}
	list, listed := seen.List.Get("participants").Array()
	if !listed {
		return Missed{Partial: true}
	}
	there := byID(list)
	own, in := there[t.own]
	if !in {
		return t.over()
	}
	m := Missed{Link: LinkDown, Partial: t.full}
	if own.Get("setup").Bool() {
		m.Link = LinkUnknown // or it is plain RTP
	}
	m.Events = t.compare(list, there)
	return m
}

// compare tells who is gone, then who came or is in another state.
func (t *audioBridgeTold) compare(list janusjson.Array, there map[string]janusjson.Object) (events []Event) {
	for _, id := range slices.Sorted(maps.Keys(t.known)) {
		if _, in := there[id]; !in && t.compares(id) {
			events = append(events, Event{Data: []byte(`{"audiobridge":"event","room":` + t.room + `,"leaving":` + id + `}`)})
			delete(t.known, id)
		}
	}
	for v := range list.All() {
		entry, _ := v.Object()
		id := KeyOf(entry.Get("id"))
		was, known := t.known[id]
		now := participant(entry)
		if !t.compares(id) || known && was.display == now.display && was.state == now.state || !known && t.full {
			continue
		}
		what := "event"
		if !known {
			what = "joined"
		}
		now.fresh = true
		t.set(id, now)
		out := []byte(`{"audiobridge":"` + what + `","room":` + t.room + `,"participants":[`)
		events = append(events, Event{Data: append(entry.AppendSplice(out, janusjson.Field{Name: "talking"}), "]}"...)})
	}
	return events
}
