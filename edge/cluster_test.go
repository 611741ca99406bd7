// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/embedded"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/load"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/wheel"
	"github.com/januscloud/januscloud/scripts/lab"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func startNATS(t testing.TB) *embedded.Server {
	t.Helper()
	s := must[*embedded.Server](t)(embedded.Start(testContext(t), embedded.Options{}))
	t.Cleanup(s.Shutdown)
	return s
}

// restartNATS runs another server at the address of one that was shut down.
func restartNATS(t testing.TB, address string) {
	t.Helper()
	u := must[*url.URL](t)(url.Parse(address))
	port := must[int](t)(strconv.Atoi(u.Port()))
	s := must[*embedded.Server](t)(embedded.Start(testContext(t), embedded.Options{Port: port}))
	t.Cleanup(s.Shutdown)
}

func connect(t testing.TB, s *embedded.Server) *bus.Bus {
	t.Helper()
	return connectTo(t, s.ClientURL())
}

func connectTo(t testing.TB, nats string) *bus.Bus {
	t.Helper()
	b := must[*bus.Bus](t)(bus.Connect(testContext(t), bus.Options{URLs: []string{nats}}))
	t.Cleanup(b.Close)
	return b
}

// startEdge runs an edge with a connection of its own.
func startEdge(t testing.TB, s *embedded.Server, change func(*Options)) *Edge {
	t.Helper()
	return startEdgeAt(t, s.ClientURL(), change)
}

func startEdgeAt(t testing.TB, nats string, change func(*Options)) *Edge {
	t.Helper()
	b := connectTo(t, nats)
	ctx, cancel := context.WithCancel(testContext(t))
	t.Cleanup(cancel)
	w := wheel.New(0)
	w.Start()
	t.Cleanup(w.Stop)
	r := must[*roster.Roster](t)(roster.Start(ctx, roster.Options{Bus: b, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()}))
	t.Cleanup(r.Stop)
	o := Options{
		Name: "e1", WS: "127.0.0.1:0", Bus: b, Roster: r, Wheel: w, Load: load.Start(ctx), Registry: prometheus.NewRegistry(),
		Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	e := must[*Edge](t)(Start(ctx, o))
	t.Cleanup(func() {
		if err := e.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return e
}

// waitReady waits until an edge knows a session node.
func waitReady(t testing.TB, e *Edge) {
	t.Helper()
	lab.WaitFor(t, patience, func() string {
		if err := e.Ready(); err != nil {
			return err.Error()
		}
		return ""
	})
}

// owner is a scripted session node: it owns some partitions and answers what the script says.
type owner struct {
	bus    *bus.Bus
	member messages.Member
	epoch  messages.Epoch
	owned  messages.PartitionSet
	script func(o *owner, s messages.SessionSubject, m *bus.Msg)
	forget bool // do not remember what comes
	beater *roster.Beater
	subs   []*bus.Subscription

	mu   sync.Mutex
	seq  uint64
	got  []*bus.Msg
	load float64
}

// startOwner runs a session node that owns partitions, on a connection of its own.
func startOwner(t testing.TB, b *bus.Bus, name string, owned messages.PartitionSet, script func(*owner, messages.SessionSubject, *bus.Msg)) *owner {
	t.Helper()
	o := newOwner(b, name, owned, script)
	if err := o.begin(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.stop)
	return o
}

func newOwner(b *bus.Bus, name string, owned messages.PartitionSet, script func(*owner, messages.SessionSubject, *bus.Msg)) *owner {
	return &owner{
		bus: b, member: messages.NewMember(name), owned: owned, script: script, epoch: messages.Epoch{}.Next(name, time.Now()),
	}
}

func (o *owner) begin() error {
	for p := range o.owned.All() {
		sub, err := o.bus.Own(messages.SessionPrefix(p), p, o.receive)
		if err != nil {
			return err
		}
		o.subs = append(o.subs, sub)
	}
	if err := o.bus.Flush(context.Background()); err != nil {
		return err
	}
	o.beater = roster.NewBeater(o.bus, o.beat)
	return nil
}

func (o *owner) stop() {
	o.beater.Stop()
	for _, sub := range o.subs {
		sub.Cancel()
	}
	o.subs = nil
	// When the server knows, what is published for the node meets no responder.
	_ = o.bus.Flush(context.Background())
}

func (o *owner) beat() messages.Beat {
	o.mu.Lock()
	defer o.mu.Unlock()
	return messages.Beat{
		Role: messages.RoleSession, Member: o.member, State: messages.StateReady, Load: o.load,
		Session: &messages.SessionBeat{Owned: []messages.OwnedRange{{Epoch: o.epoch, Partitions: o.owned}}},
	}
}

func (o *owner) receive(m *bus.Msg) {
	if m.NoResponders {
		return
	}
	s, err := messages.ParseSessionSubject(m.Subject)
	if err != nil {
		panic(err)
	}
	if !o.forget {
		o.mu.Lock()
		o.got = append(o.got, m)
		o.mu.Unlock()
	}
	o.script(o, s, m)
}

// received are the messages so far.
func (o *owner) received() []*bus.Msg {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*bus.Msg(nil), o.got...)
}

// send publishes for an edge.
func (o *owner) send(s messages.SessionSubject, to string, body []byte) {
	o.mu.Lock()
	o.seq++
	d := messages.Delivery{Partition: s.Partition, Session: s.Session, Epoch: o.epoch, Seq: o.seq}
	o.mu.Unlock()
	_ = o.bus.Publish(to, d.String(), body)
}

// obliging answers as a session owner does that has every session.
func obliging(o *owner, s messages.SessionSubject, m *bus.Msg) {
	if s.Kind != messages.SessionRequest {
		return
	}
	var request janusjson.Message
	if err := janusjson.Scan(m.Data, &request); err != nil {
		panic(fmt.Sprintf("unvalidated %q: %v", m.Data, err))
	}
	reply := messages.Reply{Session: s.Session, Transaction: request.Bytes(janusjson.KeyTransaction)}
	var body []byte
	switch request.Verb() {
	case janusjson.VerbCreate:
		reply.Session = 0
		body = reply.AppendID(nil, s.Session)
	case janusjson.VerbAttach:
		body = reply.AppendID(nil, messages.HandleID(s.Session, m.Reply))
	case janusjson.VerbKeepalive, janusjson.VerbMessage, janusjson.VerbTrickle:
		body = reply.Append(nil, "ack")
	default:
		body = reply.Append(nil, "success")
	}
	identity, _ := messages.CutRepeat(m.Reply)
	o.send(s, identity, body)
}

func dial(t testing.TB, e *Edge) *lab.Client {
	t.Helper()
	c := must[*lab.Client](t)(lab.Dial(testContext(t), e.Addresses()["ws"]))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// startMedia runs a scripted media server that tells an info.
func startMedia(t testing.TB, b *bus.Bus, name string, info []byte) (stop func()) {
	t.Helper()
	member := messages.NewMember(name)
	sub := must[*bus.Subscription](t)(b.Own(messages.MediaPrefix(member), 0, func(m *bus.Msg) {
		if m.Subject == messages.MediaInfo(member) {
			_ = b.Publish(m.Reply, "", info)
		}
	}))
	since := time.Now()
	beater := roster.NewBeater(b, func() messages.Beat {
		return messages.Beat{
			Role: messages.RoleMedia, Member: member, State: messages.StateReady,
			Media: &messages.MediaBeat{Janus: messages.JanusUp, Since: since},
		}
	})
	stop = func() {
		beater.Stop()
		sub.Cancel()
	}
	t.Cleanup(stop)
	return stop
}
