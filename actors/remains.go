// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

const (
	// remainsTime is how long it is tried to delete the records of a session that is over. What a store keeps for longer may come back
	// as a session that times out.
	remainsTime = 15 * time.Minute
	// maxRemains bounds the sessions of one partition whose records are tried to be deleted at a time.
	maxRemains = 1024
)

// A session whose records could not be deleted when it ended remains in its partition until they are, though its id is free: each
// deletion is on the condition that the record is still the session's own. A partition is not given away meanwhile. Should its
// owner die, the next one restores a session from the records that nobody has, and deletes them when it times out.

type (
	remainsGone struct{ pid *actor.PID } // to a partition: the records of a session that is over are deleted, or given up
	clearOut    struct{ found *found }   // to a session that was over before its records could be read: delete them
)

// keepRemains has a session that is over go on deleting its records, unless too many do.
func (p *partition) keepRemains(id uint64, pid *actor.PID) {
	if len(p.remains) >= maxRemains {
		p.node.metrics.writes.WithLabelValues("given up").Inc()
		p.node.tell(pid, abandoned{})
		p.node.system.Root.Poison(pid)
		return
	}
	if p.remains == nil {
		p.remains = map[*actor.PID]uint64{}
	}
	p.remains[pid] = id
	p.node.remains.Add(1)
	p.node.metrics.remains.Inc()
}

func (p *partition) dropRemains(pid *actor.PID) {
	if _, ok := p.remains[pid]; ok {
		delete(p.remains, pid)
		p.node.remains.Add(-1)
		p.node.metrics.remains.Dec()
		p.node.system.Root.Poison(pid)
	}
}

// toRemains hands the store's answer to sessions of its id that are over: the numbers of their operations are not the same.
func (p *partition) toRemains(in *inbound) {
	for pid, id := range p.remains {
		if id == in.subject.Session {
			p.node.tell(pid, in)
		}
	}
}

// clearOut deletes the records of a session that was over before they could be read.
func (p *partition) clearOut(f *found) {
	s := newSession(p, f.id, "", time.Now())
	s.ending = &ending{done: true, until: time.Now().Add(remainsTime)}
	pid := p.node.spawn(s)
	p.keepRemains(f.id, pid)
	p.node.tell(pid, clearOut{f})
}

func (s *session) clearOut(f *found) {
	s.disarm()
	if s.record.revision = f.revision; f.record != nil {
		s.identity = f.record.Identity
	}
	for id, h := range f.handles {
		s.forget(&record{key: handleKey(s.id, id), revision: h.revision}, nil)
	}
	s.forget(&s.record, nil)
	s.maybeFinish()
}

// givesUp reports whether it was tried for long enough to delete the records of a session that is over.
func (s *session) givesUp() bool {
	return s.ending != nil && s.ending.done && time.Now().After(s.ending.until)
}
