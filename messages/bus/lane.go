// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// lane is one goroutine that handles messages from NATS, and the queue before it, which
// all subscriptions of the lane share. When the queue is full NATS's client drops.
type lane struct {
	queue    chan *nats.Msg
	received atomic.Uint64 // from NATS
	direct   atomic.Uint64 // handed over in the process, for owners of this lane
	unowned  atomic.Uint64 // dropped: the subscription was cancelled while they waited
	_        [32]byte      // keeps lanes out of one another's cache lines
}

func (b *Bus) startLane() {
	l := &lane{queue: make(chan *nats.Msg, b.laneSize)}
	b.lanes = append(b.lanes, l)
	b.running.Go(func() {
		for m := range l.queue {
			b.dispatch(l, m)
		}
	})
}

// lane answers the lane for any number a caller may use.
func (b *Bus) lane(n int) *lane {
	return b.lanes[uint(n)%uint(len(b.lanes))]
}

// dispatch hands one message from NATS to the handler it was subscribed for.
func (b *Bus) dispatch(l *lane, m *nats.Msg) {
	l.received.Add(1)
	nobody := noResponders(m)
	s := b.receiver(m, nobody)
	if s == nil {
		l.unowned.Add(1)
		return
	}
	s.handler(&Msg{Subject: m.Subject, Reply: m.Reply, Data: m.Data, Header: m.Header, NoResponders: nobody})
}

// receiver finds the subscription that a message came for, nil if that was cancelled.
// NATS gives a 503 to any one subscription of ours that matches the reply subject, maybe
// to a listener's; it is meant for the owner.
func (b *Bus) receiver(m *nats.Msg, nobody bool) *Subscription {
	if end := thirdDot(m.Subject); end > 0 {
		s := b.owners.find(m.Subject[:end])
		if s != nil && (nobody || s.isFrom(m.Sub)) {
			return s
		}
	}
	if s := (*b.listeners.Load())[m.Sub]; s != nil {
		return s
	}
	b.registering.Lock()
	defer b.registering.Unlock()
	return (*b.listeners.Load())[m.Sub]
}

// noResponders recognises the status message that NATS sends when nobody listens
// (ADR-4 of the NATS architecture: an empty message with the status 503).
func noResponders(m *nats.Msg) bool {
	return m.Header != nil && len(m.Data) == 0 && m.Header.Get("Status") == "503"
}
