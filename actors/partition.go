// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// maxHeld and maxHeldBytes bound the messages that one partition holds while it changes hands.
	maxHeld      = 4096
	maxHeldBytes = 8 << 20
	// tombTime is how long an ended session is remembered, to answer repeats of its end: the deadline of a request.
	tombTime = 30 * time.Second
)

type partitionState uint8

const (
	absent   partitionState = iota // another node owns it
	loading                        // ours, what is in it is being found out: messages are held
	serving                        // ours
	yielding                       // offered to another node: messages are held until that one announces itself
)

// partition is the actor that receives all messages for its sessions. It hands them on only while this node owns it.
type partition struct {
	node  *Node
	self  *actor.PID
	index int

	state     partitionState
	epoch     messages.Epoch
	taken     time.Time // when it became ours
	subs      []*bus.Subscription
	rooms     map[messages.RoomName]*actor.PID
	sessions  map[uint64]*actor.PID
	tombs     map[uint64]tombstone
	remains   map[*actor.PID]uint64 // sessions that are over but for their records; nil: none
	held      []*bus.Msg
	heldBytes int
	unread    bool // the records could not be read yet: of an unknown session nothing can be said
	dozing    bool // something is held because the node was held for dead, perhaps
	doze      wheel.Timer
}

// tombstone is what is remembered of an ended session.
type tombstone struct {
	identity  string // of the destroy request; "" if it ended of itself
	reply     []byte
	at        time.Time
	created   string // identity of the create request
	inherited bool   // it ended with a former owner, who knew the rest
}

type (
	take         struct{ epoch messages.Epoch } // own the partition, hold its messages
	refused      struct{ epoch messages.Epoch } // somebody honours a greater epoch
	raise        struct{ epoch messages.Epoch } // go on with this epoch
	deposed      struct{}                       // another node owns the partition
	dozed        struct{}                       // what came while the node could not act may be let in
	sessionEnded struct {
		id      uint64
		tomb    tombstone
		next    []*bus.Msg // what came for the next session of this id
		remains bool       // its records are not deleted yet
	}
)

func newPartition(n *Node, index int) *partition {
	return &partition{node: n, index: index, rooms: map[messages.RoomName]*actor.PID{}, sessions: map[uint64]*actor.PID{}, tombs: map[uint64]tombstone{}}
}

// Receive handles one message; see the types for who sends them.
func (p *partition) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		p.self = ctx.Self()
	case *bus.Msg:
		p.receive(m, time.Now())
	case take:
		p.take(m.epoch)
	case loadedPartition:
		p.load(m)
	case sessionEnded:
		p.bury(m)
	case remainsGone:
		p.dropRemains(m.pid)
	case roomIdle:
		p.dropRoom(m.RoomName)
	case notRestored:
		p.waitForRecords(m.msg)
	case edgesGone, edgeEnded:
		p.broadcast(m)
	case messages.Written:
		if pid, ok := p.sessions[m.Session]; ok {
			p.node.tell(pid, m)
		}
	case edgeBack:
		if pid, ok := p.sessions[m.session]; ok {
			p.node.tell(pid, m)
		}
	case refused:
		p.node.tell(p.node.keeper, partitionRefused{p.index, m.epoch})
	case raise:
		p.epoch = m.epoch
		p.broadcast(m)
	case ruleChanged:
		p.broadcast(m)
	case serversChanged:
		p.broadcast(m)
	case rewrite:
		p.broadcast(m)
		for _, pid := range p.rooms {
			p.node.tell(pid, m)
		}
	case countSessions:
		p.count(m)
	case deposed:
		p.leave()
	case yield:
		p.yield(m)
	case resume:
		p.resume()
	case dozed:
		p.wake(time.Now())
	}
}

// receive hands a message on, or holds it while this node may not act: the partition changes hands, or others may hold the
// node for dead. Requests would be repeated; but an event of a media server comes once.
func (p *partition) receive(m *bus.Msg, now time.Time) {
	switch {
	case p.state == absent:
		p.node.metrics.dropped.WithLabelValues("not owner").Inc()
	case p.node.stale():
		p.hold(m)
		p.dozeOn()
	case p.state == serving:
		p.wake(now)
		p.dispatch(m, now)
	default:
		p.hold(m)
	}
}

// dozeOn looks an interval later whether the node may act again.
func (p *partition) dozeOn() {
	if !p.dozing {
		p.dozing = true
		p.node.Wheel.Arm(&p.doze, messages.BeatInterval, func() { p.node.tell(p.self, dozed{}) })
	}
}

// wake lets in what came while the node could not act, if it is still the owner's to handle: a rival that was heard
// meanwhile has deposed it.
func (p *partition) wake(now time.Time) {
	switch {
	case !p.dozing:
	case p.node.stale():
		p.dozing = false
		p.dozeOn()
	default:
		p.dozing = false
		p.node.Wheel.Disarm(&p.doze)
		if p.state == serving {
			p.letIn(now)
		}
	}
}

// letIn hands on what was held, in the order in which it came.
func (p *partition) letIn(now time.Time) {
	for _, m := range p.unhold() {
		p.receive(m, now)
	}
}

func (p *partition) hold(m *bus.Msg) {
	if len(p.held) >= maxHeld || p.heldBytes+len(m.Data) > maxHeldBytes {
		p.node.metrics.dropped.WithLabelValues("held full").Inc()
		return
	}
	p.held, p.heldBytes = append(p.held, m), p.heldBytes+len(m.Data)
	p.node.metrics.held.Inc()
}

func (p *partition) unhold() []*bus.Msg {
	held := p.held
	p.node.metrics.held.Sub(float64(len(held)))
	p.held, p.heldBytes = nil, 0
	return held
}

func (p *partition) dispatch(m *bus.Msg, now time.Time) {
	if messages.IsRoomSubject(m.Subject) {
		p.toRoom(m)
		return
	}
	subject, err := messages.ParseSessionSubject(m.Subject)
	if err != nil || subject.Partition != p.index {
		p.node.metrics.dropped.WithLabelValues("malformed").Inc()
		return
	}
	if subject.Kind == messages.SessionRefused {
		p.onRefused(m)
		return
	}
	if subject.Kind == messages.SessionStored {
		p.toRemains(&inbound{subject: subject, msg: m, now: now})
	}
	pid, ok := p.sessions[subject.Session]
	if !ok {
		if subject.Kind == messages.SessionPoll {
			s, e := subject.Session, messages.ErrSessionNotFound(subject.Session)
			p.answerUnlessUnread(m, s, messages.Reply{Session: s}.AppendError(nil, e))
		}
		if subject.Kind == messages.SessionAdmin {
			p.refuseAdmin(m, subject.Session)
		}
		if subject.Kind == messages.SessionPeer && !p.unread && m.Reply != "" {
			answerPeer(p.node, m.Reply, messages.PeerAnswer{Gone: true})
		}
		if subject.Kind != messages.SessionRequest {
			return // about a session that is over
		}
		if pid = p.unknown(subject, m, now); pid == nil {
			return
		}
	}
	p.node.tell(pid, &inbound{subject: subject, msg: m, now: now})
}

// unknown handles a request for a session that is not there: a create makes it.
func (p *partition) unknown(subject messages.SessionSubject, m *bus.Msg, now time.Time) *actor.PID {
	var r janusjson.Message
	if janusjson.Scan(m.Data, &r) != nil {
		p.node.metrics.dropped.WithLabelValues("malformed").Inc()
		return nil
	}
	first, repeat := messages.CutRepeat(m.Reply)
	if isCreate(&r, r.Verb()) {
		if _, err := messages.ParseTransport(first); err != nil || p.tombs[subject.Session].created == first {
			return nil // a copy that comes late would make a session that nobody knows of
		}
		if !p.node.rules.Accepting() {
			p.answer(first, subject.Session, refuseCreate(&r))
			return nil
		}
		return p.add(newSession(p, subject.Session, first, now))
	}
	if tomb, ok := p.tombs[subject.Session]; ok && repeat {
		if tomb.inherited && r.Verb() == janusjson.VerbDestroy {
			// Whoever repeats it was not answered, since the owner died with the session.
			tomb.identity = first
			tomb.reply = messages.Reply{Session: subject.Session, Transaction: r.Bytes(janusjson.KeyTransaction)}.Append(nil, "success")
		}
		if tomb.identity == first {
			p.answer(first, subject.Session, tomb.reply)
			return nil
		}
	}
	e := messages.ErrSessionNotFound(subject.Session)
	p.answerUnlessUnread(m, subject.Session,
		messages.Reply{Session: subject.Session, Transaction: r.Bytes(janusjson.KeyTransaction)}.AppendError(nil, e))
	return nil
}

// answerUnlessUnread says that a session is not there; while the records could not be read, nobody can know.
func (p *partition) answerUnlessUnread(m *bus.Msg, session uint64, body []byte) {
	if p.unread {
		p.hold(m)
		return
	}
	p.node.metrics.countError(messages.CodeSessionNotFound)
	first, _ := messages.CutRepeat(m.Reply)
	p.answer(first, session, body)
}

func (p *partition) answer(identity string, session uint64, body []byte) {
	d := messages.Delivery{Partition: p.index, Session: session, Epoch: p.epoch}
	if p.node.Bus.Publish(identity, d.String(), body) != nil {
		p.node.metrics.dropped.WithLabelValues("disconnected").Inc()
	}
}

func (p *partition) add(s *session) *actor.PID {
	pid := p.node.spawn(s)
	p.sessions[s.id] = pid
	p.node.sessions.Add(1)
	p.node.metrics.sessions.Inc()
	return pid
}

// bury forgets a session that is over, but for what a repeat of its end is answered.
func (p *partition) bury(m sessionEnded) {
	pid, ok := p.sessions[m.id]
	if !ok {
		return
	}
	delete(p.sessions, m.id)
	if m.remains {
		p.keepRemains(m.id, pid)
	} else {
		p.node.system.Root.Poison(pid)
	}
	p.node.sessions.Add(-1)
	p.node.metrics.sessions.Dec()
	p.tombs[m.id] = m.tomb
	p.sweep(m.tomb.at)
	for _, next := range m.next {
		p.receive(next, time.Now())
	}
}

// sweep drops old tombstones. It looks at a few for each new one, so that it never takes long.
func (p *partition) sweep(now time.Time) {
	looked := 0
	for id, t := range p.tombs {
		if now.Sub(t.at) > tombTime {
			delete(p.tombs, id)
		}
		if looked++; looked == 4 {
			return
		}
	}
}

func (p *partition) broadcast(message any) {
	for _, pid := range p.sessions {
		p.node.tell(pid, message)
	}
}

// take begins to own the partition.
func (p *partition) take(epoch messages.Epoch) {
	p.drop()
	p.state, p.epoch, p.taken, p.unread = loading, epoch, time.Now(), false
	if p.subs != nil {
		return
	}
	for _, prefix := range []string{messages.SessionPrefix(p.index), messages.RoomPrefix(p.index)} {
		sub, err := p.node.Bus.Own(prefix, p.index, func(m *bus.Msg) { p.node.tell(p.self, m) })
		if err != nil {
			p.node.Log.Error("partition not subscribed", "partition", p.index, "error", err)
			return
		}
		p.subs = append(p.subs, sub)
	}
}

// toRoom hands a question to the actor of a room.
func (p *partition) toRoom(m *bus.Msg) {
	name, err := messages.ParseRoomSubject(m.Subject)
	if err != nil || m.NoResponders {
		p.node.metrics.dropped.WithLabelValues("malformed").Inc()
		return
	}
	pid, ok := p.rooms[name]
	if !ok {
		router := p.node.Routers[name.Plugin]
		if router == nil {
			p.node.metrics.dropped.WithLabelValues("malformed").Inc()
			return
		}
		pid = p.node.spawn(newRoom(p, name, router))
		p.rooms[name] = pid
	}
	p.node.tell(pid, m)
}

// dropRoom forgets a room. What was asked of it meanwhile is asked again.
func (p *partition) dropRoom(name messages.RoomName) {
	if pid, ok := p.rooms[name]; ok {
		delete(p.rooms, name)
		p.node.tell(pid, abandoned{})
		p.node.system.Root.Poison(pid)
	}
}

// load puts the sessions that were found into the partition, and lets in what was held.
func (p *partition) load(m loadedPartition) {
	if p.state == absent || m.epoch != p.epoch {
		return
	}
	for _, f := range m.sessions {
		pid, exists := p.sessions[f.id]
		tomb, over := p.tombs[f.id]
		switch {
		case exists:
			p.node.tell(pid, lateRecords{f, m.answered})
		case over && !tomb.inherited:
			p.clearOut(f)
		default:
			p.restore(f, m.answered, m.complete)
		}
	}
	for _, id := range m.over {
		if _, exists := p.sessions[id]; !exists {
			p.tombs[id] = tombstone{at: time.Now(), inherited: true}
		}
	}
	if m.complete && p.unread {
		p.broadcast(lateRecords{found: &found{}}) // those of which there are none
	}
	p.state, p.unread = serving, !m.complete
	p.letIn(time.Now())
}

// waitForRecords holds a message about a handle that only the records can know, until they are read.
func (p *partition) waitForRecords(m *bus.Msg) {
	if p.unread {
		p.hold(m)
		return
	}
	p.receive(m, time.Now())
}

// leave stops owning the partition: another node does.
func (p *partition) leave() {
	offered := p.state == yielding
	p.state, p.dozing = absent, false
	p.node.Wheel.Disarm(&p.doze)
	for _, sub := range p.subs {
		sub.Cancel()
	}
	p.subs = nil
	if held := p.unhold(); offered {
		p.passOn(held)
	}
	p.drop()
}

// drop forgets the sessions without ending them: they are another owner's.
func (p *partition) drop() {
	for id, pid := range p.sessions {
		p.node.tell(pid, abandoned{})
		p.node.system.Root.Poison(pid)
		delete(p.sessions, id)
		p.node.sessions.Add(-1)
		p.node.metrics.sessions.Dec()
	}
	for pid := range p.remains {
		p.node.tell(pid, abandoned{})
		p.dropRemains(pid)
	}
	for name := range p.rooms {
		p.dropRoom(name)
	}
	clear(p.tombs)
}

// abandoned tells a session that it lives on elsewhere, or is over.
type abandoned struct{}

// onRefused hears from a media server that it honours a greater epoch.
func (p *partition) onRefused(m *bus.Msg) {
	var r messages.Refusal
	if json.Unmarshal(m.Data, &r) == nil && p.epoch.Less(r.Epoch) {
		p.node.tell(p.node.keeper, partitionRefused{p.index, r.Epoch})
	}
}

// crashed implements crasher: a request whose dispatch panicked is repeated by its edge until its deadline.
func (p *partition) crashed(actor.Context, any) {
	p.node.metrics.dropped.WithLabelValues("panic").Inc()
}
