// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

const (
	// writeTime bounds how long a change may take to be written: longer than JetStream needs to elect a leader. One attempt may
	// take tryTime: what was sent to a leader that died is not answered.
	writeTime = 8 * time.Second
	tryTime   = time.Second
	// spreadTime bounds how long the other edges are waited for then.
	spreadTime = 2 * time.Second
	// spreadCheck is how often is looked whether they have it, and conflictPause how soon a change is tried again that met
	// another one.
	spreadCheck   = 5 * time.Millisecond
	conflictPause = 20 * time.Millisecond
	// watchTime is how long a change that was written may take to be seen here. When it takes longer the watch is broken.
	watchTime = 250 * time.Millisecond
)

// Listed is a token and the plugins that it gives access to.
type Listed struct {
	Token   string
	Plugins []string
}

// The changes below return when every edge that is heard has them, or after 2 s without some: those read the bucket when they
// come back. A failure is a *messages.Error where Janus has a word for it; any other one says that JetStream did not take the
// change. Elements of plugins that were no strings in the request are passed as "".

// Add makes a token good (add_token), and gives it access to these plugins, besides those it had; to all, and to those of
// servers that come later, too, where none is named. Plugins that no media server has are passed over. It returns the plugins
// that the token gives access to.
func (t *Tokens) Add(ctx context.Context, token string, plugins []string) (allowed []string, err error) {
	return t.change(ctx, token, func(r *record) (*record, error) {
		if r == nil {
			r = &record{Token: token}
		}
		if len(plugins) == 0 {
			return &record{Token: token, All: true}, nil
		}
		known := t.known()
		return r.with(slices.DeleteFunc(slices.Clone(plugins), func(p string) bool { return !known[p] })), nil
	})
}

// Allow gives a token access to more plugins (allow_token), all of which must be there. It returns those that the token gives
// access to then.
func (t *Tokens) Allow(ctx context.Context, token string, plugins []string) (allowed []string, err error) {
	return t.changeAccess(ctx, token, plugins, func(r *record) *record { return r.with(plugins) })
}

// Disallow takes access to plugins away from a token (disallow_token), all of which must be there. It returns those that the
// token still gives access to; without any it is good for what needs no attach.
func (t *Tokens) Disallow(ctx context.Context, token string, plugins []string) (allowed []string, err error) {
	return t.changeAccess(ctx, token, plugins, func(r *record) *record {
		left := slices.DeleteFunc(slices.Clone(t.plugins(r)), func(p string) bool { return slices.Contains(plugins, p) })
		return &record{Token: token, Plugins: left}
	})
}

// Remove makes a token bad (remove_token). Sessions stay: it is the next request with it that is refused.
func (t *Tokens) Remove(ctx context.Context, token string) error {
	_, err := t.change(ctx, token, func(r *record) (*record, error) {
		if r == nil {
			return nil, messages.Errorf(messages.CodeUnknown, "Error removing token")
		}
		return nil, nil
	})
	return err
}

// List tells the tokens that give access to some plugin (list_tokens): Janus leaves the others out.
func (t *Tokens) List() ([]Listed, error) {
	if t == nil {
		return nil, errDisabled()
	}
	listed := []Listed{}
	for _, e := range t.table.all() {
		if plugins := t.plugins(&e.record); len(plugins) > 0 {
			listed = append(listed, Listed{e.Token, plugins})
		}
	}
	slices.SortFunc(listed, func(a, b Listed) int { return cmp.Compare(a.Token, b.Token) })
	return listed, nil
}

func errDisabled() *messages.Error {
	return messages.Errorf(messages.CodeUnknown, "Stored-Token based authentication disabled")
}

// changeAccess changes a token that must be there (janus_request_allow_token of src/janus.c).
func (t *Tokens) changeAccess(ctx context.Context, token string, plugins []string, how func(*record) *record) ([]string, error) {
	return t.change(ctx, token, func(r *record) (*record, error) {
		known := t.known()
		switch {
		case len(plugins) == 0:
			return nil, messages.ErrElementType("plugins", "a non-empty array")
		case r == nil:
			return nil, messages.Errorf(messages.CodeTokenNotFound, "Token %s not found", token)
		case slices.ContainsFunc(plugins, func(p string) bool { return !known[p] }):
			return nil, messages.Errorf(messages.CodeInvalidElementType, "Invalid element type (some of the provided plugins are invalid)")
		}
		return how(r), nil
	})
}

// with is the record with access to more plugins.
func (r *record) with(plugins []string) *record {
	if r.All {
		return r
	}
	all := slices.Clone(r.Plugins)
	for _, p := range plugins {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return &record{Token: r.Token, Plugins: all}
}

// plugins are those that a record gives access to, among those that there are if that is all.
func (t *Tokens) plugins(r *record) []string {
	if r.All {
		return slices.Sorted(maps.Keys(t.known()))
	}
	return r.Plugins
}

// known are the plugins of all media servers, and those that session nodes serve.
func (t *Tokens) known() map[string]bool {
	known, v := make(map[string]bool), t.opts.Roster.View()
	for plugin := range v.Local() {
		known[plugin] = true
	}
	for _, p := range v.Media() {
		for plugin := range p.Beat.Media.Plugins {
			known[plugin] = true
		}
	}
	return known
}

// change writes what becomes of a token's record, where nil is none, and waits until the edges have it. how is called again
// where somebody else changed the record meanwhile.
func (t *Tokens) change(ctx context.Context, token string, how func(*record) (*record, error)) (allowed []string, err error) {
	if t == nil {
		return nil, errDisabled()
	}
	revision, next, err := t.write(ctx, token, how)
	if err != nil {
		return nil, err
	}
	t.spread(ctx, revision)
	if next == nil {
		return nil, nil
	}
	return t.plugins(next), nil
}

// write tries until a change is written, or it is clear that it cannot be.
func (t *Tokens) write(ctx context.Context, token string, how func(*record) (*record, error)) (revision uint64, next *record, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	unsure := false // an attempt was not answered, and may have written next
	for {
		attempt, done := context.WithTimeout(ctx, tryTime)
		old, at, err := t.latest(attempt, token)
		switch {
		case err != nil:
		case unsure && reflect.DeepEqual(old, next):
			done()
			return at, next, nil
		default:
			if next, err = how(old); err != nil {
				done()
				return 0, nil, err
			}
			revision, err = t.put(attempt, token, at, next)
			unsure = unsure || errors.Is(err, context.DeadlineExceeded)
		}
		done()
		switch {
		case err == nil:
			return revision, next, nil
		case !t.passes(err) || !bus.Pause(ctx, conflictPause):
			return 0, nil, fmt.Errorf("tokens: %w", err)
		}
	}
}

// passes reports whether another attempt may succeed: leaders are elected within seconds, but NATS itself may be gone.
func (t *Tokens) passes(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && conflicts(api.ErrorCode) || t.opts.Bus.Connected()
}

// conflicts reports whether JetStream refused a write because somebody else's came first. It has two codes for that.
func conflicts(code jetstream.ErrorCode) bool {
	return code == jetstream.JSErrCodeStreamWrongLastSequence || code == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}

// latest is a token's record as the bucket has it, and its revision; nil with that of a marker, or 0, where there is none.
// Reads may be answered by a copy that is behind what was seen here.
func (t *Tokens) latest(ctx context.Context, token string) (*record, uint64, error) {
	key := keyOf([]byte(token))
	s, err := t.js.Stream(ctx, stream)
	if err != nil {
		return nil, 0, err
	}
	seen, have := t.table.find([]byte(token))
	m, err := s.GetLastMsgForSubject(ctx, prefix+key)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, 0, nil
	case err != nil:
		return nil, 0, err
	case have && m.Sequence < seen.revision:
		return &seen.record, seen.revision, nil
	case m.Header.Get("KV-Operation") != "" || m.Header.Get(jetstream.MarkerReasonHeader) != "":
		return nil, m.Sequence, nil
	}
	r, err := parseRecord(key, m.Data)
	if err != nil {
		return nil, m.Sequence, nil //nolint:nilerr // what nobody can read is written anew
	}
	return r, m.Sequence, nil
}

// put writes a record, or the marker that there is none, if the revision of what is there is still at.
func (t *Tokens) put(ctx context.Context, token string, at uint64, r *record) (revision uint64, err error) {
	m := nats.NewMsg(prefix + keyOf([]byte(token)))
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(at, 10))
	if r == nil {
		m.Header.Set("KV-Operation", "PURGE")
		m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
		m.Header.Set(jetstream.MsgTTLHeader, markerTTL.String())
	} else if m.Data, err = json.Marshal(r); err != nil {
		return 0, err
	}
	ack, err := t.js.PublishMsg(ctx, m)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// spread waits until a revision is in force on this edge and on all others that are heard, but no longer than spreadTime.
func (t *Tokens) spread(ctx context.Context, revision uint64) {
	ctx, cancel := context.WithTimeout(ctx, spreadTime)
	defer cancel()
	late := time.AfterFunc(watchTime, func() {
		if t.Revision() < revision {
			t.Refresh()
		}
	})
	defer late.Stop()
	for {
		missing := t.missing(revision)
		if missing == nil {
			return
		}
		if !bus.Pause(ctx, spreadCheck) {
			t.opts.Log.Warn("a change of stored tokens is not in force everywhere yet", "edges", missing, "revision", revision)
			return
		}
	}
}

// missing are the edges that have not seen a revision.
func (t *Tokens) missing(revision uint64) (names []string) {
	if t.Revision() < revision {
		names = append(names, "this one")
	}
	behind := t.opts.Roster.View().EdgesBehind(revision, func(b *messages.EdgeBeat) *uint64 { return b.Tokens })
	return append(names, behind...)
}
