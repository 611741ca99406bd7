// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"fmt"
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
