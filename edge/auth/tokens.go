// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/roster"
)

// Bucket is the key-value bucket that holds the stored tokens.
const Bucket = "januscloud_tokens"

const (
	stream = "KV_" + Bucket
	prefix = "$KV." + Bucket + "."
	// markerTTL is how long the marker of a removed token stays. Who does not hear of it reads the whole bucket anew.
	markerTTL = time.Minute
	// retryPause is the time between two attempts to open or to watch the bucket.
	retryPause = 500 * time.Millisecond
	// lagCheck is how often an edge looks how far the others are. Its watch is broken when it has not come there by the next time:
	// NATS's own client notices after 10 s at the earliest.
	lagCheck = 400 * time.Millisecond
	// readTime bounds how long it may take to read the whole bucket, and stopTime how long to end a watch.
	readTime = 30 * time.Second
	stopTime = 2 * time.Second
)

// Options are what stored tokens need.
type Options struct {
	Bus    *bus.Bus
	Roster *roster.Roster // knows the plugins, and what the other edges have seen
	Log    *slog.Logger
}

// Tokens are the stored tokens of the cluster. Make them with Open, and have Run keep them up to date. A nil *Tokens stands for
// a mechanism that is switched off: what would change it is refused as in Janus. They may be used from any goroutine.
type Tokens struct {
	opts    Options
	js      jetstream.JetStream
	kv      jetstream.KeyValue
	table   table
	changed chan struct{}
	again   chan struct{} // asks for a new watch
	endings sync.WaitGroup
}

// Open makes the bucket, or finds it, and reads it. It blocks until that is done or ctx ends.
func Open(ctx context.Context, o Options) (*Tokens, error) {
	js, err := jetstream.New(o.Bus.Conn())
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	t := &Tokens{opts: o, js: js, changed: make(chan struct{}, 1), again: make(chan struct{}, 1)}
	for {
		if t.kv, err = openBucket(ctx, js); err == nil {
			if err = t.read(ctx); err == nil {
				return t, nil
			}
		}
		o.Log.Info("waiting for JetStream", "error", err)
		if !bus.Pause(ctx, retryPause) {
			return nil, fmt.Errorf("tokens: %w (last: %w)", ctx.Err(), err)
		}
	}
}

// openBucket finds the bucket, or makes it.
func openBucket(ctx context.Context, js jetstream.JetStream) (jetstream.KeyValue, error) {
	return bus.OpenBucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: Bucket, Description: "januscloud: stored tokens of clients", History: 1, Storage: jetstream.FileStorage, LimitMarkerTTL: markerTTL,
	})
}

// Revision is how far the bucket was seen: every change up to it is in force here.
func (t *Tokens) Revision() uint64 { return t.table.seen() }

// Changed receives after changes came into force.
func (t *Tokens) Changed() <-chan struct{} { return t.changed }

// Refresh reads the bucket anew, because something may have been missed. It does not block.
func (t *Tokens) Refresh() { signal(t.again) }

// Run keeps the tokens up to date until ctx ends. While JetStream is away they stay as they are.
func (t *Tokens) Run(ctx context.Context) {
	defer t.endings.Wait()
	for ctx.Err() == nil {
		if err := t.follow(ctx, false); err != nil && ctx.Err() == nil {
			t.opts.Log.Warn("stored tokens are not up to date", "error", err)
			bus.Pause(ctx, retryPause)
		}
	}
}

// read reads the whole bucket once.
func (t *Tokens) read(ctx context.Context) error { return t.follow(ctx, true) }

var (
	errWatchEnded = errors.New("the watch ended")
	errBehind     = errors.New("other edges have seen more")
	errSlow       = errors.New("the bucket was not read in time")
)

// follow reads the whole bucket and then, unless once is set, every change, until something is wrong or Refresh asks for more.
func (t *Tokens) follow(ctx context.Context, once bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, err := t.lastRevision(ctx)
	if err != nil {
		return err
	}
	w, err := t.kv.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer t.endings.Go(func() { end(w) }) // which takes seconds where a server died
	if err := t.readAll(ctx, w, first); err != nil || once {
		return err
	}
	lag := time.NewTicker(lagCheck)
	defer lag.Stop()
	var due uint64 // what others had seen at the last check
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-w.Updates():
			if !ok {
				return errWatchEnded
			}
			t.table.apply(e.Key(), e.Revision(), t.parse(e))
			signal(t.changed)
		case <-t.again:
			return nil
		case <-lag.C:
			if t.Revision() < due {
				return errBehind
			}
			due = t.seenByOthers()
		}
	}
}

// lastRevision is the bucket's. Markers that are gone count, which a watch does not show.
func (t *Tokens) lastRevision(ctx context.Context) (uint64, error) {
	s, err := t.js.Stream(ctx, stream)
	if err != nil {
		return 0, err
	}
	return s.CachedInfo().State.LastSeq, nil
}

// readAll reads what a watch begins with.
func (t *Tokens) readAll(ctx context.Context, w jetstream.KeyWatcher, revision uint64) error {
	limit := time.NewTimer(readTime)
	defer limit.Stop()
	entries := make(map[string]entry)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return errSlow
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return errWatchEnded
			case e == nil:
				t.table.replace(entries, revision)
				signal(t.changed)
				return nil
			}
			revision = max(revision, e.Revision())
			if r := t.parse(e); r != nil {
				entries[e.Key()] = entry{*r, e.Revision()}
			} else {
				delete(entries, e.Key())
			}
		}
	}
}

// parse reads what a watch tells; nil: the token is gone.
func (t *Tokens) parse(e jetstream.KeyValueEntry) *record {
	if e.Operation() != jetstream.KeyValuePut {
		return nil
	}
	r, err := parseRecord(e.Key(), e.Value())
	if err != nil {
		t.opts.Log.Warn("stored token not understood", "revision", e.Revision(), "error", err)
		return nil
	}
	return r
}

// errForeign says that a record stands where another token's belongs.
var errForeign = errors.New("the key is not that of the token")

// parseRecord reads a record. Its errors do not repeat it.
func parseRecord(key string, value []byte) (*record, error) {
	var r record
	if json.Unmarshal(value, &r) != nil {
		return nil, errors.New("not a record")
	}
	if keyOf([]byte(r.Token)) != key {
		return nil, errForeign
	}
	return &r, nil
}

// seenByOthers is how far the bucket was seen by any edge that is heard.
func (t *Tokens) seenByOthers() (revision uint64) {
	for _, p := range t.opts.Roster.View().Edges() {
		if seen := p.Beat.Edge.Tokens; !p.Silent && seen != nil {
			revision = max(revision, *seen)
		}
	}
	return revision
}

func (t *Tokens) valid(token []byte) bool { return t.table.valid(token) }

func (t *Tokens) allows(token []byte, plugin string) bool { return t.table.allows(token, plugin) }

// end stops a watch and lets go of what it still has to say: it would wait for somebody to take it.
func end(w jetstream.KeyWatcher) {
	_ = w.Stop()
	limit := time.NewTimer(stopTime)
	defer limit.Stop()
	for {
		select {
		case _, ok := <-w.Updates():
			if !ok {
				return
			}
		case <-limit.C:
			return
		}
	}
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // one waits already
	}
}
