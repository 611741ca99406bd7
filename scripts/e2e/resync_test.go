// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusproc"
	"github.com/januscloud/januscloud/messages/bus/bustest"
	"github.com/januscloud/januscloud/scripts/lab"
)

// severable is a cluster whose media role reaches its Janus through a gate.
func severable(t *testing.T, change func(*janusproc.Config)) (*testCluster, *bustest.Proxy) {
	t.Helper()
	c := &testCluster{t: t, nats: lab.NATS(t, 1)}
	c.janus = append(c.janus, lab.Janus(t, func(j *janusproc.Config) {
		j.ReclaimSessionTimeout, j.AdminSecret, j.DebugLevel, j.EventLoops = 90*time.Second, "lab", 3, 2
		if change != nil {
			change(j)
		}
	}))
	gate := bustest.NewProxy(t, c.janus[0].WSURL())
	c.nodes = append(c.nodes, c.role("session", 0))
	c.media = append(c.media, c.role("media", 0, "--janus", strings.Replace(gate.URL(), "nats:", "ws:", 1),
		"--janus-admin", c.janus[0].Config.AdminWSURL(), "--janus-admin-secret", "lab"))
	c.edges = append(c.edges, c.role("edge", 0, "--ws", "127.0.0.1:0", "--http", "127.0.0.1:0"))
	return c, gate
}

// roomEvents are the data of what the plugin said about others on a handle, in order, each as JSON on one line with sorted keys.
func roomEvents(k *caller) []string {
	var all []string
	for _, m := range k.Events(k.handle) {
		if m.Janus != "event" || m.Transaction != "" {
			continue
		}
		var data any
		decoder := json.NewDecoder(bytes.NewReader(m.Get("plugindata", "data")))
		decoder.UseNumber() // the ids of visitors are larger than most
		_ = decoder.Decode(&data)
		text, _ := json.Marshal(data)
		all = append(all, string(text))
	}
	return all
}

// TestMissedInRoom cuts the connection between a media role and its Janus for a moment, in which those who reach that Janus
// otherwise change who is in a video room. Members hear of it afterwards, once, what one of those heard then.
func TestMissedInRoom(t *testing.T) {
	for name, change := range map[string]func(*janusproc.Config){"1.1.2": nil, "1.4.1": lab.Forky(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			missedInRoom(t, change)
		})
	}
}

func missedInRoom(t *testing.T, change func(*janusproc.Config)) {
	c, gate := severable(t, change)
	ctx := within(t, time.Minute)
	members := c.connect(ctx, t, "member", 3)
	direct, err := newCaller(ctx, "direct", c.janus[0].WSURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(direct.Abort)
	// do puts a request to the plugin over a connection of the room's Janus.
	do := func(handle uint64, body map[string]any) {
		t.Helper()
		body["room"] = 77
		answer, err := direct.Message(ctx, direct.session, handle, body, nil)
		if err != nil || answer.Number("plugindata", "data", "error_code") != 0 {
			t.Fatalf("%v: %s (%v)", body, answer, err)
		}
	}
	handle := func(k *caller) uint64 {
		t.Helper()
		h, err := k.Attach(ctx, k.session, videoroom)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	manager, guests := handle(direct), []uint64{handle(direct), handle(direct), handle(direct), handle(direct)}
	feed := func(id int, display string) map[string]any {
		return map[string]any{
			"request": "add_remote_publisher", "id": id, "display": display, "secret": "s",
			"streams": []map[string]any{
				{"type": "audio", "mid": "a", "mindex": 0, "codec": "opus", "stereo": true},
				{"type": "video", "mid": "v", "mindex": 1, "codec": "vp8", "description": "screen"},
			},
		}
	}
	join := func(id int) map[string]any {
		return map[string]any{"request": "join", "ptype": "publisher", "id": id, "display": fmt.Sprint("guest ", id), "pin": "p"}
	}
	do(manager, map[string]any{"request": "create", "pin": "p", "secret": "s", "publishers": 10, "notify_joining": true})
	do(manager, feed(1, "stays"))
	do(manager, feed(2, "goes"))
	do(guests[1], join(12))
	do(guests[0], join(11))
	do(guests[3], join(14))
	direct.handle = guests[3] // a witness
	for i, k := range members {
		k.handle = handle(k)
		body := map[string]any{"request": "join", "ptype": "publisher", "room": 77, "id": 21 + i, "pin": "p"}
		if answer, err := k.Message(ctx, k.session, k.handle, body, nil); err != nil || answer.Text("plugindata", "data", "videoroom") != "joined" {
			t.Fatalf("%s (%v)", answer, err)
		}
	}
	watcher, fellow := &caller{Client: members[0].Client, session: members[0].session}, &caller{Client: direct.Client, session: direct.session}
	for _, k := range []*caller{watcher, fellow} {
		k.handle = handle(k)
		subscribe(ctx, t, k)
	}
	everybody := append([]*caller{direct}, members...)
	before := make([]int, len(everybody))
	for i, k := range everybody {
		lab.WaitFor(t, 5*time.Second, func() string {
			if before[i] = len(roomEvents(k)); before[i] != len(everybody)-1-i {
				return fmt.Sprintf("%s: %q", k.name, roomEvents(k))
			}
			return ""
		})
	}

	gate.Cut()
	do(manager, feed(3, "comes"))
	do(manager, map[string]any{"request": "remove_remote_publisher", "id": 2, "secret": "s"})
	if err := direct.Detach(ctx, direct.session, guests[1]); err != nil {
		t.Fatal(err)
	}
	do(guests[2], join(13))
	do(guests[0], map[string]any{"request": "configure", "display": "renamed"})
	lab.WaitFor(t, 5*time.Second, func() string { return participants(ctx, direct, manager, 8) })
	gate.Restore()

	for _, k := range members {
		lab.WaitFor(t, 15*time.Second, func() string {
			if all := roomEvents(k); len(all) == 0 || !strings.Contains(all[len(all)-1], `"publishers"`) {
				return fmt.Sprintf("%s: %q", k.name, all)
			}
			return ""
		})
	}
	do(manager, feed(4, "after")) // what comes behind it shows that nothing came twice
	do(guests[2], map[string]any{"request": "leave"})
	for _, k := range everybody {
		lab.WaitFor(t, 5*time.Second, func() string {
			// A feed is announced by a thread of its own, which may be slower than who leaves.
			if all := strings.Join(roomEvents(k), " "); !strings.Contains(all, `"leaving":13`) || !strings.Contains(all, `"display":"after"`) {
				return fmt.Sprintf("%s: %s", k.name, all)
			}
			return ""
		})
	}
	// The offer without the feed that is gone waits for its answer.
	var offers []string
	for _, k := range []*caller{watcher, fellow} {
		m, err := k.Next(ctx, func(m lab.Message) bool { return m.Handle == k.handle && m.Transaction == "" && m.Janus == "event" })
		if err != nil || m.Text("jsep", "type") != "offer" || !strings.Contains(m.Text("jsep", "sdp"), "a=inactive") {
			t.Fatalf("%s (%v)", m, err)
		}
		offers = append(offers, roomEvents(k)...)
	}
	if len(offers) != 2 || offers[0] != offers[1] {
		t.Errorf("a subscriber was told\n%s", strings.Join(offers, "\nwhile Janus said\n"))
	}
	visits := regexp.MustCompile(`"(id|unpublished|leaving)":\d{19}\D`)
	var want []string
	for _, event := range roomEvents(direct)[before[0]:] {
		// Its own visitor is the cluster's business; and one who published nothing need not be said to have stopped.
		if !visits.MatchString(event) && !strings.Contains(event, `"unpublished":12`) {
			want = append(want, event)
		}
	}
	for i, k := range members {
		got := roomEvents(k)[before[i+1]:]
		if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			t.Errorf("%s heard\n%s\nwhile Janus said\n%s", k.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if violations := k.Violations(); len(violations) > 0 {
			t.Errorf("%s: %q", k.name, violations)
		}
	}
}

// subscribe has a handle receive feeds 1 and 2, as far as signalling goes.
func subscribe(ctx context.Context, t *testing.T, k *caller) {
	t.Helper()
	attached, err := k.Message(ctx, k.session, k.handle, map[string]any{
		"request": "join", "ptype": "subscriber", "room": 77, "pin": "p", "streams": []map[string]any{{"feed": 1}, {"feed": 2}},
	}, nil)
	if err != nil || attached.Text("jsep", "type") != "offer" {
		t.Fatalf("%s (%v)", attached, err)
	}
	answer := strings.NewReplacer("a=setup:actpass", "a=setup:active", "a=sendonly", "a=recvonly").Replace(attached.Text("jsep", "sdp"))
	started, err := k.Message(ctx, k.session, k.handle, map[string]any{"request": "start"}, map[string]any{"type": "answer", "sdp": answer})
	if err != nil || started.Text("plugindata", "data", "started") != "ok" {
		t.Fatalf("%s (%v)", started, err)
	}
}

// participants waits for a number of participants.
func participants(ctx context.Context, k *caller, handle uint64, want int) string {
	answer, err := k.Message(ctx, k.session, handle, map[string]any{"request": "listparticipants", "room": 77}, nil)
	if err != nil {
		return err.Error()
	}
	var list []any
	_ = json.Unmarshal(answer.Get("plugindata", "data", "participants"), &list)
	if len(list) != want {
		return fmt.Sprintf("%d participants: %s", len(list), answer)
	}
	return ""
}
