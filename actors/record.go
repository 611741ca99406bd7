// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// storeWait is how long a reply waits for its record to be stored; a slower store is written behind. What was answered and is not
	// stored yet dies with this node, a handle that nothing was asked of: so a store on a machine that is busy is waited for, and one
	// without a leader is not.
	storeWait = 250 * time.Millisecond
	// storeRetry is when a write without an answer is tried again, and each time twice as long after, up to longestStoreRetry.
	storeRetry        = time.Second
	longestStoreRetry = 4 * time.Second
)

// record keeps one stored value up to date: one write in flight at a time, the newest wish next, each conditional on
// the revision of the one before. It belongs to its session's actor.
type record struct {
	key      string
	revision uint64
	wish     []byte // what is to be stored; nil with purge: nothing
	purge    bool
	dirty    bool   // wish is newer than what was sent
	busy     uint64 // operation in flight; 0: none
	reading  bool   // the operation in flight is a get, to settle a conflict
	tries    uint8  // how often storeRetry was doubled
	waiting  []*storeWaiter
	retry    wheel.Timer
}

// storeWaiter is somebody who waits until the record is stored, for storeWait at the most.
type storeWaiter struct {
	then  func()
	timer wheel.Timer
	done  bool
}

// keep stores the value, and calls then when it is stored or storeWait has passed. then may be nil.
func (s *session) keep(r *record, value any, then func()) {
	data, err := json.Marshal(value)
	if err != nil {
		s.log().Error("record does not marshal", "key", r.key, "error", err)
		return
	}
	r.wish, r.purge, r.dirty = data, false, true
	s.await(r, then)
	s.flush(r)
}

// forget deletes the record, and calls then when it is deleted or storeWait has passed.
func (s *session) forget(r *record, then func()) {
	if r.revision == 0 && r.busy == 0 {
		r.dirty = false // it was never stored
		if then != nil {
			then()
		}
		return
	}
	r.wish, r.purge, r.dirty = nil, true, true
	s.await(r, then)
	s.flush(r)
}

func (s *session) await(r *record, then func()) {
	if then == nil {
		return
	}
	w := &storeWaiter{then: then}
	r.waiting = append(r.waiting, w)
	s.node.Wheel.Arm(&w.timer, storeWait, func() { s.node.tell(s.self, storeLate{w}) })
}

// storeLate tells a session that a waiter has waited long enough.
type storeLate struct{ waiter *storeWaiter }

// storeTry tells a session to send a write again.
type storeTry struct{ record *record }

func (s *session) onStoreLate(m storeLate) {
	if !m.waiter.done {
		s.node.metrics.writes.WithLabelValues("late").Inc()
		m.waiter.done = true
		m.waiter.then()
	}
}

// release lets everybody go on who waited for the record.
func (s *session) release(r *record) {
	waiting := r.waiting
	r.waiting = nil
	for _, w := range waiting {
		s.node.Wheel.Disarm(&w.timer)
		if !w.done {
			w.done = true
			w.then()
		}
	}
}

// flush sends the wish, when nothing is in flight.
func (s *session) flush(r *record) {
	if r.busy != 0 || !r.dirty {
		return
	}
	s.lastOp++
	r.busy, r.dirty, r.reading = s.lastOp, false, false
	ack := s.opSubject(r.busy)
	var err error
	if r.purge {
		err = s.node.store.purge(r.key, r.revision, ack)
	} else {
		err = s.node.store.put(r.key, r.revision, r.wish, ack)
	}
	s.track(r)
	if err != nil {
		s.node.metrics.writes.WithLabelValues("failed").Inc()
		s.release(r)
	}
	s.armRetry(r)
}

func (s *session) armRetry(r *record) {
	s.node.Wheel.Arm(&r.retry, min(storeRetry<<r.tries, longestStoreRetry), func() { s.node.tell(s.self, storeTry{r}) })
}

func (s *session) track(r *record) {
	if s.ops == nil {
		s.ops = map[uint64]*record{}
	}
	s.ops[r.busy] = r
}

func (s *session) untrack(op uint64) {
	if delete(s.ops, op); len(s.ops) == 0 {
		s.ops = nil // most sessions write only when they begin and end
	}
}

// again repeats a write whose answer did not come: it may have been done, which the conflict will show.
func (s *session) again(r *record) {
	s.untrack(r.busy)
	r.busy, r.dirty = 0, true
	s.release(r)
	if s.givesUp() {
		s.node.metrics.writes.WithLabelValues("given up").Inc()
		s.maybeFinish()
		return
	}
	if storeRetry<<r.tries < longestStoreRetry {
		r.tries++
	}
	s.node.metrics.writes.WithLabelValues("retried").Inc()
	s.flush(r)
}

// onStored handles JetStream's answer to operation op.
func (s *session) onStored(op uint64, a stored) {
	r, ok := s.ops[op]
	if !ok {
		return // answered twice, or of a predecessor
	}
	if a.down {
		s.node.metrics.writes.WithLabelValues("failed").Inc()
		s.release(r)
		return // the retry is armed
	}
	s.untrack(op)
	s.node.Wheel.Disarm(&r.retry)
	r.busy, r.tries = 0, 0
	switch {
	case a.conflict:
		s.node.metrics.writes.WithLabelValues("conflict").Inc()
		s.settle(r)
		return
	case r.reading:
		if !s.settled(r, a) {
			s.maybeFinish()
			return
		}
	default:
		s.node.metrics.writes.WithLabelValues("stored").Inc()
		r.revision = a.revision
	}
	if !r.dirty {
		r.wish = nil
		s.release(r)
	}
	s.flush(r)
	s.maybeFinish()
}

// settle reads what stands in the way of a write.
func (s *session) settle(r *record) {
	s.lastOp++
	r.busy, r.reading = s.lastOp, true
	s.track(r)
	if s.node.store.get(r.key, s.opSubject(r.busy)) != nil {
		s.release(r)
	}
	s.armRetry(r)
}

// settled decides a conflict: a record of a greater epoch means that somebody else owns the session, and one of another session
// that the id was given away again; anything else is older than the wish and is overwritten.
func (s *session) settled(r *record, a stored) bool {
	var other struct {
		Epoch    messages.Epoch `json:"epoch"`
		Identity string         `json:"identity"`
	}
	switch there := len(a.value) > 0 && json.Unmarshal(a.value, &other) == nil; {
	case there && s.epoch().Less(other.Epoch):
		s.log().Warn("record belongs to a later owner", "key", r.key, "epoch", other.Epoch.String())
		s.release(r)
		s.node.tell(s.part.self, refused{epoch: other.Epoch})
		return false
	case there && r == &s.record && s.ending != nil && s.ending.done && other.Identity != s.identity:
		return false
	}
	r.revision, r.dirty = a.revision, true
	return true
}
