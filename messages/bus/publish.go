// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// defaultWait is the deadline of Request, RequestMany and Flush for a caller that has none.
const defaultWait = 5 * time.Second

// Publish sends data to whoever receives on subject. It never blocks: it hands the message
// to the owner's handler when that is in this process, or to the client's write buffer, or
// fails at once: ErrDisconnected, ErrTooLarge, ErrBadSubject, ErrClosed. A nil error does
// not promise delivery.
//
// data belongs to the bus from here on: the caller may read, but no longer modify it.
//
// reply is what the receiver finds in Msg.Reply. If it lies below a prefix that this process
// owns, and nobody receives on subject, a message with NoResponders comes there.
func (b *Bus) Publish(subject, reply string, data []byte) error {
	return b.publish(subject, reply, nil, data)
}

// PublishHeader is Publish with a header, which costs three to four times as much: for
// conditional writes to JetStream. The header belongs to the bus like data.
func (b *Bus) PublishHeader(subject, reply string, header nats.Header, data []byte) error {
	return b.publish(subject, reply, header, data)
}

func (b *Bus) publish(subject, reply string, header nats.Header, data []byte) error {
	end, ok := scanSubject(subject)
	if !ok || !plainReply(reply) {
		return fmt.Errorf("%w: to %q with reply %q", ErrBadSubject, subject, reply)
	}
	if len(subject)+len(reply) > MaxSubject || int64(len(data)) > b.link.maxPayload.Load() {
		b.counts.tooLarge.Add(1)
		return ErrTooLarge
	}
	if end > 0 && !b.directOff {
		if s := b.owners.find(subject[:end]); s != nil {
			s.lane.direct.Add(1)
			s.handler(&Msg{Subject: subject, Reply: reply, Data: data, Header: header})
			return nil
		}
	}
	return b.send(subject, reply, header, data)
}

// send gives a message to NATS's client.
func (b *Bus) send(subject, reply string, header nats.Header, data []byte) error {
	if !b.link.up.Load() {
		return b.refuse(nats.ErrConnectionReconnecting)
	}
	var err error
	switch {
	case header != nil:
		err = b.nc.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Header: header, Data: data})
	case reply != "":
		err = b.nc.PublishRequest(subject, reply, data)
	default:
		err = b.nc.Publish(subject, data)
	}
	if err != nil {
		return b.refuse(err)
	}
	b.counts.published.Add(1)
	return nil
}

// refuse counts a message that was not sent, and puts the client's error into our terms.
func (b *Bus) refuse(err error) error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		b.counts.tooLarge.Add(1)
		return ErrTooLarge
	case b.link.isClosed():
		return ErrClosed
	case errors.Is(err, nats.ErrConnectionReconnecting):
		b.counts.disconnected.Add(1)
		return ErrDisconnected
	default: // the reconnect buffer has no room, or the connection broke under this write
		b.counts.disconnected.Add(1)
		return fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
}

// Flush waits until the server has taken everything that was published before: a round
// trip. Without a deadline in ctx it waits five seconds at most.
func (b *Bus) Flush(ctx context.Context) error {
	if !b.link.up.Load() {
		return b.refuse(nats.ErrConnectionReconnecting)
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	err := b.nc.FlushWithContext(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("bus: flush: %w", context.Cause(ctx))
	default:
		return b.refuse(err)
	}
}

// withDeadline sees to it that a wait ends.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, defaultWait)
}
