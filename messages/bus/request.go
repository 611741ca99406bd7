// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// inbox receives the replies to requests: one owned prefix for the whole process, one
// token per request. The lock is held for a map access.
type inbox struct {
	prefix  string
	limit   int // replies that may wait for one asker
	mu      sync.Mutex
	last    uint64
	waiting map[string]*exchange
}

// exchange is one request that waits for replies.
type exchange struct {
	mu       sync.Mutex
	replies  []*Msg
	overflow bool
	more     chan struct{} // one token: something changed
}

func (b *Bus) openInbox() error {
	b.inbox.prefix = nats.NewInbox() + ".reply"
	b.inbox.limit = b.laneSize
	b.inbox.waiting = make(map[string]*exchange)
	_, err := b.Own(b.inbox.prefix, 0, b.inbox.receive)
	return err
}

// open starts an exchange and answers its token.
func (i *inbox) open() (string, *exchange) {
	e := &exchange{more: make(chan struct{}, 1)}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.last++
	token := strconv.FormatUint(i.last, 36)
	i.waiting[token] = e
	return token, e
}

func (i *inbox) close(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.waiting, token)
}

// receive is the inbox's handler. Replies that nobody waits for any more are dropped.
func (i *inbox) receive(m *Msg) {
	token := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	i.mu.Lock()
	e := i.waiting[token]
	i.mu.Unlock()
	if e != nil {
		e.push(m, i.limit)
	}
}

func (e *exchange) push(m *Msg, limit int) {
	e.mu.Lock()
	if len(e.replies) < limit {
		e.replies = append(e.replies, m)
	} else {
		e.overflow = true
	}
	e.mu.Unlock()
	select {
	case e.more <- struct{}{}:
	default:
	}
}

// take answers what has come so far.
func (e *exchange) take() (replies []*Msg, overflow bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	replies, e.replies = e.replies, nil
	return replies, e.overflow
}

// Request asks and waits for one reply: for the control plane, where a goroutine may wait.
// Without a deadline in ctx it waits five seconds. ErrNoResponders comes at once when
// nobody listens; a lost connection is not told, the wait just ends with ctx.
func (b *Bus) Request(ctx context.Context, subject string, data []byte) (*Msg, error) {
	var reply *Msg
	err := b.RequestMany(ctx, subject, data, func(m *Msg) bool {
		reply = m
		return false
	})
	return reply, err
}

// RequestMany asks and gives each reply to each, on the caller's goroutine and in order,
// until that answers false (the result is nil then) or ctx is done (its error). Several
// responders, or one that sends many messages and a last one to know the end by, as
// JetStream's batched direct get does: its status is in Msg.Header. Otherwise like Request.
func (b *Bus) RequestMany(ctx context.Context, subject string, data []byte, each func(m *Msg) (more bool)) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	token, e := b.inbox.open()
	defer b.inbox.close(token)
	if err := b.Publish(subject, b.inbox.prefix+"."+token, data); err != nil {
		return err
	}
	for {
		replies, overflow := e.take()
		for _, m := range replies {
			if m.NoResponders {
				return fmt.Errorf("%w: %s", ErrNoResponders, subject)
			}
			if !each(m) {
				return nil
			}
		}
		if overflow {
			return ErrOverflow
		}
		select {
		case <-e.more:
		case <-ctx.Done():
			return fmt.Errorf("bus: request to %s: %w", subject, context.Cause(ctx))
		}
	}
}
