// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusapi"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/wheel"
)

// fake is an actor without a system around it: its state, called directly, and all that it does to the world.
type fake struct {
	*server
	t         testing.TB
	published []bus.Msg
	told      chan any // what the actor tells itself; nil: dropped
	dials     int
	beats     int
	restarts  int
	sleeps    bool // the process was kept from running
	failing   bool // publishing fails
	panicking bool // publishing panics
}

func newFake(t testing.TB, changes ...func(*server)) *fake {
	f := &fake{t: t}
	m := messages.Member{Name: "media-1", Inc: "inc1"}
	f.server = &server{
		world: f, wheel: wheel.New(0), log: slog.New(slog.DiscardHandler), metrics: newMetrics(), status: newStatus(time.Now()),
		member: m, names: namesOf(m), origin: m.String(), mapping: newMapping(), flight: newInFlight(), undelivered: newUndelivered(),
	}
	f.memory = newMemory(0, time.Now(), func(n int) { f.metrics.forgotten.Add(float64(n)) })
	for _, change := range changes {
		change(f.server)
	}
	f.receive(begin{})
	return f
}

func (f *fake) publish(subject, reply string, data []byte) error {
	switch {
	case f.panicking:
		panic("publishing")
	case f.failing:
		return bus.ErrDisconnected
	case len(data) > 1<<20:
		return bus.ErrTooLarge
	}
	f.published = append(f.published, bus.Msg{Subject: subject, Reply: reply, Data: data})
	return nil
}

func (f *fake) tell(message any) {
	if f.told != nil {
		f.told <- message
	}
}

func (f *fake) dial()    { f.dials++ }
func (f *fake) beat()    { f.beats++ }
func (f *fake) restart() { f.restarts++ }

func (f *fake) asleep() bool { return f.sleeps }

func (f *fake) renewed() (messages.Member, bool) {
	f.sleeps = false
	return messages.Member{Name: f.member.Name, Inc: f.member.Inc + "x"}, true
}

// take returns what was published since the last take.
func (f *fake) take() []bus.Msg {
	p := f.published
	f.published = nil
	return p
}

// request sends a request as owner of its partition.
func (f *fake) request(session, handle uint64, identity, body string) {
	f.receive(f.message(session, handle, identity, body))
}

func (f *fake) message(session, handle uint64, identity, body string) *bus.Msg {
	to := messages.MediaSubject{
		Server: f.member, Partition: messages.PartitionOf(session), Epoch: messages.Epoch{Number: 1, Node: "n"}, Session: session, Handle: handle,
	}
	return &bus.Msg{Subject: to.String(), Reply: identity, Data: []byte(body)}
}

// client is the identity of the n-th request of some client.
func client(session, n uint64) string {
	return messages.Identity{Edge: messages.Member{Name: "e", Inc: "i"}, Connection: 1, Session: session, N: n}.String()
}

// peer is the other end of a connection: it keeps what Janus is sent, or answers it.
type peer struct {
	f      *fake
	link   *link
	sent   []map[string]any
	answer func(p *peer, r map[string]any) // nil: only kept
	closed bool
	busy   bool
}

// connect makes a connection, with a peer that answers as answer does.
func (f *fake) connect(answer func(*peer, map[string]any)) *peer {
	p := &peer{f: f, answer: answer}
	p.link = &link{carrier: p}
	f.receive(dialled{p.link})
	return p
}

func (p *peer) Send(message []byte) error {
	switch {
	case p.closed:
		return janusapi.ErrClosed
	case p.busy:
		return janusapi.ErrBusy
	}
	var r map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(message)))
	decoder.UseNumber()
	if err := decoder.Decode(&r); err != nil {
		p.f.t.Errorf("sent to Janus: %q: %v", message, err)
	}
	p.sent = append(p.sent, r)
	return nil
}

func (p *peer) Close() { p.closed = true }

// say lets Janus say something.
func (p *peer) say(format string, args ...any) {
	p.f.receive(&received{p.link, fmt.Appendf(nil, format, args...)})
}

// run answers what was sent, and what comes of that, until there is nothing more.
func (p *peer) run() {
	for len(p.sent) > 0 {
		r := p.sent[0]
		p.sent = p.sent[1:]
		p.answer(p, r)
	}
}

const fakeInfo = `{"janus":"server_info","transaction":"%s","version_string":"1.1.2","server-name":"fake","reclaim-session-timeout":90,` +
	`"plugins":{"janus.plugin.echotest":{"version_string":"0.0.7"}}}`

// polite answers as Janus does, when all goes well. The handle of an attach gets the id of its session.
func polite(p *peer, r map[string]any) {
	tx, session := r["transaction"], r["session_id"]
	switch r["janus"] {
	case "info":
		p.say(fakeInfo, tx)
	case "ping":
		p.say(`{"janus":"pong","transaction":"%s"}`, tx)
	case "create":
		p.say(`{"janus":"success","transaction":"%s","data":{"id":%v}}`, tx, r["id"])
	case "attach":
		p.say(`{"janus":"success","session_id":%v,"transaction":"%s","data":{"id":%v}}`, session, tx, session)
	case "keepalive", "message", "trickle":
		p.say(`{"janus":"ack","session_id":%v,"transaction":"%s"}`, session, tx)
	default:
		p.say(`{"janus":"success","session_id":%v,"transaction":"%s"}`, session, tx)
	}
}

// upAndServing is a fake that serves.
func upAndServing(t testing.TB, changes ...func(*server)) (*fake, *peer) {
	f := newFake(t, changes...)
	p := f.connect(polite)
	p.run()
	if f.stage != serving {
		t.Fatalf("stage %d", f.stage)
	}
	f.take()
	return f, p
}

// bound attaches a handle, in a session of its own.
func (p *peer) bound(session uint64) {
	p.f.request(session, 1, "own", `{"janus":"attach","transaction":"a","plugin":"janus.plugin.echotest"}`)
	p.run()
	p.f.take()
}

const echo = `{"janus":"message","transaction":"m","body":{}}`
