// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// firstRepeat is the wait before a request is repeated for the first time; each later wait is twice as long, up to
	// longestPause.
	firstRepeat  = 500 * time.Millisecond
	longestPause = 4 * time.Second
	// sweepInterval is how often waiting requests are looked at, and how often one is sent to a partition that has nobody
	// to receive it.
	sweepInterval = 50 * time.Millisecond
	// suspectInterval spaces out suspicions of one member.
	suspectInterval = messages.BeatInterval / 2
	// maxAsks, maxResends and maxGone bound what waits for the repeater.
	maxAsks    = 256
	maxResends = 4096
	maxGone    = 1 << 16
)

// ask is a take-over that wants to know what this edge holds.
type ask struct {
	messages.Ask
	reply   string
	refused messages.Epoch // a greater epoch that is known for one of the partitions
}

// gone tells the owner of a session that a transport closed, that the client of a long poll left, or that a request is not waited
// for any more.
type gone struct {
	session    uint64
	connection uint64
	poll       uint64           // number of the long poll; 0: it is none
	expired    string           // identity of the request; empty: it is none
	reach      messages.Written // how far the connection came; zero: not known
}

// repeater publishes what stays unanswered again, from one goroutine: so the requests of a partition keep their order,
// and nobody who brings news (a new owner, a lost connection) has to wait.
type repeater struct {
	edge  *Edge
	timer wheel.Timer
	armed atomic.Bool // the timer runs: it does while a request waits
	wake  chan struct{}

	mu       sync.Mutex // for moves in and out
	tick     bool
	urgent   messages.PartitionSet // publish what did not reach the owners of these
	suspects messages.PartitionSet // nobody receives requests for these
	asks     []ask
	resends  []messages.Resend
	unsent   []gone // that the bus did not take

	suspected map[messages.Member]time.Duration // when last; of the goroutine
}

func newRepeater(e *Edge) *repeater {
	return &repeater{edge: e, wake: make(chan struct{}, 1), suspected: make(map[messages.Member]time.Duration)}
}

// tell changes what is to be done and wakes the goroutine.
func (r *repeater) tell(change func()) {
	r.mu.Lock()
	change()
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default: // it will look
	}
}

// repeat has requests of the partitions published that did not reach their owner, or may not have.
func (r *repeater) repeat(set messages.PartitionSet) { r.tell(func() { unite(&r.urgent, set) }) }

func (r *repeater) repeatOne(partition int) { r.tell(func() { r.urgent.Add(partition) }) }

// unserved has the owner of a partition suspected.
func (r *repeater) unserved(partition int) { r.tell(func() { r.suspects.Add(partition) }) }

// ask has an ask answered; false: too many wait already.
func (r *repeater) ask(a ask) (taken bool) {
	r.tell(func() {
		if taken = len(r.asks) < maxAsks; taken {
			r.asks = append(r.asks, a)
		}
	})
	return taken
}

// resend has requests published that an owner misses. What is too much is asked for again.
func (r *repeater) resend(x messages.Resend) {
	r.tell(func() {
		if len(r.resends) < maxResends {
			r.resends = append(r.resends, x)
		}
	})
}

// watch sees to it that somebody looks at the waiting requests.
func (r *repeater) watch() {
	if !r.armed.Load() && r.armed.CompareAndSwap(false, true) {
		r.arm()
	}
}

func (r *repeater) arm() { r.edge.opts.Wheel.Arm(&r.timer, sweepInterval, r.due) }

func (r *repeater) due() { r.tell(func() { r.tick = true }) }

// run works until ctx ends.
func (r *repeater) run(ctx context.Context) {
	defer r.edge.opts.Wheel.Disarm(&r.timer)
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		r.mu.Lock()
		tick, urgent, suspects, asks, resends := r.tick, r.urgent, r.suspects, r.asks, r.resends
		r.tick, r.urgent, r.suspects, r.asks, r.resends = false, messages.PartitionSet{}, messages.PartitionSet{}, nil, nil
		r.mu.Unlock()
		for _, a := range asks {
			r.edge.answerAsk(a)
			unite(&urgent, a.Partitions)
		}
		r.suspect(suspects)
		r.sendGone()
		for _, x := range resends {
			r.edge.resend(x)
		}
		for p := range urgent.All() {
			r.all(&r.edge.partitions[p])
		}
		if tick {
			r.sweep()
		}
	}
}

// all publishes what of a partition did not reach its owner, or may not have, oldest first, and what comes meanwhile
// behind it.
func (r *repeater) all(p *partition) {
	now := r.edge.now()
	lost := p.hold()
	var room [batch]repeat
	for behind := uint64(0); ; {
		repeats := p.next(behind, lost, now, room[:0])
		if len(repeats) == 0 {
			return
		}
		for i, x := range repeats {
			if !r.edge.publish(p, x) {
				p.giveUp(repeats[i+1:], lost) // the sweep tries again
				return
			}
		}
		behind = repeats[len(repeats)-1].arrival
	}
}

// sweep looks at all requests that wait.
func (r *repeater) sweep() {
	e := r.edge
	now := e.now()
	for i := range e.partitions {
		p := &e.partitions[i]
		expired, due, flush := p.sweep(now)
		for _, x := range expired {
			e.expire(x)
		}
		for _, x := range due {
			e.publish(p, x)
		}
		if flush {
			r.all(p)
		}
	}
	r.armed.Store(false)
	if e.waiting.Load() > 0 {
		r.watch()
	}
}

// suspect tells everybody that the owners of these partitions receive nothing.
func (r *repeater) suspect(set messages.PartitionSet) {
	for p := range set.All() {
		owner, known := r.edge.owner(p)
		if !known || owner.Silent {
			continue
		}
		now := r.edge.now()
		if last, ok := r.suspected[owner.Node]; ok && now-last < suspectInterval {
			continue
		}
		r.suspected[owner.Node] = now
		r.edge.suspect(owner.Node)
	}
}

// gone publishes that somebody left; what the bus does not take now is published when it is back.
func (r *repeater) gone(g gone) {
	if r.edge.publishGone(g) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.unsent) >= maxGone {
		r.edge.metrics.drop(dropGone)
		return
	}
	r.unsent = append(r.unsent, g)
}

func (r *repeater) sendGone() {
	r.mu.Lock()
	unsent := r.unsent
	r.unsent = nil
	r.mu.Unlock()
	for i, g := range unsent {
		if !r.edge.publishGone(g) {
			r.mu.Lock()
			r.unsent = append(unsent[i:], r.unsent...)
			r.mu.Unlock()
			return
		}
	}
}

// unite adds the partitions of one set to another.
func unite(set *messages.PartitionSet, more messages.PartitionSet) {
	for p := range more.All() {
		set.Add(p)
	}
}
