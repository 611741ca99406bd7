// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/roster"
)

// place asks the placer for a media server for a handle; the answer, placed, goes to the session.
type place struct {
	session *actor.PID
	handle  uint64
	plugin  string
	not     []messages.Member // servers that were tried in vain
}

// placed is the placer's answer: a server and why it was chosen, or an error for the client.
type placed struct {
	handle uint64
	server messages.Member
	reason string
	err    *messages.Error
}

const (
	// loadStep is the difference of load that counts: below it the number of handles decides.
	loadStep = 0.1
	// beatWindow is how long a choice of ours is added to the number of handles that a server's heartbeats tell: until a
	// beat can have counted it.
	beatWindow = 3 * messages.BeatInterval
	// loadWindow is how long it is added to the server's load, which is smoothed over some seconds: without that, all of a
	// burst would go to the machine that was idle a moment ago.
	loadWindow = 3 * time.Second
	// handleLoad is the load that such a choice stands for: twenty make a step.
	handleLoad = loadStep / 20
)

// candidate is a media server that could take a handle.
type candidate struct {
	member  messages.Member
	load    float64
	handles int // as of its last beat, and what was given to it since
	room    int // handles up to its cap
	beside  bool
}

// weight orders candidates: by steps of load, then by handles.
func (c candidate) weight() (step, handles int) { return int(math.Round(c.load / loadStep)), c.handles }

func (c candidate) lighter(o candidate) bool {
	cs, ch := c.weight()
	os, oh := o.weight()
	switch {
	case cs != os:
		return cs < os
	case ch != oh:
		return ch < oh
	}
	return c.beside && !o.beside
}

func (c candidate) String() string { return fmt.Sprintf("load %.2f, %d handles", c.load, c.handles) }

// choose picks the lighter of two candidates drawn at random: nearly as even as picking the lightest of all, without
// sending everybody to the same server until its next heartbeat (M. Mitzenmacher, The Power of Two Choices, 2001).
// There must be at least one candidate.
func choose(candidates []candidate, r *rand.Rand) (candidate, string) {
	if len(candidates) == 1 {
		return candidates[0], "the only server with the plugin (" + candidates[0].String() + ")"
	}
	i := r.IntN(len(candidates))
	j := r.IntN(len(candidates) - 1)
	if j >= i {
		j++
	}
	a, b := candidates[i], candidates[j]
	if b.lighter(a) {
		a, b = b, a
	}
	return a, fmt.Sprintf("lighter of two of %d: %v; %s has %v", len(candidates), a, b.member.Name, b)
}

// placer is the actor that chooses media servers. It remembers what it gave to whom since the last heartbeats, so that
// a burst of attaches does not all go to the server that was idle a moment ago.
type placer struct {
	node   *Node
	rand   *rand.Rand
	recent map[messages.Member][]time.Time // of choices younger than loadWindow, in order
}

func newPlacer(n *Node) *placer {
	return &placer{node: n, rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), recent: map[messages.Member][]time.Time{}}
}

// Receive handles place.
func (p *placer) Receive(ctx actor.Context) {
	ask, ok := ctx.Message().(place)
	if !ok {
		return
	}
	now := time.Now()
	view := p.node.Roster.View()
	candidates := p.candidates(view, ask, now)
	if len(candidates) == 0 {
		ctx.Send(ask.session, placed{handle: ask.handle, err: refusal(view, ask.plugin)})
		return
	}
	c, reason := choose(candidates, p.rand)
	p.recent[c.member] = append(p.recent[c.member], now)
	p.node.metrics.placements.WithLabelValues(c.member.Name).Inc()
	ctx.Send(ask.session, placed{handle: ask.handle, server: c.member, reason: reason})
}

func (p *placer) candidates(v *roster.View, ask place, now time.Time) []candidate {
	var list []candidate
	nodes := max(1, len(v.Nodes())) // the others choose as much as we do
	loads := machineLoads(v)
	for _, peer := range v.Media() {
		m := peer.Beat.Media
		if !peer.Takes() || !m.Serves() || slices.Contains(ask.not, peer.Beat.Member) {
			continue
		}
		if _, has := m.Plugins[ask.plugin]; !has {
			continue
		}
		uncounted, unfelt := p.given(peer.Beat.Member, now)
		c := candidate{
			member: peer.Beat.Member, room: math.MaxInt,
			load:    loads[peer.Beat.Host] + float64(unfelt*nodes)*handleLoad,
			handles: m.Handles + uncounted*nodes,
			beside:  peer.Beat.Host == p.node.host,
		}
		if m.MaxHandles > 0 {
			c.room = m.MaxHandles - c.handles
		}
		if c.room > 0 {
			list = append(list, c)
		}
	}
	return list
}

// machineLoads is the load of each machine: servers on one machine measure the same load, a moment apart, and must not
// look different for it.
func machineLoads(v *roster.View) map[string]float64 {
	sum, count := map[string]float64{}, map[string]float64{}
	for _, peer := range v.Media() {
		if !peer.Silent {
			sum[peer.Beat.Host] += peer.Beat.Load
			count[peer.Beat.Host]++
		}
	}
	for host := range sum {
		sum[host] /= count[host]
	}
	return sum
}

// given counts our choices of a server that the number of handles in its heartbeats may not show yet, and those that its
// load may not.
func (p *placer) given(m messages.Member, now time.Time) (uncounted, unfelt int) {
	young := p.recent[m]
	for len(young) > 0 && now.Sub(young[0]) > loadWindow {
		young = young[1:]
	}
	if p.recent[m] = young; len(young) == 0 {
		delete(p.recent, m)
	}
	for i := len(young) - 1; i >= 0 && now.Sub(young[i]) <= beatWindow; i-- {
		uncounted++
	}
	return uncounted, len(young)
}

// refusal says why no server could be chosen.
func refusal(v *roster.View, plugin string) *messages.Error {
	var silent, down, without, full int
	for _, peer := range v.Media() {
		m := peer.Beat.Media
		_, has := m.Plugins[plugin]
		switch {
		case !peer.Takes():
			silent++
		case !m.Serves():
			down++
		case !has:
			without++
		default:
			full++
		}
	}
	return messages.Errorf(messages.CodePluginAttach,
		"No media server can take a handle of %s now (%d silent or draining, %d with Janus down, %d without the plugin, %d full or failing)",
		plugin, silent, down, without, full)
}

// knowsPlugin reports whether any media server of the cluster, up or not, offers the plugin; known is false when no
// media server was ever heard, so that nothing can be said.
func knowsPlugin(v *roster.View, plugin string) (has, known bool) {
	for _, peer := range v.Media() {
		if len(peer.Beat.Media.Plugins) > 0 {
			known = true
		}
		if _, ok := peer.Beat.Media.Plugins[plugin]; ok {
			return true, true
		}
	}
	return false, known
}
