// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/embedded"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/load"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/wheel"
)

func TestMain(m *testing.M) {
	// The library counts dead letters for a second longer than the system lives that they were sent in.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1"))
}

const echotest = "janus.plugin.echotest"

// cluster is one NATS server with scripted ends around real session nodes.
type cluster struct {
	t    *testing.T
	nats *embedded.Server
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	t.Parallel() // tests wait for time to pass, most of the time
	s, err := embedded.Start(t.Context(), embedded.Options{Port: -1, JetStream: true, StoreDir: t.TempDir(), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return &cluster{t: t, nats: s}
}

// process is what one process of the cluster has: a bus, a roster and a wheel.
type process struct {
	bus    *bus.Bus
	roster *roster.Roster
	wheel  *wheel.Wheel
}

func (c *cluster) process(name string) *process {
	c.t.Helper()
	return c.processAt(name, c.nats)
}

// processAt is a process that reaches NATS in some way.
func (c *cluster) processAt(name string, at nats.InProcessConnProvider) *process {
	c.t.Helper()
	log := slog.New(slog.NewTextHandler(testWriter{c.t}, &slog.HandlerOptions{Level: slog.LevelInfo})).With("process", name)
	b, err := bus.Connect(c.t.Context(), bus.Options{InProcess: at, Name: name, Log: log})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(b.Close)
	r, err := roster.Start(c.t.Context(), roster.Options{Bus: b, Log: log})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(r.Stop)
	w := wheel.New(0)
	w.Start()
	c.t.Cleanup(w.Stop)
	return &process{b, r, w}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b[:len(b)-1])
	return len(b), nil
}

func (c *cluster) node(name string, change func(*Options)) *Node {
	c.t.Helper()
	p := c.process(name)
	meter := load.Start(c.t.Context())
	o := Options{
		Name: name, Bus: p.bus, Roster: p.roster, Wheel: p.wheel, Load: meter, Log: slog.New(slog.NewTextHandler(testWriter{c.t}, nil)),
		SessionTimeout: time.Minute, ReclaimTimeout: 30 * time.Second,
	}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	n, err := Start(ctx, o)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = n.Stop(context.Background()) })
	return n
}

// client is a scripted edge with one connection.
type client struct {
	t      *testing.T
	p      *process
	member messages.Member
	n      map[uint64]uint64
	mu     sync.Mutex
	inbox  []delivered
	owns   map[uint64]int64
	polls  uint64
	die    func()            // as its process does
	quiet  bool              // it acknowledges nothing, as one that is about to die
	deaf   bool              // questions of new owners get lost
	frozen sync.RWMutex      // held while it does not beat
	last   map[string]uint64 // number of the last event that was written, by media server: see hears
	wrote  map[uint64]string // what it tells a new owner that was written without a connection, by session
}

type delivered struct {
	subject, delivery string
	raw               []byte
	body              map[string]any
}

func (c *cluster) client() *client { return c.clientAt("edge-a") }

func (c *cluster) clientAt(edge string) *client {
	c.t.Helper()
	k := &client{t: c.t, p: c.process(edge), member: messages.NewMember(edge), n: map[uint64]uint64{}, owns: map[uint64]int64{}}
	if _, err := k.p.bus.Own(messages.EdgePrefix(k.member), 0, k.receive); err != nil {
		c.t.Fatal(err)
	}
	// NATS knows of the subscription when it has answered what was sent behind it: an answer before that would reach nobody.
	if _, err := k.p.bus.Request(c.t.Context(), "$JS.API.INFO", nil); err != nil {
		c.t.Fatal(err)
	}
	beater := roster.NewBeater(k.p.bus, func() messages.Beat {
		k.frozen.RLock()
		defer k.frozen.RUnlock()
		return messages.Beat{Role: messages.RoleEdge, Member: k.member, State: messages.StateReady, Edge: &messages.EdgeBeat{Connections: 1}}
	})
	c.t.Cleanup(beater.Stop)
	k.die = k.p.bus.Close
	return k
}

func (k *client) receive(m *bus.Msg) {
	if m.Subject == messages.EdgeAsk(k.member) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.deaf {
			return
		}
		h := messages.Holding{From: k.member, Role: messages.RoleEdge, Last: true}
		for id, at := range k.owns {
			h.Sessions = append(h.Sessions, messages.HoldingSession{Session: id, Connections: []messages.HoldingConnection{{Connection: 1, Owner: at}}})
		}
		for id, origins := range k.wrote {
			h.Sessions = append(h.Sessions, messages.HoldingSession{Session: id, Written: []string{origins}})
		}
		data, _ := json.Marshal(h)
		_ = k.p.bus.Publish(m.Reply, "", data)
		return
	}
	d := delivered{subject: m.Subject, delivery: m.Reply, raw: m.Data}
	if m.NoResponders {
		d.body = map[string]any{"503": true}
	} else if err := json.Unmarshal(m.Data, &d.body); err != nil && m.Data[0] != '[' {
		k.t.Errorf("delivered %q: %v", m.Data, err)
	}
	k.mu.Lock()
	k.inbox = append(k.inbox, d)
	quiet := k.quiet
	k.mu.Unlock()
	if d, err := messages.ParseDelivery(d.delivery); err == nil && d.Seq > 0 && !quiet {
		k.acknowledge(d)
	}
}

// acknowledge tells the owner that a delivery was written.
func (k *client) acknowledge(d messages.Delivery) {
	if owner, ok := k.p.roster.View().Owner(d.Partition); ok {
		w := messages.Written{Session: d.Session, Epoch: d.Epoch.Number, Received: d.Seq, Written: d.Seq}
		_ = k.p.bus.Publish(messages.NodeWritten(owner.Node), "", w.Append(nil))
	}
}

// hush stops acknowledging, or begins again.
func (k *client) hush(quiet bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.quiet = quiet
}

// deafen has questions of new owners get lost, or arrive again.
func (k *client) deafen(deaf bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.deaf = deaf
}

// send publishes a request as an edge does and returns its identity.
func (k *client) send(session uint64, body string, args ...any) string {
	k.t.Helper()
	k.n[session]++
	identity := messages.Identity{Edge: k.member, Connection: 1, Session: session, N: k.n[session]}.String()
	k.publish(session, identity, fmt.Sprintf(body, args...))
	return identity
}

func (k *client) publish(session uint64, identity, body string) {
	k.t.Helper()
	if err := k.p.bus.Publish(messages.RequestSubject(session), identity, []byte(body)); err != nil {
		k.t.Fatal(err)
	}
}

// ask sends a request, repeating it while nobody serves the partition, and returns the reply.
func (k *client) ask(session uint64, body string, args ...any) map[string]any {
	k.t.Helper()
	identity := k.send(session, body, args...)
	return k.reply(session, identity, fmt.Sprintf(body, args...))
}

// reply awaits the reply to a request and repeats the request, as an edge does, after a 503 and every half second: a
// node that was kept from running does not answer.
func (k *client) reply(session uint64, identity, body string) map[string]any {
	k.t.Helper()
	published := time.Now()
	for {
		var got delivered
		waitFor(k.t, func() string {
			var ok bool
			got, ok = k.take(func(d delivered) bool { return d.subject == identity || d.subject == identity+".r" })
			if ok || time.Since(published) > 500*time.Millisecond {
				return ""
			}
			return "no reply to " + body
		})
		if got.body != nil && got.body["503"] == nil {
			return got.body
		}
		<-time.After(20 * time.Millisecond)
		published = time.Now()
		k.publish(session, identity+".r", body)
		if k.t.Context().Err() != nil {
			k.t.Fatalf("no reply to %s", body)
		}
	}
}

// take takes a delivery out of the inbox.
func (k *client) take(match func(delivered) bool) (delivered, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, d := range k.inbox {
		if match(d) {
			k.inbox = append(k.inbox[:i:i], k.inbox[i+1:]...)
			return d, true
		}
	}
	return delivered{}, false
}

func (k *client) event(what string) map[string]any {
	k.t.Helper()
	return k.await("the event "+what, func(d delivered) bool { return d.body["janus"] == what && d.subject[len(d.subject)-6:] == ".event" }).body
}

// await waits for a delivery and takes it out of the inbox.
func (k *client) await(what string, match func(delivered) bool) delivered {
	k.t.Helper()
	var found delivered
	waitFor(k.t, func() string {
		var ok bool
		if found, ok = k.take(match); ok {
			return ""
		}
		return "no " + what
	})
	return found
}

// create makes a session in any partition.
func (k *client) create() uint64 {
	k.t.Helper()
	id := messages.NewSessionID(int(time.Now().UnixNano() % messages.Partitions))
	k.createAs(id)
	return id
}

func (k *client) createAs(id uint64) {
	k.t.Helper()
	got := k.ask(id, `{"janus":"create","transaction":"c"}`)
	if got["janus"] != "success" {
		k.t.Fatalf("create: %v", got)
	}
	k.mu.Lock()
	k.owns[id] = time.Now().UnixMilli()
	k.mu.Unlock()
}

func (k *client) attach(session uint64) uint64 { return k.attachTo(session, echotest) }

func (k *client) attachTo(session uint64, plugin string) uint64 {
	k.t.Helper()
	got := k.ask(session, `{"janus":"attach","transaction":"a","session_id":%d,"plugin":%q}`, session, plugin)
	data, ok := got["data"].(map[string]any)
	if !ok {
		k.t.Fatalf("attach: %v", got)
	}
	return uint64(data["id"].(float64))
}

// server is a scripted media server: it attaches, answers messages with ack and event, and remembers what it was asked.
type server struct {
	p      *process
	member messages.Member
	mu     sync.Mutex
	got    []string // verb and identity
	holds  map[uint64]map[uint64]bool
	mute   bool
	silent bool                                                // new owners learn nothing from it
	admin  messages.AdminResult                                // to whatever the Admin API is asked
	before func(at messages.MediaSubject, verb janusjson.Verb) // called before a request is served; nil: nothing
	refuse messages.Epoch
	seq    int
	janus  scriptedRooms
	calls  scriptedCalls
	tapes  scriptedRecordings
	beater *roster.Beater
	state  messages.State   // "": ready
	adopts []messages.Adopt // that it was asked for
	defers int              // adopts that are not answered
	doubts bool             // it does not know whether what it holds has PeerConnections
	recent []int            // numbers of the events that are told once more, for the handle that is held
	retell func()           // tells once more what else got lost; nil: nothing did
	acked  map[uint64]uint64
}

func (c *cluster) server(name string, changes ...func(*server)) *server {
	c.t.Helper()
	s := &server{p: c.process(name), member: messages.NewMember(name), holds: map[uint64]map[uint64]bool{}, acked: map[uint64]uint64{}, tapes: scriptedRecordings{}}
	for _, change := range changes {
		change(s)
	}
	for _, prefix := range []string{messages.MediaPrefix(s.member), messages.KeptPrefix(s.member.String())} {
		if _, err := s.p.bus.Own(prefix, 0, s.receive); err != nil {
			c.t.Fatal(err)
		}
	}
	s.beat(c.t)
	return s
}

// beat begins to beat.
func (s *server) beat(t *testing.T) {
	s.beater = roster.NewBeater(s.p.bus, func() messages.Beat {
		s.mu.Lock()
		state := cmp.Or(s.state, messages.StateReady)
		s.mu.Unlock()
		return messages.Beat{Role: messages.RoleMedia, Member: s.member, State: state, Media: &messages.MediaBeat{
			Janus: messages.JanusUp, Plugins: map[string]string{echotest: "1", videoroom: "1", textroom: "1", videocall: "1", recordplay: "1"}, Handles: s.handles(), MaxHandles: 1000,
		}}
	})
	t.Cleanup(s.beater.Stop)
}

func (s *server) handles() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, h := range s.holds {
		n += len(h)
	}
	return n
}

// ackedOf is up to which of its events of a session are not needed any more.
func (s *server) ackedOf(session uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked[session]
}

func (s *server) receive(m *bus.Msg) {
	if m.Subject == messages.MediaAsk(s.member) {
		s.answerAsk(m)
		return
	}
	if m.Subject == messages.MediaAdopt(s.member) {
		s.adopt(m)
		return
	}
	if m.Subject == messages.MediaAcked(s.member.String()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !messages.EachAcked(m.Data, func(a messages.Acked) { s.acked[a.Session] = a.Seq }) {
			s.p.bus.Close() // which nobody expects
		}
		return
	}
	if m.Subject == messages.MediaReplay(s.member.String()) {
		s.replay(m)
		return
	}
	if m.Subject == messages.MediaPlugin(s.member) {
		s.steward(m)
		return
	}
	if m.Subject == messages.MediaAdmin(s.member) {
		s.mu.Lock()
		defer s.mu.Unlock()
		data, _ := json.Marshal(s.admin)
		s.admin.Busy = false
		_ = s.p.bus.Publish(m.Reply, "", data)
		return
	}
	at, err := messages.ParseMediaSubject(m.Subject)
	if err != nil {
		return
	}
	var r janusjson.Message
	if janusjson.Scan(m.Data, &r) != nil {
		return
	}
	s.mu.Lock()
	s.got = append(s.got, r.Verb().String()+" "+m.Reply)
	mute, refuse, before := s.mute, s.refuse, s.before
	s.mu.Unlock()
	if before != nil {
		before(at, r.Verb())
	}
	if mute {
		return
	}
	if at.Epoch.Less(refuse) {
		data, _ := json.Marshal(messages.Refusal{Epoch: refuse})
		_ = s.p.bus.Publish(messages.HandleSubject(at.Session, messages.SessionRefused, at.Handle), m.Reply, data)
		return
	}
	s.serve(at, &r, m.Reply)
}

func (s *server) serve(at messages.MediaSubject, r *janusjson.Message, identity string) {
	identity, _ = messages.CutRepeat(identity)
	reply := messages.Reply{Session: at.Session, Transaction: r.Bytes(janusjson.KeyTransaction)}
	body := reply.Append(nil, "success")
	s.mu.Lock()
	switch r.Verb() {
	case janusjson.VerbAttach:
		if s.holds[at.Session] == nil {
			s.holds[at.Session] = map[uint64]bool{}
		}
		s.holds[at.Session][at.Handle] = true
		body = reply.AppendID(nil, at.Handle/2+1)
	case janusjson.VerbDetach:
		delete(s.holds[at.Session], at.Handle)
		s.calls.leave(at)
	case janusjson.VerbDestroy:
		delete(s.holds, at.Session)
	case janusjson.VerbMessage:
		body = reply.Append(nil, "ack")
	case janusjson.VerbTrickle, janusjson.VerbKeepalive:
		body = reply.Append(nil, "ack")
	}
	s.seq++
	from := fmt.Sprintf("%v.%d", s.member, s.seq)
	data := "{}"
	if r.Verb() == janusjson.VerbMessage || r.Verb() == janusjson.VerbTrickle {
		if data = s.tapes.run(r); data == "" {
			data = s.calls.run(at, r)
		}
	}
	s.mu.Unlock()
	_ = s.p.bus.Publish(messages.HandleSubject(at.Session, messages.SessionReply, at.Handle), identity, body)
	if r.Verb() == janusjson.VerbMessage {
		event := fmt.Appendf(nil, `{"janus":"event","session_id":%d,"transaction":%s,"sender":%d,"plugindata":{"plugin":"p","data":%s}}`,
			at.Session, r.Bytes(janusjson.KeyTransaction), at.Handle, data)
		_ = s.p.bus.Publish(messages.HandleSubject(at.Session, messages.SessionEvent, at.Handle), from, event)
	}
}

// adopt goes on with handles that an earlier incarnation had, whatever they are.
func (s *server) adopt(m *bus.Msg) {
	var a messages.Adopt
	if json.Unmarshal(m.Data, &a) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adopts = append(s.adopts, a)
	if s.defers > 0 {
		s.defers--
		return
	}
	adopted := messages.Adopted{From: s.member}
	for _, h := range a.Handles {
		if s.holds[a.Session] == nil {
			s.holds[a.Session] = map[uint64]bool{}
		}
		s.holds[a.Session][h.Handle] = true
		adopted.Handles = append(adopted.Handles, h.Handle)
	}
	data, _ := json.Marshal(adopted)
	_ = s.p.bus.Publish(messages.HandleSubject(a.Session, messages.SessionAdopted, 0), "", data)
}

// kill ends the server without a word.
func (s *server) kill() {
	s.p.bus.Conn().Opts.AllowReconnect = false
	s.p.bus.Close()
}

func (s *server) answerAsk(m *bus.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent {
		return
	}
	h := messages.Holding{From: s.member, Role: messages.RoleMedia, Last: true}
	for session, handles := range s.holds {
		hs := messages.HoldingSession{Session: session}
		for id := range handles {
			hs.Handles = append(hs.Handles, messages.HoldingHandle{Handle: id, Janus: id/2 + 1, Plugin: echotest, Live: s.doubts, Assumed: s.doubts})
		}
		h.Sessions = append(h.Sessions, hs)
	}
	data, _ := json.Marshal(h)
	_ = s.p.bus.Publish(m.Reply, "", data)
}

// say publishes an event of the server for a handle.
func (s *server) say(t *testing.T, session, handle uint64, verb string) {
	t.Helper()
	body := messages.AppendNotice(nil, verb, session, handle, "")
	s.mu.Lock()
	s.seq++
	from := fmt.Sprintf("%v.%d", s.member, s.seq)
	s.mu.Unlock()
	if err := s.p.bus.Publish(messages.HandleSubject(session, messages.SessionEvent, handle), from, body); err != nil {
		t.Fatal(err)
	}
}

// waitFor waits until check returns no reason to wait any more.
func waitFor(t *testing.T, check func() string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		reason := check()
		if reason == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still: %s", reason)
		}
		<-time.After(5 * time.Millisecond)
	}
}
