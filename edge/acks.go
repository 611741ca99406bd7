// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/wheel"
)

// ackInterval is how long acknowledgements gather. With the wheel's tick it is 50 to 100 ms: what a client may see again when
// its edge dies.
const ackInterval = 50 * time.Millisecond

// progressing is a client whose messages may wait for room in its socket.
type progressing interface {
	// Progress is how many bytes were queued so far, and how many of them were written.
	Progress() (queued, written uint64)
}

// acks tells the owners of sessions what their clients were sent, in one message for many sessions, from one goroutine. A
// message counts as written when the kernel has it for the client's connection: of a client that does not read nothing is
// acknowledged.
type acks struct {
	edge  *Edge
	timer wheel.Timer
	wake  chan struct{}
	armed atomic.Bool // the timer runs: it does while a connection is in dirty

	mu    sync.Mutex // for moves in and out
	dirty []*connection
	polls []messages.Written // of polls, once more

	// Of the goroutine.
	stalled []stalled
	reach   []messages.Written // scratch
	batches map[messages.Member]*batchOfAcks
}

// stalled is a connection whose messages wait for room, with what is to be told when it has taken so many bytes.
type stalled struct {
	conn  *connection
	bytes uint64
	reach []messages.Written
}

// batchOfAcks is a message to one session node.
type batchOfAcks struct {
	body  []byte
	count int
	conns []*connection // of which it tells
}

func newAcks(e *Edge) *acks {
	return &acks{edge: e, wake: make(chan struct{}, 1), batches: make(map[messages.Member]*batchOfAcks)}
}

// add has a connection looked at that was sent something; the connection sees to it that it is added once.
func (a *acks) add(c *connection) {
	a.mu.Lock()
	a.dirty = append(a.dirty, c)
	a.mu.Unlock()
	a.watch()
}

// all has everything told once more: it may have been lost with the connection to NATS.
func (a *acks) all() {
	for _, c := range a.edge.connections.all() {
		a.again(c)
	}
	a.tellAgain(a.edge.history.reaches()...)
}

// tellAgain has acknowledgements of answers to polls told once more. If they get lost again, the owner asks.
func (a *acks) tellAgain(reach ...messages.Written) {
	a.mu.Lock()
	a.polls = append(a.polls, reach...)
	a.mu.Unlock()
	a.due()
}

func (a *acks) watch() {
	if !a.armed.Load() && a.armed.CompareAndSwap(false, true) {
		a.edge.opts.Wheel.Arm(&a.timer, ackInterval, a.due)
	}
}

func (a *acks) due() {
	select {
	case a.wake <- struct{}{}:
	default: // it will look
	}
}

// run works until ctx ends.
func (a *acks) run(ctx context.Context) {
	defer a.edge.opts.Wheel.Disarm(&a.timer)
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
			a.flush()
		}
	}
}

// flush tells of all that was written since the last time.
func (a *acks) flush() {
	a.armed.Store(false)
	a.mu.Lock()
	dirty, polls := a.dirty, a.polls
	a.dirty, a.polls = nil, nil
	a.mu.Unlock()
	waiting := a.stalled
	a.stalled = nil
	for _, s := range waiting {
		a.resume(s)
	}
	for _, c := range dirty {
		a.tell(c)
	}
	a.collect(nil, polls)
	a.publish()
	if len(a.stalled) > 0 {
		a.watch()
	}
}

// tell tells how far a connection has come, or what of it waits for room.
func (a *acks) tell(c *connection) {
	a.reach = c.untold(a.reach[:0])
	var queued, written uint64
	if p, ok := c.client.(progressing); ok { // asked after what was sent: that is among it
		queued, written = p.Progress()
	}
	if written < queued && !c.isClosed() {
		a.stalled = append(a.stalled, stalled{c, queued, slices.Clone(a.reach)})
		for i := range a.reach {
			a.reach[i].Written = 0
		}
		a.collect(c, a.reach)
		return
	}
	if written >= queued {
		a.collect(c, a.reach)
	}
	if c.unlist() {
		a.add(c) // more was sent meanwhile
	}
}

// resume goes on with a connection that waited for room.
func (a *acks) resume(s stalled) {
	_, written := s.conn.client.(progressing).Progress()
	switch {
	case written >= s.bytes:
		a.collect(s.conn, s.reach)
		a.tell(s.conn)
	case !s.conn.isClosed():
		a.stalled = append(a.stalled, s)
	}
}

// collect puts acknowledgements into the messages for the owners of their sessions. c is nil where no connection is left: then those
// that reach nobody are not told again.
func (a *acks) collect(c *connection, reach []messages.Written) {
	for _, w := range reach {
		owner, known := a.edge.owner(messages.PartitionOf(w.Session))
		if !known || owner.Silent {
			a.again(c)
			continue
		}
		b := a.batches[owner.Node]
		if b == nil {
			b = new(batchOfAcks)
			a.batches[owner.Node] = b
		}
		b.body = w.Append(b.body)
		b.conns = append(b.conns, c)
		if b.count++; b.count == messages.MaxAcks {
			a.send(owner.Node, b)
		}
	}
}

func (a *acks) publish() {
	for node, b := range a.batches {
		if b.count > 0 {
			a.send(node, b)
		} else {
			delete(a.batches, node) // nothing to say since the last time
		}
	}
}

// send publishes a batch. The bus takes its bytes for good.
func (a *acks) send(node messages.Member, b *batchOfAcks) {
	if a.edge.bus.Publish(messages.NodeWritten(node), "", b.body) != nil {
		for _, c := range b.conns {
			a.again(c)
		}
	}
	b.body, b.count, b.conns = nil, 0, b.conns[:0]
}

// again has a connection looked at once more, since its acknowledgements reached nobody.
func (a *acks) again(c *connection) {
	if c != nil && c.tellAgain() {
		a.add(c)
	}
}
