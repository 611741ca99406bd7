// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// tells publishes an event of the videoroom plugin for a handle.
func (s *server) tells(t *testing.T, session, handle uint64, data string) {
	t.Helper()
	s.publishes(t, session, handle, fmt.Sprintf(`{"janus":"event","session_id":%d,"sender":%d,"plugindata":{"plugin":"%s","data":%s}}`,
		session, handle, videoroom, data))
}

// gap publishes that what was said for a while is lost.
func (s *server) gap(t *testing.T, session uint64) {
	t.Helper()
	s.publishes(t, session, 0, string(messages.AppendNotice(nil, messages.VerbGap, session, 0, "")))
}

func (s *server) publishes(t *testing.T, session, handle uint64, body string) {
	t.Helper()
	s.mu.Lock()
	s.seq++
	from := fmt.Sprintf("%v.%d", s.member, s.seq)
	s.mu.Unlock()
	if err := s.p.bus.Publish(messages.HandleSubject(session, messages.SessionEvent, handle), from, []byte(body)); err != nil {
		t.Error(err)
	}
}

// heard are the data of what a handle's client was told of others, in order.
func (k *client) heard(session, handle uint64) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []string
	for _, d := range k.inbox {
		var m struct {
			Janus       string  `json:"janus"`
			Session     uint64  `json:"session_id"`
			Sender      uint64  `json:"sender"`
			Transaction *string `json:"transaction"`
			PluginData  struct {
				Plugin string          `json:"plugin"`
				Data   json.RawMessage `json:"data"`
			} `json:"plugindata"`
		}
		if json.Unmarshal(d.raw, &m) == nil && m.Session == session && m.Janus != "ack" && m.Janus != "success" && m.Transaction == nil {
			if m.Janus != "event" || m.Sender != handle || m.PluginData.Plugin != videoroom {
				k.t.Errorf("told %s", d.raw)
			}
			all = append(all, string(m.PluginData.Data))
		}
	}
	return all
}

// wantHeard waits until the last of these was told, and wants all of them and nothing else.
func (k *client) wantHeard(session, handle uint64, want ...string) {
	k.t.Helper()
	waitFor(k.t, func() string {
		if got := k.heard(session, handle); len(got) < len(want) {
			return fmt.Sprintf("told of are %q", got)
		}
		return ""
	})
	if got := k.heard(session, handle); !slices.Equal(got, want) {
		k.t.Errorf("session %d was told\n%s\nwant\n%s", session, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const (
	roomJoined = `{"videoroom":"joined","room":1,"id":7,"private_id":5,"publishers":[{"id":11,"streams":[{"type":"audio","mid":"0"}]}]}`
	roomCame   = `{"videoroom":"event","room":1,"publishers":[{"id":12,"streams":[{"type":"video","mid":"0"}]}]}`
	roomLeft   = `{"videoroom":"event","room":1,"leaving":11}`
	roomEnd    = `{"videoroom":"event","room":1,"leaving":99}`
)

// roomScene is a room in which 7 has met 11 and not 12, who came when 11 was gone.
func roomScene(request string, q *messages.PluginRequest) string {
	switch {
	case request == "listparticipants" && !q.Visit:
		return `{"videoroom":"participants","room":1,"participants":[{"id":7,"publisher":false},{"id":12,"publisher":true}]}`
	case request == "join" && q.Visit && q.ID != "":
		return `{"videoroom":"joined","room":1,"id":1,"publishers":[{"id":12,"streams":[{"type":"video","mid":"0"}]}]}`
	}
	return ""
}

// resyncCluster is a media server with a room, and members of it.
func resyncCluster(t *testing.T, members int) (k *client, media *server, sessions, handles []uint64) {
	t.Helper()
	c := newCluster(t)
	media = c.server("media-a")
	media.janus.rooms = []string{"1"}
	n := c.node("node-1", nil)
	waitServers(t, n, 1)
	k = c.client()
	for range members {
		s, h := k.person()
		k.video(s, h, `{"request":"join","room":1,"ptype":"publisher"}`)
		media.tells(t, s, h, roomJoined)
		sessions, handles = append(sessions, s), append(handles, h)
	}
	return k, media, sessions, handles
}

// After a gap clients are told what they missed, in order and once, and what comes then is told behind it. One look does for all
// who are there when it begins, and one for those who come meanwhile.
func TestResync(t *testing.T) {
	const members = 20
	k, media, sessions, handles := resyncCluster(t, members)
	looks := 0
	media.mu.Lock()
	media.janus.scene = func(request string, q *messages.PluginRequest) string {
		if looks++; looks == 1 {
			return `{"videoroom":"event","error_code":499,"error":"not yet"}`
		}
		return roomScene(request, q)
	}
	media.mu.Unlock()
	media.gap(t, sessions[0])
	waitFor(t, func() string {
		media.mu.Lock()
		defer media.mu.Unlock()
		if looks == 0 {
			return "nobody looks"
		}
		return ""
	})
	for i := 1; i < members; i++ {
		media.gap(t, sessions[i])
	}
	for i := range members {
		waitFor(t, func() string {
			if i > 0 && len(k.heard(sessions[i], handles[i])) < 3 {
				return "not resynchronised"
			}
			return ""
		})
		media.tells(t, sessions[i], handles[i], roomEnd)
	}
	k.wantHeard(sessions[0], handles[0], roomJoined, roomEnd) // of the look that failed
	for i := 1; i < members; i++ {
		k.wantHeard(sessions[i], handles[i], roomJoined, roomLeft, roomCame, roomEnd)
	}
	media.mu.Lock()
	defer media.mu.Unlock()
	if looks > members {
		t.Errorf("%d looks for %d clients", looks, members)
	}
}

// What is said while a room is looked at is told once: it arrives before what is said behind it.
func TestResyncRace(t *testing.T) {
	k, media, sessions, handles := resyncCluster(t, 1)
	s, h := sessions[0], handles[0]
	media.mu.Lock()
	media.janus.scene = roomScene
	media.before = func(_ messages.MediaSubject, verb janusjson.Verb) {
		if verb == janusjson.VerbKeepalive {
			media.tells(t, s, h, roomCame) // was said before the look, and arrives after it
		}
	}
	media.mu.Unlock()
	media.gap(t, s)
	k.wantHeard(s, h, roomJoined, roomCame, roomLeft)
	media.tells(t, s, h, roomEnd)
	k.wantHeard(s, h, roomJoined, roomCame, roomLeft, roomEnd)
}

// A gap in the middle of a comparison begins another one.
func TestResyncAgain(t *testing.T) {
	k, media, sessions, handles := resyncCluster(t, 1)
	s, h := sessions[0], handles[0]
	again := false
	media.mu.Lock()
	media.janus.scene = roomScene
	media.before = func(_ messages.MediaSubject, verb janusjson.Verb) {
		if verb == janusjson.VerbKeepalive && !again {
			again = true
			media.gap(t, s)
		}
	}
	media.mu.Unlock()
	media.gap(t, s)
	k.wantHeard(s, h, roomJoined, roomLeft, roomCame)
	media.tells(t, s, h, roomEnd)
	k.wantHeard(s, h, roomJoined, roomLeft, roomCame, roomEnd)
}

// Of a handle that lost its Janus there is nothing to find out, nor of one that was taken over: nobody knows what its client was told.
func TestResyncUnknown(t *testing.T) {
	k, media, sessions, handles := resyncCluster(t, 1)
	s, h := sessions[0], handles[0]
	k.wantHeard(s, h, roomJoined)
	media.say(t, s, h, messages.VerbUnbound)
	media.gap(t, s)
	k.video(s, h, `{"request":"join","room":1,"ptype":"publisher"}`) // bound again
	media.gap(t, s)
	media.tells(t, s, h, roomEnd)
	k.wantHeard(s, h, roomJoined, roomEnd)
	media.mu.Lock()
	defer media.mu.Unlock()
	if slices.Contains(media.janus.asked, "listparticipants 1") {
		t.Error("looked for nothing")
	}

	restored := &handle{plugin: videoroom}
	restored.adopt(plugin.Standard())
	if _, ok := restored.resync.told.Look(); ok {
		t.Error("a handle that was taken over looks")
	}
}

// linked is a media server whose Janus shows handles, and one with a PeerConnection.
type linked struct {
	*client
	t          *testing.T
	c          *cluster
	node       *Node
	media      *server
	s, h, idle uint64 // idle never negotiated
}

func newLinked(t *testing.T) *linked {
	t.Helper()
	c := newCluster(t)
	l := &linked{t: t, c: c, media: c.server("media-a"), node: c.node("node-1", nil)}
	waitServers(t, l.node, 1)
	l.client = c.client()
	l.s = l.create()
	l.h, l.idle = l.attach(l.s), l.attach(l.s)
	l.ask(l.s, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, l.s, l.idle)
	l.negotiate()
	return l
}

func (l *linked) negotiate() {
	l.t.Helper()
	l.ask(l.s, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{},"jsep":{"type":"offer","sdp":""}}`, l.s, l.h)
}

// shows has the Admin API answer so.
func (l *linked) shows(result messages.AdminResult) {
	l.media.mu.Lock()
	defer l.media.mu.Unlock()
	l.media.admin = result
}

func linkInfo(info string) messages.AdminResult {
	return messages.AdminResult{Reply: json.RawMessage(`{"janus":"success","info":` + info + `}`)}
}

// changeOwner has another node take the session over, with the handle that has negotiated alone, of which the media server tells it as
// it does after the change.
func (l *linked) changeOwner(change func(*server)) {
	l.t.Helper()
	l.ask(l.s, `{"janus":"detach","transaction":"d","session_id":%d,"handle_id":%d}`, l.s, l.idle)
	l.media.mu.Lock()
	change(l.media)
	l.media.mu.Unlock()
	waitServers(l.t, l.c.node("node-2", nil), 1)
	l.node.Bus.Close()
	l.ask(l.s, `{"janus":"keepalive","transaction":"k","session_id":%d}`, l.s)
}

const (
	linkUp   = `{"flags":{"ready":true},"webrtc":{"media":{"0":{"type":"video","mid":"0","stats":{"in":{"packets":1}}}}}}`
	linkDown = `{"flags":{"ready":false}}`
)

// wants waits until the client was told this of its PeerConnection, in order, and nothing else.
func (l *linked) wants(verbs ...string) {
	l.t.Helper()
	waitFor(l.t, func() string {
		var told []string
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, d := range l.inbox {
			if verb := d.body["janus"]; verb != "event" && d.body["sender"] != nil {
				if d.body["sender"] != float64(l.h) {
					l.t.Errorf("told %s", d.raw)
				}
				told = append(told, verb.(string))
			}
		}
		if !slices.Equal(told, verbs) {
			return fmt.Sprintf("told are %q, not %q", told, verbs)
		}
		return ""
	})
}

// After a gap clients are told of PeerConnections that ended or came up meanwhile, of whatever plugin; once, though Janus may say so
// itself a moment later.
func TestLinkAfterGap(t *testing.T) {
	l := newLinked(t)
	up := linkInfo(linkUp)
	up.Busy = true // at first
	l.shows(up)
	l.media.gap(t, l.s)
	l.wants("webrtcup", "media")
	l.media.say(t, l.s, l.h, "webrtcup") // it had begun to
	l.shows(linkInfo(linkDown))
	l.media.gap(t, l.s)
	l.wants("webrtcup", "media", "hangup")
	l.media.say(t, l.s, l.h, "hangup")
	l.media.gap(t, l.s)
	l.media.say(t, l.s, l.h, "slowlink")
	l.wants("webrtcup", "media", "hangup", "slowlink")
	l.media.say(t, l.s, l.h, "webrtcup")
	l.wants("webrtcup", "media", "hangup", "slowlink", "webrtcup")
	got, ok := l.take(func(d delivered) bool { return d.body["janus"] == "media" })
	if !ok || got.body["mid"] != "0" || got.body["type"] != "video" || got.body["receiving"] != true {
		t.Errorf("media: %s", got.raw)
	}
}

// What is said of a PeerConnection that is negotiated anew is not taken for what was said of the last one.
func TestLinkNegotiatedAnew(t *testing.T) {
	l := newLinked(t)
	l.media.say(t, l.s, l.h, "webrtcup")
	l.shows(linkInfo(linkDown))
	l.media.gap(t, l.s)
	l.wants("webrtcup", "hangup")
	l.negotiate()
	l.media.say(t, l.s, l.h, "hangup")
	l.wants("webrtcup", "hangup", "hangup")
}

// Where the Admin API does not answer nothing is said of PeerConnections, and what comes afterwards is passed on.
func TestLinkUnseen(t *testing.T) {
	l := newLinked(t)
	for _, result := range []messages.AdminResult{{Failure: "no admin API"}, {Error: messages.ErrHandleNotFound(l.h, l.s)}, {}, linkInfo(`{}`)} {
		l.shows(result)
		l.media.gap(t, l.s)
	}
	passed := false
	l.media.mu.Lock()
	l.media.before = func(_ messages.MediaSubject, verb janusjson.Verb) { passed = passed || verb == janusjson.VerbKeepalive }
	l.media.mu.Unlock()
	l.media.gap(t, l.s)
	waitFor(t, func() string {
		l.media.mu.Lock()
		defer l.media.mu.Unlock()
		if !passed {
			return "nobody compares"
		}
		return ""
	})
	l.media.say(t, l.s, l.h, "webrtcup")
	l.media.say(t, l.s, l.h, "hangup")
	l.wants("webrtcup", "hangup")
}

// What got lost between media server and owner is known before it is told in other words.
func TestLinkCaughtUp(t *testing.T) {
	l := newLinked(t)
	l.media.say(t, l.s, l.h, "webrtcup")
	l.wants("webrtcup")
	says := func(kind messages.SessionKind, verb, reason string, n, before uint64) {
		_ = l.media.p.bus.Publish(messages.HandleSubject(l.s, kind, l.h), string(messages.AppendOrigin(nil, l.media.member.String(), n, before)),
			messages.AppendNotice(nil, verb, l.s, l.h, reason))
	}
	l.media.mu.Lock()
	l.media.before = func(_ messages.MediaSubject, verb janusjson.Verb) {
		if verb == janusjson.VerbKeepalive {
			says(messages.SessionEvent, "slowlink", "", 102, 101)
		}
	}
	l.media.retell = func() { says(messages.SessionAgain, "hangup", "Close PC", 101, 0) }
	l.media.mu.Unlock()
	l.shows(linkInfo(linkDown))
	l.media.gap(t, l.s)
	l.wants("webrtcup", "hangup", "slowlink")
	if got, _ := l.take(func(d delivered) bool { return d.body["janus"] == "hangup" }); got.body["reason"] != "Close PC" {
		t.Errorf("told %s", got.raw)
	}
}

// Where nobody can tell a new owner whether there is a PeerConnection, nobody knows what the client was told: it is told nothing, but
// of what happens from then on.
func TestLinkAssumed(t *testing.T) {
	l := newLinked(t)
	l.changeOwner(func(s *server) { s.silent = true })
	l.shows(linkInfo(linkDown))
	l.media.mu.Lock()
	l.media.before = func(_ messages.MediaSubject, verb janusjson.Verb) {
		if verb == janusjson.VerbKeepalive {
			l.media.say(t, l.s, l.h, "slowlink") // before it is compared
		}
	}
	l.media.mu.Unlock()
	l.media.gap(t, l.s)
	l.wants("slowlink")
	l.negotiate() // answered behind the comparison
	l.shows(linkInfo(linkUp))
	l.media.gap(t, l.s)
	l.wants("slowlink", "slowlink", "webrtcup", "media")
}

// Those who wait for their turn at an Admin API that does not answer do not wait for it one behind the other.
func TestSurveyorSkips(t *testing.T) {
	deaf, other := messages.Member{Name: "deaf"}, messages.Member{Name: "other"}
	n := newCluster(t).node("node-1", nil)
	nobody := n.acknowledger // it does not care
	v := &surveyor{node: n, self: nobody, most: 1, rooms: map[surveyKey]*survey{}}
	key := func(server messages.Member, janus uint64) surveyKey { return surveyKey{server: server, janus: janus} }
	first := key(deaf, 1)
	v.rooms[first], v.running, v.waiting = &survey{now: []*surveyAsk{{key: first, session: nobody}}}, 1, 1
	for janus := range uint64(5) {
		v.ask(&surveyAsk{key: key(deaf, 2+janus), session: nobody})
	}
	v.ask(&surveyAsk{key: key(other, 1), session: nobody})
	v.done(surveyDone{key: first, mute: true})
	if r := v.rooms[key(other, 1)]; len(v.rooms) != 1 || v.waiting != 1 || v.running != 1 || r == nil || len(r.now) != 1 {
		t.Errorf("%d handles, %d wait, %d looks: %v", len(v.rooms), v.waiting, v.running, r)
	}
}

// Who takes over with a media server that was out of reach of its Janus does not know what clients were told of their
// PeerConnections: he tells them of no end that may not be one, and tells the media server what he has seen.
func TestLinkDoubted(t *testing.T) {
	l := newLinked(t)
	l.changeOwner(func(s *server) { s.doubts = true })
	l.shows(linkInfo(linkDown))
	l.media.gap(t, l.s)
	waitFor(t, func() string {
		asked := l.media.asked()
		if len(asked) == 0 {
			return "the media server is told nothing"
		}
		if got := asked[0].Handles; len(got) != 1 || got[0].Handle != l.h || got[0].Live || got[0].Assumed {
			t.Fatalf("told %+v", got)
		}
		return ""
	})
	l.media.say(t, l.s, l.h, "slowlink")
	l.wants("slowlink")
}

// What is known from records alone may have ended while nobody listened: the media server is told that it is not known.
func TestLinkOfRecords(t *testing.T) {
	l := newLinked(t)
	l.media.kill()
	waitSilent(t, l.node, "media-a")
	if err := l.node.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.node = l.c.node("node-2", nil)
	l.media = l.c.server("media-a", func(s *server) { s.admin = linkInfo(linkDown) })
	wanted := map[uint64]string{l.h: "true false", l.idle: "true false"}
	waitFor(t, func() string {
		told := map[uint64]string{}
		for _, a := range l.media.asked() {
			for _, h := range a.Handles {
				if told[h.Handle] == "" {
					told[h.Handle] = fmt.Sprint(h.Assumed)
				}
				if told[h.Handle] == "true" && !h.Assumed && !h.Live {
					told[h.Handle] += " false"
				}
			}
		}
		if !maps.Equal(told, wanted) {
			return fmt.Sprintf("the media server was told that handles are assumed to be live: %v", told)
		}
		return ""
	})
	l.wants()
}
