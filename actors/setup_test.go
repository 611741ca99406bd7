// SPDX-License-Identifier: Apache-2.0

package actors

import "testing"

// oneSession is a cluster of one node, and a session that a client has there.
func oneSession(t *testing.T) (c *cluster, n *Node, k *client, session uint64) {
	t.Helper()
	c = newCluster(t)
	k = c.client()
	n = c.node("node-a", nil)
	return c, n, k, k.create()
}

// conversation is a cluster of one node and one media server, where a client's only handle is bound: its message "m" was acknowledged, and
// the event with the answer is there or under way.
type conversation struct {
	c               *cluster
	media           *server
	node            *Node
	k               *client
	session, handle uint64
}

func converse(t *testing.T) *conversation {
	t.Helper()
	c := newCluster(t)
	x := &conversation{c: c, media: c.server("media-a"), node: c.node("node-1", nil)}
	waitServers(t, x.node, 1)
	x.k = c.client()
	x.session = x.k.create()
	x.handle = x.k.attach(x.session)
	x.k.ask(x.session, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, x.session, x.handle)
	return x
}
