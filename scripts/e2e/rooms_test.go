// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusproc"
	"github.com/januscloud/januscloud/scripts/lab"
)

const videoroom = "janus.plugin.videoroom"

// crowd is how many clients TestRoomChurn has; ROOM_CLIENTS sets another number.
func crowd(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("ROOM_CLIENTS"), "200"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// visitor is a client of the videoroom plugin.
type visitor struct {
	*caller
	random                   *rand.Rand
	created, joined, refused int
}

// room puts a request to the plugin and returns its data; that of the event where there is one.
func (v *visitor) room(ctx context.Context, handle uint64, body map[string]any) (lab.Message, error) {
	request := map[string]any{"janus": "message", "session_id": v.session, "handle_id": handle, "body": body}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if body["request"] == "join" {
		return v.RequestEvent(ctx, request)
	}
	return v.Request(ctx, request)
}

// turn does one thing at random to one of the rooms. What others did to it meanwhile may make it fail, in the plugin's own ways.
func (v *visitor) turn(ctx context.Context, rooms int) error {
	room := 1 + v.random.IntN(rooms)
	body := map[string]any{"request": []string{"create", "join", "destroy", "exists", "list", "join"}[v.random.IntN(6)], "room": room}
	handle := v.handle
	if body["request"] == "join" {
		// A handle that left a room is of no use to Janus any more.
		h, err := v.Attach(ctx, v.session, videoroom)
		if err != nil {
			return err
		}
		handle, body["ptype"] = h, "publisher"
		defer func() { _ = v.Detach(ctx, v.session, h) }()
	}
	answer, err := v.room(ctx, handle, body)
	if err != nil {
		return fmt.Errorf("%s: %v: %w", v.name, body, err)
	}
	return v.look(body, answer)
}

// look checks an answer.
func (v *visitor) look(body map[string]any, answer lab.Message) error {
	code := answer.Number("plugindata", "data", "error_code")
	switch what := answer.Text("plugindata", "data", "videoroom"); {
	case body["request"] == "list":
		return checkList(answer)
	case what == "created":
		v.created++
	case what == "joined":
		v.joined++
	case code == 426 || code == 427: // there is none, or there is one
		v.refused++
	case what != "destroyed" && what != "success":
		return fmt.Errorf("%s: %v is answered by %s", v.name, body, answer)
	}
	return nil
}

// roomsOf are the rooms of a list.
func roomsOf(answer lab.Message) ([]int, error) {
	var list []struct {
		Room int `json:"room"`
	}
	if err := json.Unmarshal(answer.Get("plugindata", "data", "list"), &list); err != nil {
		return nil, fmt.Errorf("%s: %w", answer, err)
	}
	var rooms []int
	for _, r := range list {
		rooms = append(rooms, r.Room)
	}
	slices.Sort(rooms)
	return rooms, nil
}

// lasting is the room that nobody destroys.
const lasting = 4711

// checkList looks at a list of all rooms: none is there twice, and the lasting one is.
func checkList(answer lab.Message) error {
	rooms, err := roomsOf(answer)
	if err != nil {
		return err
	}
	if len(slices.Compact(slices.Clone(rooms))) != len(rooms) || !slices.Contains(rooms, lasting) {
		return fmt.Errorf("the list is %v", rooms)
	}
	return nil
}

// TestRoomChurn has many clients of three session nodes create, join, leave, destroy and list the same rooms at random, while one
// of the nodes is killed and replaced. At no moment may a room be on two Janus; lists are true; and nothing is left in the end.
func TestRoomChurn(t *testing.T) {
	const rooms, turns = 50, 30
	c := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 3, janus: 2, change: func(j *janusproc.Config) { j.EventLoops = 2 }})
	ctx := within(t, 4*time.Minute)
	var visitors []*visitor
	callers := c.connect(ctx, t, "visitor", crowd(t))
	for i, k := range callers {
		visitors = append(visitors, &visitor{caller: k, random: rand.New(rand.NewPCG(uint64(i), 7))})
	}
	each(t, callers, func(i int, k *caller) (err error) {
		k.handle, err = k.Attach(ctx, k.session, videoroom)
		return err
	})
	if _, err := visitors[0].room(ctx, callers[0].handle, map[string]any{"request": "create", "room": lasting, "secret": "s"}); err != nil {
		t.Fatal(err)
	}
	stop := c.watchRooms(ctx, t)
	var done atomic.Int64
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for done.Load() < int64(len(visitors)*turns/3) && ctx.Err() == nil {
			<-time.After(10 * time.Millisecond)
		}
		c.nodes[1].Kill()
	}()
	began := time.Now()
	each(t, callers, func(i int, _ *caller) error {
		for range turns {
			if err := visitors[i].turn(ctx, rooms); err != nil {
				return err
			}
			done.Add(1)
		}
		return nil
	})
	<-killed
	looks := stop()
	var created, joined, refused int
	for _, v := range visitors {
		created, joined, refused = created+v.created, joined+v.joined, refused+v.refused
	}
	t.Logf("%d clients, %d turns in %v: %d rooms created, %d joins, %d refused; both Janus looked at %d times",
		len(visitors), len(visitors)*turns, time.Since(began).Round(time.Millisecond), created, joined, refused, looks)
	if created == 0 || joined == 0 {
		t.Error("nothing happened")
	}
	c.emptyRooms(ctx, t, visitors[0], rooms)
	each(t, callers, func(_ int, k *caller) error { return k.Destroy(ctx, k.session) })
	each(t, callers, func(_ int, k *caller) error { return k.Close() })
}

// watchRooms lists the rooms of each Janus, again and again, until the function it returns is called, which tells how often.
func (c *testCluster) watchRooms(ctx context.Context, t *testing.T) (stop func() int) {
	t.Helper()
	var watchers []*visitor
	for i, j := range c.janus {
		k, err := newCaller(ctx, fmt.Sprintf("janus %d", i+1), j.WSURL())
		if err == nil {
			k.handle, err = k.Attach(ctx, k.session, videoroom)
		}
		if err != nil {
			t.Fatal(err)
		}
		watchers = append(watchers, &visitor{caller: k})
	}
	end, ended, looks := make(chan struct{}), make(chan struct{}), 0
	go func() {
		defer close(ended)
		for ; ; looks++ {
			select {
			case <-end:
				return
			case <-ctx.Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
			if doubled, err := lookForDoubles(ctx, watchers); err != nil || len(doubled) > 0 {
				t.Errorf("rooms on both Janus: %v (%v)", doubled, err)
				return
			}
		}
	}()
	return func() int {
		close(end)
		<-ended
		for _, w := range watchers {
			w.Abort()
		}
		return looks
	}
}

// lookForDoubles are the rooms that are on both Janus, now: the first is asked again, since a room may have moved in between.
func lookForDoubles(ctx context.Context, watchers []*visitor) ([]int, error) {
	var lists [3][]int
	for i, w := range []*visitor{watchers[0], watchers[1], watchers[0]} {
		answer, err := w.room(ctx, w.handle, map[string]any{"request": "list"})
		if err != nil {
			return nil, err
		}
		if lists[i], err = roomsOf(answer); err != nil {
			return nil, err
		}
	}
	var doubled []int
	for _, room := range lists[0] {
		if configured := room == 1234 || room == 5678; configured {
			continue // each Janus has these from its configuration
		}
		if slices.Contains(lists[1], room) && slices.Contains(lists[2], room) {
			doubled = append(doubled, room)
		}
	}
	return doubled, nil
}

// emptyRooms destroys all rooms and finds none left, in the cluster or on any Janus.
func (c *testCluster) emptyRooms(ctx context.Context, t *testing.T, v *visitor, rooms int) {
	t.Helper()
	for room := range rooms {
		if _, err := v.room(ctx, v.handle, map[string]any{"request": "destroy", "room": room + 1}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := v.room(ctx, v.handle, map[string]any{"request": "destroy", "room": lasting, "secret": "s"}); err != nil {
		t.Fatal(err)
	}
	answer, err := v.room(ctx, v.handle, map[string]any{"request": "list"})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := roomsOf(answer); err != nil || !slices.Equal(left, []int{1234, 5678}) {
		t.Errorf("left over: %v (%v)", left, err)
	}
}
