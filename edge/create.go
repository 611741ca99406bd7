// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/roster"
)

const (
	// loadStep is the difference of load that counts; below it the number of sessions decides.
	loadStep = 0.1
	// createLoad is the load that a session just given to a node stands for until the node's heartbeats can show it: a
	// burst of a hundred counts as one step.
	createLoad = loadStep / 100
	// tallySlots beats must pass until a heartbeat has surely counted what a node was given.
	tallySlots = 3
)

// chooser draws the ids of new sessions, in partitions of the session nodes with the least to do.
type chooser struct {
	view  func() *roster.View
	owned atomic.Pointer[map[messages.Member][]int]

	mu    sync.Mutex // for a few additions
	given map[messages.Member]*tally
}

// tally counts what a node was given in each of the last beats.
type tally struct {
	beat  int64 // of slots[beat % tallySlots]
	slots [tallySlots]int
}

// node is a session node that could take a session.
type node struct {
	member     messages.Member
	load       float64
	sessions   int // as of its last beat, and what it was given since
	partitions []int
}

func newChooser(view func() *roster.View) *chooser {
	ch := &chooser{view: view, given: make(map[messages.Member]*tally)}
	ch.owned.Store(&map[messages.Member][]int{})
	return ch
}

// update takes note of who owns what.
func (ch *chooser) update(v *roster.View) {
	owned := make(map[messages.Member][]int)
	for p := range messages.Partitions {
		if o, ok := v.Owner(p); ok {
			owned[o.Node] = append(owned[o.Node], p)
		}
	}
	ch.owned.Store(&owned)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for m := range ch.given {
		if owned[m] == nil {
			delete(ch.given, m)
		}
	}
}

// draw returns a new session id. While no node takes sessions it is in any partition: whoever takes that one over serves it.
func (ch *chooser) draw() uint64 {
	nodes := ch.nodes(time.Now())
	if len(nodes) == 0 {
		return messages.NewSessionID(rand.IntN(messages.Partitions))
	}
	n := lighterOfTwo(nodes)
	ch.give(n.member, time.Now())
	return messages.NewSessionID(n.partitions[rand.IntN(len(n.partitions))])
}

// nodes are those that take new sessions.
func (ch *chooser) nodes(now time.Time) []node {
	owned := *ch.owned.Load()
	var nodes []node
	peers := ch.view().Nodes()
	loads := machineLoads(peers)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for _, p := range peers {
		partitions := owned[p.Beat.Member]
		if !p.Takes() || len(partitions) == 0 {
			continue
		}
		n := node{member: p.Beat.Member, load: p.Beat.Load, sessions: p.Beat.Session.Sessions, partitions: partitions}
		if load, known := loads[p.Beat.Host]; known {
			n.load = load
		}
		if t := ch.given[n.member]; t != nil {
			recent := t.sum(now)
			n.load += float64(recent) * createLoad
			n.sessions += recent
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// machineLoads is the load of each machine that nodes name. Nodes on one machine measure the same load, but smooth it from their
// start on: for seconds after it one of them can look busy, and all new sessions would go to the others.
func machineLoads(peers []roster.Peer) map[string]float64 {
	loads, count := make(map[string]float64), make(map[string]float64)
	for _, p := range peers {
		if !p.Silent && p.Beat.Host != "" {
			loads[p.Beat.Host] += p.Beat.Load
			count[p.Beat.Host]++
		}
	}
	for host := range loads {
		loads[host] /= count[host]
	}
	return loads
}

func (ch *chooser) give(m messages.Member, now time.Time) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	t := ch.given[m]
	if t == nil {
		t = new(tally)
		ch.given[m] = t
	}
	t.sum(now)
	t.slots[t.beat%tallySlots]++
}

// sum moves the tally to the present beat and returns what it counts.
func (t *tally) sum(now time.Time) (n int) {
	beat := now.UnixNano() / int64(messages.BeatInterval)
	if beat < t.beat || beat-t.beat >= tallySlots { // the clock was set back, or all is long ago
		*t = tally{beat: beat}
	}
	for t.beat < beat {
		t.beat++
		t.slots[t.beat%tallySlots] = 0
	}
	for _, slot := range t.slots {
		n += slot
	}
	return n
}

// lighterOfTwo picks the lighter of two nodes drawn at random: nearly as even as picking the lightest of all, without all
// edges rushing to the same one (M. Mitzenmacher, The Power of Two Choices, 2001). There must be one at least.
func lighterOfTwo(nodes []node) node {
	if len(nodes) == 1 {
		return nodes[0]
	}
	i, j := rand.IntN(len(nodes)), rand.IntN(len(nodes)-1)
	if j >= i {
		j++
	}
	a, b := nodes[i], nodes[j]
	switch sa, sb := a.step(), b.step(); {
	case sb < sa, sb == sa && b.sessions < a.sessions:
		return b
	}
	return a
}

func (n node) step() int { return int(math.Round(n.load / loadStep)) }
