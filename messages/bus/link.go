// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// link knows whether there is a connection. The client's own methods that tell it take the
// connection lock, which is held while a reconnect tries a server; so the flag is kept
// here. It goes down with the wire, before the client starts to reconnect, and up when the
// client reports a connection with all subscriptions sent.
type link struct {
	log        *slog.Logger
	up         atomic.Bool
	ready      chan struct{} // closed with the first connection
	wire       atomic.Pointer[wire]
	maxPayload atomic.Int64 // bytes, told by the server
	refusal    atomic.Pointer[error]
	connects   atomic.Uint64
	losses     atomic.Uint64
	slowLog    gate
	errorLog   gate

	closed atomic.Bool

	telling  sync.Mutex // held while watchers are told, so that they hear changes in order
	told     bool
	watchers []func(bool)
}

func (l *link) init(log *slog.Logger) {
	l.log = log
	l.ready = make(chan struct{})
	l.maxPayload.Store(defaultMaxPayload)
}

// adopt makes w the wire of the present attempt. The client leaves the last one open when
// a server accepted it and then said nothing.
func (l *link) adopt(w *wire) {
	if old := l.wire.Swap(w); old != nil {
		_ = old.Close()
	}
}

// down is called by a wire that ends.
func (l *link) down(w *wire) {
	if l.wire.Load() == w {
		l.up.Store(false)
	}
}

// onConnect is the client's callback for every connection. It comes on a goroutine of its
// own, and may find the connection lost again: then a loss is reported after it.
func (l *link) onConnect(nc *nats.Conn) {
	w := l.wire.Load()
	if w == nil || !nc.IsConnected() {
		return
	}
	if size := nc.MaxPayload(); size > 0 {
		l.maxPayload.Store(size)
	}
	l.up.Store(true)
	if w.isClosed() {
		l.up.Store(false)
		return
	}
	if l.connects.Add(1) == 1 {
		close(l.ready)
	}
	l.log.Info("connected to NATS", "url", nc.ConnectedUrlRedacted(), "server_name", nc.ConnectedServerName())
	l.tell(true)
}

// onDisconnect is the client's callback for every connection that ended.
func (l *link) onDisconnect(_ *nats.Conn, err error) {
	if l.isClosed() {
		return
	}
	l.losses.Add(1)
	l.log.Warn("connection to NATS lost", "error", err)
	l.tell(false)
}

// onRefusal is the client's callback for every attempt that failed.
func (l *link) onRefusal(_ *nats.Conn, err error) {
	l.refusal.Store(&err)
	l.log.Debug("no connection to NATS", "error", err)
}

// onClosed is the client's callback for its end, which only Close should bring about.
func (l *link) onClosed(nc *nats.Conn) {
	l.up.Store(false)
	if !l.isClosed() {
		l.log.Error("NATS client gave up", "error", nc.LastError())
		l.tell(false)
	}
}

// onError is the client's callback for what goes wrong beside the connection itself.
func (l *link) onError(_ *nats.Conn, sub *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrSlowConsumer):
		if l.slowLog.open() && sub != nil {
			dropped, _ := sub.Dropped()
			l.log.Warn("messages dropped, lane is full", "subject", sub.Subject, "dropped", dropped)
		}
	case l.errorLog.open():
		l.log.Warn("NATS reports an error", "error", err)
	}
}

func (l *link) tell(up bool) {
	l.telling.Lock()
	defer l.telling.Unlock()
	if l.told == up {
		return
	}
	l.told = up
	for _, f := range l.watchers {
		f(up)
	}
}

func (l *link) watch(f func(bool)) {
	l.telling.Lock()
	defer l.telling.Unlock()
	l.watchers = append(l.watchers, f)
	f(l.told)
}

// wait waits for the first connection.
func (l *link) wait(ctx context.Context, nc *nats.Conn) error {
	select {
	case <-l.ready:
		return nil
	case <-ctx.Done():
	}
	last := nc.LastError()
	if refusal := l.refusal.Load(); last == nil && refusal != nil {
		last = *refusal
	}
	if last == nil {
		return fmt.Errorf("bus: connect: %w", context.Cause(ctx))
	}
	return fmt.Errorf("bus: connect: %w (%w)", context.Cause(ctx), last)
}

// close answers false if the link was closed before.
func (l *link) close() bool { return l.closed.CompareAndSwap(false, true) }

func (l *link) isClosed() bool { return l.closed.Load() }

// gate opens once per second.
type gate struct{ opened atomic.Int64 }

func (g *gate) open() bool {
	now := time.Now().UnixNano()
	last := g.opened.Load()
	return now-last >= int64(time.Second) && g.opened.CompareAndSwap(last, now)
}
