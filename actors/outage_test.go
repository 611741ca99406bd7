// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/bustest"
)

// severable is a process whose connection to NATS can be cut.
func (c *cluster) severable(name string) (p *process, gate *bustest.Pipes) {
	c.t.Helper()
	gate = bustest.NewPipes(c.nats)
	return c.processAt(name, gate), gate
}

// on has a node run in a process.
func on(p *process, also func(*Options)) func(*Options) {
	return func(o *Options) {
		o.Bus, o.Roster, o.Wheel = p.bus, p.roster, p.wheel
		also(o)
	}
}

func (c *cluster) buckets() jetstream.JetStream {
	c.t.Helper()
	js, err := jetstream.New(c.process("looker-on").bus.Conn())
	if err != nil {
		c.t.Fatal(err)
	}
	return js
}

// Clients cannot reach a session while its node has no connection to NATS: that time does not count as their silence.
func TestOutageIsNoSilence(t *testing.T) {
	const timeout = time.Second
	c := newCluster(t)
	edge := c.client()
	p, gate := c.severable("node-a")
	c.node("node-a", on(p, func(o *Options) { o.SessionTimeout = timeout }))
	id := edge.create()
	gate.Cut()
	<-time.After(2 * timeout)
	gate.Restore()
	waitFor(t, func() string {
		if !p.bus.Connected() {
			return "no connection"
		}
		return ""
	})
	<-time.After(timeout / 2) // less than a whole time-out since
	if got := edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id); got["janus"] != "ack" {
		t.Errorf("after the outage: %v", got)
	}
	edge.event("timeout")
}

// A node that finds the records gone when NATS is back stores anew what it has.
func TestLostRecordsAreStoredAnew(t *testing.T) {
	c := newCluster(t)
	edge, js := c.client(), c.buckets()
	c.server("janus-a")
	p, gate := c.severable("node-a")
	c.node("node-a", on(p, func(*Options) {}))
	id := edge.create()
	h := edge.attach(id)
	gate.Cut()
	if err := errors.Join(js.DeleteKeyValue(t.Context(), sessionBucket), js.DeleteKeyValue(t.Context(), roomBucket)); err != nil {
		t.Fatal(err)
	}
	gate.Restore()
	for _, key := range []string{sessionKey(id), handleKey(id, h)} {
		waitFor(t, func() string {
			kv, err := js.KeyValue(t.Context(), sessionBucket)
			if err == nil {
				_, err = kv.Get(t.Context(), key)
			}
			if err != nil {
				return key + ": " + err.Error()
			}
			return ""
		})
	}
}

// announcer beats for session nodes that are not there, as long as it is told to.
type announcer struct{ heard atomic.Bool }

func (c *cluster) announce(names ...string) *announcer {
	c.t.Helper()
	p := c.process("others")
	a := &announcer{}
	a.heard.Store(true)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		var beats []messages.Beat
		for _, name := range names {
			beats = append(beats, messages.Beat{
				Role: messages.RoleSession, Member: messages.NewMember(name), State: messages.StateDraining, Session: &messages.SessionBeat{},
			})
		}
		ticker := time.NewTicker(messages.BeatInterval)
		defer ticker.Stop()
		for ctx.Err() == nil {
			for _, b := range beats {
				if data, err := json.Marshal(b); err == nil && a.heard.Load() {
					_ = p.bus.Publish(messages.HeartbeatSubject(b.Role, b.Member.Name), "", data)
				}
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	}()
	c.t.Cleanup(func() { stop(); <-done })
	return a
}

// A node that hears no majority of the session nodes may be in the smaller part of a cluster that fell apart, whose partitions are
// others' now. It acts only while JetStream accepts its writes, and holds what comes meanwhile.
func TestSmallerPartOwnsNothing(t *testing.T) {
	c := newCluster(t)
	edge, js := c.client(), c.buckets()
	others := c.announce("node-b", "node-c")
	n := c.node("node-a", nil)
	id := edge.create()
	keepalive := func() map[string]any {
		return edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id)
	}
	waitMajority := func(want bool) {
		t.Helper()
		waitFor(t, func() string {
			if got := n.Roster.View().Majority(); got != want {
				return fmt.Sprint("majority: ", got)
			}
			return ""
		})
	}
	others.heard.Store(false)
	waitMajority(false)
	if got := keepalive(); got["janus"] != "ack" {
		t.Fatalf("while JetStream accepts writes: %v", got)
	}
	if err := js.DeleteKeyValue(t.Context(), sessionBucket); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() string {
		if !n.stale() {
			return "the node acts"
		}
		return ""
	})
	identity := edge.send(id, `{"janus":"keepalive","transaction":"held","session_id":%d}`, id)
	<-time.After(2 * messages.BeatInterval)
	if got, there := edge.take(func(d delivered) bool { return d.subject == identity }); there {
		t.Fatalf("answered by a node that may own nothing: %v", got.body)
	}
	others.heard.Store(true)
	waitMajority(true)
	waitFor(t, func() string {
		if _, there := edge.take(func(d delivered) bool { return d.subject == identity }); !there {
			return "what was held was not answered"
		}
		return ""
	})
}

// Records are asked for again, of another replica perhaps, when whoever was asked does not answer.
func TestRecordsAreAskedForAgain(t *testing.T) {
	c := newCluster(t)
	p := c.process("node-a")
	var asked atomic.Int64
	_, err := p.bus.Listen("$JS.API.DIRECT.GET.KV_mute", 0, func(m *bus.Msg) {
		if asked.Add(1) < 3 {
			return
		}
		record := nats.Header{
			jetstream.SubjectHeader: {"$KV.mute.0.1024"}, jetstream.SequenceHeader: {strconv.Itoa(7)},
		}
		_ = p.bus.PublishHeader(m.Reply, "", record, []byte(`{}`))
		_ = p.bus.PublishHeader(m.Reply, "", nats.Header{"Status": {"204"}}, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &store{bus: p.bus, log: slog.New(slog.DiscardHandler), stream: "KV_mute", prefix: "$KV.mute."}
	var set messages.PartitionSet
	set.Add(messages.PartitionOf(1024))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	records, err := s.load(ctx, set)
	if err != nil || len(records) != 1 || records[0].session != 1024 || records[0].revision != 7 || asked.Load() != 3 {
		t.Errorf("read %v (%v), asked %d times", records, err, asked.Load())
	}
}
