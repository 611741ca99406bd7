// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// refuseWrites has the store accept no writes of records, as one without a leader, until accept is called. What it has can be read.
func (c *cluster) refuseWrites() (accept func()) {
	c.t.Helper()
	js := c.buckets()
	limit := func(size int32) {
		c.t.Helper()
		stream, err := js.Stream(c.t.Context(), "KV_"+sessionBucket)
		if err != nil {
			c.t.Fatal(err)
		}
		config := stream.CachedInfo().Config
		config.MaxMsgSize = size
		if _, err := js.UpdateStream(c.t.Context(), config); err != nil {
			c.t.Fatal(err)
		}
	}
	limit(1)
	return func() { limit(-1) }
}

// records are those that are stored of a session, by handle; that of handle 0 is its own.
func (n *Node) records(t *testing.T, session uint64) map[uint64]rawRecord {
	t.Helper()
	var set messages.PartitionSet
	set.Add(messages.PartitionOf(session))
	all, err := n.store.load(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	there := map[uint64]rawRecord{}
	for _, r := range all {
		if r.session == session && !r.deleted {
			there[r.handle] = r
		}
	}
	return there
}

func waitRemains(t *testing.T, n *Node, want int64) {
	t.Helper()
	waitFor(t, func() string {
		if got := n.remains.Load(); got != want {
			return fmt.Sprintf("%d sessions that are over have records, want %d", got, want)
		}
		return ""
	})
}

// endedSession is a session with a handle that has ended while the store took no writes.
func (c *cluster) endedSession(n *Node, edge *client) (id uint64, accept func()) {
	c.t.Helper()
	waitServers(c.t, n, 1)
	id = edge.create()
	edge.attach(id)
	waitFor(c.t, func() string {
		if got := n.records(c.t, id); len(got) != 2 {
			return fmt.Sprintf("%d records are stored", len(got))
		}
		return ""
	})
	accept = c.refuseWrites()
	if got := edge.ask(id, `{"janus":"destroy","transaction":"d","session_id":%d}`, id); got["janus"] != "success" {
		c.t.Fatalf("destroy: %v", got)
	}
	waitSessions(c.t, n, 0)
	if got := n.remains.Load(); got != 1 {
		c.t.Fatalf("%d sessions remain", got)
	}
	return id, accept
}

// The records of a session that ended while the store took no writes are deleted when it does again.
func TestRecordsDeletedLater(t *testing.T) {
	c := newCluster(t)
	c.server("janus-a")
	n := c.node("node-a", nil)
	id, accept := c.endedSession(n, c.client())
	if got := n.records(t, id); len(got) != 2 {
		t.Fatalf("%d records are there, though the store takes no writes", len(got))
	}
	accept()
	waitRemains(t, n, 0)
	if got := n.records(t, id); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
}

// Meanwhile the id is free: what is stored of the next session of that id stays.
func TestRecordsDeletedBesideNext(t *testing.T) {
	c := newCluster(t)
	c.server("janus-a")
	n, edge := c.node("node-a", nil), c.client()
	id, accept := c.endedSession(n, edge)
	accept()
	identity := edge.send(id, `{"janus":"create","transaction":"c","id":%d}`, id)
	if got := edge.reply(id, identity, `{"janus":"create","transaction":"c"}`); got["janus"] != "success" {
		t.Fatalf("create: %v", got)
	}
	waitRemains(t, n, 0)
	waitFor(t, func() string {
		got := n.records(t, id)
		var next messages.SessionRecord
		if err := json.Unmarshal(got[0].value, &next); len(got) != 1 || err != nil || next.Identity != identity {
			return fmt.Sprintf("stored is %v (%v), want the session made by %s", got, err, identity)
		}
		return ""
	})
	if got := edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id); got["janus"] != "ack" {
		t.Errorf("the next session: %v", got)
	}
}

// A partition is not given away while the next owner would find a session in it that is over.
func TestRemainsAreNotGivenAway(t *testing.T) {
	c := newCluster(t)
	c.server("janus-a")
	a, edge := c.node("node-a", nil), c.client()
	id, accept := c.endedSession(a, edge)
	b := c.node("node-b", nil)
	edge.drain(a, messages.DrainOrder{})
	waitOwned(t, a, func(owned int) bool { return owned == 1 })
	accept()
	waitOwned(t, a, none)
	waitOwned(t, b, all)
	if got := edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id); code(got) != int(messages.CodeSessionNotFound) {
		t.Errorf("a session that is over, at the next owner: %v", got)
	}
}

// A session that ends before its records could be read is over when they are.
func TestEndBeforeRecords(t *testing.T) {
	n, k, epoch, id, pid := loadingPartition(t)
	js, err := jetstream.New(k.p.bus.Conn())
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), sessionBucket)
	if err != nil {
		t.Fatal(err)
	}
	const handle = 77
	revisions := map[string]uint64{}
	for _, key := range []string{sessionKey(id), handleKey(id, handle)} {
		if revisions[key], err = kv.PutString(t.Context(), key, `{"identity":"create"}`); err != nil {
			t.Fatal(err)
		}
	}
	owner := messages.Transport{Edge: k.member, Connection: 1}
	n.tell(pid, loadedPartition{epoch: epoch, sessions: []*found{{id: id, owner: owner, ownedAt: 1}}})
	destroy := messages.Identity{Edge: k.member, Connection: 1, Session: id, N: 1}.String()
	n.tell(pid, &bus.Msg{Subject: messages.RequestSubject(id), Reply: destroy,
		Data: fmt.Appendf(nil, `{"janus":"destroy","transaction":"d","session_id":%d}`, id)})
	if got := k.await("answer", func(d delivered) bool { return d.subject == destroy }); got.body["janus"] != "success" {
		t.Fatalf("destroy: %s", got.raw)
	}
	n.tell(pid, loadedPartition{epoch: epoch, complete: true, sessions: []*found{{
		id: id, owner: owner, ownedAt: 1, record: &messages.SessionRecord{Identity: "create"}, revision: revisions[sessionKey(id)],
		handles: map[uint64]*foundHandle{handle: {record: &messages.HandleRecord{Plugin: echotest}, revision: revisions[handleKey(id, handle)]}},
	}}})
	waitFor(t, func() string {
		if got := n.records(t, id); len(got) != 0 {
			return fmt.Sprint("left over: ", got)
		}
		return ""
	})
	if got := n.sessions.Load(); got != 0 {
		t.Errorf("%d sessions are there", got)
	}
}

// So is a handle.
func TestDetachBeforeRecords(t *testing.T) {
	n, k, epoch, id, pid := loadingPartition(t)
	const handle = 77
	ack, err := k.p.bus.Request(t.Context(), n.store.prefix+handleKey(id, handle), []byte(`{"identity":"attach"}`))
	if err != nil {
		t.Fatal(err)
	}
	server := messages.NewMember("janus-a")
	held := func() *found {
		return &found{id: id, servers: []messages.Member{server}, handles: map[uint64]*foundHandle{
			handle: {server: server, held: messages.HoldingHandle{Handle: handle, Janus: 5, Plugin: echotest}},
		}}
	}
	n.tell(pid, loadedPartition{epoch: epoch, sessions: []*found{held()}})
	n.tell(pid, &bus.Msg{Subject: messages.HandleSubject(id, messages.SessionEvent, handle), Data: messages.AppendNotice(nil, "detached", id, handle, "")})
	whole := held()
	whole.handles[handle].record, whole.handles[handle].revision = &messages.HandleRecord{Plugin: echotest}, readStored(ack).revision
	n.tell(pid, loadedPartition{epoch: epoch, complete: true, sessions: []*found{whole}})
	waitFor(t, func() string {
		if got := n.records(t, id); got[handle].value != nil {
			return "the record is there: " + string(got[handle].value)
		}
		return ""
	})
}

// It is not tried for ever to delete records, nor for any number of sessions.
func TestRemainsAreBounded(t *testing.T) {
	c := newCluster(t)
	n := c.node("node-a", nil)
	id := messages.NewSessionID(5)
	p := newPartition(n, messages.PartitionOf(id))
	remain := func(until time.Time) *actor.PID {
		s := newSession(p, id, "", time.Now())
		s.ending = &ending{done: true, until: until}
		pid := n.spawn(s)
		p.keepRemains(id, pid)
		return pid
	}
	p.remains = map[*actor.PID]uint64{}
	for i := range maxRemains - 1 {
		p.remains[actor.NewPID("none", fmt.Sprint(i))] = id
	}
	late := remain(time.Now())
	remain(time.Now().Add(time.Hour)) // one too many
	if got := n.remains.Load(); got != 1 {
		t.Fatalf("%d more remain", got)
	}
	n.spawn(p)
	c.refuseWrites()
	n.tell(late, clearOut{&found{id: id, revision: 1}})
	waitRemains(t, n, 0)
}
