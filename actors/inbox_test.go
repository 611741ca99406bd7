// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"fmt"
	"testing"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// backend is a client that speaks NATS: it asks through an edge, and listens on its inbox.
type backend struct {
	*client
	inbox string
	heard chan string // what came to the inbox, in order
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

// open creates or claims a session, which makes the inbox its transport.
func (b *backend) open(verb string, session uint64) {
	b.t.Helper()
	b.asked++
	identity := messages.Identity{Edge: b.member, Connection: 500 + b.asked, Inbox: b.inbox, Session: session, N: 1}.String()
	body := fmt.Sprintf(`{"janus":%q,"transaction":"o"`, verb)
	if verb != "create" {
		body += fmt.Sprintf(`,"session_id":%d`, session)
	}
	b.publish(session, identity, body+"}")
	if got := b.reply(session, identity, body+"}"); got["janus"] != "success" {
		b.t.Fatalf("%s: %v", verb, got)
	}
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

// expectNext fails the test if what comes next is something else.
func (b *backend) expectNext(want string) {
	b.t.Helper()
	if got := b.next(); verb(b.t, got) != want {
		b.t.Errorf("%s, not %s", got, want)
	}
}

// begin makes a session on the inbox, with a bound handle.
func (b *backend) begin(id uint64) (handle uint64) {
	b.t.Helper()
	b.open("create", id)
	handle = b.attach(id)
	b.say(id, handle)
	b.expectNext("event")
	return handle
}

// say sends a message, on the scripted edge's connection: any may use the session, and the event is for who owns it.
func (k *client) say(id, handle uint64) {
	k.t.Helper()
	if got := k.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, handle); got["janus"] != "ack" {
		k.t.Errorf("message: %v", got)
	}
}

// Answers go to the edge that asks, events straight to the inbox, in order.
func TestInbox(t *testing.T) {
	media, edge, _ := pollCluster(t)
	b := edge.backend("_INBOX.backend.1")
	id := messages.NewSessionID(7)
	h := b.begin(id)
	for range 50 {
		media.say(t, id, h, "webrtcup")
		media.say(t, id, h, "media")
	}
	for range 50 {
		b.expectNext("webrtcup")
		b.expectNext("media")
	}
	if d, came := edge.take(func(d delivered) bool { return d.body["janus"] == "media" }); came {
		t.Errorf("an edge got %s", d.raw)
	}
}

// A claim moves the session from a WebSocket to an inbox, to another inbox, and back.
func TestInboxClaim(t *testing.T) {
	media, edge, _ := pollCluster(t)
	one, two := edge.backend("_INBOX.backend.3"), edge.backend("_INBOX.backend.4")
	id := edge.create()
	h := edge.attach(id)
	edge.say(id, h)
	edge.event("event")
	one.open("claim", id)
	media.say(t, id, h, "webrtcup")
	one.expectNext("webrtcup")
	two.open("claim", id)
	media.say(t, id, h, "media")
	two.expectNext("media")
	edge.ask(id, `{"janus":"claim","transaction":"k","session_id":%d}`, id)
	media.say(t, id, h, "slowlink")
	edge.event("slowlink")
	if n := len(one.heard) + len(two.heard); n > 0 {
		t.Errorf("%d messages for inboxes that do not own the session", n)
	}
}

// A session on an inbox outlives its owner: the next one knows the inbox.
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
	b.expectNext("webrtcup")
}
