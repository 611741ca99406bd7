// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"fmt"
	"testing"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// backend is a client that speaks NATS: it asks through an edge, and is answered on its inbox.
type backend struct {
	*client
	inbox string
	heard chan string // transaction and verb of what came to the inbox, in order
	asked uint64
}

func (k *client) backend(inbox string) *backend {
	k.t.Helper()
	b := &backend{client: k, inbox: inbox, heard: make(chan string, 100)}
	_, err := k.p.bus.Listen(inbox, 3, func(m *bus.Msg) {
		if m.Reply != "" {
			k.t.Errorf("an inbox is asked to answer on %s", m.Reply)
		}
		b.heard <- string(m.Data)
	})
	if err != nil {
		k.t.Fatal(err)
	}
	return b
}

// publish sends a request, each on a connection of its own, and returns its identity.
func (b *backend) publish(session uint64, body string, args ...any) string {
	b.t.Helper()
	b.asked++
	identity := messages.Identity{Edge: b.member, Connection: 500 + b.asked, Inbox: b.inbox, Session: session, N: 1}.String()
	b.client.publish(session, identity, fmt.Sprintf(body, args...))
	return identity
}

// ask sends a request and returns what comes to the inbox; the edge must hear that it was answered.
func (b *backend) ask(session uint64, body string, args ...any) string {
	b.t.Helper()
	identity := b.publish(session, body, args...)
	answer := b.next()
	if d := b.await("the edge's part", func(d delivered) bool { return d.subject == identity }); len(d.raw) > 0 {
		b.t.Errorf("the edge got %s", d.raw)
	}
	return answer
}

// next is what comes to the inbox next.
func (b *backend) next() string {
	b.t.Helper()
	var got string
	waitFor(b.t, func() string {
		select {
		case got = <-b.heard:
			return ""
		default:
			return "nothing came to the inbox"
		}
	})
	return got
}

func (b *backend) expect(what, got, want string) {
	b.t.Helper()
	if verb(b.t, got) != want {
		b.t.Errorf("%s: %s, not %s", what, got, want)
	}
}

// begin makes a session on the inbox, with a bound handle.
func (b *backend) begin(id uint64) (handle uint64) {
	b.t.Helper()
	b.expect("create", b.ask(id, `{"janus":"create","transaction":"c"}`), "success")
	handle = b.attach(id) // on a WebSocket: any connection may use the session
	b.expect("message", b.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, handle), "ack")
	b.expect("its event", b.next(), "event")
	return handle
}

// Answers and events go straight to the inbox, in order; no edge is needed for them.
func TestInbox(t *testing.T) {
	media, edge, _ := pollCluster(t)
	b := edge.backend("_INBOX.backend.1")
	id := messages.NewSessionID(7)
	h := b.begin(id)
	for range 50 {
		b.publish(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, h)
		b.expect("first", b.next(), "ack")
		b.expect("then", b.next(), "event")
	}
	media.say(t, id, h, "webrtcup")
	b.expect("event", b.next(), "webrtcup")
	b.expect("keepalive", b.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id), "ack")
	b.expect("no handle", b.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":1,"body":{}}`, id), "error")
}

// A create whose id is taken is answered to the edge alone: it may have drawn the id, and then draws another.
func TestInboxConflict(t *testing.T) {
	_, edge, _ := pollCluster(t)
	b := edge.backend("_INBOX.backend.2")
	id := edge.create()
	identity := b.publish(id, `{"janus":"create","transaction":"c"}`)
	d := edge.await("an error", func(d delivered) bool { return d.subject == identity })
	if d.body["janus"] != "error" {
		t.Errorf("the edge got %s", d.raw)
	}
	b.expect("keepalive", b.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id), "ack")
}

// A claim moves the session from a WebSocket to an inbox and back, and from an inbox to another one.
func TestInboxClaim(t *testing.T) {
	media, edge, _ := pollCluster(t)
	b, other := edge.backend("_INBOX.backend.3"), edge.backend("_INBOX.backend.4")
	id := edge.create()
	h := edge.attach(id)
	edge.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, h)
	edge.event("event")
	b.expect("claim", b.ask(id, `{"janus":"claim","transaction":"k","session_id":%d}`, id), "success")
	media.say(t, id, h, "webrtcup")
	b.expect("event after the claim", b.next(), "webrtcup")
	other.expect("claim", other.ask(id, `{"janus":"claim","transaction":"k","session_id":%d}`, id), "success")
	media.say(t, id, h, "media")
	other.expect("event after the next claim", other.next(), "media")
	edge.ask(id, `{"janus":"claim","transaction":"k","session_id":%d}`, id)
	media.say(t, id, h, "slowlink")
	edge.event("slowlink")
	if n := len(b.heard) + len(other.heard); n > 0 {
		t.Errorf("%d messages for inboxes that do not own the session", n)
	}
}

// A session on an inbox outlives its edge and its owner: the next owner knows the inbox.
func TestInboxAfterTakeover(t *testing.T) {
	c := newCluster(t)
	media, edge := c.server("janus-a"), c.client()
	a := c.node("node-a", nil)
	waitServers(t, a, 1)
	b := edge.backend("_INBOX.backend.5")
	id := messages.NewSessionID(9)
	h := b.begin(id)
	c.node("node-b", nil)
	a.Bus.Close()
	if got := edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id); got["janus"] != "ack" {
		t.Fatalf("keepalive: %v", got)
	}
	media.say(t, id, h, "webrtcup")
	b.expect("event", b.next(), "webrtcup")
}
