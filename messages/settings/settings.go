// SPDX-License-Identifier: Apache-2.0

// Package settings keeps what administrators set for the whole cluster, so that who joins later hears of it: one key of
// a JetStream bucket per verb of the Admin API, with the fields of the last request as its value.
//
// What is kept is followed by everybody whom it concerns: media servers set it at their Janus, session nodes heed what
// concerns sessions, edges tell it. All methods may wait for NATS, and belong on a goroutine of their own.
package settings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// Bucket is the name of the JetStream key-value bucket.
const Bucket = "januscloud_settings"

// maxValue bounds the fields of one setting, in bytes.
const maxValue = 16 << 10

// The verbs that session nodes heed; all others are set at every Janus.
const (
	SessionTimeout    = "set_session_timeout" // {"timeout": seconds}; 0: never
	AcceptNewSessions = "accept_new_sessions" // {"accept": bool}
)

// ForSessions tells whether a setting is one of those that session nodes heed.
func ForSessions(verb string) bool { return verb == SessionTimeout || verb == AcceptNewSessions }

const (
	// retry is the pause after a failure, before JetStream is asked again.
	retry = time.Second
	// readTime bounds how long a start waits for the settings: without JetStream there are none, and whoever starts then
	// hears of them later.
	readTime = 2 * time.Second
)

// Put keeps a setting and returns its revision, which grows with every change of the bucket.
func Put(ctx context.Context, b *bus.Bus, s messages.Setting) (revision uint64, err error) {
	kv, err := open(ctx, b)
	if err == nil {
		revision, err = kv.Put(ctx, s.Verb, s.Fields)
	}
	if err != nil {
		return 0, fmt.Errorf("settings: %s: %w", s.Verb, err)
	}
	return revision, nil
}

// Follow calls each with every setting there is, and then with every change, in order, until ctx ends. After a failure it
// begins again, so a setting may come twice; one that comes late has the lower revision. each may block.
func Follow(ctx context.Context, b *bus.Bus, log *slog.Logger, each func(messages.Setting)) {
	for ctx.Err() == nil {
		if err := follow(ctx, b, each, false); err != nil && ctx.Err() == nil {
			log.Debug("settings not followed", "error", err)
		}
		bus.Pause(ctx, retry)
	}
}

// Read calls each with every setting there is, as Follow begins. Who joins the cluster does so before it serves.
func Read(ctx context.Context, b *bus.Bus, each func(messages.Setting)) error {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	if err := follow(ctx, b, each, true); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}

// follow reads what there is and, unless once is set, every change.
func follow(ctx context.Context, b *bus.Bus, each func(messages.Setting), once bool) error {
	opening, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	kv, err := open(opening, b)
	if err != nil {
		return err
	}
	watcher, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return err
	}
	defer func() { _ = watcher.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-watcher.Updates():
			switch {
			case !ok:
				return errors.New("the watch has ended")
			case e == nil && once:
				return nil
			}
			if e != nil && len(e.Value()) <= maxValue && json.Valid(e.Value()) { // nil: the end of what there was
				each(messages.Setting{Verb: e.Key(), Fields: e.Value(), Revision: e.Revision()})
			}
		}
	}
}

// open finds the bucket, or makes it.
func open(ctx context.Context, b *bus.Bus) (jetstream.KeyValue, error) {
	js, err := jetstream.New(b.Conn())
	if err != nil {
		return nil, err
	}
	return bus.OpenBucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: Bucket, Description: "januscloud: what administrators set", History: 1, MaxValueSize: maxValue, Storage: jetstream.FileStorage,
	})
}
