// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// loadingPartition is a partition that a node takes over, before anything is known of it, and the id of a session in it.
func loadingPartition(t *testing.T) (n *Node, k *client, epoch messages.Epoch, id uint64, pid *actor.PID) {
	t.Helper()
	return newCluster(t).loadingPartition()
}

func (c *cluster) loadingPartition() (n *Node, k *client, epoch messages.Epoch, id uint64, pid *actor.PID) {
	c.t.Helper()
	n = c.node("node-1", nil)
	k = c.client()
	id = messages.NewSessionID(5)
	epoch = messages.Epoch{Number: 1, Node: "node-1"}
	p := newPartition(n, messages.PartitionOf(id))
	p.state, p.epoch = loading, epoch
	pid = n.spawn(p)
	c.t.Cleanup(func() { n.tell(pid, deposed{}) })
	return n, k, epoch, id, pid
}

// A node takes a partition over and serves before it could read the records. A session that an edge knows is served; what is
// asked of a handle that nobody but the records knows waits for them.
func TestLateRecords(t *testing.T) {
	n, k, epoch, id, pid := loadingPartition(t)

	owner := messages.Transport{Edge: k.member, Connection: 1}
	n.tell(pid, loadedPartition{epoch: epoch, sessions: []*found{{id: id, owner: owner, ownedAt: 1}}})
	ask := func(number uint64, body string) string {
		identity := messages.Identity{Edge: k.member, Connection: 1, Session: id, N: number}.String()
		n.tell(pid, &bus.Msg{Subject: messages.RequestSubject(id), Reply: identity, Data: []byte(body)})
		return identity
	}
	const handle = 77
	detach := ask(1, fmt.Sprintf(`{"janus":"detach","transaction":"d","session_id":%d,"handle_id":%d}`, id, handle))
	keepalive := ask(2, fmt.Sprintf(`{"janus":"keepalive","transaction":"k","session_id":%d}`, id))
	answered := func(identity string) map[string]any {
		var got delivered
		waitFor(t, func() string {
			var ok bool
			if got, ok = k.take(func(d delivered) bool { return d.subject == identity }); ok {
				return ""
			}
			return "no answer to " + identity
		})
		return got.body
	}
	if got := answered(keepalive); got["janus"] != "ack" {
		t.Errorf("keepalive: %v", got)
	}
	if d, early := k.take(func(d delivered) bool { return d.subject == detach }); early {
		t.Fatalf("answered without its handle: %s", d.raw)
	}
	record := &messages.HandleRecord{Plugin: echotest, Created: time.Now().UnixMilli(), Request: fmt.Appendf(nil, `{"janus":"attach","transaction":"bind","plugin":%q}`, echotest)}
	n.tell(pid, loadedPartition{epoch: epoch, complete: true, sessions: []*found{{
		id: id, owner: owner, ownedAt: 1, handles: map[uint64]*foundHandle{handle: {record: record}},
	}}})
	if got := answered(detach); got["janus"] != "success" {
		t.Errorf("detach: %v", got)
	}
	again := ask(3, fmt.Sprintf(`{"janus":"detach","transaction":"d","session_id":%d,"handle_id":%d}`, id, handle))
	if got := answered(again); code(got) != int(messages.CodeHandleNotFound) {
		t.Errorf("detach again: %v", got)
	}
}

// A session that polls is known by its records alone, since no edge has a connection of it. A poll that comes before they could be
// read waits for them: were it answered, its client would hold the session for lost.
func TestLateRecordsPolled(t *testing.T) {
	n, k, epoch, id, pid := loadingPartition(t)

	n.tell(pid, loadedPartition{epoch: epoch, sessions: []*found{{id: id}}})
	identity := messages.Identity{Edge: k.member, Connection: 1, Session: id, N: 1}.String()
	poll := messages.SessionSubject{Partition: messages.PartitionOf(id), Session: id, Kind: messages.SessionPoll, Arg: "1"}
	n.tell(pid, &bus.Msg{Subject: poll.String(), Reply: identity})
	keepalive := messages.Identity{Edge: k.member, Connection: 2, Session: id, N: 1}.String()
	n.tell(pid, &bus.Msg{Subject: messages.RequestSubject(id), Reply: keepalive,
		Data: fmt.Appendf(nil, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id)})
	waitFor(t, func() string {
		if _, ok := k.take(func(d delivered) bool { return d.subject == keepalive }); !ok {
			return "the keepalive is not answered"
		}
		return ""
	})
	if d, early := k.take(func(d delivered) bool { return d.subject == identity }); early {
		t.Fatalf("the poll was answered before the records were read: %s", d.raw)
	}
	n.tell(pid, loadedPartition{epoch: epoch, complete: true, sessions: []*found{{
		id: id, record: &messages.SessionRecord{Polling: true, Created: time.Now().UnixMilli()},
	}}})
	n.tell(pid, &bus.Msg{Subject: messages.HandleSubject(id, messages.SessionEvent, 0), Reply: "janus-a~1.1", Data: fmt.Appendf(nil, `{"janus":"webrtcup","session_id":%d}`, id)})
	waitFor(t, func() string {
		d, ok := k.take(func(d delivered) bool { return d.subject == identity })
		if !ok {
			return "the poll is not answered"
		}
		if d.body["janus"] != "webrtcup" {
			t.Errorf("the poll got %s", d.raw)
		}
		return ""
	})
}

// What a session does not know yet it does not store: a record that was read late would say what it had been overwritten with, and
// the next owner would take a session that polls for one without a transport.
func TestLateRecordsAreKept(t *testing.T) {
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
	server := messages.NewMember("janus-a")
	held := func() *found {
		return &found{id: id, servers: []messages.Member{server}, handles: map[uint64]*foundHandle{
			handle: {server: server, held: messages.HoldingHandle{Handle: handle, Janus: 5, Plugin: echotest}},
		}}
	}
	n.tell(pid, loadedPartition{epoch: epoch, sessions: []*found{held()}})
	identity := messages.Identity{Edge: k.member, Connection: 2, Session: id, N: 1}.String()
	n.tell(pid, &bus.Msg{Subject: messages.RequestSubject(id), Reply: identity,
		Data: fmt.Appendf(nil, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id)})
	k.await("answer", func(d delivered) bool { return d.subject == identity })
	create := messages.Identity{Edge: k.member, Connection: 9, Session: id, N: 1}.String()
	n.tell(pid, &bus.Msg{Subject: messages.RequestSubject(id), Reply: create + ".r", Data: []byte(`{"janus":"create","transaction":"c"}`)})

	whole := held()
	whole.record = &messages.SessionRecord{Identity: create, Polling: true, Created: 1}
	whole.handles[handle].record = &messages.HandleRecord{
		Identity: "attach", Plugin: echotest, Created: 2, Request: []byte(`{"janus":"attach","opaque_id":"me"}`), Server: server, Janus: 5,
	}
	if _, err := kv.Get(t.Context(), sessionKey(id)); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("before the records were read one was written (%v)", err)
	}
	n.tell(pid, loadedPartition{epoch: epoch, complete: true, sessions: []*found{whole}})
	var session messages.SessionRecord
	var attached messages.HandleRecord
	for key, into := range map[string]any{sessionKey(id): &session, handleKey(id, handle): &attached} {
		waitFor(t, func() string {
			e, err := kv.Get(t.Context(), key)
			if err == nil {
				err = json.Unmarshal(e.Value(), into)
			}
			if err != nil {
				return err.Error()
			}
			return ""
		})
	}
	if session.Identity != create || !session.Polling || session.Created != 1 {
		t.Errorf("stored is the session %+v", session)
	}
	if attached.Identity != "attach" || attached.Created != 2 || opaqueIDOf(attached.Request) != "me" || attached.Janus != 5 {
		t.Errorf("stored is the handle %+v", attached)
	}
	// A create that was repeated meanwhile is answered as what made the session.
	if got := k.await("answer to the create", func(d delivered) bool { return d.subject == create }); got.body["janus"] != "success" {
		t.Errorf("create: %s", got.raw)
	}
}
