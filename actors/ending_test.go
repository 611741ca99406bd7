// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"testing"

	"github.com/januscloud/januscloud/messages"
)

// An id is free as soon as its session is over for the client, though a media server still has a part of it: what comes for
// the next session waits until that is gone, in order.
func TestCreateWhileEnding(t *testing.T) {
	c := newCluster(t)
	media, edge := c.server("janus-a"), c.client()
	n := c.node("node-a", nil)
	waitServers(t, n, 1)
	id := edge.create()
	h := edge.attach(id)
	edge.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, h)
	media.mu.Lock()
	media.mute = true // does not confirm the end
	media.mu.Unlock()
	destroy := edge.send(id, `{"janus":"destroy","transaction":"d","session_id":%d}`, id)
	refused := edge.send(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id)
	create := edge.send(id, `{"janus":"create","transaction":"c","id":%d}`, id)
	kept := edge.send(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id)
	for _, want := range []struct {
		identity, janus string
	}{{refused, "error"}, {destroy, "success"}, {create, "success"}, {kept, "ack"}} {
		d := edge.await("answer", func(d delivered) bool { return d.subject == want.identity })
		if d.body["janus"] != want.janus {
			t.Errorf("want %s: %v", want.janus, d.body)
		}
	}
	if got := edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d,"handle_id":%d}`, id, h); code(got) != 459 {
		t.Errorf("a handle of the session before: %v", got)
	}
}

// A copy of a create that comes when its session is over again makes no other one, which nobody would know of.
func TestLateCopyOfCreate(t *testing.T) {
	c := newCluster(t)
	edge := c.client()
	n := c.node("node-a", nil)
	id := messages.NewSessionID(5)
	create := edge.send(id, `{"janus":"create","transaction":"c"}`)
	if got := edge.reply(id, create, `{"janus":"create","transaction":"c"}`); got["janus"] != "success" {
		t.Fatalf("create: %v", got)
	}
	if got := edge.ask(id, `{"janus":"destroy","transaction":"d","session_id":%d}`, id); got["janus"] != "success" {
		t.Fatalf("destroy: %v", got)
	}
	edge.publish(id, create, `{"janus":"create","transaction":"c"}`)
	if got := edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id); code(got) != 458 || n.sessions.Load() != 0 {
		t.Errorf("%v, %d sessions", got, n.sessions.Load())
	}
	if got := edge.ask(id, `{"janus":"create","transaction":"again","id":%d}`, id); got["janus"] != "success" {
		t.Errorf("another create: %v", got)
	}
}
