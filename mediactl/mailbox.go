// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"sync/atomic"

	"github.com/januscloud/januscloud/messages/bus"
)

// Messages that the actor gets, besides *bus.Msg and *received.
type (
	begin      struct{}             // the first one
	dialled    struct{ link *link } // a connection is made
	dialFailed struct{ err error }  // an attempt failed; the next follows
	closed     struct {             // a connection ended
		link *link
		err  error
	}
	tick     struct{}                       // pingEvery passed
	busBack  struct{}                       // there is a connection to NATS again
	woken    struct{}                       // the process was kept from running
	hopeOver struct{}                       // hopeTime passed
	idleDue  struct{}                       // look again whether nothing is under way
	quiesce  struct{ done chan<- struct{} } // asks to be told, by closing done, when no client's request is under way
	stop     struct{ done chan<- struct{} } // ends the actor; done is closed when it is
)

// maxMailbox bounds the messages that wait for the actor. It is reached only when the actor is held up for long.
const maxMailbox = 1 << 16

// mailbox counts what waits for the actor, whose own mailbox knows no bound. Messages of the bus are refused when it is
// full: whoever asked asks again. Janus is not read any further. The few others are let in.
type mailbox struct {
	limit  int64
	queued atomic.Int64
	room   chan struct{} // one token: something left a full mailbox
	closed chan struct{}
}

func newMailbox(limit int) *mailbox {
	return &mailbox{limit: int64(limit), room: make(chan struct{}, 1), closed: make(chan struct{})}
}

// enter admits a message, and reports whether it may be posted.
func (b *mailbox) enter(message any) bool {
	switch message.(type) {
	case *bus.Msg:
		return b.tryEnter()
	case *received:
		for !b.tryEnter() {
			select {
			case <-b.room:
			case <-b.closed:
				return false
			}
		}
	default:
		select {
		case <-b.closed:
			return false
		default:
		}
		b.queued.Add(1)
	}
	return true
}

func (b *mailbox) tryEnter() bool {
	if b.queued.Add(1) <= b.limit {
		return true
	}
	b.leave()
	return false
}

// leave is called once for each message that was admitted.
func (b *mailbox) leave() {
	if b.queued.Add(-1) == b.limit-1 {
		select {
		case b.room <- struct{}{}:
		default:
		}
	}
}
