// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"testing"

	"github.com/januscloud/januscloud/messages"
)

// A new owner does not make sessions of what edges were asked in vain, nor of what ended, whatever an edge believes to own.
func TestTakeOverOfNothing(t *testing.T) {
	c := newCluster(t)
	edge := c.client()
	a := c.node("node-a", nil)
	ended, kept := edge.create(), edge.create()
	if got := edge.ask(ended, `{"janus":"destroy","transaction":"d","session_id":%d}`, ended); got["janus"] != "success" {
		t.Fatalf("destroy: %v", got)
	}
	never := messages.NewSessionID(5)
	edge.mu.Lock()
	edge.owns[never] = 0 // as an edge tells of a session that a connection only named
	edge.mu.Unlock()

	b := c.node("node-b", nil)
	a.Bus.Conn().Opts.AllowReconnect = false
	a.Bus.Close() // as dead as a process can be within another
	if got := edge.ask(kept, `{"janus":"keepalive","transaction":"k","session_id":%d}`, kept); got["janus"] != "ack" {
		t.Fatalf("a session that lives: %v", got)
	}
	for _, id := range []uint64{ended, never} {
		if got := edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id); code(got) != 458 {
			t.Errorf("no session: %v", got)
		}
	}
	if n := b.sessions.Load(); n != 1 {
		t.Errorf("%d sessions were taken over, want 1", n)
	}
	// Somebody who was not answered repeats: the end that was asked for has come.
	identity := edge.send(ended, `{"janus":"keepalive","transaction":"k","session_id":%d}`, ended)
	edge.reply(ended, identity, `{"janus":"keepalive","transaction":"k"}`)
	edge.publish(ended, identity+".r", `{"janus":"destroy","transaction":"d"}`)
	if got := edge.reply(ended, identity, `{"janus":"destroy","transaction":"d"}`); got["janus"] != "success" {
		t.Errorf("a destroy repeated after a take-over: %v", got)
	}
}
