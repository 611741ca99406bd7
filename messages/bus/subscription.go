// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// Subscription is a standing order for messages: from Own or Listen until Cancel.
type Subscription struct {
	bus     *Bus
	prefix  string // empty for a listener
	handler Handler
	lane    *lane
	// source is the subscription of NATS, set right after that was made: until then it is
	// nil, and Bus.registering is held.
	source atomic.Pointer[nats.Subscription]
}

// Own makes this process the one receiver of every subject below prefix, which has three
// tokens ("janus.session.17"); prefix itself is not below it. What is published in this
// process is handed over directly, the rest comes from NATS, in order, on one lane (any
// number; it is taken modulo Options.Lanes). Two owners of a prefix in one process are
// refused with ErrOwned; between processes it is the callers' business that there is one.
//
// Own works without a connection, and survives losing it; while a reconnect is under way it
// may wait as long as that speaks with a server (see Conn).
func (b *Bus) Own(prefix string, lane int, h Handler) (*Subscription, error) {
	if !plainPrefix(prefix) {
		return nil, fmt.Errorf("%w: %q is not a prefix of three tokens", ErrBadSubject, prefix)
	}
	s := &Subscription{bus: b, prefix: prefix, handler: h, lane: b.lane(lane)}
	b.registering.Lock()
	defer b.registering.Unlock()
	if b.link.isClosed() {
		return nil, ErrClosed
	}
	if !b.owners.add(prefix, s) {
		return nil, fmt.Errorf("%w: %s", ErrOwned, prefix)
	}
	if err := s.subscribe(prefix+".>", ""); err != nil {
		b.owners.remove(prefix, s)
		return nil, err
	}
	return s, nil
}

// Listen receives every message that matches a pattern, wildcards allowed, beside whoever
// else receives it: heartbeats, analytics, acknowledgements of JetStream. Always through
// NATS: it does not see what was handed over directly. Waits like Own.
func (b *Bus) Listen(pattern string, lane int, h Handler) (*Subscription, error) {
	return b.Share(pattern, "", lane, h)
}

// Share is Listen, but of all that share a pattern under the name of a group NATS gives each message to one, drawn at
// random: for requests that anybody may serve. NATS does not look whether that one is awake.
func (b *Bus) Share(pattern, group string, lane int, h Handler) (*Subscription, error) {
	s := &Subscription{bus: b, handler: h, lane: b.lane(lane)}
	b.registering.Lock()
	defer b.registering.Unlock()
	if b.link.isClosed() {
		return nil, ErrClosed
	}
	if err := s.subscribe(pattern, group); err != nil {
		return nil, err
	}
	b.changeListeners(func(all map[*nats.Subscription]*Subscription) { all[s.source.Load()] = s })
	return s, nil
}

// changeListeners replaces the table of listeners. Bus.registering is held.
func (b *Bus) changeListeners(change func(map[*nats.Subscription]*Subscription)) {
	next := maps.Clone(*b.listeners.Load())
	change(next)
	b.listeners.Store(&next)
}

// subscribe tells NATS. Bus.registering is held.
func (s *Subscription) subscribe(pattern, group string) error {
	source, err := s.bus.nc.ChanQueueSubscribe(pattern, group, s.lane.queue)
	switch {
	case errors.Is(err, nats.ErrBadSubject):
		return fmt.Errorf("%w: %q", ErrBadSubject, pattern)
	case errors.Is(err, nats.ErrConnectionClosed):
		return ErrClosed
	case err != nil:
		return fmt.Errorf("bus: subscribe to %s: %w", pattern, err)
	}
	s.source.Store(source)
	s.bus.all[s] = struct{}{}
	return nil
}

// isFrom tells whether a message with this source came for s.
func (s *Subscription) isFrom(source *nats.Subscription) bool {
	own := s.source.Load()
	if own == nil {
		s.bus.registering.Lock()
		own = s.source.Load()
		s.bus.registering.Unlock()
	}
	return own == source
}

// Cancel ends the subscription. After it returns no call of the handler begins, neither
// from NATS nor directly; one that had begun may still be at work. What waits in the lane
// is dropped and counted. A second Cancel does nothing. Waits like Own.
func (s *Subscription) Cancel() {
	b := s.bus
	b.registering.Lock()
	defer b.registering.Unlock()
	if _, standing := b.all[s]; !standing {
		return
	}
	delete(b.all, s)
	source := s.source.Load()
	if s.prefix != "" {
		b.owners.remove(s.prefix, s)
	} else {
		b.changeListeners(func(all map[*nats.Subscription]*Subscription) { delete(all, source) })
	}
	if n, err := source.Dropped(); err == nil {
		b.retired += uint64(n)
	}
	_ = source.Unsubscribe() // fails only when closed
}

// Drain is Cancel for a subscription from Listen or Share, but what NATS gave to this process already is handled first. It
// waits for that until ctx is done, five seconds without a deadline, and cancels in any case. Not while Close runs.
func (s *Subscription) Drain(ctx context.Context) error {
	defer s.Cancel()
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	if err := s.source.Load().Drain(); err != nil {
		return fmt.Errorf("bus: drain: %w", err)
	}
	if err := s.bus.Flush(ctx); err != nil { // afterwards all that was given is in the lane
		return err
	}
	return s.bus.settle(ctx, s.lane)
}

// settle waits until a lane has handled all that is in it now: until it comes upon a message that was put behind that.
func (b *Bus) settle(ctx context.Context, l *lane) error {
	done := make(chan struct{})
	mark := &Subscription{bus: b, lane: l, handler: func(*Msg) { close(done) }}
	source := new(nats.Subscription)
	mark.source.Store(source)
	b.registering.Lock()
	b.changeListeners(func(all map[*nats.Subscription]*Subscription) { all[source] = mark })
	b.registering.Unlock()
	defer func() {
		b.registering.Lock()
		defer b.registering.Unlock()
		b.changeListeners(func(all map[*nats.Subscription]*Subscription) { delete(all, source) })
	}()
	select {
	case l.queue <- &nats.Msg{Sub: source}:
	case <-ctx.Done():
		return fmt.Errorf("bus: drain: %w", context.Cause(ctx))
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("bus: drain: %w", context.Cause(ctx))
	}
}
