// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
)

// frozenTime is how long a process is kept from running: long enough to be held for dead.
const frozenTime = 800 * time.Millisecond

// TestFreeze keeps each kind of process from running for a while, as a busy host does, where there is no other to step in.
// Clients wait, and miss nothing: what a media server said meanwhile is said once, so it must not be dropped by a node that
// wakes and does not know yet whether it is still the owner.
func TestFreeze(t *testing.T) {
	c := startCluster(t, clusterShape{nats: 1, edges: 1, nodes: 1, janus: 1})
	for name, victim := range map[string]*lab.RoleProcess{"node": c.nodes[0], "media": c.media[0], "edge": c.edges[0]} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t, 2*time.Minute)
			callers := c.connect(ctx, t, name, 40)
			each(t, callers, func(_ int, k *caller) error { return k.say(ctx) })
			c.askWhile(ctx, t, callers, func() {
				victim.Freeze()
				<-time.After(frozenTime) // the time itself is what is tested
				victim.Thaw()
			})
			each(t, callers, func(_ int, k *caller) error { return k.say(ctx) })
			each(t, callers, func(_ int, k *caller) error { return k.checkAll() })
			each(t, callers, func(_ int, k *caller) error { return k.Destroy(ctx, k.session) })
			each(t, callers, func(_ int, k *caller) error { return k.Close() })
		})
	}
}
