// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusproc"
	"github.com/januscloud/januscloud/scripts/lab"
)

// TestRoomsOfLostJanus kills a Janus with rooms on it. Who asks for one of them again finds it made anew on the other Janus, with
// its description, secret and pin, after edits too; on the same handle that was in the room before.
func TestRoomsOfLostJanus(t *testing.T) {
	const rooms = 8
	c := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 2, janus: 2, change: func(j *janusproc.Config) { j.EventLoops = 2 }})
	ctx := within(t, 2*time.Minute)
	callers := c.connect(ctx, t, "guest", rooms)
	var guests []*visitor
	for _, k := range callers {
		guests = append(guests, &visitor{caller: k})
	}
	join := func(room int, pin string) map[string]any {
		return map[string]any{"request": "join", "ptype": "publisher", "room": room, "pin": pin}
	}
	each(t, callers, func(i int, k *caller) (err error) {
		if k.handle, err = k.Attach(ctx, k.session, videoroom); err != nil {
			return err
		}
		room := i + 1
		for _, body := range []map[string]any{
			{"request": "create", "room": room, "secret": "s", "pin": "old", "publishers": 3},
			{"request": "edit", "room": room, "secret": "s", "new_description": fmt.Sprint("edited ", room), "new_pin": "p"},
			join(room, "p"),
		} {
			if answer, err := guests[i].room(ctx, k.handle, body); err != nil || answer.Number("plugindata", "data", "error_code") != 0 {
				return fmt.Errorf("%v: %s (%w)", body, answer, err)
			}
		}
		return nil
	})

	c.janus[0].Kill()
	lost := 0
	each(t, callers, func(i int, k *caller) error {
		g, room := guests[i], i+1
		lab.WaitFor(t, 20*time.Second, func() string {
			answer, err := g.room(ctx, k.handle, map[string]any{"request": "exists", "room": room})
			if err != nil || string(answer.Get("plugindata", "data", "exists")) != "true" {
				return fmt.Sprintf("room %d: %s (%v)", room, answer, err)
			}
			return ""
		})
		return nil
	})
	for i, k := range callers {
		hungUp := false
		for _, m := range k.Events(k.handle) {
			hungUp = hungUp || m.Janus == "hangup"
		}
		if !hungUp {
			continue
		}
		lost++
		for _, try := range []struct {
			pin  string
			code uint64
		}{{"old", 433}, {"p", 0}} {
			answer, err := guests[i].room(ctx, k.handle, join(i+1, try.pin))
			if err != nil || answer.Number("plugindata", "data", "error_code") != try.code {
				t.Errorf("room %d, pin %q: %s (%v)", i+1, try.pin, answer, err)
			}
		}
	}
	if lost == 0 || lost == rooms {
		t.Errorf("%d of %d handles were on the Janus that was killed", lost, rooms)
	}
	answer, err := guests[0].room(ctx, callers[0].handle, map[string]any{"request": "list"})
	if err != nil {
		t.Fatal(err)
	}
	if all, err := roomsOf(answer); err != nil || len(all) != rooms+2 {
		t.Errorf("listed are %v (%v)", all, err)
	}
	for room := range rooms {
		answer, err := guests[0].room(ctx, callers[0].handle, map[string]any{"request": "destroy", "room": room + 1, "secret": "s"})
		if err != nil || answer.Text("plugindata", "data", "videoroom") != "destroyed" {
			t.Errorf("destroy: %s (%v)", answer, err)
		}
	}
}
