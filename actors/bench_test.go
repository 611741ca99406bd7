// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/embedded"
	"github.com/januscloud/januscloud/messages/load"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/wheel"
)

// benchRig is one node whose ends live in the same process, so that nothing but the actors is measured.
type benchRig struct {
	node    *Node
	bus     *bus.Bus
	edge    messages.Member
	server  messages.Member
	replies atomic.Int64
	last    atomic.Pointer[[]byte]
	lastFor atomic.Value // string: the delivery that it came with
}

func newBenchRig(b *testing.B) *benchRig {
	b.Helper()
	s, err := embedded.Start(b.Context(), embedded.Options{Port: -1, JetStream: true, StoreDir: b.TempDir(), Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Shutdown)
	log := slog.New(slog.DiscardHandler)
	conn, err := bus.Connect(b.Context(), bus.Options{InProcess: s, Log: log})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(conn.Close)
	r, err := roster.Start(b.Context(), roster.Options{Bus: conn, Log: log})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.Stop)
	w := wheel.New(0)
	w.Start()
	b.Cleanup(w.Stop)
	rig := &benchRig{bus: conn, edge: messages.NewMember("edge"), server: messages.NewMember("janus")}
	rig.own(b, messages.EdgePrefix(rig.edge), func(m *bus.Msg) {
		rig.last.Store(&m.Data)
		rig.lastFor.Store(m.Reply)
		rig.replies.Add(1)
	})
	rig.own(b, messages.MediaPrefix(rig.server), rig.serve)
	beater := roster.NewBeater(conn, func() messages.Beat {
		return messages.Beat{Role: messages.RoleMedia, Member: rig.server, State: messages.StateReady,
			Media: &messages.MediaBeat{Janus: messages.JanusUp, Plugins: map[string]string{echotest: "1"}}}
	})
	b.Cleanup(beater.Stop)
	rig.node, err = Start(b.Context(), Options{
		Name: "node", Bus: conn, Roster: r, Wheel: w, Load: load.Start(b.Context()), Log: log, SessionTimeout: time.Minute, ReclaimTimeout: time.Minute,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = rig.node.Stop(b.Context()) })
	return rig
}

func (r *benchRig) own(b *testing.B, prefix string, h bus.Handler) {
	b.Helper()
	if _, err := r.bus.Own(prefix, 0, h); err != nil {
		b.Fatal(err)
	}
}

func (r *benchRig) serve(m *bus.Msg) {
	if m.Subject == messages.MediaAsk(r.server) {
		_ = r.bus.Publish(m.Reply, "", fmt.Appendf(nil, `{"from":%q,"role":"media","last":true}`, r.server))
		return
	}
	at, err := messages.ParseMediaSubject(m.Subject)
	if err != nil {
		return
	}
	body := messages.Reply{Session: at.Session, Transaction: []byte(`"t"`)}.AppendID(nil, 5)
	_ = r.bus.Publish(messages.HandleSubject(at.Session, messages.SessionReply, at.Handle), m.Reply, body)
}

// ask sends a request and waits for the reply, which may wait for the store.
func (r *benchRig) ask(b *testing.B, session, n uint64, body string) {
	b.Helper()
	want := int(r.replies.Load()) + 1
	r.send(b, session, n, body)
	r.waitReplies(b, want)
}

// run publishes a request as often as the benchmark wants; each must be answered.
func (r *benchRig) run(b *testing.B, subject, identity string, data []byte) {
	b.Helper()
	before := r.replies.Load()
	b.ReportAllocs()
	for b.Loop() {
		if err := r.bus.Publish(subject, identity, data); err != nil {
			b.Fatal(err)
		}
	}
	if got := r.replies.Load() - before; got != int64(b.N) {
		b.Errorf("%d requests, %d replies; the last one: %s", b.N, got, *r.last.Load())
	}
}

// BenchmarkMessage is a message of a bound handle and its reply through the session's actor, the bus included.
func BenchmarkMessage(b *testing.B) {
	r := newBenchRig(b)
	id := messages.NewSessionID(7)
	r.ask(b, id, 1, `{"janus":"create","transaction":"c"}`)
	r.ask(b, id, 2, fmt.Sprintf(`{"janus":"attach","transaction":"a","session_id":%d,"plugin":%q}`, id, echotest))
	handle := messages.HandleID(id, messages.Identity{Edge: r.edge, Connection: 1, Session: id, N: 2}.String())
	body := fmt.Sprintf(`{"janus":"message","transaction":"abcdefghijkl","session_id":%d,"handle_id":%d,"body":{"audio":true,"video":true}}`, id, handle)
	r.ask(b, id, 3, body)
	subject, identity := messages.RequestSubject(id), messages.Identity{Edge: r.edge, Connection: 1, Session: id, N: 4}.String()
	data := []byte(body)
	r.run(b, subject, identity, data)
}

// BenchmarkKeepalive is a request that the session's actor answers itself.
func BenchmarkKeepalive(b *testing.B) {
	r := newBenchRig(b)
	id := messages.NewSessionID(7)
	r.ask(b, id, 1, `{"janus":"create","transaction":"c"}`)
	data := fmt.Appendf(nil, `{"janus":"keepalive","transaction":"abcdefghijkl","session_id":%d}`, id)
	subject, identity := messages.RequestSubject(id), messages.Identity{Edge: r.edge, Connection: 1, Session: id, N: 2}.String()
	r.run(b, subject, identity, data)
}

// BenchmarkEvent is an event of a media server through the session's actor to an edge, which acknowledges it; some are on the way.
func BenchmarkEvent(b *testing.B) {
	const onTheWay = 8
	r := newBenchRig(b)
	id := messages.NewSessionID(7)
	r.ask(b, id, 1, `{"janus":"create","transaction":"c"}`)
	subject := messages.HandleSubject(id, messages.SessionEvent, 0)
	event := messages.AppendNotice(nil, "media", id, 0, "")
	n := uint64(0)
	b.ReportAllocs()
	before := r.replies.Load()
	for b.Loop() {
		n++
		if err := r.bus.Publish(subject, string(messages.AppendOrigin(nil, r.server.String(), n, n-1)), event); err != nil {
			b.Fatal(err)
		}
		r.waitReplies(b, int(before)+int(n)) // none, unless the node was kept from running
		if d, err := messages.ParseDelivery(r.lastFor.Load().(string)); err == nil && n > onTheWay {
			w := messages.Written{Session: id, Epoch: d.Epoch.Number, Received: d.Seq, Written: d.Seq - onTheWay}
			if err := r.bus.Publish(messages.NodeWritten(r.node.Member()), "", w.Append(nil)); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkSessionMemory reports what an idle session with one bound handle costs the node.
func BenchmarkSessionMemory(b *testing.B) {
	r := newBenchRig(b)
	const sessions = 20_000
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	// Once, however often the benchmark is asked to run: what is measured is no time.
	before := heap()
	ids := make([]uint64, sessions)
	for i := range ids {
		ids[i] = messages.NewSessionID(i % messages.Partitions)
		r.send(b, ids[i], 1, `{"janus":"create","transaction":"c"}`)
	}
	r.waitReplies(b, sessions)
	for _, id := range ids {
		r.send(b, id, 2, fmt.Sprintf(`{"janus":"attach","transaction":"a","session_id":%d,"plugin":%q}`, id, echotest))
	}
	r.waitReplies(b, 2*sessions)
	for _, id := range ids {
		handle := messages.HandleID(id, messages.Identity{Edge: r.edge, Connection: 1, Session: id, N: 2}.String())
		r.send(b, id, 3, fmt.Sprintf(`{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, handle))
	}
	r.waitReplies(b, 3*sessions)
	b.ReportMetric(float64(heap()-before)/sessions, "B/session")
	runtime.KeepAlive(ids)
}

func (r *benchRig) send(b *testing.B, session, n uint64, body string) {
	b.Helper()
	identity := messages.Identity{Edge: r.edge, Connection: 1, Session: session, N: n}.String()
	if err := r.bus.Publish(messages.RequestSubject(session), identity, []byte(body)); err != nil {
		b.Fatal(err)
	}
}

func (r *benchRig) waitReplies(b *testing.B, want int) {
	b.Helper()
	for deadline := time.Now().Add(30 * time.Second); r.replies.Load() < int64(want); {
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d replies", r.replies.Load(), want)
		}
		<-time.After(10 * time.Millisecond)
	}
}
