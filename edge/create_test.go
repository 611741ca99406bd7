// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/scripts/lab"
)

// TestLighterOfTwo are pairs of nodes, of which one must always be chosen.
func TestLighterOfTwo(t *testing.T) {
	for name, x := range map[string]struct{ light, heavy node }{
		"by load":           {node{load: 0.2, sessions: 100}, node{load: 0.5, sessions: 1}},
		"by sessions":       {node{load: 0.5, sessions: 1}, node{load: 0.5, sessions: 2}},
		"by sessions still": {node{load: 0.52, sessions: 1}, node{load: 0.48, sessions: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			x.light.member.Name = "light"
			for range 50 {
				for _, pair := range [][]node{{x.light, x.heavy}, {x.heavy, x.light}} {
					if got := lighterOfTwo(pair); got.member.Name != "light" {
						t.Fatalf("chose %+v", got)
					}
				}
			}
		})
	}
}

// TestMachineLoads: the nodes of one machine look equally busy, whatever each has measured so far.
func TestMachineLoads(t *testing.T) {
	peer := func(host string, load float64, silent bool) roster.Peer {
		return roster.Peer{Beat: messages.Beat{Host: host, Load: load}, Silent: silent}
	}
	loads := machineLoads([]roster.Peer{
		peer("one", 0.25, false), peer("one", 0.75, false), peer("two", 0.1, false), peer("two", 0.9, true), peer("", 0.3, false),
	})
	if len(loads) != 2 || loads["one"] != 0.5 || loads["two"] != 0.1 {
		t.Errorf("loads %v", loads)
	}
}

// TestTally counts what was given until heartbeats tell of it.
func TestTally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := newChooser(nil)
		m := messages.Member{Name: "n1", Inc: "1"}
		for range 3 {
			ch.give(m, time.Now())
			time.Sleep(messages.BeatInterval)
		}
		expect(t, "counted after three beats", ch.given[m].sum(time.Now()), 2)
		time.Sleep(messages.BeatInterval)
		expect(t, "counted after four beats", ch.given[m].sum(time.Now()), 1)
		time.Sleep(time.Hour)
		expect(t, "counted after an hour", ch.given[m].sum(time.Now()), 0)
	})
}

// TestDraw draws sessions where nodes are: in the partitions of the idle one, and evenly among equals.
func TestDraw(t *testing.T) {
	server := startNATS(t)
	e := startEdge(t, server, nil)
	if id := e.draw(); id == 0 || id > messages.MaxID {
		t.Errorf("drew %d without a node", id)
	}
	var halves [2]messages.PartitionSet
	for p := range messages.Partitions {
		halves[p%2].Add(p)
	}
	var nodes [2]*owner
	for i, name := range []string{"n0", "n1"} {
		nodes[i] = startOwner(t, connect(t, server), name, halves[i], obliging)
	}
	waitNodes := func(check func([]roster.Peer) bool) {
		t.Helper()
		lab.WaitFor(t, patience, func() string {
			_, owned := e.opts.Roster.View().Owner(1)
			peers := e.opts.Roster.View().Nodes()
			return unless(owned && len(*e.chooser.owned.Load()) == 2 && len(peers) == 2 && check(peers), "nodes not heard so")
		})
	}
	waitNodes(func([]roster.Peer) bool { return true })
	const draws = 400
	count := func() (odd int) {
		for range draws {
			odd += messages.PartitionOf(e.draw()) % 2
		}
		return odd
	}
	if odd := count(); odd < draws*4/10 || odd > draws*6/10 {
		t.Errorf("%d of %d on one of two equal nodes", odd, draws)
	}
	nodes[0].mu.Lock()
	nodes[0].load = 0.9
	nodes[0].mu.Unlock()
	waitNodes(func(p []roster.Peer) bool { return p[0].Beat.Load == 0.9 })
	lab.WaitFor(t, patience, func() string { // what was given before is forgotten
		now := time.Now()
		for _, n := range e.chooser.nodes(now) {
			if n.sessions > 0 {
				return "still counted"
			}
		}
		return ""
	})
	if odd := count(); odd != draws {
		t.Errorf("%d of %d on the idle one of two nodes", odd, draws)
	}
}
