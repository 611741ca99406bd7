// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"maps"
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
)

// TestChangeElsewhere has people change to rooms, and to mountpoints, that others made: to those on their own Janus they come, and
// of the others they are told that they are elsewhere. A handle in no room is brought there.
func TestChangeElsewhere(t *testing.T) {
	c := startCluster(t, clusterShape{nats: 1, edges: 1, nodes: 1, janus: 2})
	ctx := within(t, time.Minute)
	someone := c.connect(ctx, t, "someone", 1)[0]
	for _, p := range []struct {
		plugin, id, enter, change string
		code                      uint64
		make                      map[string]any
	}{
		{"janus.plugin.audiobridge", "room", "join", "changeroom", 499, map[string]any{}},
		{"janus.plugin.streaming", "id", "watch", "switch", 470, map[string]any{
			"type": "rtp", "audio": true, "audioport": 0, "audiopt": 111, "audiocodec": "opus",
		}},
	} {
		attach := func() uint64 {
			handle, err := someone.Attach(ctx, someone.session, p.plugin)
			if err != nil {
				t.Fatal(err)
			}
			return handle
		}
		maker, visitor := attach(), attach()
		creation := func(room int) map[string]any {
			body := maps.Clone(p.make)
			body["request"], body[p.id] = "create", room
			return body
		}
		send := func(handle uint64, body map[string]any) lab.Message {
			message := map[string]any{"janus": "message", "session_id": someone.session, "handle_id": handle, "body": body}
			request := someone.RequestEvent
			if body["request"] == "create" {
				request = someone.Request
			}
			answer, err := request(ctx, message)
			if err != nil {
				t.Fatalf("%v: %v", body, err)
			}
			return answer
		}
		ask := func(handle uint64, request string, room int) lab.Message {
			return send(handle, map[string]any{"request": request, p.id: room})
		}
		code := func(m lab.Message) uint64 { return m.Number("plugindata", "data", "error_code") }
		here, elsewhere := 0, 0
		for room := 1001; (here == 0 || elsewhere == 0) && room < 1050; room++ {
			if r := send(maker, creation(room)); code(r) != 0 {
				t.Fatalf("create: %s", r)
			}
			if room == 1001 {
				if r := ask(visitor, p.enter, room); code(r) != 0 {
					t.Fatalf("%s: %s", p.enter, r)
				}
				continue
			}
			switch r := ask(visitor, p.change, room); code(r) {
			case 0:
				here = room
			case p.code:
				elsewhere = room
			default:
				t.Fatalf("%s: %s", p.change, r)
			}
		}
		if here == 0 || elsewhere == 0 {
			t.Fatalf("%s: rooms here %d, elsewhere %d", p.plugin, here, elsewhere)
		}
		// Who is in a room makes further ones beside himself.
		for room := 2001; room < 2008; room++ {
			if r := send(visitor, creation(room)); code(r) != 0 {
				t.Fatalf("create: %s", r)
			}
			if r := ask(visitor, p.change, room); code(r) != 0 {
				t.Errorf("%s to a room of his own: %s", p.change, r)
			}
		}
		other := attach()
		if r := ask(other, p.enter, elsewhere); code(r) != 0 {
			t.Errorf("%s what is elsewhere: %s", p.enter, r)
		}
	}
	if v := someone.Violations(); len(v) > 0 {
		t.Errorf("%q", v)
	}
}
