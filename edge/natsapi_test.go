// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/scripts/lab"
)

const testInbox = "_INBOX.back.end"

// inboxRig is a rig that back-ends use.
func inboxRig(t *testing.T, o Options, f func(t *testing.T, r *rig, say func(text string))) {
	t.Helper()
	bubble(t, o, func(t *testing.T, r *rig) {
		n := r.newNATS()
		f(t, r, func(text string) {
			n.take(&bus.Msg{Subject: messages.APISubject, Reply: testInbox, Data: []byte(text)})
		})
	})
}

// written takes what was published since the last time: what went to the inbox, and the rest.
func (r *rig) written(t *testing.T) (toInbox string, rest []published) {
	t.Helper()
	var texts []string
	for _, p := range r.bus.take() {
		if p.subject != testInbox {
			rest = append(rest, p)
			continue
		}
		if p.reply != "" {
			t.Errorf("an inbox is asked to answer on %s", p.reply)
		}
		texts = append(texts, p.body)
	}
	return strings.Join(texts, " "), rest
}

// A request is answered once, on its inbox, by its owner or by the edge itself.
func TestInboxRequest(t *testing.T) {
	inboxRig(t, Options{}, func(t *testing.T, r *rig, say func(string)) {
		say(`{"janus":"ping","transaction":"p"}`)
		got, _ := r.written(t)
		expect(t, "ping", got, `{"janus":"pong","transaction":"p"}`)
		say(`{"janus":"nonsense","transaction":"p"}{`)
		got, _ = r.written(t)
		expect(t, "no JSON", strings.HasPrefix(got, `{"janus":"error","error":{"code":454,`), true)
		say(string(keepalive(session, "k")))
		_, sent := r.written(t)
		expect(t, "requests", bodies(sent), "k")
		expect(t, "transport", transportOf(t, sent[0].reply), messages.Transport{Edge: r.member, Connection: 3, Polling: true})
		r.answers(sent[0], 1, `{"janus":"ack"}`)
		r.answers(sent[0], 1, `{"janus":"ack"}`)
		got, sent = r.written(t)
		expect(t, "answer", got+bodies(sent), `{"janus":"ack"}`)
		expect(t, "in flight", r.waiting.Load()+r.bytes.Load(), 0)
	})
}

// A request is repeated under its identity, and its deadline tells the inbox.
func TestInboxRepeats(t *testing.T) {
	inboxRig(t, Options{Deadline: 2 * time.Second}, func(t *testing.T, r *rig, say func(string)) {
		say(string(keepalive(session, "k")))
		_, first := r.written(t)
		after(600 * time.Millisecond)
		_, sent := r.written(t)
		expect(t, "repeats", bodies(sent), "k.r")
		expect(t, "identity", sent[0].reply, first[0].reply+".r")
		after(2 * time.Second)
		got, _ := r.written(t)
		expect(t, "deadline", strings.Contains(got, "Request timed out"), true)
	})
}

// A create and a claim tell the owner of the inbox. A drawn id that is taken is drawn again.
func TestInboxOpens(t *testing.T) {
	inboxRig(t, Options{}, func(t *testing.T, r *rig, say func(string)) {
		say(fmt.Sprintf(`{"janus":"claim","transaction":"k","session_id":%d}`, session))
		_, sent := r.written(t)
		expect(t, "inbox of a claim", transportOf(t, sent[0].reply).Inbox, testInbox)
		r.answers(sent[0], 1, `{"janus":"success","transaction":"k"}`)
		got, sent := r.written(t)
		expect(t, "claim", got+bodies(sent), `{"janus":"success","transaction":"k"}`)
		say(`{"janus":"create","transaction":"c"}`)
		_, sent = r.written(t)
		r.answers(sent[0], 1, fmt.Sprintf(`{"janus":"error","transaction":"c","error":{"code":%d,"reason":"taken"}}`, messages.CodeSessionConflict))
		got, again := r.written(t)
		expect(t, "said", got, "")
		expect(t, "creates", bodies(again), "c")
		expect(t, "another id", again[0].subject != sent[0].subject, true)
		expect(t, "inbox of a create", transportOf(t, again[0].reply).Inbox, testInbox)
	})
}

func transportOf(t *testing.T, identity string) messages.Transport {
	t.Helper()
	return must[messages.Transport](t)(messages.ParseTransport(identity))
}

// The secret is asked for as on any other transport.
func TestInboxSecret(t *testing.T) {
	inboxRig(t, Options{APISecret: "s"}, func(t *testing.T, r *rig, say func(string)) {
		say(string(keepalive(session, "k")))
		got, sent := r.written(t)
		expect(t, "without", strings.Contains(got, fmt.Sprint(messages.CodeUnauthorized)) && len(sent) == 0, true)
	})
}

// Back-ends may ask for too much, or wish to be answered where no client listens.
func TestInboxBounds(t *testing.T) {
	const room = 4
	o := Options{MaxMessage: 200, MaxInFlight: apiShare * room * (overhead + 80)}
	inboxRig(t, o, func(t *testing.T, r *rig, say func(string)) {
		n := r.newNATS()
		for _, reply := range []string{"", "janus.api", "janus.session.5.5", "$JS.API.STREAM.NAMES", "$KV.b.k", "_INBOX.*", "a b", strings.Repeat("x", 300)} {
			n.take(&bus.Msg{Subject: messages.APISubject, Reply: reply, Data: []byte(`{"janus":"ping","transaction":"p"}`)})
		}
		n.take(&bus.Msg{Subject: testInbox, NoResponders: true})
		if sent := r.bus.take(); len(sent) > 0 {
			t.Errorf("published %v", sent)
		}
		say(`{"janus":"ping","transaction":"` + strings.Repeat("x", 200) + `"}`)
		got, _ := r.written(t)
		expect(t, "too large", strings.Contains(got, "Request too large"), true)
		for range 2 * room {
			say(string(keepalive(session, "k")))
		}
		got, sent := r.written(t)
		expect(t, "refused", strings.Count(got, "Too many requests"), 2*room-len(sent))
		expect(t, "taken", len(sent) >= room && len(sent) < 2*room, true)
		c, _ := r.connect()
		r.serve(c, keepalive(session, "w"))
		_, more := r.written(t)
		expect(t, "a client of another transport", bodies(more), "w")
		for _, p := range sent {
			r.answers(p, 1, `{"janus":"ack"}`)
		}
		_, _ = r.written(t)
		say(string(keepalive(session, "k")))
		_, sent = r.written(t)
		expect(t, "room again", bodies(sent), "k")
	})
}

func asker(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc := must[*nats.Conn](t)(nats.Connect(url))
	t.Cleanup(nc.Close)
	return nc
}

// Requests are answered by any edge, or by a certain one; an edge that stops leaves none unanswered.
func TestInboxOverNATS(t *testing.T) {
	server := startNATS(t)
	api := func(name string) *Edge {
		return startEdge(t, server, func(o *Options) { o.Name, o.WS, o.NATSAPI = name, "", true })
	}
	one, two := api("e1"), api("e2")
	startOwner(t, connect(t, server), "n1", messages.AllPartitions(), obliging)
	waitReady(t, one)
	waitReady(t, two)
	nc := asker(t, server.ClientURL())
	for _, subject := range []string{messages.APISubject, messages.EdgeAPI("e1"), messages.EdgeAPI("e2")} {
		m, err := nc.Request(subject, keepalive(session, "k"), patience)
		if err != nil || !strings.Contains(string(m.Data), `"ack"`) {
			t.Fatalf("%s: %v, %v", subject, m, err)
		}
	}
	const asked = 500
	heard := must[*nats.Subscription](t)(nc.SubscribeSync("back.end"))
	for i := range asked {
		if err := nc.PublishRequest(messages.APISubject, "back.end", keepalive(session, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		if i == asked/2 {
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			go func() { _ = one.Stop(context.Background()) }()
		}
	}
	for n := range asked {
		if _, err := heard.NextMsg(patience); err != nil {
			t.Fatalf("after %d answers: %v", n, err)
		}
	}
	if err := one.Stop(testContext(t)); err != nil {
		t.Error(err)
	}
	if _, err := nc.Request(messages.EdgeAPI("e1"), keepalive(session, "k"), patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a stopped edge: %v", err)
	}
}

// An edge that stops waits for the answers of those who asked over NATS, and not for ever.
func TestInboxStop(t *testing.T) {
	server := startNATS(t)
	e := startEdge(t, server, func(o *Options) { o.WS, o.NATSAPI = "", true })
	startOwner(t, connect(t, server), "n1", messages.AllPartitions(), func(*owner, messages.SessionSubject, *bus.Msg) {})
	waitReady(t, e)
	nc := asker(t, server.ClientURL())
	if err := nc.PublishRequest(messages.APISubject, "back.end", keepalive(session, "k")); err != nil {
		t.Fatal(err)
	}
	lab.WaitFor(t, patience, func() string { return unless(e.waiting.Load() == 1, "no request has come") })
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := e.nats.stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stopped with a request unanswered: %v", err)
	}
	go e.expireAll()
	if err := e.nats.stop(testContext(t)); err != nil {
		t.Errorf("stopped: %v", err)
	}
}

// expireAll gives up what waits, as if its time were up.
func (e *Edge) expireAll() {
	for p := range e.partitions {
		expired, _, _ := e.partitions[p].sweep(time.Hour)
		for _, r := range expired {
			e.expire(r)
		}
	}
}

// TestInboxOff is an edge that serves no back-ends.
func TestInboxOff(t *testing.T) {
	server := startNATS(t)
	startEdge(t, server, nil)
	_, err := asker(t, server.ClientURL()).Request(messages.APISubject, keepalive(session, "k"), patience)
	expect(t, "answer", errors.Is(err, nats.ErrNoResponders), true)
}
