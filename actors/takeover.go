// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// askTime is how long a new owner waits for the ends to answer before it serves.
	askTime = 300 * time.Millisecond
)

// takeover finds out what is in partitions that were just taken: media servers know the bound handles, edges the
// transports, records the rest. It belongs to the keeper.
type takeover struct {
	id       string
	set      messages.PartitionSet
	epoch    messages.Epoch
	raised   map[int]messages.Epoch // of partitions whose epoch was raised since
	started  time.Time
	waiting  map[messages.Member]bool // ends that did not answer yet
	answered map[messages.Member]bool // ends that did; true: it is a media server
	read     bool                     // the records are read
	served   bool                     // the partitions serve; only the records are late
	former   messages.Member          // who offered the partitions; zero: nobody
	found    map[uint64]*found
	timer    wheel.Timer
	cancel   context.CancelFunc
}

// found is what was found out about one session.
type found struct {
	id       uint64
	record   *messages.SessionRecord
	revision uint64
	handles  map[uint64]*foundHandle
	owner    messages.Transport
	ownedAt  int64
	servers  []messages.Member
	written  map[string]uint64 // number of the last event that an edge has written and keeps no connection for, by media server
	over     bool              // its record was deleted
}

// lives tells whether there is such a session. That a connection asked something of it is no sign: it may have asked in vain.
// One that owns it may not have heard yet that another one ended it; but the store may be late to know a new session.
func (f *found) lives() bool {
	return f.record != nil || len(f.servers) > 0 || !f.over && (f.ownedAt > 0 || len(f.handles) > 0)
}

// foundHandle is what was found out about one handle.
type foundHandle struct {
	record   *messages.HandleRecord
	revision uint64
	server   messages.Member // that maps it
	held     messages.HoldingHandle
}

type (
	recordsRead struct {
		id      string
		records []rawRecord
		err     error
	}
	takeoverDue     struct{ id string }
	loadedPartition struct {
		epoch    messages.Epoch
		sessions []*found
		over     []uint64                 // sessions that ended not long ago
		answered map[messages.Member]bool // media servers that told what they hold
		complete bool                     // the records were read
	}
)

// begin asks the ends and reads the records.
func (k *keeper) begin(set messages.PartitionSet, epoch messages.Epoch, former messages.Member, v *roster.View) {
	ctx, cancel := context.WithCancel(k.node.errands.ctx)
	t := &takeover{
		id: strconv.FormatUint(epoch.Number, 36) + "-" + strconv.Itoa(len(k.takeovers)), set: set, epoch: epoch, started: time.Now(),
		waiting: map[messages.Member]bool{}, answered: map[messages.Member]bool{}, found: map[uint64]*found{},
		raised: map[int]messages.Epoch{}, cancel: cancel, former: former,
	}
	k.takeovers[t.id] = t
	ask, err := json.Marshal(messages.Ask{Node: k.node.member, Epoch: epoch, Partitions: set})
	if err != nil {
		k.node.Log.Error("ask does not marshal", "error", err)
	}
	for _, subject := range k.ends(v, t) {
		if err := k.node.Bus.Publish(subject, messages.NodeAnswer(k.node.member, t.id), ask); err != nil {
			k.node.Log.Warn("end not asked", "subject", subject, "error", err)
		}
	}
	id := t.id
	k.node.errands.work.Go(func() { k.read(ctx, id, set) })
	k.node.Wheel.Arm(&t.timer, askTime, func() { k.node.tell(k.self, takeoverDue{id}) })
}

// ends are the subjects of the live media servers and edges.
func (k *keeper) ends(v *roster.View, t *takeover) []string {
	var subjects []string
	for _, p := range v.Media() {
		if !p.Silent {
			t.waiting[p.Beat.Member] = true
			subjects = append(subjects, messages.MediaAsk(p.Beat.Member))
		}
	}
	for _, p := range v.Edges() {
		if !p.Silent {
			t.waiting[p.Beat.Member] = true
			subjects = append(subjects, messages.EdgeAsk(p.Beat.Member))
		}
	}
	return subjects
}

// read reads the records, however long that takes: until then unknown sessions are held.
func (k *keeper) read(ctx context.Context, id string, set messages.PartitionSet) {
	records, err := k.node.store.load(ctx, set)
	k.node.tell(k.self, recordsRead{id, records, err})
}

// onAnswer takes one message of an end's answer.
func (k *keeper) onAnswer(id string, data []byte) {
	t, ok := k.takeovers[id]
	if !ok && id != backAnswer {
		return // it came too late
	}
	var h messages.Holding
	if err := json.Unmarshal(data, &h); err != nil {
		k.node.Log.Warn("answer not understood", "error", err)
		return
	}
	if !ok {
		k.onBack(h)
		return
	}
	for _, s := range h.Sessions {
		if t.set.Has(messages.PartitionOf(s.Session)) {
			t.at(s.Session).merge(h.From, h.Role, s)
		}
	}
	if h.Last {
		delete(t.waiting, h.From)
		t.answered[h.From] = h.Role == messages.RoleMedia
		k.maybeServe(t)
	}
}

// epochOf is the epoch of one of its partitions now.
func (t *takeover) epochOf(partition int) messages.Epoch {
	if e, ok := t.raised[partition]; ok {
		return e
	}
	return t.epoch
}

func (t *takeover) at(session uint64) *found {
	f := t.found[session]
	if f == nil {
		f = &found{id: session, handles: map[uint64]*foundHandle{}}
		t.found[session] = f
	}
	return f
}

func (f *found) handle(id uint64) *foundHandle {
	h := f.handles[id]
	if h == nil {
		h = &foundHandle{}
		f.handles[id] = h
	}
	return h
}

// merge adds what an end knows of the session.
func (f *found) merge(from messages.Member, role messages.Role, s messages.HoldingSession) {
	for _, origins := range s.Written {
		f.wrote(origins)
	}
	if role == messages.RoleMedia && !slices.Contains(f.servers, from) { // a long answer names a session again
		f.servers = append(f.servers, from)
	}
	for _, held := range s.Handles {
		h := f.handle(held.Handle)
		h.server, h.held = from, held
	}
	for _, c := range s.Connections {
		if c.Owner > f.ownedAt {
			f.owner, f.ownedAt = messages.Transport{Edge: from, Connection: c.Connection}, c.Owner
		}
	}
}

// wrote notes the last events that an edge has written, of each media server.
func (f *found) wrote(origins string) {
	for origin := range messages.Origins(origins) {
		if server, seq, ok := messages.CutOrigin(origin); ok {
			if f.written == nil {
				f.written = map[string]uint64{}
			}
			f.written[server] = max(f.written[server], seq)
		}
	}
}

// onRecords takes the records in.
func (k *keeper) onRecords(m recordsRead) {
	t, ok := k.takeovers[m.id]
	if !ok {
		return
	}
	if m.err != nil {
		return // the node stops
	}
	for _, r := range m.records {
		k.addRecord(t, r)
	}
	t.read = true
	if t.served {
		k.finish(t)
		return
	}
	k.maybeServe(t)
}

func (k *keeper) addRecord(t *takeover, r rawRecord) {
	if r.deleted {
		if r.handle == 0 {
			t.at(r.session).over = true
		}
		return
	}
	f := t.at(r.session)
	var err error
	if r.handle == 0 {
		f.revision, f.record = r.revision, &messages.SessionRecord{}
		err = json.Unmarshal(r.value, f.record)
	} else {
		h := f.handle(r.handle)
		h.revision, h.record = r.revision, &messages.HandleRecord{}
		err = json.Unmarshal(r.value, h.record)
	}
	if err != nil {
		k.node.Log.Error("record not understood", "session", r.session, "handle", r.handle, "error", err)
	}
}

// maybeServe serves when everything is known.
func (k *keeper) maybeServe(t *takeover) {
	if len(t.waiting) == 0 && t.read {
		k.finish(t)
	}
}

// onTakeoverDue serves with what is known: whoever did not answer by now is dying or far away.
func (k *keeper) onTakeoverDue(m takeoverDue) {
	t, ok := k.takeovers[m.id]
	if !ok || t.served {
		return
	}
	k.node.Log.Warn("taking over without all answers", "partitions", t.set.Len(), "missing", len(t.waiting), "records", t.read)
	if t.read {
		k.finish(t)
		return
	}
	t.served = true
	k.hand(t, false)
	k.tellFormer(t)
	k.askLate(t)
}

// finish hands the partitions what was found and ends the takeover.
func (k *keeper) finish(t *takeover) {
	t.cancel()
	k.node.Wheel.Disarm(&t.timer)
	delete(k.takeovers, t.id)
	k.hand(t, true)
	if !t.served {
		k.tellFormer(t)
	}
	k.askLate(t)
	k.node.metrics.takeover.Observe(time.Since(t.started).Seconds())
	k.node.Log.Info("partitions served", "count", t.set.Len(), "sessions", len(t.found), "after", time.Since(t.started))
	k.review()
}

func (k *keeper) hand(t *takeover, complete bool) {
	byPartition, over := map[int][]*found{}, map[int][]uint64{}
	for _, f := range t.found {
		p := messages.PartitionOf(f.id)
		switch {
		case f.lives():
			byPartition[p] = append(byPartition[p], f)
		case f.over:
			over[p] = append(over[p], f.id)
		}
	}
	for p := range t.set.All() {
		epoch := t.epochOf(p)
		if k.owned[p] != epoch {
			continue // lost in the meantime
		}
		k.node.tell(k.parts[p], loadedPartition{epoch: epoch, sessions: byPartition[p], over: over[p], answered: t.answered, complete: complete})
	}
}
