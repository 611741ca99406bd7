// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// clumsy is a connection that panics when it is written to.
type clumsy struct{}

func (clumsy) Send([]byte) error { panic("clumsy") }
func (clumsy) Close()            {}

// TestPanic costs whoever caused it an error, and nobody else anything, however often it happens.
func TestPanic(t *testing.T) {
	f, p := upAndServing(t)
	p.bound(1)
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	defer system.Shutdown()
	box := newMailbox(10)
	pid := system.Root.Spawn(propsFor(f.server, box))
	defer system.Root.Stop(pid)
	send := func(message any) {
		if !box.enter(message) {
			t.Fatal("the mailbox is full")
		}
		system.Root.Send(pid, message)
	}
	whole := f.link.carrier
	for i := range uint64(30) {
		f.link.carrier = clumsy{}
		send(f.message(1, 1, client(1, i), echo))
		f.link.carrier = whole
		send(f.message(1, 1, client(1, i)+".r", echo))
		got := f.take()
		if len(got) != 2 || string(got[0].Data) != string(got[1].Data) || got[1].Reply != client(1, i) ||
			!strings.Contains(string(got[0].Data), `"transaction":"m","error":{"code":490`) {
			t.Fatalf("published %v", got)
		}
	}
	f.panicking = true // so that even the answer to a panic panics
	for i := range uint64(30) {
		send(f.message(1, 9, client(1, 200+i), echo))
	}
	f.panicking = false
	send(f.message(1, 1, client(1, 100), echo))
	p.run()
	if got := f.take(); len(got) != 1 || !strings.Contains(string(got[0].Data), `"ack"`) {
		t.Errorf("published %v", got)
	}
	if n := box.queued.Load(); n != 0 {
		t.Errorf("%d messages count as waiting", n)
	}
}

// TestMailbox refuses messages of the bus when it is full, and lets Janus wait.
func TestMailbox(t *testing.T) {
	box := newMailbox(3)
	for range 3 {
		if !box.enter(&bus.Msg{}) {
			t.Fatal("refused while there is room")
		}
	}
	if box.enter(&bus.Msg{}) {
		t.Error("let in beyond the limit")
	}
	if !box.enter(tick{}) {
		t.Error("a tick was refused")
	}
	entered := make(chan bool)
	go func() { entered <- box.enter(&received{}) }()
	for range 2 {
		select {
		case <-entered:
			t.Fatal("Janus did not wait")
		default:
		}
		box.leave()
	}
	if !<-entered {
		t.Error("Janus was refused")
	}
	go func() { entered <- box.enter(&received{}) }()
	close(box.closed)
	if <-entered || box.enter(tick{}) {
		t.Error("let in though it is closed")
	}
}

// TestHoldingParts cuts a long answer to an ask into messages that NATS takes.
func TestHoldingParts(t *testing.T) {
	const sessions, crowd = 2500, 5000 // as many handles as a WHIP server keeps in one session
	f := newFake(t)
	for id := range uint64(sessions) {
		x := &session{id: id + 1, phase: ready}
		f.sessions[x.id] = x
		handles := uint64(1)
		if id == 0 {
			handles = crowd
		}
		for n := range handles {
			h := f.addHandle(x, n+1)
			h.attach = messages.SessionSubject{Partition: 1023, Session: messages.MaxID, Kind: messages.SessionOwn, Arg: "9007199254740991.1"}.String()
			h.plugin = echotest
			f.bind(h, messages.MaxID-n)
		}
	}
	f.take()
	ask := messages.Ask{Epoch: messages.Epoch{Number: 1, Node: "n"}, Partitions: messages.AllPartitions()}
	f.receive(&bus.Msg{Subject: messages.MediaAsk(f.member), Reply: "to", Data: mustJSON(t, ask)})
	found, handles, parts := map[uint64]bool{}, map[handleKey]bool{}, f.take()
	for i, m := range parts {
		var h messages.Holding
		if err := json.Unmarshal(m.Data, &h); err != nil {
			t.Fatal(err)
		}
		if len(m.Data) > 900<<10 || len(h.Sessions) > holdingSessions || h.Last != (i == len(parts)-1) || m.Subject != "to" {
			t.Errorf("part %d of %d: %d bytes, %d sessions, last %v, to %s", i, len(parts), len(m.Data), len(h.Sessions), h.Last, m.Subject)
		}
		for _, x := range h.Sessions {
			found[x.Session] = true
			for _, held := range x.Handles {
				handles[handleKey{x.Session, held.Handle}] = true
			}
		}
	}
	if len(found) != sessions || len(handles) != sessions-1+crowd || len(parts) < 4 {
		t.Errorf("%d sessions, %d handles in %d parts", len(found), len(handles), len(parts))
	}
}

// TestBusy answers what there is no room for, and runs it when it is repeated.
func TestBusy(t *testing.T) {
	f, p := upAndServing(t)
	p.bound(1)
	p.busy = true
	f.request(1, 1, client(1, 1), echo)
	f.request(1, 2, "own", `{"janus":"attach","transaction":"a","plugin":"p"}`)
	for _, m := range f.take() {
		if !strings.Contains(string(m.Data), `"code":490,"reason":"Media server is busy"`) {
			t.Errorf("answered %s", m.Data)
		}
	}
	p.busy = false
	f.request(1, 1, client(1, 1)+".r", echo)
	p.run()
	if got := f.take(); len(got) != 1 || !strings.Contains(string(got[0].Data), `"ack"`) {
		t.Errorf("answered %v", got)
	}
}

// TestTooLarge answers in Janus's stead when NATS does not take what it said.
func TestTooLarge(t *testing.T) {
	f, p := upAndServing(t)
	p.bound(1)
	f.request(1, 1, client(1, 1), echo)
	p.answer = func(p *peer, r map[string]any) {
		p.say(`{"janus":"success","session_id":1,"transaction":"%s","plugindata":"%s"}`, r["transaction"], strings.Repeat("x", 1<<20))
	}
	p.run()
	f.request(1, 1, client(1, 1)+".r", echo)
	got := f.take()
	if len(got) != 2 || !strings.Contains(string(got[0].Data), `"transaction":"m","error":{"code":490,"reason":"Reply is too large"}`) ||
		string(got[0].Data) != string(got[1].Data) {
		t.Errorf("answered %v", got)
	}
}

// TestDisconnected loses replies that NATS does not take, but not their memory.
func TestDisconnected(t *testing.T) {
	f, p := upAndServing(t)
	p.bound(1)
	f.failing = true
	f.request(1, 1, client(1, 1), echo)
	p.run()
	p.say(`{"janus":"event","session_id":1,"sender":1,"plugindata":{}}`)
	f.failing = false
	f.request(1, 1, client(1, 1)+".r", echo)
	if got := f.take(); len(got) != 1 || !strings.Contains(string(got[0].Data), `"ack"`) || len(p.sent) != 0 {
		t.Errorf("answered %v", got)
	}
}
