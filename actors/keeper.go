// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// joinTime is how long a new node only listens: three beats, so that it has heard everybody who lives.
	joinTime = 3*messages.BeatInterval + messages.BeatInterval/2
	// proveTime is how long JetStream may take to accept a write that proves something.
	proveTime = time.Second
)

type (
	viewChanged      struct{ view *roster.View }
	keeperTick       struct{}
	leave            struct{ done chan struct{} }
	partitionRefused struct {
		index int
		epoch messages.Epoch
	}
	proven struct {
		asked time.Time
		err   error
	}
)

// keeper is the actor that decides which partitions this node owns. It follows the heartbeats; the rules are those of
// "Ownership" in the description of the wire.
type keeper struct {
	node   *Node
	self   *actor.PID
	joined chan struct{} // closed when the node serves; nil afterwards

	parts      [messages.Partitions]*actor.PID // nil: never owned
	owned      map[int]messages.Epoch
	refused    map[int]honoured // owned partitions for which somebody honours a greater epoch
	takeovers  map[string]*takeover
	asked      map[int]bool                              // to yield
	offers     map[messages.Member]messages.PartitionSet // ready to be offered
	offered    map[int]offered
	passing    map[messages.Member]time.Time // who has taken what was offered, and does not serve it yet: since when it is on offer
	handedOver chan struct{}                 // closed when nothing is left to be given away; nil: nobody waits for that
	edges      map[messages.Member]bool      // heard
	owing      map[messages.Member]time.Time // edges that have not told which transports they have, and when they were asked
	media      []mediaSeen                   // heard

	heirs  *heirs
	takers []string // that heirs was computed for

	proving bool
	made    time.Time // when the stream of the records was made
	opening bool      // it is looked whether that is still so
	tick    wheel.Timer
	left    bool
}

func newKeeper(n *Node, joined chan struct{}) *keeper {
	return &keeper{
		node: n, made: n.store.made, joined: joined, owned: map[int]messages.Epoch{}, refused: map[int]honoured{}, takeovers: map[string]*takeover{},
		offers: map[messages.Member]messages.PartitionSet{}, offered: map[int]offered{}, asked: map[int]bool{}, passing: map[messages.Member]time.Time{}, edges: map[messages.Member]bool{},
		owing: map[messages.Member]time.Time{},
	}
}

// Receive handles one message; see the types for who sends them.
func (k *keeper) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		k.self = ctx.Self()
	case viewChanged:
		k.review()
	case keeperTick:
		k.node.Wheel.Arm(&k.tick, messages.BeatInterval, func() { k.node.tell(k.self, keeperTick{}) })
		k.review()
		k.raiseRefused(time.Now())
		k.askOwing(time.Now())
	case *bus.Msg:
		k.control(m)
	case recordsRead:
		k.onRecords(m)
	case takeoverDue:
		k.onTakeoverDue(m)
	case yielded:
		k.onYielded(m)
	case handOver:
		k.onHandOver(m)
	case partitionRefused:
		k.onRefused(m)
	case proven:
		k.onProven(m)
	case busBack:
		k.onBusBack()
	case storeOpened:
		k.onStoreOpened(m)
	case ruleChanged:
		k.tellParts(m)
	case messageDone:
		k.node.answerAdmin(m.to, m.answer)
	case leave:
		k.leave()
		close(m.done)
	}
}

// control handles what arrives on the node's own subject: answers to asks, and offers of partitions.
func (k *keeper) control(m *bus.Msg) {
	what, rest, _ := strings.Cut(strings.TrimPrefix(m.Subject, messages.NodePrefix(k.node.member)+"."), ".")
	if m.NoResponders {
		k.onNoResponders(rest)
		return
	}
	switch what {
	case "answer":
		k.onAnswer(rest, m.Data)
	case "admin":
		k.admin(m)
	case "written":
		k.written(m)
	case "yield":
		k.onOffer(m.Data)
	case "taken":
		k.onTaken(m.Data)
	case "drain":
		k.onDrain(m)
	}
}

// review compares what is owned with what the heartbeats say.
func (k *keeper) review() {
	if k.left {
		return
	}
	v := k.node.Roster.View()
	k.depose(v)
	k.watchEdges(v)
	k.watchMedia(v)
	k.maybeHandedOver(v)
	if !k.node.beater.Awake() || !k.join() {
		return
	}
	if !v.Majority() {
		k.prove()
	}
	if k.node.stale() {
		return
	}
	if names := takers(v); k.heirs == nil || !slices.Equal(names, k.takers) {
		k.takers, k.heirs = names, heirsOf(names)
	}
	k.claim(v)
	k.offer(v)
}

// join reports whether the node has listened long enough to take part; from then on it beats that it is ready, and
// takes partitions when it has heard itself.
func (k *keeper) join() bool {
	if time.Since(k.node.started) < joinTime || !k.node.Bus.Connected() {
		return false
	}
	if k.node.state.CompareAndSwap(messages.StateJoining, messages.StateReady) {
		k.node.beater.Now()
	}
	return true
}

// depose gives up what another node owns by a greater epoch.
func (k *keeper) depose(v *roster.View) {
	changed := false
	for p, epoch := range k.owned {
		if o, ok := v.Owner(p); ok && o.Node != k.node.member && epoch.Less(o.Epoch) {
			delete(k.owned, p)
			delete(k.offered, p)
			k.node.tell(k.parts[p], deposed{})
			changed = true
		}
	}
	if changed {
		k.announce()
	}
}

// claim takes the partitions that nobody serves and that fall to this node.
func (k *keeper) claim(v *roster.View) {
	set := k.without(orphans(v, k.node.member, k.heirs))
	if set.Len() == 0 {
		k.serve()
		return
	}
	if !v.Sure() && !k.node.provenLately() {
		k.prove()
		return
	}
	k.takeAll(set, messages.Member{})
}

// serve tells Start that the node is up: it is known to take part, and everything that falls to it is taken and loaded.
func (k *keeper) serve() {
	if k.joined != nil && len(k.takeovers) == 0 && slices.Contains(k.takers, k.node.Name) {
		close(k.joined)
		k.joined = nil
	}
}

// prove asks JetStream, which accepts writes only with a majority of its servers: a node that hears no majority of the session
// nodes may be the one that is cut off. A proof counts from when it was asked for.
func (k *keeper) prove() {
	if k.proving {
		return
	}
	k.proving = true
	k.node.errands.work.Go(func() {
		ctx, cancel := context.WithTimeout(k.node.errands.ctx, proveTime)
		defer cancel()
		asked := time.Now()
		k.node.tell(k.self, proven{asked, k.node.store.prove(ctx, k.node.Name)})
	})
}

func (k *keeper) onProven(m proven) {
	k.proving = false
	if m.err != nil {
		k.node.Log.Warn("no majority of session nodes is heard and JetStream does not answer: owning and taking nothing", "error", m.err)
		return
	}
	k.node.proven.Store(m.asked.UnixNano())
	k.review()
}

// without leaves out what is owned already.
func (k *keeper) without(set messages.PartitionSet) messages.PartitionSet {
	for p := range k.owned {
		set.Remove(p)
	}
	return set
}

// takeAll becomes the owner of the partitions, with one epoch, and begins to find out what is in them. former offered them; zero:
// nobody serves them.
func (k *keeper) takeAll(set messages.PartitionSet, former messages.Member) {
	if set.Len() == 0 {
		return
	}
	v := k.node.Roster.View()
	epoch := highest(v, set).Next(k.node.Name, time.Now())
	for p := range set.All() {
		if k.parts[p] == nil {
			k.parts[p] = k.node.spawn(newPartition(k.node, p))
		}
		k.owned[p] = epoch
		k.node.tell(k.parts[p], take{epoch})
	}
	k.announce()
	why := "of " + ownersOf(v, set)
	if !former.IsZero() {
		why = "offered by " + former.Name
	}
	k.node.Log.Info("taking partitions", "count", set.Len(), "partitions", set.String(), "epoch", epoch.String(), "why", why)
	k.node.metrics.takeovers.Add(float64(set.Len()))
	k.node.emit(messages.Event{Type: messages.EventOwnerTaken, Reason: fmt.Sprintf("%d partitions %s", set.Len(), why)})
	k.begin(set, epoch, former, v)
}

// ownersOf names who owned the partitions.
func ownersOf(v *roster.View, set messages.PartitionSet) string {
	var names []string
	for p := range set.All() {
		name := "nobody"
		if o, ok := v.Owner(p); ok {
			name = o.Node.Name
		}
		if !strings.Contains(strings.Join(names, ","), name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// announce puts what is owned into the next heartbeat, and beats at once.
func (k *keeper) announce() {
	byEpoch := map[messages.Epoch]messages.PartitionSet{}
	for p, epoch := range k.owned {
		set := byEpoch[epoch]
		set.Add(p)
		byEpoch[epoch] = set
	}
	ranges := make([]messages.OwnedRange, 0, len(byEpoch))
	for epoch, set := range byEpoch {
		ranges = append(ranges, messages.OwnedRange{Epoch: epoch, Partitions: set})
	}
	k.node.owned.Store(&ranges)
	k.node.metrics.partitions.Set(float64(len(k.owned)))
	if k.node.beater != nil {
		k.node.beater.Now()
	}
}

// written passes on how far an edge has come with the deliveries of sessions.
func (k *keeper) written(m *bus.Msg) {
	ok := messages.EachWritten(m.Data, func(w messages.Written) {
		if p := messages.PartitionOf(w.Session); k.parts[p] != nil {
			k.node.tell(k.parts[p], w)
		}
	})
	if !ok {
		k.node.metrics.dropped.WithLabelValues("malformed").Inc()
	}
}

// leave gives everything up at once; the last heartbeat tells the successors.
func (k *keeper) leave() {
	k.left = true
	k.node.Wheel.Disarm(&k.tick)
	for id, t := range k.takeovers {
		t.cancel()
		k.node.Wheel.Disarm(&t.timer)
		delete(k.takeovers, id)
	}
	for p := range k.owned {
		k.node.tell(k.parts[p], deposed{})
	}
	clear(k.owned)
	k.node.owned.Store(&[]messages.OwnedRange{})
}
