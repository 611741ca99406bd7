// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

const (
	videoroom = "janus.plugin.videoroom"
	textroom  = "janus.plugin.textroom"
)

// scriptedRooms is what a scripted Janus knows of rooms: their ids, as JSON has them.
type scriptedRooms struct {
	rooms []string
	asked []string // requests that were run, but for exists
	next  int
	deaf  bool
	// ignored counts what was asked while it was deaf.
	ignored int
	// answers are those to requests that have an id, which run once.
	answers map[string]string
	// scene answers instead of the above; an empty answer is left to it. nil: none.
	scene func(request string, q *messages.PluginRequest) string
}

// steward answers for the videoroom plugin.
func (s *server) steward(m *bus.Msg) {
	var q messages.PluginRequest
	var body struct {
		Request string          `json:"request"`
		Room    json.RawMessage `json:"room"`
	}
	if json.Unmarshal(m.Data, &q) != nil || json.Unmarshal(q.Body, &body) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.janus.deaf {
		s.janus.ignored++
		return
	}
	data, again := s.janus.answers[q.ID]
	if !again && s.janus.scene != nil {
		data = s.janus.scene(body.Request, &q)
	}
	switch {
	case again || data != "":
	case q.Plugin == videocall:
		data = s.calls.list()
	default:
		data = s.janus.run(strings.ToLower(body.Request), string(body.Room))
	}
	if q.ID != "" {
		if s.janus.answers == nil {
			s.janus.answers = map[string]string{}
		}
		s.janus.answers[q.ID] = data
	}
	reply, _ := json.Marshal(messages.PluginReply{Data: json.RawMessage(data)})
	_ = s.p.bus.Publish(m.Reply, "", reply)
}

func (j *scriptedRooms) run(request, room string) string {
	if request != "exists" {
		j.asked = append(j.asked, request+" "+room)
	}
	has := slices.Contains(j.rooms, room)
	switch {
	case request == "exists":
		return fmt.Sprintf(`{"videoroom":"success","room":%s,"exists":%v}`, room, has)
	case request == "create" && has:
		return `{"videoroom":"event","error_code":427,"error":"Room already exists"}`
	case request == "create":
		if room == "" {
			j.next++
			room = fmt.Sprint(9_000_000 + j.next)
		}
		j.rooms = append(j.rooms, room)
		return fmt.Sprintf(`{"videoroom":"created","room":%s,"permanent":false}`, room)
	case request == "list":
		list := []byte(`{"videoroom":"success","list":[`)
		for i, r := range j.rooms {
			if i > 0 {
				list = append(list, ',')
			}
			list = fmt.Appendf(list, `{"room":%s,"num_participants":0}`, r)
		}
		return string(list) + "]}"
	case !has:
		return `{"videoroom":"event","error_code":426,"error":"No such room"}`
	case request == "destroy":
		j.rooms = slices.DeleteFunc(j.rooms, func(r string) bool { return r == room })
		return fmt.Sprintf(`{"videoroom":"destroyed","room":%s}`, room)
	}
	return fmt.Sprintf(`{"videoroom":"success","room":%s}`, room)
}

func (s *server) has(room string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.janus.rooms, room)
}

func (s *server) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.janus.asked)
}

// soon has a media server given up quickly.
func soon(o *Options) { o.MediaGrace = time.Second }

// roomCluster is two media servers, a session node and an edge.
func roomCluster(t *testing.T) (*client, *Node, [2]*server) {
	t.Helper()
	c := newCluster(t)
	media := [2]*server{c.server("media-a"), c.server("media-b")}
	n := c.node("node-1", soon)
	waitServers(t, n, 2)
	return c.client(), n, media
}

// video sends a message to a videoroom handle and returns the data that the plugin answered at once.
func (k *client) video(session, handle uint64, body string, args ...any) map[string]any {
	k.t.Helper()
	got := k.ask(session, `{"janus":"message","transaction":"v","session_id":%d,"handle_id":%d,"body":%s}`, session, handle, fmt.Sprintf(body, args...))
	if got["janus"] == "ack" {
		return map[string]any{"ack": true}
	}
	plugindata, ok := got["plugindata"].(map[string]any)
	if got["janus"] != "success" || !ok || uint64(got["sender"].(float64)) != handle || plugindata["plugin"] != videoroom {
		k.t.Fatalf("answered %v", got)
	}
	return plugindata["data"].(map[string]any)
}

// person is a session with a videoroom handle.
func (k *client) person() (session, handle uint64) {
	session = k.create()
	return session, k.attachTo(session, videoroom)
}

// homeOf is the server that has the room; it must be one.
func homeOf(t *testing.T, media [2]*server, room string) *server {
	t.Helper()
	a, b := media[0].has(room), media[1].has(room)
	if a == b {
		t.Fatalf("room %s is on a: %v, on b: %v", room, a, b)
	}
	if a {
		return media[0]
	}
	return media[1]
}

// otherOf is the server of the two that is not the one.
func otherOf(media [2]*server, one *server) *server {
	if media[0] == one {
		return media[1]
	}
	return media[0]
}

// A room has one home: who creates it again is told so, and everybody joins it there.
func TestRoomHasOneHome(t *testing.T) {
	k, _, media := roomCluster(t)
	for room := range 6 {
		s, h := k.person()
		if got := k.video(s, h, `{"request":"create","room":%d}`, room+1); got["videoroom"] != "created" {
			t.Fatalf("create: %v", got)
		}
		home := homeOf(t, media, fmt.Sprint(room+1))
		for range 3 {
			s, h := k.person()
			if got := k.video(s, h, `{"request":"CREATE","room":%d}`, room+1); got["error_code"] != 427.0 {
				t.Errorf("create again: %v", got)
			}
			if got := k.video(s, h, `{"request":"exists","room":%d}`, room+1); got["exists"] != true {
				t.Errorf("exists: %v", got)
			}
			k.video(s, h, `{"request":"join","room":%d,"ptype":"publisher"}`, room+1)
			if home.mu.Lock(); !home.holds[s][h] {
				t.Errorf("room %d: the handle is not on %s", room+1, home.member.Name)
			}
			home.mu.Unlock()
		}
	}
	s, h := k.person()
	if list, _ := k.video(s, h, `{"request":"list"}`)["list"].([]any); len(list) != 6 {
		t.Errorf("%d rooms are listed", len(list))
	}
	if got := k.video(s, h, `{"request":"destroy","room":3}`); got["videoroom"] != "destroyed" {
		t.Errorf("destroy: %v", got)
	}
	if got := k.video(s, h, `{"request":"exists","room":3}`); got["exists"] != false {
		t.Errorf("exists after its end: %v", got)
	}
	if got := k.video(s, h, `{"request":"kick","room":3}`); got["error_code"] != 426.0 {
		t.Errorf("kick: %v", got)
	}
}

// Of many who create the same room at once, one does, and there is one room.
func TestRoomIsNotSplit(t *testing.T) {
	k, _, media := roomCluster(t)
	const clients = 16
	type who struct{ session, handle uint64 }
	var people []who
	for range clients {
		s, h := k.person()
		people = append(people, who{s, h})
	}
	identities := map[string]bool{}
	for _, p := range people {
		identities[k.send(p.session, `{"janus":"message","transaction":"v","session_id":%d,"handle_id":%d,"body":{"request":"create","room":77}}`, p.session, p.handle)] = true
	}
	created := 0
	for range people {
		var got delivered
		waitFor(t, func() string {
			var ok bool
			if got, ok = k.take(func(d delivered) bool { return identities[d.subject] }); ok {
				return ""
			}
			return "not all are answered"
		})
		data := got.body["plugindata"].(map[string]any)["data"].(map[string]any)
		if data["videoroom"] == "created" {
			created++
		}
	}
	if homeOf(t, media, "77"); created != 1 {
		t.Errorf("%d were told that they created it", created)
	}
}

// A room that was given its id by a Janus is found by all others.
func TestRoomWithoutID(t *testing.T) {
	k, _, media := roomCluster(t)
	s, h := k.person()
	room := fmt.Sprintf("%.0f", k.video(s, h, `{"request":"create"}`)["room"])
	home := homeOf(t, media, room)
	s, h = k.person()
	k.video(s, h, `{"request":"join","room":%s}`, room)
	if home.mu.Lock(); !home.holds[s][h] {
		t.Error("joined elsewhere")
	}
	home.mu.Unlock()
	if got := k.video(s, h, `{"request":"list"}`); len(got["list"].([]any)) != 1 {
		t.Errorf("listed: %v", got)
	}
}

// A room that several Janus have from their configuration is one of them, for everybody.
func TestRoomOfSeveralJanus(t *testing.T) {
	k, _, media := roomCluster(t)
	for _, m := range media {
		m.janus.rooms = []string{"1234"}
	}
	on := map[*server]int{}
	for range 8 {
		s, h := k.person()
		k.video(s, h, `{"request":"join","room":1234}`)
		for _, m := range media {
			m.mu.Lock()
			on[m] += len(m.holds[s])
			m.mu.Unlock()
		}
	}
	if len(on) != 2 || on[media[0]]*on[media[1]] != 0 {
		t.Errorf("%d joined on one, %d on the other", on[media[0]], on[media[1]])
	}
}

// A handle that is in no room is moved to where the next one is, and its client hears nothing of it.
func TestHandleMoves(t *testing.T) {
	k, _, media := roomCluster(t)
	media[0].janus.rooms, media[1].janus.rooms = []string{"1"}, []string{"2"}
	s, h := k.person()
	for i, room := range []int{1, 2, 1, 2} {
		k.video(s, h, `{"request":"join","room":%d}`, room)
		here, there := media[(room+1)%2], media[room%2]
		waitFor(t, func() string {
			for _, m := range media {
				m.mu.Lock()
				defer m.mu.Unlock()
			}
			if !here.holds[s][h] || there.holds[s][h] {
				return fmt.Sprintf("join %d: the handle is on %v and %v", i, here.holds[s], there.holds[s])
			}
			return ""
		})
	}
	media[0].say(t, s, h, "detached")
	k.ask(s, `{"janus":"keepalive","transaction":"k","session_id":%d}`, s)
	if d, heard := k.take(func(d delivered) bool { return d.body["janus"] == "detached" }); heard {
		t.Errorf("the client heard %s", d.raw)
	}
}

// Messages behind one that is looked after keep their order.
func TestMessagesBehindOthers(t *testing.T) {
	k, _, media := roomCluster(t)
	s, h := k.person()
	var identities []string
	for _, body := range []string{
		`{"request":"create","room":5}`, `{"request":"exists","room":5}`, `{"request":"destroy","room":5}`, `{"request":"exists","room":5}`,
		`{"request":"create","room":5}`, `{"request":"create","room":5}`,
	} {
		identities = append(identities, k.send(s, `{"janus":"message","transaction":"v","session_id":%d,"handle_id":%d,"body":%s}`, s, h, body))
	}
	var got []string
	for range identities {
		waitFor(t, func() string {
			if d, ok := k.take(func(d delivered) bool { return slices.Contains(identities, d.subject) }); ok {
				data := d.body["plugindata"].(map[string]any)["data"].(map[string]any)
				got = append(got, fmt.Sprintf("%d %v %v %v", slices.Index(identities, d.subject), data["videoroom"], data["exists"], data["error_code"]))
				return ""
			}
			return "not all are answered"
		})
	}
	want := []string{
		"0 created <nil> <nil>", "1 success true <nil>", "2 destroyed <nil> <nil>", "3 success false <nil>",
		"4 created <nil> <nil>", "5 event <nil> 427",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
	homeOf(t, media, "5")
}

// A room whose Janus is lost is made again on another one, as it was created, when somebody asks for it.
func TestRoomMadeAgain(t *testing.T) {
	k, _, media := roomCluster(t)
	s, h := k.person()
	k.video(s, h, `{"request":"create","room":8,"secret":"s"}`)
	k.video(s, h, `{"request":"edit","room":8,"new_description":"d"}`)
	lost := homeOf(t, media, "8")
	other := otherOf(media, lost)
	lost.mu.Lock()
	lost.janus.deaf = true
	lost.mu.Unlock()
	lost.beater.Stop()
	s, h = k.person()
	if got := k.video(s, h, `{"request":"exists","room":8}`); got["exists"] != true {
		t.Errorf("exists: %v", got)
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	if want := []string{"create 8", "edit 8"}; !slices.Equal(other.janus.asked, want) {
		t.Errorf("asked was %q", other.janus.asked)
	}
}

// TestRoomLeavesDrainingServer has joins go on to a room on a media server that drains, as long as somebody is in it, and the first
// one after them to another.
func TestRoomLeavesDrainingServer(t *testing.T) {
	k, n, media := roomCluster(t)
	s, h := k.person()
	k.video(s, h, `{"request":"create","room":8,"secret":"s"}`)
	k.video(s, h, `{"request":"edit","room":8,"new_description":"d"}`)
	drains := homeOf(t, media, "8")
	other := otherOf(media, drains)
	guests := `[{"id":1}]`
	drains.mu.Lock()
	drains.state = messages.StateDraining
	drains.janus.scene = func(request string, _ *messages.PluginRequest) string {
		if request == "listparticipants" {
			return `{"videoroom":"participants","room":8,"participants":` + guests + `}`
		}
		return ""
	}
	drains.mu.Unlock()
	waitFor(t, func() string {
		if p, ok := n.Roster.View().Find(messages.RoleMedia, drains.member.Name); !ok || p.Beat.State != messages.StateDraining {
			return "it is not known to drain"
		}
		return ""
	})
	join := func() *server {
		s, h := k.person()
		k.video(s, h, `{"request":"join","room":8,"ptype":"publisher"}`)
		for _, m := range media {
			m.mu.Lock()
			holds := m.holds[s][h]
			m.mu.Unlock()
			if holds {
				return m
			}
		}
		t.Fatal("the handle is nowhere")
		return nil
	}
	<-time.After(n.MediaGrace) // the time itself is what is tested
	if join() != drains {
		t.Fatal("the room is split")
	}
	drains.mu.Lock()
	guests = `[]`
	drains.mu.Unlock()
	if join() != drains {
		t.Fatal("somebody may have been on his way")
	}
	<-time.After(n.MediaGrace)
	if join() != other || homeOf(t, media, "8") != other {
		t.Fatal("the empty room is where it was")
	}
	if got, want := other.requests(), []string{"create 8", "edit 8"}; !slices.Equal(got, want) {
		t.Errorf("asked was %q", got)
	}
	if all := drains.requests(); all[len(all)-1] != "destroy 8" {
		t.Errorf("the old one was asked %q", all)
	}
	if join() != other {
		t.Error("it did not stay there")
	}
}

// All textrooms share a home; when it is lost, all that was made of them is made again on the next one.
func TestSharedHome(t *testing.T) {
	c := newCluster(t)
	media := [2]*server{c.server("media-a"), c.server("media-b")}
	n := c.node("node-1", soon)
	waitServers(t, n, 2)
	k := c.client()
	ask := func(session, handle uint64, body string) map[string]any {
		got := k.ask(session, `{"janus":"message","transaction":"v","session_id":%d,"handle_id":%d,"body":%s}`, session, handle, body)
		data, _ := got["plugindata"].(map[string]any)
		answer, ok := data["data"].(map[string]any)
		if !ok {
			t.Fatalf("%s is answered by %v", body, got)
		}
		return answer
	}
	for room := 1; room <= 5; room++ {
		s := k.create()
		h := k.attachTo(s, textroom)
		if got := ask(s, h, fmt.Sprintf(`{"request":"create","room":%d,"permanent":false}`, room)); got["videoroom"] != "created" {
			t.Fatalf("create: %v", got)
		}
	}
	s := k.create()
	h := k.attachTo(s, textroom)
	ask(s, h, `{"request":"edit","room":2,"new_description":"d"}`)
	ask(s, h, `{"request":"destroy","room":3}`)
	lost, other := media[0], media[1]
	if other.has("1") {
		lost, other = other, lost
	}
	if len(lost.janus.rooms) != 4 || len(other.janus.rooms) != 0 {
		t.Fatalf("rooms are on both: %v, %v", lost.janus.rooms, other.janus.rooms)
	}
	lost.mu.Lock()
	lost.janus.deaf = true
	lost.mu.Unlock()
	lost.beater.Stop()
	if got := ask(s, h, `{"request":"exists","room":4}`); got["exists"] != true {
		t.Errorf("exists: %v", got)
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	if want := []string{"1", "2", "4", "5"}; !slices.Equal(other.janus.rooms, want) || !slices.Contains(other.janus.asked, "edit 2") {
		t.Errorf("made again: %v by %q", other.janus.rooms, other.janus.asked)
	}
}

// Another owner finds the room where it is.
func TestRoomFoundByNextOwner(t *testing.T) {
	c := newCluster(t)
	media := [2]*server{c.server("media-a"), c.server("media-b")}
	first := c.node("node-1", nil)
	waitServers(t, first, 2)
	k := c.client()
	s, h := k.person()
	for room := 1; room <= 10; room++ {
		k.video(s, h, `{"request":"create","room":%d}`, room)
	}
	second := c.node("node-2", nil)
	waitServers(t, second, 2)
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for room := 1; room <= 10; room++ {
		home := homeOf(t, media, fmt.Sprint(room))
		if got := k.video(s, h, `{"request":"create","room":%d}`, room); got["error_code"] != 427.0 {
			t.Errorf("create again: %v", got)
		}
		if homeOf(t, media, fmt.Sprint(room)) != home {
			t.Errorf("room %d moved", room)
		}
	}
}

// A room that several Janus have from their configuration ends on all of them, or the next who asks would find it again.
func TestConfiguredRoomEnds(t *testing.T) {
	k, _, media := roomCluster(t)
	for _, m := range media {
		m.janus.rooms = []string{"1234"}
	}
	s, h := k.person()
	if got := k.video(s, h, `{"request":"destroy","room":1234}`); got["videoroom"] != "destroyed" {
		t.Errorf("destroy: %v", got)
	}
	if got := k.video(s, h, `{"request":"exists","room":1234}`); got["exists"] != false {
		t.Errorf("exists: %v", got)
	}
	if got := k.video(s, h, `{"request":"list"}`); len(got["list"].([]any)) != 0 {
		t.Errorf("list: %v", got)
	}
}

// A room that several Janus have from their configuration is edited on all of them: they are to show the same of it in lists, and
// whichever remains when its home is lost. It ends on all of them still.
func TestConfiguredRoomEdited(t *testing.T) {
	k, _, media := roomCluster(t)
	for _, m := range media {
		m.janus.rooms = []string{"1234"}
	}
	s, h := k.person()
	for _, body := range []string{`{"request":"edit","room":1234}`, `{"request":"allowed","room":1234}`, `{"request":"kick","room":1234}`} {
		if got := k.video(s, h, "%s", body); got["videoroom"] != "success" {
			t.Errorf("%s: %v", body, got)
		}
	}
	var edits, kicks int
	for _, m := range media {
		m.mu.Lock()
		edited := slices.DeleteFunc(slices.Clone(m.janus.asked), func(asked string) bool { return asked == "kick 1234" })
		if !slices.Equal(edited, []string{"edit 1234", "allowed 1234"}) {
			t.Errorf("asked was %q", m.janus.asked)
		}
		edits, kicks = edits+len(edited), kicks+len(m.janus.asked)-len(edited)
		m.mu.Unlock()
	}
	if edits != 4 || kicks != 1 {
		t.Errorf("%d edits and %d kicks were run", edits, kicks)
	}
	if got := k.video(s, h, `{"request":"destroy","room":1234}`); got["videoroom"] != "destroyed" {
		t.Errorf("destroy: %v", got)
	}
	if got := k.video(s, h, `{"request":"exists","room":1234}`); got["exists"] != false {
		t.Errorf("exists: %v", got)
	}
}

// Of rooms that several Janus have a list tells what the home of each says, once.
func TestListTellsOfHomes(t *testing.T) {
	const rooms = 6
	k, _, media := roomCluster(t)
	for _, m := range media {
		var list []string
		for room := 1; room <= rooms; room++ {
			m.janus.rooms = append(m.janus.rooms, fmt.Sprint(room))
			list = append(list, fmt.Sprintf(`{"room":%d,"num_participants":0,"description":%q}`, room, m.member.Name))
		}
		m.janus.scene = func(request string, _ *messages.PluginRequest) string {
			if request == "list" {
				return `{"videoroom":"success","list":[` + strings.Join(list, ",") + `]}`
			}
			return ""
		}
	}
	s, h := k.person()
	list, _ := k.video(s, h, `{"request":"list"}`)["list"].([]any)
	told := map[string]any{}
	for _, entry := range list {
		e := entry.(map[string]any)
		told[fmt.Sprint(e["room"])] = e["description"]
	}
	if len(list) != rooms {
		t.Errorf("listed: %v", list)
	}
	homes := map[string]bool{}
	for room := 1; room <= rooms; room++ {
		s, h := k.person()
		k.video(s, h, `{"request":"join","room":%d}`, room)
		home := media[0]
		media[1].mu.Lock()
		if media[1].holds[s][h] {
			home = media[1]
		}
		media[1].mu.Unlock()
		homes[home.member.Name] = true
		if got := told[fmt.Sprint(room)]; got != home.member.Name {
			t.Errorf("of room %d %v tells, and it is on %s", room, got, home.member.Name)
		}
	}
	if len(homes) != 2 {
		t.Errorf("all are at home on %v", homes)
	}
}

// A room of a configuration whose Janus is lost is not made again, as nobody knows what it was: what was edited of it is not enough.
func TestConfiguredRoomLost(t *testing.T) {
	k, _, media := roomCluster(t)
	lost := media[0]
	lost.janus.rooms = []string{"1234"}
	s, h := k.person()
	if got := k.video(s, h, `{"request":"edit","room":1234}`); got["videoroom"] != "success" {
		t.Errorf("edit: %v", got)
	}
	lost.mu.Lock()
	lost.janus.deaf = true
	lost.mu.Unlock()
	lost.beater.Stop()
	if got := k.video(s, h, `{"request":"exists","room":1234}`); got["exists"] != false {
		t.Errorf("exists: %v", got)
	}
}

// A handle with a PeerConnection stays where it is, which would end with it.
func TestLiveHandleStays(t *testing.T) {
	k, _, media := roomCluster(t)
	media[0].janus.rooms, media[1].janus.rooms = []string{"1"}, []string{"2"}
	s, h := k.person()
	k.video(s, h, `{"request":"join","room":1}`)
	media[0].say(t, s, h, "webrtcup")
	waitFor(t, func() string {
		if _, heard := k.take(func(d delivered) bool { return d.body["janus"] == "webrtcup" }); heard {
			return ""
		}
		return "no webrtcup"
	})
	k.video(s, h, `{"request":"join","room":2}`)
	media[1].mu.Lock()
	defer media[1].mu.Unlock()
	if media[1].holds[s][h] {
		t.Error("the handle was moved")
	}
}

// The next owner of a handle that is in no room knows that, and brings it to where its next room is.
func TestHandleMovesWithNextOwner(t *testing.T) {
	c := newCluster(t)
	media := [2]*server{c.server("media-a"), c.server("media-b")}
	first := c.node("node-1", nil)
	waitServers(t, first, 2)
	media[0].janus.rooms, media[1].janus.rooms = []string{"1"}, []string{"2"}
	k := c.client()
	s, h := k.person()
	k.video(s, h, `{"request":"join","room":1}`)
	second := c.node("node-2", nil)
	waitServers(t, second, 2)
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.video(s, h, `{"request":"join","room":2}`)
	waitFor(t, func() string {
		media[1].mu.Lock()
		defer media[1].mu.Unlock()
		if !media[1].holds[s][h] {
			return "the handle is not where room 2 is"
		}
		return ""
	})
}

// A room stays where it is, though its media server is heard again only while the others are being asked for it.
func TestRoomOfServerThatWakes(t *testing.T) {
	c := newCluster(t)
	media := [2]*server{c.server("media-a"), c.server("media-b")}
	n := c.node("node-1", nil)
	waitServers(t, n, 2)
	k := c.client()
	s, h := k.person()
	k.video(s, h, `{"request":"create","room":1}`)
	home := homeOf(t, media, "1")
	other := otherOf(media, home)
	home.beater.Stop()
	waitSilent(t, n, home.member.Name)
	other.mu.Lock()
	other.janus.scene = func(request string, _ *messages.PluginRequest) string {
		if request == "exists" && other.janus.scene != nil {
			other.janus.scene = nil
			home.beat(t)
			for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
				if _, _, heard := n.server(home.member.Name); heard {
					break
				}
			}
		}
		return ""
	}
	other.mu.Unlock()
	s, h = k.person()
	k.video(s, h, `{"request":"join","room":1,"ptype":"publisher"}`)
	if other.has("1") || !home.has("1") {
		t.Errorf("the room is on its home: %v, on the other: %v", home.has("1"), other.has("1"))
	}
}
