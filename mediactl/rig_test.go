// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/bustest"
	"github.com/januscloud/januscloud/messages/load"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/wheel"
	"github.com/januscloud/januscloud/scripts/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const echotest = "janus.plugin.echotest"

// patience bounds every wait of a test.
const patience = 15 * time.Second

// rig is a media role, and an owner on the other end of a bus.
type rig struct {
	*owner
	t        *testing.T
	net      *bustest.Net
	roster   *roster.Roster
	wheel    *wheel.Wheel
	load     *load.Meter
	log      *logbook
	registry *prometheus.Registry
	media    *Media
}

// newRig makes everything but the media role. layout 0 is one process.
func newRig(t *testing.T, layout int) *rig {
	t.Helper()
	r := &rig{t: t, net: bustest.Layouts()[layout].Open(t, nil), wheel: wheel.New(0), registry: prometheus.NewRegistry()}
	r.log = &logbook{}
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	if r.roster, err = roster.Start(ctx, roster.Options{Bus: r.net.B, Log: r.logger(), Registry: nil}); err != nil {
		t.Fatal(err)
	}
	r.wheel.Start()
	r.load = load.Start(ctx)
	t.Cleanup(func() {
		cancel()
		r.wheel.Stop()
		r.roster.Stop()
		if t.Failed() {
			t.Log(strings.Join(r.log.lines, ""))
		}
	})
	r.owner = newOwner(t, r.net.A, 7)
	return r
}

func (r *rig) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r.log, nil)) }

// options are those of a media role beside the Janus at url.
func (r *rig) options(url string) Options {
	return Options{
		Name: "media-1", Region: "here", Bus: r.net.B, Roster: r.roster, Wheel: r.wheel, Load: r.load, Log: r.logger(),
		Registry: r.registry, JanusURL: url,
	}
}

// start starts the media role and stops it when the test ends.
func (r *rig) start(url string, changes ...func(*Options)) {
	r.t.Helper()
	o := r.options(url)
	for _, change := range changes {
		change(&o)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	m, err := Start(ctx, o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.media, r.owner.server = m, m.Member()
	r.t.Cleanup(r.stop)
	r.net.Settle(r.t)
}

func (r *rig) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.media.Stop(ctx); err != nil {
		r.t.Error(err)
	}
}

// wantJanus waits until the heartbeats tell a state of Janus.
func (r *rig) wantJanus(want messages.JanusState, limit time.Duration) {
	r.t.Helper()
	lab.WaitFor(r.t, limit, func() string {
		p, ok := r.roster.View().Find(messages.RoleMedia, "media-1")
		if !ok {
			return "no heartbeat"
		}
		if p.Beat.Media.Janus != want {
			return fmt.Sprintf("Janus is %s", p.Beat.Media.Janus)
		}
		return ""
	})
}

// metric sums the series of a counter or gauge, those with a reason if one is given.
func (r *rig) metric(name, reason string) float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != "januscloud_media_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			matches := reason == ""
			for _, l := range m.GetLabel() {
				matches = matches || l.GetName() == "reason" && l.GetValue() == reason
			}
			if matches {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// logbook keeps the log, which is shown when the test fails.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *logbook) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.lines, func(line string) bool { return strings.Contains(line, text) })
}

// last is the last line with that text; empty when there is none.
func (l *logbook) last(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range slices.Backward(l.lines) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

// message is what the owner received.
type message struct {
	messages.SessionSubject
	Reply string
	Data  []byte
	body  struct {
		Janus       string              `json:"janus"`
		Transaction *string             `json:"transaction"`
		Session     uint64              `json:"session_id"`
		Sender      uint64              `json:"sender"`
		Reason      string              `json:"reason"`
		Data        struct{ ID uint64 } `json:"data"`
		PluginData  struct {
			Data map[string]any `json:"data"`
		} `json:"plugindata"`
		Error *struct {
			Code   int    `json:"code"`
			Reason string `json:"reason"`
		} `json:"error"`
	}
}

func (m message) String() string {
	if m.Subject() == "" {
		return "nothing"
	}
	return m.SessionSubject.String() + " (" + m.Reply + ") " + string(m.Data)
}

// Subject is empty for the zero message.
func (m message) Subject() string {
	if m.Data == nil {
		return ""
	}
	return m.SessionSubject.String()
}

// owner plays the session node that owns a partition.
type owner struct {
	t         *testing.T
	bus       *bus.Bus
	partition int
	server    messages.Member
	epoch     messages.Epoch
	edge      messages.Member

	mu       sync.Mutex
	n        uint64
	received []message
}

func newOwner(t *testing.T, b *bus.Bus, partition int) *owner {
	o := &owner{
		t: t, bus: b, partition: partition, epoch: messages.Epoch{Number: 5, Node: "node-1"}, edge: messages.NewMember("edge-1"),
	}
	bustest.Own(t, b, messages.SessionPrefix(partition), 1, o.receive)
	return o
}

func (o *owner) receive(m *bus.Msg) {
	subject, err := messages.ParseSessionSubject(m.Subject)
	if err != nil {
		o.t.Errorf("%s: %v", m.Subject, err)
	}
	got := message{SessionSubject: subject, Reply: m.Reply, Data: m.Data}
	if len(m.Data) == 0 && subject.Kind == messages.SessionLast {
		m.Data = []byte("{}") // it tells a number
	}
	if err := json.Unmarshal(m.Data, &got.body); err != nil {
		o.t.Errorf("%s: %v: %s", m.Subject, err, m.Data)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.received = append(o.received, got)
}

// session draws the id of a session in the owner's partition.
func (o *owner) session() uint64 { return messages.NewSessionID(o.partition) }

// identity draws the identity of a client's request.
func (o *owner) identity(session uint64) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n++
	return messages.Identity{Edge: o.edge, Connection: 1, Session: session, N: o.n}.String()
}

// send publishes a request under an identity.
func (o *owner) send(session, handle uint64, identity, body string) {
	o.t.Helper()
	to := messages.MediaSubject{Server: o.server, Partition: o.partition, Epoch: o.epoch, Session: session, Handle: handle}
	if err := o.bus.Publish(to.String(), identity, []byte(body)); err != nil {
		o.t.Error(err)
	}
}

// request publishes a request under a new identity.
func (o *owner) request(session, handle uint64, body string) (identity string) {
	o.t.Helper()
	identity = o.identity(session)
	o.send(session, handle, identity, body)
	return identity
}

// await waits for the n-th message (from 1) that match accepts.
func (o *owner) await(what string, n int, match func(message) bool) message {
	o.t.Helper()
	var found message
	lab.WaitFor(o.t, patience, func() string {
		o.mu.Lock()
		defer o.mu.Unlock()
		seen := 0
		for _, m := range o.received {
			if match(m) {
				if seen++; seen == n {
					found = m
					return ""
				}
			}
		}
		last := message{}
		if len(o.received) > 0 {
			last = o.received[len(o.received)-1]
		}
		return fmt.Sprintf("%d of %d of %s; last came %v", seen, n, what, last)
	})
	return found
}

// reply waits for the reply to a request.
func (o *owner) reply(identity string) message {
	o.t.Helper()
	return o.await("reply to "+identity, 1, func(m message) bool {
		return m.Kind != messages.SessionEvent && m.Reply == identity
	})
}

// event waits for the first event of a handle with that verb.
func (o *owner) event(session, handle uint64, verb string) message {
	o.t.Helper()
	return o.await(verb, 1, func(m message) bool {
		return m.Kind == messages.SessionEvent && m.Session == session && m.Handle() == handle && m.body.Janus == verb
	})
}

// count counts what came so far.
func (o *owner) count(match func(message) bool) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, m := range o.received {
		if match(m) {
			n++
		}
	}
	return n
}

// events are the verbs of all events of a handle, in order.
func (o *owner) events(session, handle uint64) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var verbs []string
	for _, m := range o.received {
		if m.Kind == messages.SessionEvent && m.Session == session && m.Handle() == handle {
			verbs = append(verbs, m.body.Janus)
		}
	}
	return verbs
}

// own is the identity of a request that the owner itself makes.
func (o *owner) own(session, handle, n uint64) string {
	return messages.SessionSubject{Partition: o.partition, Session: session, Kind: messages.SessionOwn, Arg: fmt.Sprintf("%d.%d", handle, n)}.String()
}

// attach binds a handle, and returns its id on Janus.
func (o *owner) attach(session, handle uint64) uint64 {
	o.t.Helper()
	m := o.tryAttach(session, handle, echotest)
	if m.body.Janus != "success" || m.body.Data.ID == 0 || m.body.Session != session {
		o.t.Fatalf("attach: %v", m)
	}
	return m.body.Data.ID
}

func (o *owner) tryAttach(session, handle uint64, plugin string) message {
	o.t.Helper()
	o.mu.Lock()
	o.n++
	identity := o.own(session, handle, o.n)
	o.mu.Unlock()
	o.send(session, handle, identity, `{"janus":"attach","plugin":"`+plugin+`","transaction":"bind","opaque_id":"me"}`)
	return o.reply(identity)
}

// echo sends a message to the echo test and waits for ack and event.
func (o *owner) echo(session, handle uint64) {
	o.t.Helper()
	identity := o.request(session, handle, echoBody(session, "echo"))
	m := o.reply(identity)
	if m.body.Janus != "ack" || *m.body.Transaction != "echo" || m.Handle() != handle {
		o.t.Fatalf("echo: %v", m)
	}
}

func echoBody(session uint64, transaction string) string {
	return fmt.Sprintf(`{"janus":"message","session_id":%d,"handle_id":1,"transaction":"%s","body":{"audio":true},"apisecret":"x","token":"y"}`,
		session, transaction)
}

// destroy ends a session.
func (o *owner) destroy(session uint64) {
	o.t.Helper()
	identity := o.own(session, 0, o.n)
	o.send(session, 0, identity, `{"janus":"destroy","transaction":""}`)
	if m := o.reply(identity); m.body.Janus != "success" || m.body.Session != session {
		o.t.Fatalf("destroy: %v", m)
	}
}
