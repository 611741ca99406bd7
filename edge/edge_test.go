// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/scripts/lab"
)

// TestConversation is a client's life at an edge, with the owner elsewhere and in the same process.
func TestConversation(t *testing.T) {
	t.Run("over NATS", func(t *testing.T) {
		server := startNATS(t)
		e := startEdge(t, server, nil)
		if err := e.Ready(); err == nil {
			t.Error("ready without a session node")
		}
		converse(t, e, startOwner(t, connect(t, server), "n1", messages.AllPartitions(), obliging))
	})
	t.Run("in one process", func(t *testing.T) {
		e := startEdge(t, startNATS(t), nil)
		converse(t, e, startOwner(t, e.opts.Bus, "n1", messages.AllPartitions(), obliging))
	})
}

func converse(t *testing.T, e *Edge, o *owner) {
	ctx := testContext(t)
	waitReady(t, e)
	c := dial(t, e)
	session := must[uint64](t)(c.Create(ctx))
	handle := must[uint64](t)(c.Attach(ctx, session, "janus.plugin.echotest"))
	reply := must[lab.Message](t)(c.Request(ctx, map[string]any{"janus": "message", "session_id": session, "handle_id": handle, "body": map[string]any{}}))
	expect(t, "answer to a message", reply.Janus, "ack")
	transport, err := messages.ParseTransport(o.received()[0].Reply)
	if err != nil {
		t.Fatal(err)
	}
	s := messages.SessionSubject{Partition: messages.PartitionOf(session), Session: session}
	o.send(s, transport.EventSubject(), messages.AppendNotice(nil, "hangup", session, handle, "why not"))
	event := must[lab.Message](t)(c.Next(ctx, func(m lab.Message) bool { return m.Janus == "hangup" }))
	expect(t, "event", event.Text("reason"), "why not")
	if err := c.Keepalive(ctx, session); err != nil {
		t.Error(err)
	}
	expect(t, "violations", len(c.Violations()), 0)
	_ = c.Close()
	lab.WaitFor(t, patience, func() string {
		got := o.received()
		last := got[len(got)-1]
		if !strings.HasSuffix(last.Subject, fmt.Sprintf(".gone.%d", transport.Connection)) || last.Reply != transport.String() {
			return "the owner heard last of " + last.Subject
		}
		return ""
	})
}

// TestNewOwner is a session node that dies with requests unanswered, and its successor.
func TestNewOwner(t *testing.T) {
	ctx := testContext(t)
	server := startNATS(t)
	e := startEdge(t, server, nil)
	mute := func(o *owner, s messages.SessionSubject, m *bus.Msg) {
		if !strings.Contains(string(m.Data), "mute") {
			obliging(o, s, m)
		}
	}
	first := startOwner(t, connect(t, server), "n1", messages.AllPartitions(), mute)
	waitReady(t, e)
	c := dial(t, e)
	session := must[uint64](t)(c.Create(ctx))
	send := func(transaction string) {
		t.Helper()
		if _, err := c.Send(map[string]any{"janus": "keepalive", "session_id": session, "transaction": transaction}); err != nil {
			t.Fatal(err)
		}
	}
	send("mute 1")
	lab.WaitFor(t, patience, func() string { return unless(len(first.received()) == 2, "first owner did not receive") })
	first.stop()
	send("2")
	send("3")
	second := startOwner(t, connect(t, server), "n2", messages.AllPartitions(), obliging)
	for _, transaction := range []string{"mute 1", "2", "3"} {
		reply := must[lab.Message](t)(c.Reply(ctx, transaction))
		expect(t, "answer to "+transaction, reply.Janus, "ack")
	}
	var order []string
	for _, m := range second.received() {
		_, again := messages.CutRepeat(m.Reply)
		order = append(order, fmt.Sprint(string(m.Data[strings.Index(string(m.Data), "transaction")+14:][:1]), again))
	}
	expect(t, "what the second owner got", strings.Join(order, " "), "mtrue 2false 3false")
	expect(t, "violations", len(c.Violations()), 0)
}

func unless(ok bool, reason string) string {
	if ok {
		return ""
	}
	return reason
}

// TestNATSReturns is a NATS server that is away for a while: requests wait, and clients stay.
func TestNATSReturns(t *testing.T) {
	ctx := testContext(t)
	server := startNATS(t)
	e := startEdge(t, server, nil)
	o := startOwner(t, connect(t, server), "n1", messages.AllPartitions(), obliging)
	waitReady(t, e)
	c := dial(t, e)
	session := must[uint64](t)(c.Create(ctx))
	url := server.ClientURL()
	server.Shutdown()
	lab.WaitFor(t, patience, func() string { return unless(e.Ready() != nil, "still ready") })
	transaction := must[string](t)(c.Send(map[string]any{"janus": "keepalive", "session_id": session}))
	lab.WaitFor(t, patience, func() string { return unless(e.waiting.Load() == 1, "request not kept") })
	restartNATS(t, url)
	reply := must[lab.Message](t)(c.Reply(ctx, transaction))
	expect(t, "answer", reply.Janus, "ack")
	expect(t, "messages for the owner", len(o.received()) >= 2, true)
	expect(t, "violations", len(c.Violations()), 0)
}

// TestAskOverNATS is a new owner's question, and the answer's way.
func TestAskOverNATS(t *testing.T) {
	ctx := testContext(t)
	server := startNATS(t)
	e := startEdge(t, server, nil)
	o := startOwner(t, connect(t, server), "n1", messages.AllPartitions(), obliging)
	waitReady(t, e)
	session := must[uint64](t)(dial(t, e).Create(ctx))
	var partitions messages.PartitionSet
	partitions.Add(messages.PartitionOf(session))
	ask, _ := json.Marshal(messages.Ask{Node: o.member, Epoch: o.epoch.Next("n2", time.Now()), Partitions: partitions})
	answer := must[*bus.Msg](t)(o.bus.Request(ctx, messages.EdgeAsk(e.Member()), ask))
	var h messages.Holding
	if err := json.Unmarshal(answer.Data, &h); err != nil {
		t.Fatal(err)
	}
	if !h.Last || len(h.Sessions) != 1 || h.Sessions[0].Session != session || h.Sessions[0].Connections[0].Owner == 0 {
		t.Errorf("answer: %s", answer.Data)
	}
}

// TestStop is an orderly leave.
func TestStop(t *testing.T) {
	ctx := testContext(t)
	server := startNATS(t)
	e := startEdge(t, server, nil)
	o := startOwner(t, connect(t, server), "n1", messages.AllPartitions(), obliging)
	waitReady(t, e)
	c := dial(t, e)
	session := must[uint64](t)(c.Create(ctx))
	if err := e.Stop(ctx); err != nil {
		t.Error(err)
	}
	<-c.Closed()
	if !strings.Contains(c.Err().Error(), "1001") {
		t.Errorf("client was told %v", c.Err())
	}
	lab.WaitFor(t, patience, func() string {
		got := o.received()
		return unless(strings.Contains(got[len(got)-1].Subject, fmt.Sprintf("%d.gone.", session)), "owner did not hear of it")
	})
	if _, err := lab.Dial(ctx, e.Addresses()["ws"]); err == nil {
		t.Error("a stopped edge accepts")
	}
	expect(t, "ready", e.Ready() != nil, true)
	expect(t, "second stop", e.Stop(ctx), nil)
}

// TestBadOptions are edges that do not start.
func TestBadOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"name":           {Name: "no name", WS: ":0"},
		"transport":      {Name: "e1"},
		"no certificate": {Name: "e1", WSS: ":0"},
	} {
		if _, err := Start(context.Background(), o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNameIsTaken is an edge with the name of one that is alive.
func TestNameIsTaken(t *testing.T) {
	server := startNATS(t)
	e := startEdge(t, server, nil)
	lab.WaitFor(t, patience, func() string {
		return unless(len(e.opts.Roster.View().Edges()) == 1, "edge not heard")
	})
	o := e.opts
	o.Registry = nil
	if _, err := Start(testContext(t), o); !errors.Is(err, ErrOptions) {
		t.Errorf("second edge of the name: %v", err)
	}
}

// TestOwnersChange is a busy edge whose session nodes come and go: every request is answered, and answered once.
func TestOwnersChange(t *testing.T) {
	ctx := testContext(t)
	server := startNATS(t)
	e := startEdge(t, server, nil)
	const clients, requests, changes = 8, 60, 4
	var answered atomic.Int64
	current := startOwner(t, connect(t, server), "n0", messages.AllPartitions(), obliging)
	waitReady(t, e)
	var work errgroup.Group
	conns := make([]*lab.Client, clients)
	for i := range conns {
		conns[i] = dial(t, e)
		work.Go(func() error {
			session, err := conns[i].Create(ctx)
			for range requests {
				if err != nil {
					return err
				}
				var sent [3]string
				for j := range sent {
					if sent[j], err = conns[i].Send(map[string]any{"janus": "keepalive", "session_id": session}); err != nil {
						return err
					}
				}
				for _, transaction := range sent {
					if _, err = conns[i].Reply(ctx, transaction); err != nil {
						return err
					}
					answered.Add(1)
				}
			}
			return err
		})
	}
	for i := range changes {
		lab.WaitFor(t, patience, func() string {
			return unless(answered.Load() > int64((i+1)*clients*requests*3/(changes+2)), "too few answers")
		})
		current.stop()
		current = startOwner(t, connect(t, server), fmt.Sprintf("n%d", i+1), messages.AllPartitions(), obliging)
	}
	if err := work.Wait(); err != nil {
		t.Error(err)
	}
	for i, c := range conns {
		if v := c.Violations(); len(v) > 0 {
			t.Errorf("client %d: %v", i, v)
		}
	}
	expect(t, "requests in flight", e.waiting.Load(), 0)
}
