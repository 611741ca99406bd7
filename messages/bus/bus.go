// SPDX-License-Identifier: Apache-2.0

// Package bus carries messages between the roles of januscloud: over NATS, or straight
// into the receiver's handler when that lives in the same process. Nobody above it knows
// the difference; the suite in bustest runs over both.
//
// A subject's first three tokens name its one receiver ("janus.session.17"); the receiver
// owns that prefix (Own). What has many receivers, or none in particular, is listened to
// (Listen). Delivery is at most once: a message may be lost with a connection, never
// doubled, and never sent later than it was published: while there is no connection,
// publishing fails at once. Repeating is the business of whoever knows what may be
// repeated.
//
// # Goroutines and order
//
// Messages from NATS are handled by a fixed number of goroutines, the lanes. Every
// subscription names its lane, so the messages of one prefix are handled one after another
// in the order in which one publisher sent them, and a thousand subscriptions cost no
// goroutine. A direct hand-over runs the handler on the publisher's goroutine. There is no
// order between the two ways, nor between two publishers.
//
// # What cannot block
//
// Publish never waits for the network. NATS's client writes to its socket under the lock
// that every publisher needs, and connects under it too, so a server that is frozen would
// stop them all for as long as the time-out of the write or the connect (one minute, two
// seconds by default). The bus therefore gives it connections whose Write never waits (see
// wire) and that have been made elsewhere (see dialer), and asks its own flag, never the
// client, whether there is one. What is left is a publisher that found the flag up just
// before the connection was lost: it waits 20 ms at most, unless the next server too
// freezes, in the round trip between its greeting and its first answer: one second.
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// Errors of the bus. Others that NATS reports are wrapped.
var (
	// ErrDisconnected says that there is no connection to NATS and the receiver is not in
	// this process. Nothing was sent, nor will it be.
	ErrDisconnected = errors.New("bus: not connected to NATS")
	// ErrNoResponders says that nobody listens on the subject of a request.
	ErrNoResponders = errors.New("bus: no responders")
	// ErrOwned says that this process already owns the prefix.
	ErrOwned = errors.New("bus: prefix is owned already")
	// ErrTooLarge says that a message exceeds what the NATS server takes: max_payload
	// (1 MiB by default) for the body, MaxSubject for subject and reply together.
	ErrTooLarge = errors.New("bus: message too large")
	// ErrBadSubject says that a subject, prefix or reply has white space, an empty token,
	// a wildcard where none may be, or (a prefix) not exactly three tokens.
	ErrBadSubject = errors.New("bus: bad subject")
	// ErrClosed says that the bus was closed.
	ErrClosed = errors.New("bus: closed")
	// ErrOverflow says that replies to a request came faster than they were taken.
	ErrOverflow = errors.New("bus: too many replies waiting")
	// ErrNoServers says that Options name no NATS server.
	ErrNoServers = errors.New("bus: no NATS server given")
)

// MaxSubject is the greatest length of subject and reply together, in bytes. NATS servers
// take control lines of 4,096 bytes (max_control_line) with command, lengths and, between
// servers, account name; a longer one makes the client close its connection for good.
const MaxSubject = 3072

// Msg is one message. It and its Data are the receiver's to keep, the bus never uses them
// again; but they must not be modified, since a publisher in the same process may hold the
// same bytes.
type Msg struct {
	Subject string
	Reply   string // where an answer goes, or what else the wire puts there; may be empty
	Data    []byte
	Header  nats.Header // nil but for messages that were published with one, or by JetStream
	// NoResponders marks the answer that NATS itself gives, on the reply subject, when
	// nobody listens on what was asked (status 503). Data is empty. Only the connection
	// that published hears it, and only if it also receives on the reply subject: what is
	// published on behalf of somebody else's reply vanishes in silence.
	NoResponders bool
}

// Handler takes one message. It runs on its lane's goroutine, or on the publisher's for a
// direct hand-over, and so possibly on several at once; it must not block. A panic in it is
// not recovered.
type Handler func(m *Msg)

// Options say how to connect. Either URLs or InProcess is needed.
type Options struct {
	URLs      []string                   // NATS servers; more are learnt from them
	InProcess nats.InProcessConnProvider // an embedded server, reached without a socket
	Name      string                     // shown in the server's list of connections
	Lanes     int                        // goroutines that handle messages from NATS; default 2 × GOMAXPROCS
	LaneSize  int                        // messages that wait per lane before NATS drops them; default 65536
	// NATS adds options of the client: credentials, TLS, another ping interval. Handlers
	// for connection events, the reconnect buffer and the number of reconnects are the
	// bus's own, whatever is given here; a custom dialer is used.
	NATS     []nats.Option
	Log      *slog.Logger          // nil discards
	Registry prometheus.Registerer // nil keeps no metrics
	// DirectOff sends everything through NATS, also what has its receiver in this process.
	// For tests that compare the two.
	DirectOff bool
}

// Defaults of Options.
const (
	defaultLaneSize   = 65536
	defaultMaxPayload = 1 << 20
)

// Bus is one process's connection to the others. Its methods may be called from any
// goroutine; Close not from a handler.
type Bus struct {
	log       *slog.Logger
	directOff bool
	laneSize  int
	nc        *nats.Conn
	dialer    *dialer // nil for an embedded server
	link      link
	lanes     []*lane
	running   sync.WaitGroup // lanes
	owners    table
	listeners atomic.Pointer[map[*nats.Subscription]*Subscription]
	inbox     inbox
	counts    counts
	metrics   metrics

	// registering is held while subscriptions come and go; a lane waits for it when it
	// gets a message of a subscription that NATS knows before we do.
	registering sync.Mutex
	all         map[*Subscription]struct{}
	retired     uint64 // messages that cancelled subscriptions had dropped
}

// Connect waits for the first connection until ctx is done; from then on the bus keeps
// reconnecting by itself until Close.
func Connect(ctx context.Context, o Options) (*Bus, error) {
	if len(o.URLs) == 0 && o.InProcess == nil {
		return nil, ErrNoServers
	}
	b := newBus(o)
	opts, err := b.options(o)
	if err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	if err := b.dial(ctx, opts); err != nil {
		return nil, err
	}
	for range cap(b.lanes) {
		b.startLane()
	}
	err = b.link.wait(ctx, b.nc)
	if err == nil {
		err = b.openInbox()
	}
	if err == nil {
		err = b.metrics.register(b, o.Registry)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func newBus(o Options) *Bus {
	b := &Bus{
		log:       o.Log,
		directOff: o.DirectOff,
		laneSize:  o.LaneSize,
		all:       make(map[*Subscription]struct{}),
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if b.laneSize <= 0 {
		b.laneSize = defaultLaneSize
	}
	lanes := o.Lanes
	if lanes <= 0 {
		lanes = 2 * runtime.GOMAXPROCS(0)
	}
	b.lanes = make([]*lane, 0, lanes)
	b.listeners.Store(&map[*nats.Subscription]*Subscription{})
	b.owners.init()
	b.link.init(b.log)
	return b
}

// dial starts the client. It tries each server once before it answers, without regard to
// any context; so it gets a goroutine, and whoever gives up leaves it to close what comes.
func (b *Bus) dial(ctx context.Context, opts nats.Options) error {
	type result struct {
		nc  *nats.Conn
		err error
	}
	dialed := make(chan result, 1)
	go func() {
		nc, err := opts.Connect()
		dialed <- result{nc, err}
	}()
	select {
	case r := <-dialed:
		if r.err != nil {
			return fmt.Errorf("bus: connect: %w", r.err)
		}
		b.nc = r.nc
		return nil
	case <-ctx.Done():
		go func() {
			if r := <-dialed; r.nc != nil {
				r.nc.Close()
			}
			if b.dialer != nil {
				b.dialer.close()
			}
		}()
		return fmt.Errorf("bus: connect: %w", context.Cause(ctx))
	}
}

// Connected tells whether there is a connection to NATS, as far as is known: a server that
// froze is found out after 1.2 s.
func (b *Bus) Connected() bool { return b.link.up.Load() }

// OnState calls f with the present state, before it returns, and from then on with each
// change: false when the connection is lost, true when there is one again and every
// subscription stands. Calls come one at a time and in order, so a loss and a reconnect
// are never folded into nothing. f must not block and not call OnState; it may publish.
func (b *Bus) OnState(f func(connected bool)) { b.link.watch(f) }

// Conn is the connection itself, for JetStream's client. It may wait where the bus does
// not: its methods take a lock that is held while a reconnect speaks with a server, one
// second at most if that falls silent in between. It must not be closed.
func (b *Bus) Conn() *nats.Conn { return b.nc }

// closeFlush bounds how long Close waits for the server to take what was published.
const closeFlush = 500 * time.Millisecond

// Close hands what was published to the server, if it takes it within half a second, and
// ends the connection. When it returns no handler runs any more on a lane. What is waiting
// in the lanes is dropped. A second Close does nothing.
func (b *Bus) Close() {
	if !b.link.close() {
		return
	}
	b.owners.clear()
	b.listeners.Store(&map[*nats.Subscription]*Subscription{})
	if b.link.up.Load() {
		_ = b.nc.FlushTimeout(closeFlush)
	}
	b.nc.Close()
	if b.dialer != nil {
		b.dialer.close()
	}
	b.link.up.Store(false)
	for _, l := range b.lanes {
		close(l.queue) // safe: a closed client delivers no more
	}
	b.running.Wait()
	b.metrics.unregister()
}
