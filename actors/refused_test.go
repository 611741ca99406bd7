// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"testing"
	"time"

	"github.com/januscloud/januscloud/messages"
)

// Who is refused first listens for the owner with the greater epoch, and yields to it: a node that was cut off until now would rob it
// else. Only when nobody announces that epoch the node goes on with the next one.
func TestRefusedListensFirst(t *testing.T) {
	c := newCluster(t)
	n := c.node("node-a", nil)
	rival := c.fakeNode("node-b")
	const alone, robbed = 5, 6
	k := newKeeper(n, nil)
	ours := messages.Epoch{}.Next("node-a", time.Now())
	greater := messages.Epoch{}.Next("node-b", time.Now().Add(time.Second))
	for _, p := range []int{alone, robbed} {
		k.owned[p], k.parts[p] = ours, n.acknowledger // which takes no notice
		k.onRefused(partitionRefused{p, greater})
	}
	k.raiseRefused(time.Now())
	if k.owned[alone] != ours || k.owned[robbed] != ours {
		t.Fatal("raised at once")
	}
	var set messages.PartitionSet
	set.Add(robbed)
	rival.own(set)
	waitFor(t, func() string {
		if o, _ := n.Roster.View().Owner(robbed); o.Node != rival.member {
			return "the rival is not heard"
		}
		return ""
	})
	k.raiseRefused(time.Now().Add(refusedTime))
	if !greater.Less(k.owned[alone]) {
		t.Error("not raised, though nobody else is heard")
	}
	if epoch, owned := k.owned[robbed]; owned {
		t.Errorf("owned by %v still", epoch)
	}
}
