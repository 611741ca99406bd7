// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/roster"
)

// drain gives a node an order and returns what it answers.
func (k *client) drain(n *Node, order messages.DrainOrder) messages.DrainAnswer {
	k.t.Helper()
	data, err := json.Marshal(order)
	if err != nil {
		k.t.Fatal(err)
	}
	m, err := k.p.bus.Request(k.t.Context(), messages.DrainSubject(messages.RoleSession, n.Member()), data)
	if err != nil {
		k.t.Fatal(err)
	}
	var answer messages.DrainAnswer
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		k.t.Fatal(err)
	}
	return answer
}

// owned is how many partitions a node says that it owns.
func owned(n *Node) int {
	b := n.beat()
	left, _ := b.Left()
	return left
}

func waitOwned(t *testing.T, n *Node, want func(owned int) bool) {
	t.Helper()
	waitFor(t, func() string {
		if got := owned(n); !want(got) {
			return fmt.Sprintf("%s owns %d partitions", n.Name, got)
		}
		return ""
	})
}

// waitSessions waits until a node serves so many sessions.
func waitSessions(t *testing.T, n *Node, want int64) {
	t.Helper()
	waitFor(t, func() string {
		if got := n.sessions.Load(); got != want {
			return fmt.Sprintf("%s has %d of %d sessions", n.Name, got, want)
		}
		return ""
	})
}

func none(owned int) bool { return owned == 0 }
func some(owned int) bool { return owned > 0 }
func all(owned int) bool  { return owned == messages.Partitions }

// TestDrain has a node that drains give its partitions away, with the sessions in them, and get some again when it drains no more.
func TestDrain(t *testing.T) {
	c := newCluster(t)
	c.server("janus-a")
	edge := c.client()
	a := c.node("node-a", nil)
	waitServers(t, a, 1)
	type one struct{ id, bound, unbound uint64 }
	var sessions []one
	for range 5 {
		x := one{id: edge.create()}
		x.bound, x.unbound = edge.attach(x.id), edge.attach(x.id)
		edge.ask(x.id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, x.id, x.bound)
		edge.event("event")
		sessions = append(sessions, x)
	}
	b := c.node("node-b", nil)
	for range 2 { // twice is as good as once
		if got := edge.drain(a, messages.DrainOrder{}); got.State != messages.StateDraining || got.Error != "" {
			t.Fatalf("told to drain: %+v", got)
		}
	}
	waitOwned(t, a, none)
	waitOwned(t, b, all)
	waitSessions(t, b, 5)
	waitSessions(t, a, 0)
	for _, x := range sessions {
		for _, h := range []uint64{x.bound, x.unbound} {
			if got := edge.ask(x.id, `{"janus":"message","transaction":"n","session_id":%d,"handle_id":%d,"body":{}}`, x.id, h); got["janus"] != "ack" {
				t.Errorf("after the hand-over: %v", got)
			}
		}
	}
	if err := a.Ready(); err == nil {
		t.Error("a node that drains is ready")
	}
	if got := edge.drain(a, messages.DrainOrder{Off: true}); got.State != messages.StateReady {
		t.Fatalf("told not to drain: %+v", got)
	}
	waitOwned(t, a, some)
	if err := a.Ready(); err != nil {
		t.Error(err)
	}
}

// TestDrainAlone has a node go on serving until somebody comes who takes what it has.
func TestDrainAlone(t *testing.T) {
	c, a, edge, id := oneSession(t)
	edge.drain(a, messages.DrainOrder{})
	waitFor(t, func() string {
		if p, ok := edge.p.roster.View().Find(messages.RoleSession, "node-a"); !ok || p.Beat.State != messages.StateDraining {
			return "node-a does not beat that it drains"
		}
		return ""
	})
	keepalive := func() {
		t.Helper()
		if got := edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id); got["janus"] != "ack" {
			t.Fatalf("keepalive: %v", got)
		}
	}
	keepalive()
	waitOwned(t, a, all)
	b := c.node("node-b", nil)
	waitOwned(t, b, all)
	keepalive()
	waitSessions(t, b, 1)
}

// TestStopHandsOver stops a node: before it leaves it has given everything away, so that nobody falls silent.
func TestStopHandsOver(t *testing.T) {
	c := newCluster(t)
	edge := c.client()
	a, b := c.node("node-a", nil), c.node("node-b", nil)
	for range 20 {
		edge.create()
	}
	waitOwned(t, b, some)
	waitFor(t, func() string {
		if a.sessions.Load() == 0 {
			edge.create()
			return "node-a has no sessions"
		}
		return ""
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if n := owned(b); n != messages.Partitions {
		t.Errorf("when the other has stopped it owns %d partitions", n)
	}
	waitFor(t, func() string {
		if b.sessions.Load() < 20 {
			return fmt.Sprintf("%d sessions", b.sessions.Load())
		}
		return ""
	})
}

// TestStopAtOnce has a node that nobody would miss, and one that nobody can take over from, stop without delay.
func TestStopAtOnce(t *testing.T) {
	c := newCluster(t)
	edge := c.client()
	a, b := c.node("node-a", nil), c.node("node-b", nil)
	waitOwned(t, b, some)
	for _, n := range []*Node{a, b} {
		start := time.Now()
		if err := n.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took >= handOverTime {
			t.Errorf("%s took %v", n.Name, took)
		}
		if n == a {
			edge.create()
		}
	}
}

// fakeNode is a session node that beats, and hears what is said to it.
type fakeNode struct {
	p      *process
	member messages.Member
	got    chan *bus.Msg
	owned  chan []messages.OwnedRange
	beater *roster.Beater
}

func (c *cluster) fakeNode(name string) *fakeNode {
	c.t.Helper()
	f := &fakeNode{p: c.process(name), member: messages.NewMember(name), got: make(chan *bus.Msg, 1000), owned: make(chan []messages.OwnedRange, 1)}
	f.owned <- nil
	if _, err := f.p.bus.Own(messages.NodePrefix(f.member), 0, func(m *bus.Msg) { f.got <- m }); err != nil {
		c.t.Fatal(err)
	}
	f.beater = roster.NewBeater(f.p.bus, func() messages.Beat {
		owned := <-f.owned
		f.owned <- owned
		return messages.Beat{Role: messages.RoleSession, Member: f.member, State: messages.StateReady, Session: &messages.SessionBeat{Owned: owned}}
	})
	c.t.Cleanup(f.beater.Stop)
	return f
}

// own announces partitions, with what it owns already and an epoch above all.
func (f *fakeNode) own(set messages.PartitionSet) {
	owned := <-f.owned
	f.owned <- append(slices.Clone(owned), messages.OwnedRange{Epoch: messages.Epoch{}.Next(f.member.Name, time.Now().Add(time.Minute)), Partitions: set})
	f.beater.Now()
}

// serves is what the node tells who offered partitions.
func (f *fakeNode) serves(t *testing.T, set messages.PartitionSet) []byte {
	data, err := json.Marshal(messages.Yield{From: f.member, Partitions: set})
	if err != nil {
		t.Error(err)
	}
	return data
}

// offer awaits the offer of a partition, and takes all others.
func (f *fakeNode) offer(t *testing.T, p int) messages.PartitionSet {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case m := <-f.got:
			var offer messages.Yield
			switch {
			case m.Subject != messages.NodeYield(f.member):
			case json.Unmarshal(m.Data, &offer) != nil:
				t.Fatalf("offer %s", m.Data)
			case offer.Partitions.Has(p):
				return offer.Partitions
			default:
				f.own(offer.Partitions)
				if err := f.p.bus.Publish(messages.NodeTaken(offer.From), "", f.serves(t, offer.Partitions)); err != nil {
					t.Fatal(err)
				}
			}
		case <-deadline:
			t.Fatalf("partition %d is not offered", p)
		}
	}
}

// TestNobodyTakes has a node serve again what nobody has taken, and lose nothing that came meanwhile.
func TestNobodyTakes(t *testing.T) {
	c, a, edge, id := oneSession(t)
	f := c.fakeNode("node-b")
	edge.drain(a, messages.DrainOrder{})
	f.offer(t, messages.PartitionOf(id))
	identity := edge.send(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id)
	edge.await("the answer to what came while the partition was on offer", func(d delivered) bool { return d.subject == identity })
	f.offer(t, messages.PartitionOf(id)) // once more
}

// TestHeldIsPassedOn gives the next owner what somebody asked while a room's partition was on offer, and leaves requests to edges.
func TestHeldIsPassedOn(t *testing.T) {
	c, a, edge, id := oneSession(t)
	p := messages.PartitionOf(id)
	name := messages.RoomName{Plugin: "janus.plugin.videoroom", Key: "1"}
	for n := 2; name.Partition() != p; n++ {
		name.Key = fmt.Sprint(n)
	}
	f := c.fakeNode("node-b")
	edge.drain(a, messages.DrainOrder{})
	set := f.offer(t, p)
	edge.send(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id)
	if err := edge.p.bus.Publish(name.Subject(), "inbox", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	if err := edge.p.bus.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	passed := make(chan *bus.Msg, 10)
	for _, prefix := range []string{messages.SessionPrefix(p), messages.RoomPrefix(p)} {
		if _, err := f.p.bus.Own(prefix, 0, func(m *bus.Msg) { passed <- m }); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.p.bus.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.own(set)
	select {
	case m := <-passed:
		if m.Subject != name.Subject() || m.Reply != "inbox" {
			t.Errorf("passed on %s (%s)", m.Subject, m.Reply)
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing is passed on")
	}
	waitSessions(t, a, 0)
}

// A node that drains is done when others serve what it gave away: until then they may have to ask the media role beside it.
func TestDrainUntilServed(t *testing.T) {
	c := newCluster(t)
	media := c.server("janus-a", func(s *server) { s.silent = true }) // whom the next owner waits for
	edge := c.client()
	a := c.node("node-a", nil)
	waitServers(t, a, 1)
	const sessions = 60 // so that there are some in each slice
	for range sessions {
		edge.attach(edge.create())
	}
	b := c.node("node-b", nil)
	waitFor(t, func() string {
		if p, _ := a.Roster.View().Find(messages.RoleSession, b.Name); !p.Takes() {
			return "the other node is not known to take anything"
		}
		return ""
	})
	a.Drain(t.Context())
	if got := b.sessions.Load(); got != sessions {
		t.Errorf("the next owner serves %d of %d sessions", got, sessions)
	}
	if n := media.handles(); n != 0 {
		t.Errorf("%d handles are bound", n)
	}
}
