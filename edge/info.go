// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/settings"
)

const (
	infoPatience = 2 * time.Second // how long a media server may take to tell its info
	infoRetry    = 2 * time.Second // and after what time it is asked again
)

// cluster is the server_info of the whole cluster, as one Janus would give it. It is made in the background from what the
// media servers say of theirs and kept as bytes, so that a request costs a copy.
type cluster struct {
	opts    *Options
	fetch   func(ctx context.Context, server messages.Member) ([]byte, error)
	log     *slog.Logger
	changed chan struct{}
	tail    atomic.Pointer[[]byte] // what follows the transaction, up to the closing brace
	pings   atomic.Bool            // it is a version that answers GET /ping

	rules settings.Rules // of administrators, for all sessions
	// adjusted is what administrators set at every Janus, by the name that info has for it; media servers are asked for
	// theirs but once.
	adjusted atomic.Pointer[map[string]json.RawMessage]
	seen     atomic.Uint64 // revision up to which settings came
	told     atomic.Uint64 // and up to which info tells of them
	spoke    func()        // called when told has grown

	// The rest belongs to run.
	servers map[messages.Member]*serverInfo
	base    []field // of the server that the cluster speaks with the words of; kept when that is gone
}

// field is a member of a JSON object.
type field struct {
	name  string
	value json.RawMessage
}

// serverInfo is what one media server told.
type serverInfo struct {
	since   time.Time // when its Janus came up: another Janus may answer otherwise
	fields  []field
	plugins []field
}

func newCluster(o *Options, fetch func(context.Context, messages.Member) ([]byte, error), log *slog.Logger) *cluster {
	return &cluster{
		spoke: func() {},
		opts:  o, fetch: fetch, log: log, changed: make(chan struct{}, 1), servers: make(map[messages.Member]*serverInfo),
		base: []field{
			{"name", quoted("Janus WebRTC Server")}, {"accepting-new-sessions", nil}, {"session-timeout", nil},
			{"reclaim-session-timeout", nil}, {"server-name", nil}, {"api_secret", nil}, {"auth_token", nil},
			{"transports", nil}, {"events", json.RawMessage("{}")}, {"loggers", json.RawMessage("{}")}, {"plugins", nil},
		},
	}
}

// append writes the answer to an info request with this transaction.
func (i *cluster) append(dst, transaction []byte) []byte {
	dst = append(dst, `{"janus":"server_info","transaction":`...)
	dst = append(dst, transaction...)
	if tail := i.tail.Load(); tail != nil {
		dst = append(dst, *tail...)
	}
	return append(dst, '}')
}

// update has the info made anew. It does not block.
func (i *cluster) update() {
	select {
	case i.changed <- struct{}{}:
	default: // it is about to be
	}
}

// run makes the info until ctx ends.
func (i *cluster) run(ctx context.Context, view func() *roster.View) {
	retry := time.NewTimer(infoRetry)
	defer retry.Stop()
	for {
		complete := i.learn(ctx, view())
		i.build(view())
		var again <-chan time.Time
		if !complete {
			retry.Reset(infoRetry)
			again = retry.C
		}
		select {
		case <-ctx.Done():
			return
		case <-i.changed:
		case <-again:
		}
	}
}

// learn asks the media servers that it knows nothing of, and forgets those that are gone. It reports whether all answered.
func (i *cluster) learn(ctx context.Context, v *roster.View) (complete bool) {
	complete = true
	live := make(map[messages.Member]*serverInfo)
	for _, p := range v.Media() {
		if p.Silent || !p.Beat.Media.Serves() {
			continue
		}
		m := p.Beat.Member
		if known := i.servers[m]; known != nil && known.since.Equal(p.Beat.Media.Since) {
			live[m] = known
			continue
		}
		s, err := i.ask(ctx, m)
		if err != nil {
			i.log.Debug("no info of media server", "server", m.String(), "error", err)
			complete = false
			continue
		}
		s.since = p.Beat.Media.Since
		live[m] = s
	}
	i.servers = live
	return complete
}

func (i *cluster) ask(ctx context.Context, m messages.Member) (*serverInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, infoPatience)
	defer cancel()
	data, err := i.fetch(ctx, m)
	if err != nil {
		return nil, err
	}
	fields, err := members(data)
	if err != nil {
		return nil, fmt.Errorf("info of %s: %w", m, err)
	}
	s := &serverInfo{}
	for _, f := range fields {
		switch f.name {
		case "janus", "transaction", "session_id", "sender":
			continue
		case "plugins":
			if s.plugins, err = members(f.value); err != nil {
				return nil, fmt.Errorf("info of %s: %w", m, err)
			}
		}
		s.fields = append(s.fields, f)
	}
	return s, nil
}

// build writes the info.
func (i *cluster) build(v *roster.View) {
	seen := i.seen.Load()
	for _, p := range v.Media() {
		if s := i.servers[p.Beat.Member]; s != nil {
			i.base = s.fields
			break
		}
	}
	var b bytes.Buffer
	for _, f := range i.base {
		if value := i.value(f, v); value != nil {
			fmt.Fprintf(&b, ",%s:%s", quoted(f.name), value)
		}
	}
	tail := b.Bytes()
	i.tail.Store(&tail)
	i.pings.Store(i.version() >= pingVersion)
	if i.told.Swap(seen) != seen {
		i.spoke()
	}
}

// heed takes a setting of administrators in. They come in order.
func (i *cluster) heed(s messages.Setting) {
	i.rules.Heed(s)
	i.adjust(s)
	i.seen.Store(s.Revision)
	i.update()
}

// adjust takes in what was set at every Janus, if info tells of it.
func (i *cluster) adjust(s messages.Setting) {
	names := map[string][2]string{
		"set_min_nack_queue":     {"min_nack_queue", "min-nack-queue"},
		"set_nack_optimizations": {"nack_optimizations", "nack-optimizations"},
	}
	var fields map[string]json.RawMessage
	name, known := names[s.Verb]
	if !known || json.Unmarshal(s.Fields, &fields) != nil || fields[name[0]] == nil {
		return
	}
	adjusted := map[string]json.RawMessage{}
	if old := i.adjusted.Load(); old != nil {
		adjusted = maps.Clone(*old)
	}
	adjusted[name[1]] = fields[name[0]]
	i.adjusted.Store(&adjusted)
}

// pingVersion is the first version of Janus that answers GET /ping: 1.2.2.
const pingVersion = 1202

// version is the number of the Janus version that the cluster speaks with the words of, 0 while that is not known.
func (i *cluster) version() (n int) {
	for _, f := range i.base {
		if f.name == "version" {
			n, _ = strconv.Atoi(string(f.value))
		}
	}
	return n
}

// value is the cluster's own word where it has one; nil leaves the member out.
func (i *cluster) value(f field, v *roster.View) json.RawMessage {
	switch f.name {
	case "accepting-new-sessions":
		takes := slices.ContainsFunc(v.Nodes(), roster.Peer.Takes)
		return strconv.AppendBool(nil, takes && i.rules.Accepting())
	case "session-timeout":
		return seconds(i.rules.SessionTimeout(i.opts.SessionTimeout))
	case "reclaim-session-timeout":
		return seconds(i.opts.ReclaimTimeout)
	case "server-name":
		if i.opts.ServerName != "" {
			return quoted(i.opts.ServerName)
		}
	case "api_secret":
		return strconv.AppendBool(nil, i.opts.APISecret != "")
	case "auth_token":
		return strconv.AppendBool(nil, i.opts.TokenAuth)
	case "transports":
		return i.transports(f.value)
	case "plugins":
		return object(i.plugins(v))
	}
	if adjusted := i.adjusted.Load(); adjusted != nil && (*adjusted)[f.name] != nil {
		return (*adjusted)[f.name]
	}
	return f.value
}

// plugins are those that any live server has, and those that session nodes serve.
func (i *cluster) plugins(v *roster.View) []field {
	var all []field
	have := make(map[string]bool)
	for _, p := range v.Media() {
		s := i.servers[p.Beat.Member]
		if s == nil {
			continue
		}
		for _, f := range s.plugins {
			if !have[f.name] {
				have[f.name] = true
				all = append(all, f)
			}
		}
	}
	local := v.Local()
	for _, name := range slices.Sorted(maps.Keys(local)) {
		if !have[name] {
			all = append(all, field{name, describe(name, local[name])})
		}
	}
	return all
}

// describe is what info says of a plugin that session nodes serve, with the keys that Janus has for its own.
func describe(name, version string) json.RawMessage {
	last, _ := strconv.Atoi(version[strings.LastIndexByte(version, '.')+1:])
	return object([]field{
		{"name", quoted(name)}, {"author", quoted("januscloud")}, {"description", quoted("Served by session nodes, without a Janus")},
		{"version_string", quoted(version)}, {"version", strconv.AppendInt(nil, int64(last), 10)},
	})
}

// transports are those of this edge, in the words of the media server's where it has the same.
func (i *cluster) transports(of json.RawMessage) json.RawMessage {
	said, _ := members(of)
	var all []field
	for _, x := range [...]struct {
		name, words string
		served      bool
	}{
		{"janus.transport.http", "JANUS REST (HTTP/HTTPS) transport plugin", i.opts.HTTP != "" || i.opts.HTTPS != ""},
		{"janus.transport.websockets", "JANUS WebSockets transport plugin", i.opts.WS != "" || i.opts.WSS != ""},
	} {
		if !x.served {
			continue
		}
		f := field{x.name, object([]field{{"name", quoted(x.words)}})}
		if n := slices.IndexFunc(said, func(f field) bool { return f.name == x.name }); n >= 0 {
			f = said[n]
		}
		all = append(all, f)
	}
	return object(all)
}

// seconds writes a time-out as Janus does.
func seconds(d time.Duration) json.RawMessage {
	return strconv.AppendInt(nil, int64(max(d, 0)/time.Second), 10)
}

// members reads the members of a JSON object in order.
func members(data []byte) ([]field, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, janusjson.ErrNotObject
	}
	var all []field
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, value); err != nil {
			return nil, err
		}
		all = append(all, field{name.(string), compact.Bytes()})
	}
	return all, nil
}

func quoted(s string) json.RawMessage { return janusjson.AppendQuoted(nil, s) }

// object writes a JSON object.
func object(fields []field) json.RawMessage {
	b := []byte{'{'}
	for n, f := range fields {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(b, quoted(f.name)...)
		b = append(b, ':')
		b = append(b, f.value...)
	}
	return append(b, '}')
}
