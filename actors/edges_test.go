// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"testing"

	"github.com/januscloud/januscloud/messages"
)

// An edge that a new owner cannot hear when it takes over, since a route of NATS stands still, tells later which connection the
// session has; what the client is to be told waits until then.
func TestEdgeTellsLate(t *testing.T) {
	c := newCluster(t)
	media := c.server("media-a")
	first := c.node("node-1", nil)
	waitServers(t, first, 1)
	k := c.client()
	s := k.create()
	h := k.attach(s)
	k.ask(s, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, s, h)
	second := c.node("node-2", nil)
	waitServers(t, second, 1)
	k.hears(t, "m")
	k.deafen(true)
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.ask(s, `{"janus":"keepalive","transaction":"k","session_id":%d}`, s)
	media.sayNumbered(messages.SessionEvent, s, h, 101)
	k.deafen(false)
	k.hears(t, "101")
}
