// SPDX-License-Identifier: Apache-2.0

package actors

import (
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
