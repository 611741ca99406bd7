// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"encoding/json"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/roster"
)

// Partitions change hands in order when a node drains or stops, and, empty ones, when a node has joined. The owner stops acting and
// holds what comes (yielding), and offers them; the next owner takes them as from the dead, with a greater epoch. All that a
// session is made of is found where it lies anyway, at the ends and in the records: so nothing is sent along, and the planned way
// is the one that was tried with every death. What it saves is the silence before, and it takes the partitions a slice after the
// other, so that the pause in each is short.

const (
	// handSlice is how many partitions a node that drains gives away at once: enough to be quick, few enough for the next owner to
	// find out in a moment what is in them.
	handSlice = 128
	// offerTime is how long partitions stay on offer before their owner serves them again.
	offerTime = time.Second
	// handOverTime bounds how long a node that stops gives its partitions away.
	handOverTime = 4 * time.Second
)

type (
	yield struct { // to a partition: hold what comes, and say that it may be given away
		to  messages.Member
		all bool // with the sessions in it; else only if there are none
	}
	yielded struct { // to the keeper: that is so; or not (zero)
		index int
		to    messages.Member
	}
	resume   struct{} // nobody took what was offered
	handOver struct { // to the keeper: close done when nothing is left to be given away, or nobody to take it
		done chan struct{}
	}
)

// offered is a partition that waits to be taken.
type offered struct {
	to    messages.Member
	since time.Time
}

// onDrain heeds an order to drain, or to take work again. A node that drains gives all its partitions away, but not where there
// is nobody to take them; one that drains no more gets those that are empty and fall to it.
func (k *keeper) onDrain(m *bus.Msg) {
	answer := messages.AnswerDrain(m.Data, func(order messages.DrainOrder) (messages.State, error) {
		next, changed, err := order.Apply(&k.node.state)
		if changed {
			k.node.Log.Info("session node told to drain, or not to", "state", next)
			k.node.beater.Now()
		}
		return next, err
	})
	if m.Reply != "" && k.node.Bus.Publish(m.Reply, "", answer) != nil {
		k.node.metrics.dropped.WithLabelValues("disconnected").Inc()
	}
}

// Drain gives the partitions to the other nodes, where there are any, before the node is stopped. A node without sessions has
// nothing that would be missed for a moment: its partitions are taken when it leaves. It returns when that is done, or ctx ends,
// or handOverTime has passed.
func (n *Node) Drain(ctx context.Context) {
	if n.sessions.Load()+n.remains.Load() == 0 || !n.state.CompareAndSwap(messages.StateReady, messages.StateDraining) && n.state.Load() != messages.StateDraining {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, handOverTime)
	defer cancel()
	n.beater.Now()
	done := make(chan struct{})
	n.tell(n.keeper, handOver{done})
	select {
	case <-done:
	case <-ctx.Done():
		n.Log.Warn("not all partitions were given away in time")
	}
}

func (k *keeper) onHandOver(m handOver) {
	k.handedOver = m.done
	k.review()
}

// maybeHandedOver tells who waits that nothing is left to be given away, and all is served by others, or that there is nobody to give
// it to. Until it is served, those who take it may ask the media role beside this node what it said last.
func (k *keeper) maybeHandedOver(v *roster.View) {
	if k.handedOver == nil {
		return
	}
	for _, p := range v.Nodes() {
		if len(k.owned)+len(k.passing) > 0 && p.Takes() && p.Beat.Member != k.node.member && k.node.Bus.Connected() {
			return
		}
	}
	close(k.handedOver)
	k.handedOver = nil
}

// offer gives partitions to the nodes that they fall to: empty ones, so that newcomers get their share, and all, a slice after
// the other, while this node drains.
func (k *keeper) offer(v *roster.View) {
	now := time.Now()
	for p, o := range k.offered {
		if heir, heard := v.Find(messages.RoleSession, o.to.Name); !heard || !heir.Takes() || now.Sub(o.since) > offerTime {
			delete(k.offered, p)
			k.node.tell(k.parts[p], resume{})
		}
	}
	for to, since := range k.passing {
		if now.Sub(since) > offerTime {
			delete(k.passing, to)
		}
	}
	if len(k.takeovers)+len(k.asked)+len(k.offered)+len(k.passing) > 0 {
		return
	}
	all := k.node.state.Load() == messages.StateDraining
	for p := range k.owned {
		if all && len(k.asked) == handSlice {
			return
		}
		if peer, ok := v.Find(messages.RoleSession, k.heirs[p]); ok && peer.Takes() && k.heirs[p] != k.node.Name {
			k.asked[p] = true
			k.node.tell(k.parts[p], yield{peer.Beat.Member, all})
		}
	}
}

// onYielded notes that a partition may be offered, or not now; when all that were asked have said so, they are.
func (k *keeper) onYielded(m yielded) {
	if !k.asked[m.index] {
		return
	}
	delete(k.asked, m.index)
	if _, ours := k.owned[m.index]; ours && !m.to.IsZero() {
		set := k.offers[m.to]
		set.Add(m.index)
		k.offers[m.to] = set
		k.offered[m.index] = offered{m.to, time.Now()}
	}
	if len(k.asked) == 0 {
		k.sendOffers()
	}
}

func (k *keeper) sendOffers() {
	for to, set := range k.offers {
		delete(k.offers, to)
		k.passing[to] = time.Now()
		data, err := json.Marshal(messages.Yield{From: k.node.member, Partitions: set})
		if err == nil {
			err = k.node.Bus.Publish(messages.NodeYield(to), "", data)
		}
		if err != nil {
			k.node.Log.Warn("offer not sent", "to", to.String(), "error", err)
		}
	}
}

// onOffer takes what another node offers, unless this one is about to leave.
func (k *keeper) onOffer(data []byte) {
	var y messages.Yield
	if err := json.Unmarshal(data, &y); err != nil {
		k.node.Log.Warn("offer not understood", "error", err)
		return
	}
	if k.node.state.Load() == messages.StateReady {
		k.takeAll(k.without(y.Partitions), y.From)
	}
}

// tellFormer tells who offered partitions that they are served again: it may offer more.
func (k *keeper) tellFormer(t *takeover) {
	if t.former.IsZero() {
		return
	}
	data, err := json.Marshal(messages.Yield{From: k.node.member, Partitions: t.set})
	if err != nil || k.node.Bus.Publish(messages.NodeTaken(t.former), "", data) != nil {
		k.node.metrics.dropped.WithLabelValues("disconnected").Inc() // it will offer more all the same
	}
}

// onTaken hears that partitions are served again.
func (k *keeper) onTaken(data []byte) {
	var y messages.Yield
	if err := json.Unmarshal(data, &y); err != nil {
		k.node.Log.Warn("take-over not understood", "error", err)
		return
	}
	delete(k.passing, y.From)
	k.review()
}

// yield stops acting for the partition, so that it may be given away: with all that is in it, but not while records are there that
// the next owner would take for a session.
func (p *partition) yield(m yield) {
	if p.state != serving || p.unread || p.dozing || len(p.remains) > 0 || !m.all && len(p.sessions) > 0 {
		p.node.tell(p.node.keeper, yielded{index: p.index})
		return
	}
	p.state = yielding
	p.node.tell(p.node.keeper, yielded{p.index, m.to})
}

// resume goes on: nobody took the partition.
func (p *partition) resume() {
	if p.state == yielding {
		p.state = serving
		p.letIn(time.Now())
	}
}

// passOn tells the next owner what came for it while the partition was on offer, where nobody would repeat it soon. Edges repeat
// requests at once when they hear of the new owner, in their order, which must not be disturbed; media servers tell it again what
// they said.
func (p *partition) passOn(held []*bus.Msg) {
	for _, m := range held {
		again := messages.IsRoomSubject(m.Subject)
		if subject, err := messages.ParseSessionSubject(m.Subject); err == nil {
			again = subject.Kind == messages.SessionPeer || subject.Kind == messages.SessionAdmin
		}
		if again {
			_ = p.node.Bus.Publish(m.Subject, m.Reply, m.Data) // whoever asked asks again
		}
	}
}
