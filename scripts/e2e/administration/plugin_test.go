// SPDX-License-Identifier: Apache-2.0

package administration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/scripts/lab"
)

// What an administrator says to a plugin is answered as by one Janus, whichever Janus of the cluster has the room.
func TestPluginsLikeJanus(t *testing.T) {
	withPairs(t, pluginsLikeJanus)
}

func pluginsLikeJanus(p *pair) {
	say := func(plugin string, request m) {
		p.t.Helper()
		p.equal(m{"janus": "message_plugin", "plugin": "janus.plugin." + plugin, "request": request})
		if plugin == "textroom" { // which wants more of an administrator
			request["transaction"] = "T"
			p.equal(m{"janus": "message_plugin", "plugin": "janus.plugin." + plugin, "request": request})
		}
	}
	mountpoint := func(id int) m {
		return m{"request": "create", "id": id, "name": "made", "type": "rtp", "media": []m{{"type": "audio", "mid": "0", "port": 0, "pt": 111, "codec": "opus"}}}
	}
	for _, plugin := range []string{"videoroom", "audiobridge", "textroom", "streaming"} {
		id, create := "room", func(id int) m { return m{"request": "create", "room": id, "description": "made", "secret": "s"} }
		if plugin == "streaming" {
			id, create = "id", mountpoint
		}
		for room := 701; room < 705; room++ {
			if plugin == "streaming" { // its answer tells a port
				for _, k := range []*talk{p.janus, p.cluster} {
					if r := k.ask(m{"janus": "message_plugin", "plugin": "janus.plugin.streaming", "request": create(room)}); r.Text("response", "streaming") != "created" {
						p.t.Fatalf("create: %s", r)
					}
				}
			} else {
				say(plugin, create(room))
			}
			say(plugin, create(room))
			for _, request := range []string{"exists", "EXISTS", "listparticipants", "edit", "destroy", "nonsense", "join", "watch", "kick_all"} {
				say(plugin, m{"request": request, id: room, "new_description": "edited"})
			}
			say(plugin, m{"request": "edit", id: room, "secret": "s", "new_description": "edited"})
		}
		say(plugin, m{"request": "list"})
		for room := 700; room < 705; room++ {
			say(plugin, m{"request": "destroy", id: room, "secret": "s"})
			say(plugin, m{"request": "exists", id: room})
		}
		for _, odd := range []m{{}, {"request": 5}, {"request": "exists"}, {"request": "exists", id: "text"}, {"request": "exists", id: -1}} {
			say(plugin, odd)
		}
	}
	for _, request := range []string{"list", "update", "play", "configure"} {
		say("recordplay", m{"request": request, "id": 5})
		say("videocall", m{"request": request})
	}
}

// A textroom is told by its clients who joins and what they say; an administrator who tries to is refused, and no Janus falls over.
func TestTextRoomWithoutHandle(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.media("first")
	k := c.administrate(t)
	for _, inner := range []string{"message", "Join", "leave"} {
		request := m{"request": "list", "textroom": inner, "transaction": "T", "room": 1234, "username": "a", "text": "b"}
		if r := k.ask(m{"janus": "message_plugin", "plugin": "janus.plugin.textroom", "request": request}); r.Error == nil || r.Error.Code != 490 || !strings.HasPrefix(r.Error.Reason, "Only a handle") {
			t.Errorf("%s: %s", inner, r)
		}
	}
	if r := k.ask(m{"janus": "message_plugin", "plugin": "janus.plugin.textroom", "request": m{"request": "list", "transaction": "T"}}); r.Text("response", "textroom") != "success" {
		t.Errorf("list: %s", r)
	}
}

// An administrator makes, changes and ends the rooms that clients join, and those that they made.
func TestRoomsOfClients(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.media("first")
	c.media("second")
	k, caller := c.administrate(t), c.call(t)
	const plugin = "janus.plugin.videoroom"
	client := func(body m) lab.Message {
		handle := caller.must(m{"janus": "attach", "session_id": caller.session, "plugin": plugin}).Number("data", "id")
		return caller.must(m{"janus": "message", "session_id": caller.session, "handle_id": handle, "body": body})
	}
	for room := range 8 {
		admin := func(request m) lab.Message {
			request["room"] = 100 + room
			return k.ask(m{"janus": "message_plugin", "plugin": plugin, "request": request})
		}
		create := m{"request": "create", "room": 100 + room, "description": "made"}
		switch room % 2 {
		case 0:
			if r := admin(create); r.Text("response", "videoroom") != "created" {
				t.Fatalf("create: %s", r)
			}
			if r := client(create); r.Number("plugindata", "data", "error_code") != 427 {
				t.Errorf("created again: %s", r)
			}
		case 1:
			client(create)
			if r := admin(create); r.Number("response", "error_code") != 427 {
				t.Errorf("created again: %s", r)
			}
		}
		if r := admin(m{"request": "edit", "new_description": fmt.Sprint("edited ", room)}); r.Text("response", "videoroom") != "edited" {
			t.Errorf("edit: %s", r)
		}
	}
	list := string(k.ask(m{"janus": "message_plugin", "plugin": plugin, "request": m{"request": "list"}}).Get("response", "list"))
	for room := range 8 {
		if n := strings.Count(list, fmt.Sprintf(`"edited %d"`, room)); n != 1 {
			t.Errorf("room %d is %d times in %s", 100+room, n, list)
		}
	}
	for room := range 8 {
		if r := k.ask(m{"janus": "message_plugin", "plugin": plugin, "request": m{"request": "destroy", "room": 100 + room}}); r.Text("response", "videoroom") != "destroyed" {
			t.Errorf("destroy: %s", r)
		}
		if r := client(m{"request": "exists", "room": 100 + room}); string(r.Get("plugindata", "data", "exists")) != "false" {
			t.Errorf("still there: %s", r)
		}
	}
}
