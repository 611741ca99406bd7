// SPDX-License-Identifier: Apache-2.0

package bus

import (
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
	if err := s.subscribe(prefix + ".>"); err != nil {
		b.owners.remove(prefix, s)
		return nil, err
	}
	return s, nil
}

// Listen receives every message that matches a pattern, wildcards allowed, beside whoever
// else receives it: heartbeats, analytics, acknowledgements of JetStream. Always through
// NATS: it does not see what was handed over directly. Waits like Own.
func (b *Bus) Listen(pattern string, lane int, h Handler) (*Subscription, error) {
	s := &Subscription{bus: b, handler: h, lane: b.lane(lane)}
	b.registering.Lock()
	defer b.registering.Unlock()
	if b.link.isClosed() {
		return nil, ErrClosed
	}
	if err := s.subscribe(pattern); err != nil {
		return nil, err
	}
	next := maps.Clone(*b.listeners.Load())
	next[s.source.Load()] = s
	b.listeners.Store(&next)
	return s, nil
}

// subscribe tells NATS. Bus.registering is held.
func (s *Subscription) subscribe(pattern string) error {
	source, err := s.bus.nc.ChanSubscribe(pattern, s.lane.queue)
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
		next := maps.Clone(*b.listeners.Load())
		delete(next, source)
		b.listeners.Store(&next)
	}
	if n, err := source.Dropped(); err == nil {
		b.retired += uint64(n)
	}
	_ = source.Unsubscribe() // fails only when closed
}
