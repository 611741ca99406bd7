// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
)

// TestOutages does to one cluster, one after the other, what happens to clusters: session nodes that freeze and wake, or are all
// restarted at once.
func TestOutages(t *testing.T) {
	c := startCluster(t, clusterShape{
		nats: 3, edges: 2, nodes: 3, janus: 2, sessionFlags: []string{"--session-timeout", "10s"},
	})
	t.Run("frozen", c.testFrozenNode)
	t.Run("restarted", c.testAllNodesRestarted)
}

// testFrozenNode freezes a session node for so long that it is held for dead, and wakes it.
func (c *testCluster) testFrozenNode(t *testing.T) {
	frozen := c.nodes[0]
	c.endure(t, ordeal{name: "frozen", clients: 60, pause: pauseLimit, happens: func() {
		frozen.Freeze()
		rest(faultTime(t, "E2E_FROZEN", 8*time.Second))
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
