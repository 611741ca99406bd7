// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"fmt"
	"testing"

	"github.com/januscloud/januscloud/messages"
)

// An edge that a new owner cannot hear when it takes over, since a route of NATS stands still, tells later which connection the
// session has; what the client is to be told waits until then.
func TestEdgeTellsLate(t *testing.T) {
	x := converse(t)
	k, s := x.k, x.session
	second := x.c.node("node-2", nil)
	waitServers(t, second, 1)
	k.hears(t, "m")
	k.deafen(true)
	if err := x.node.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.ask(s, `{"janus":"keepalive","transaction":"k","session_id":%d}`, s)
	x.media.sayNumbered(messages.SessionEvent, s, x.handle, 101)
	k.deafen(false)
	k.hears(t, "101")
}

// freeze keeps the edge from beating until thaw is called, and waits until a node finds it silent.
func (k *client) freeze(n *Node) (thaw func()) {
	k.t.Helper()
	k.frozen.Lock()
	waitFor(k.t, func() string {
		if heard, _ := n.edge(k.member); heard {
			return "the edge is heard"
		}
		return ""
	})
	return k.frozen.Unlock
}

// A client whose edge is frozen claims the session through another one. What it had sent to the frozen edge is run when that wakes, and
// repeated: the answers are for that edge, and none comes twice on the new connection.
func TestFrozenEdgeAsksLate(t *testing.T) {
	c := newCluster(t)
	media := c.server("media-a")
	n := c.node("node-1", nil)
	waitServers(t, n, 1)
	former, now := c.client(), c.clientAt("edge-b")
	s := former.create()
	h := former.attach(s)
	former.ask(s, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, s, h)
	thaw := former.freeze(n)
	if got := now.ask(s, `{"janus":"claim","transaction":"k","session_id":%d}`, s); got["janus"] != "success" {
		t.Fatalf("claim: %v", got)
	}
	thaw()
	for range 2 {
		body := fmt.Sprintf(`{"janus":"message","transaction":"late","session_id":%d,"handle_id":%d,"body":{}}`, s, h)
		identity := messages.Identity{Edge: former.member, Connection: 1, Session: s, N: 9}.String()
		former.publish(s, identity, body)
		if got := former.reply(s, identity, body); got["janus"] != "ack" {
			t.Errorf("the late request: %v", got)
		}
	}
	media.say(t, s, h, "webrtcup")
	now.event("webrtcup")
	if d, told := now.take(func(d delivered) bool { return d.body["janus"] == "ack" && d.body["transaction"] == "late" }); told {
		t.Errorf("the client was told %s, to %s", d.raw, d.subject)
	}
}
