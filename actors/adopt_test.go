// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/messages"
)

// message sends a message to a handle and returns its identity and its text.
func (k *client) message(session, handle uint64, transaction string) (identity, body string) {
	k.t.Helper()
	body = fmt.Sprintf(`{"janus":"message","transaction":%q,"session_id":%d,"handle_id":%d,"body":{}}`, transaction, session, handle)
	return k.send(session, "%s", body), body
}

// ran are the messages that a server got, by their identities, in order; those that it may know are marked.
func (s *server) ran() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, got := range s.got {
		if identity, ok := strings.CutPrefix(got, "message "); ok {
			list = append(list, identity)
		}
	}
	return list
}

// attaches is how often a server was asked to attach a handle.
func (s *server) attaches() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, got := range s.got {
		if strings.HasPrefix(got, "attach ") {
			n++
		}
	}
	return n
}

// waitAttach waits until a server was asked to attach a handle.
func (s *server) waitAttach(t *testing.T) {
	t.Helper()
	waitFor(t, func() string {
		if s.attaches() == 0 {
			return "nothing is attached"
		}
		return ""
	})
}

func (s *server) asked() []messages.Adopt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.adopts)
}

// defersOne has the first asking get lost.
func defersOne(s *server) { s.defers = 1 }

// waitAdrift waits until a handle waits for its media server.
func (k *client) waitAdrift(session, handle uint64) {
	k.t.Helper()
	waitFor(k.t, func() string {
		if a := k.p.order(k.t, session, handle, messages.AdminOrder{}); a.Handle == nil || !a.Handle.Server.IsZero() {
			return fmt.Sprintf("the handle is %+v", a.Handle)
		}
		return ""
	})
}

// waitSilent waits until a node knows that a media server is not there.
func waitSilent(t *testing.T, n *Node, name string) {
	t.Helper()
	waitFor(t, func() string {
		if _, _, heard := n.server(name); heard {
			return name + " is still heard"
		}
		return ""
	})
}

// A media server dies and is started again. What its handles are asked meanwhile waits, and runs when the new incarnation has
// taken them over; what the one before may have run goes with its mark.
func TestAdopted(t *testing.T) {
	c := newCluster(t)
	media, edge := c.server("janus-a"), c.client()
	n := c.node("node-a", nil)
	waitServers(t, n, 1)
	id := edge.create()
	h := edge.attach(id)
	first, body := edge.message(id, h, "1")
	edge.reply(id, first, body)
	media.kill()
	lost, lostBody := edge.message(id, h, "2")
	edge.waitAdrift(id, h)
	fresh, freshBody := edge.message(id, h, "3")
	edge.publish(id, lost+".r", lostBody)
	edge.publish(id, fresh+".r", freshBody)

	again := c.server("janus-a", defersOne)
	for _, identity := range []string{fresh, lost} {
		edge.await("answer", func(d delivered) bool { return d.subject == identity && d.body["janus"] == "ack" })
	}
	if got := again.ran(); !slices.Equal(got, []string{fresh, lost + ".r"}) {
		t.Errorf("ran %q, want %q and the mark on %q", got, fresh, lost)
	}
	want := messages.HoldingHandle{Handle: h, Janus: h/2 + 1, Plugin: echotest}
	for _, a := range again.asked() {
		if a.Session != id || !a.Whole || len(a.Handles) != 1 || a.Epoch.IsZero() {
			t.Fatalf("asked for %+v", a)
		}
		if got := a.Handles[0]; got.Handle != want.Handle || got.Janus != want.Janus || got.Plugin != want.Plugin {
			t.Errorf("asked for %+v, want %+v", got, want)
		}
	}
	if asked := len(again.asked()); asked != 2 {
		t.Errorf("asked %d times", asked)
	}

	// The record says so: the next owner has nothing to ask for.
	next := c.node("node-b", nil)
	waitServers(t, next, 1)
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	identity, body := edge.message(id, h, "4")
	if got := edge.reply(id, identity, body); got["janus"] != "ack" {
		t.Errorf("with the next owner: %v", got)
	}
	if asked := len(again.asked()); asked != 2 {
		t.Errorf("asked %d times in all", asked)
	}
}

// A media server that dies together with the owner of its handles is asked by the next owner, which knows of it from records alone.
func TestAdoptedForNextOwner(t *testing.T) {
	c := newCluster(t)
	media, edge := c.server("janus-a"), c.client()
	n := c.node("node-a", nil)
	waitServers(t, n, 1)
	id := edge.create()
	h := edge.attach(id)
	first, body := edge.message(id, h, "1")
	edge.reply(id, first, body)
	media.kill()
	waitSilent(t, n, "janus-a")
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.node("node-b", nil)
	identity, body := edge.message(id, h, "2")
	again := c.server("janus-a")
	if got := edge.reply(id, identity, body); got["janus"] != "ack" {
		t.Errorf("answered %v", got)
	}
	if asked := again.asked(); len(asked) == 0 || len(asked[0].Handles) != 1 {
		t.Errorf("asked for %+v", asked)
	}
}

// A media server that does not come back is given up after the grace: the client hears of it, and can use its handle elsewhere.
// Should it come back after all, it is told that nothing of it is wanted.
func TestMediaGrace(t *testing.T) {
	c := newCluster(t)
	media, edge := c.server("janus-a"), c.client()
	n := c.node("node-a", soon)
	waitServers(t, n, 1)
	id := edge.create()
	h := edge.attach(id)
	first, body := edge.message(id, h, "1")
	edge.reply(id, first, body)
	other := c.server("janus-b")
	media.kill()
	edge.waitAdrift(id, h)
	waiting, _ := edge.message(id, h, "2")
	if e := edge.event("hangup"); uint64(e["sender"].(float64)) != h || e["reason"] != "Media server lost" {
		t.Errorf("told %v", e)
	}
	if d := edge.await("answer", func(d delivered) bool { return d.subject == waiting }); code(d.body) != 490 {
		t.Errorf("what waited is answered by %v", d.body)
	}
	identity, body := edge.message(id, h, "3")
	if got := edge.reply(id, identity, body); got["janus"] != "ack" || len(other.ran()) != 1 {
		t.Errorf("elsewhere: %v, %q", got, other.ran())
	}
	again := c.server("janus-a")
	waitFor(t, func() string {
		if asked := again.asked(); len(asked) == 0 || len(asked[0].Handles) != 0 || !asked[0].Whole {
			return fmt.Sprintf("asked for %+v", asked)
		}
		return ""
	})
}

// A media server that was only silent for a while goes on with its handles.
func TestMediaSilentForAWhile(t *testing.T) {
	c := newCluster(t)
	media, edge := c.server("janus-a"), c.client()
	n := c.node("node-a", nil)
	waitServers(t, n, 1)
	id := edge.create()
	h := edge.attach(id)
	first, body := edge.message(id, h, "1")
	edge.reply(id, first, body)
	media.beater.Stop()
	edge.waitAdrift(id, h)
	identity, _ := edge.message(id, h, "2")
	edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id) // behind it
	if got := media.ran(); len(got) != 1 {
		t.Fatalf("ran %q, though nobody hears it", got)
	}
	media.beat(t)
	edge.await("answer", func(d delivered) bool { return d.subject == identity })
	if got := media.ran(); !slices.Equal(got, []string{first, identity}) || len(media.asked()) != 0 {
		t.Errorf("ran %q, asked for %+v", got, media.asked())
	}
}

// A handle that is bound while another one of its session waits for the same media server does not overtake that: what the server
// is to keep of its earlier incarnation it hears first.
func TestAdoptGoesFirst(t *testing.T) {
	c := newCluster(t)
	media, edge := c.server("janus-a"), c.client()
	n := c.node("node-a", nil)
	waitServers(t, n, 1)
	id := edge.create()
	h := edge.attach(id)
	first, body := edge.message(id, h, "1")
	edge.reply(id, first, body)
	second := edge.attach(id)
	media.kill()
	waitSilent(t, n, "janus-a")
	again := c.server("janus-a", defersOne)
	identity, body := edge.message(id, second, "2")
	if got := edge.reply(id, identity, body); got["janus"] != "ack" {
		for got["janus"] != "ack" { // nobody was heard yet
			identity, body = edge.message(id, second, "2")
			got = edge.reply(id, identity, body)
		}
	}
	if len(again.asked()) == 0 {
		t.Error("a handle was attached before the server was asked to keep the other")
	}
	identity, body = edge.message(id, h, "3")
	if got := edge.reply(id, identity, body); got["janus"] != "ack" {
		t.Errorf("the other handle: %v", got)
	}
}

// Rooms stay on a Janus whose media role is restarted, also where another Janus has rooms of the same name.
func TestRoomStaysOnRestart(t *testing.T) {
	c := newCluster(t)
	media := [2]*server{c.server("media-a"), c.server("media-b")}
	n := c.node("node-1", nil)
	waitServers(t, n, 2)
	k := c.client()
	s, h := k.person()
	homes := map[string]string{}
	const rooms = 8
	for room := 1; room <= rooms; room++ {
		k.video(s, h, `{"request":"create","room":%d}`, room)
		homes[fmt.Sprint(room)] = homeOf(t, media, fmt.Sprint(room)).member.Name
	}
	for i, m := range media {
		m.kill()
		waitSilent(t, n, m.member.Name)
		again := c.server(m.member.Name)
		for room := 1; room <= rooms; room++ {
			again.janus.rooms = append(again.janus.rooms, fmt.Sprint(room))
		}
		media[i] = again
	}
	for room := 1; room <= rooms; room++ {
		s, h := k.person()
		k.video(s, h, `{"request":"join","room":%d,"ptype":"publisher"}`, room)
		for _, m := range media {
			m.mu.Lock()
			if there := m.holds[s][h]; there != (m.member.Name == homes[fmt.Sprint(room)]) {
				t.Errorf("room %d was on %s, a guest is on %s: %v", room, homes[fmt.Sprint(room)], m.member.Name, there)
			}
			m.mu.Unlock()
		}
	}
}

// What a media server may have done to a room before it was killed is not done again by its successor.
func TestRoomRequestOfKilledServer(t *testing.T) {
	c := newCluster(t)
	media := c.server("media-a")
	n := c.node("node-1", nil)
	waitServers(t, n, 1)
	k := c.client()
	s, h := k.person()
	k.video(s, h, `{"request":"create","room":1}`)
	media.mu.Lock()
	media.janus.deaf = true // it takes requests, and says nothing
	media.mu.Unlock()
	destroy := fmt.Sprintf(`{"janus":"message","transaction":"v","session_id":%d,"handle_id":%d,"body":{"request":"destroy","room":1}}`, s, h)
	identity := k.send(s, "%s", destroy)
	waitFor(t, func() string {
		media.mu.Lock()
		defer media.mu.Unlock()
		if media.janus.ignored == 0 {
			return "it was not asked"
		}
		return ""
	})
	media.kill()
	waitSilent(t, n, "media-a")
	again := c.server("media-a")
	again.mu.Lock()
	again.janus.rooms = []string{"1"}
	again.mu.Unlock()
	for range 2 {
		d := k.await("answer", func(d delivered) bool { return d.subject == identity })
		if code(d.body) != 490 || !strings.Contains(string(d.raw), "Outcome unknown") {
			t.Errorf("answered %s", d.raw)
		}
		k.publish(s, identity+".r", destroy) // it did not arrive
	}
	again.mu.Lock()
	defer again.mu.Unlock()
	if slices.Contains(again.janus.asked, "destroy 1") {
		t.Error("it was done again")
	}
}

// A media server is not told that it has all handles of a session while it is being given one: what it attached a moment ago, for an
// owner who has not heard of it yet, would end.
func TestAdoptNotWhole(t *testing.T) {
	x := converse(t)
	second := x.k.attach(x.session)
	x.media.kill()
	waitSilent(t, x.node, "media-a")
	again := x.c.server("media-a", func(s *server) { s.mute, s.defers = true, 1<<20 })
	waitFor(t, func() string {
		if _, serves, _ := x.node.server("media-a"); !serves {
			return "it is not heard"
		}
		return ""
	})
	x.k.message(x.session, second, "2")
	again.waitAttach(t)
	before := len(again.asked()) + 1
	waitFor(t, func() string {
		if len(again.asked()) < before {
			return "it is not asked again"
		}
		return ""
	})
	if a := again.asked()[before-1]; a.Whole || len(a.Handles) != 1 {
		t.Errorf("asked for %+v while a handle is being attached", a)
	}
}

// A media server that does not have a handle is asked for it: then it says what became of it.
func TestMissingIsAskedFor(t *testing.T) {
	x := converse(t)
	media, id, h := x.media, x.session, x.handle
	idle := x.k.attach(id)
	data, err := json.Marshal(messages.Adopted{From: media.member, Missing: []uint64{idle, 77, h}})
	if err != nil {
		t.Fatal(err)
	}
	if err := media.p.bus.Publish(messages.HandleSubject(id, messages.SessionAdopted, 0), "", data); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() string {
		if len(media.asked()) == 0 {
			return "it is not asked"
		}
		return ""
	})
	if a := media.asked(); len(a) != 1 || a[0].Whole || len(a[0].Handles) != 1 || a[0].Handles[0].Handle != h {
		t.Errorf("asked for %+v", a)
	}
}

// Whoever joins a room while its media server dies joins when that is back: there is no other with the room.
func TestJoinWaitsForHome(t *testing.T) {
	c := newCluster(t)
	media := c.server("media-a")
	n := c.node("node-1", nil)
	waitServers(t, n, 1)
	k := c.client()
	s, h := k.person()
	k.video(s, h, `{"request":"create","room":1}`)
	s, h = k.person()
	media.mu.Lock()
	media.mute = true
	media.mu.Unlock()
	join := fmt.Sprintf(`{"janus":"message","transaction":"v","session_id":%d,"handle_id":%d,"body":{"request":"join","room":1,"ptype":"publisher"}}`, s, h)
	identity := k.send(s, "%s", join)
	media.waitAttach(t)
	media.kill()
	waitSilent(t, n, "media-a")
	again := c.server("media-a", func(s *server) { s.janus.rooms = []string{"1"} })
	d := k.await("answer", func(d delivered) bool { return d.subject == identity })
	if d.body["janus"] != "ack" {
		t.Errorf("answered %s", d.raw)
	}
	again.mu.Lock()
	defer again.mu.Unlock()
	if !again.holds[s][h] {
		t.Error("it is bound elsewhere")
	}
}

// What waits for a media server is not run when that comes back after the client was told that nobody answered.
func TestExpiredIsNotRun(t *testing.T) {
	x := converse(t)
	edge, id, h := x.k, x.session, x.handle
	x.media.kill()
	waitSilent(t, x.node, "media-a")
	edge.waitAdrift(id, h)
	expired, _ := edge.message(id, h, "2")
	waits, _ := edge.message(id, h, "3")
	subject := messages.SessionSubject{Partition: messages.PartitionOf(id), Session: id, Kind: messages.SessionExpired, Arg: "1"}
	if err := edge.p.bus.Publish(subject.String(), expired, nil); err != nil {
		t.Fatal(err)
	}
	again := x.c.server("media-a")
	edge.await("answer", func(d delivered) bool { return d.subject == waits && d.body["janus"] == "ack" })
	if got := again.ran(); !slices.Equal(got, []string{waits}) {
		t.Errorf("ran %q, want %q", got, waits)
	}
}

// A media server that a question to attach did not reach is asked again; the handle is bound there.
func TestBindAsksAgain(t *testing.T) {
	c := newCluster(t)
	media, edge := c.server("janus-a", func(s *server) { s.mute = true }), c.client()
	waitServers(t, c.node("node-a", nil), 1)
	id := edge.create()
	h := edge.attach(id)
	identity, body := edge.message(id, h, "1")
	media.waitAttach(t)
	media.mu.Lock()
	media.mute = false
	media.mu.Unlock()
	if got := edge.reply(id, identity, body); got["janus"] != "ack" {
		t.Errorf("answered %v", got)
	}
	if n := media.attaches(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}
