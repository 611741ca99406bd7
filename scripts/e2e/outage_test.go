// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/januscloud/januscloud/messages/bus/bustest"
	"github.com/januscloud/januscloud/scripts/lab"
)

// TestOutages does to one cluster, one after the other, what happens to clusters: session nodes that freeze and wake, or are all
// restarted at once; NATS servers that are cut off, die, freeze, or are all gone for a while. Each time the sessions of the clients
// end while JetStream may have no leader yet, and leave no record.
func TestOutages(t *testing.T) {
	c := startCluster(t, clusterShape{
		nats: 3, edges: 2, nodes: 3, janus: 2, severable: true, sessionFlags: []string{"--session-timeout", "10s"},
	})
	t.Run("frozen", c.testFrozenNode)
	t.Run("restarted", c.testAllNodesRestarted)
	t.Run("cut", func(t *testing.T) { c.testCutRoutes(t, "cut", (*bustest.Proxy).Cut) })
	t.Run("stalled", func(t *testing.T) { c.testCutRoutes(t, "stalled", (*bustest.Proxy).Freeze) })
	t.Run("server killed", func(t *testing.T) {
		c.testNATSServer(t, "killed", (*lab.NATSServer).Kill, (*lab.NATSServer).Restart)
	})
	t.Run("server frozen", func(t *testing.T) {
		c.testNATSServer(t, "frozen", func(s *lab.NATSServer) {
			s.Freeze()
			rest(4 * time.Second)
			s.Thaw()
		}, func(*lab.NATSServer) {})
	})
	t.Run("host killed", c.testHostKilled)
	t.Run("NATS gone", c.testNATSGone)
	t.Run("stores lost", c.testStoresLost)
}

// testFrozenNode freezes a session node for so long that it is held for dead, and wakes it.
func (c *testCluster) testFrozenNode(t *testing.T) {
	frozen := c.nodes[0]
	c.endure(t, ordeal{name: "frozen", clients: 60, pause: pauseLimit, happens: func() {
		frozen.Freeze()
		rest(faultTime(t, "E2E_FROZEN", 5*time.Second))
		frozen.Thaw()
	}})
	c.waitStatus(t, "/readyz", 200, 10*time.Second)
	lab.WaitFor(t, 10*time.Second, func() string {
		if all, err := metrics(frozen); err != nil || all["januscloud_session_partitions"] == 0 {
			return "the woken node owns nothing"
		}
		return ""
	})
}

// testAllNodesRestarted kills all session nodes at once and starts them again.
func (c *testCluster) testAllNodesRestarted(t *testing.T) {
	_, before := c.epochs(t)
	c.endure(t, ordeal{name: "restarted", clients: 60, pause: 15 * time.Second, happens: func() { restartAll(c.nodes) }})
	if after, _ := c.epochs(t); after <= before {
		t.Errorf("a partition is owned by epoch %d, and %d was reached before the restart", after, before)
	}
}

// testCutRoutes cuts one NATS server off, with an edge and whoever else is connected to it.
func (c *testCluster) testCutRoutes(t *testing.T, name string, cut func(*bustest.Proxy)) {
	at := c.serverOf(t, "edge-2")
	c.endure(t, ordeal{name: name, clients: 60, happens: func() {
		c.nats.Isolate(at, cut)
		rest(5 * time.Second)
		c.nats.Heal()
	}})
	c.nats.WaitReady(t)
}

// testNATSServer breaks the NATS server of an edge, and mends what is left broken when the sessions of the clients have ended.
func (c *testCluster) testNATSServer(t *testing.T, broken string, breaks, mends func(*lab.NATSServer)) {
	at := c.nats.Servers[c.serverOf(t, "edge-1")]
	c.endure(t, ordeal{name: "NATS server " + broken, clients: 60, pause: 2 * pauseLimit, happens: func() { breaks(at) }})
	mends(at)
	c.nats.WaitReady(t)
}

// testHostKilled kills the NATS server that leads the stream of the records, and a session node, at once.
func (c *testCluster) testHostKilled(t *testing.T) {
	leader := c.recordsLeader(t)
	node := c.nodes[0]
	c.endure(t, ordeal{name: "host killed", clients: 60, pause: 2 * pauseLimit, happens: func() {
		leader.Kill()
		node.Kill()
	}})
	leader.Restart()
	node.Restart()
	c.nats.WaitReady(t)
}

// testNATSGone stops all NATS servers for a while.
func (c *testCluster) testNATSGone(t *testing.T) {
	gone := faultTime(t, "E2E_NATS_GONE", 15*time.Second)
	ctx := within(t, 20*time.Minute)
	idle := c.connect(ctx, t, "idle", 20) // their time-out would pass during the outage
	c.endure(t, ordeal{name: "NATS gone", clients: 60, refused: gone > 25*time.Second, happens: func() {
		c.withoutNATS(t, gone, false)
		each(t, idle, func(_ int, k *caller) error { return k.Keepalive(ctx, k.session) })
	}, idle: len(idle)})
	each(t, idle, func(_ int, k *caller) error { return k.say(ctx) })
	each(t, idle, func(_ int, k *caller) error { return k.Destroy(ctx, k.session) })
	c.nats.WaitReady(t)
}

// testStoresLost stops all NATS servers, which forget everything.
func (c *testCluster) testStoresLost(t *testing.T) {
	c.endure(t, ordeal{name: "stores lost", clients: 60, happens: func() { c.withoutNATS(t, 2*time.Second, true) }, then: func(callers []*caller) {
		const each = 3 // records: of the session and of two handles
		lab.WaitFor(t, 20*time.Second, func() string {
			keys, err := c.records(within(t, 5*time.Second))
			if err != nil || len(keys) != each*len(callers) {
				return fmt.Sprintf("%d records are stored (%v), want %d", len(keys), err, each*len(callers))
			}
			return ""
		})
	}})
	c.nats.WaitReady(t)
}

// withoutNATS stops all NATS servers for a while, with or without what they have stored.
func (c *testCluster) withoutNATS(t *testing.T, gone time.Duration, forget bool) {
	for _, s := range c.nats.Servers {
		s.Kill()
		if forget {
			s.Clear()
		}
	}
	c.waitStatus(t, "/readyz", 503, 5*time.Second)
	rest(gone)
	c.waitStatus(t, "/healthz", 200, time.Second)
	start := time.Now()
	for _, s := range c.nats.Servers {
		s.Restart()
	}
	c.waitStatus(t, "/readyz", 200, 30*time.Second)
	t.Logf("all roles are ready %v after the start of NATS", time.Since(start).Round(time.Millisecond))
}

// serverOf is the number of the NATS server that a role is connected to.
func (c *testCluster) serverOf(t *testing.T, role string) int {
	t.Helper()
	for i, s := range c.nats.Servers {
		names, err := s.Clients()
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(names, role) {
			t.Logf("%s is connected to %s, with %v", role, s.Name, names)
			return i
		}
	}
	t.Fatalf("%s is connected to no NATS server", role)
	return 0
}

// recordsLeader is the NATS server that leads the stream of the records.
func (c *testCluster) recordsLeader(t *testing.T) *lab.NATSServer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := nats.Connect(c.nats.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, "KV_januscloud_sessions")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range c.nats.Servers {
		if s.Name == info.Cluster.Leader {
			return s
		}
	}
	t.Fatalf("the records are led by %q", info.Cluster.Leader)
	return nil
}
