// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"slices"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/wheel"
)

// debtTime is how long an answer that does not come holds up those behind it.
const debtTime = time.Second

// debt keeps the answers of a session in the order of its requests. Janus serves everything but messages from one
// thread, so a client that sends an attach and a keepalive reads their answers in that order. Here an attach waits for
// its record and a trickle for its media server, while a keepalive waits for nobody: it is answered behind them.
type debt struct {
	owed  []owed
	timer wheel.Timer
}

// owed is an answer that is still to come, or that came while an earlier one was missing.
type owed struct {
	identity string // in its first form
	body     []byte // nil: not known yet
	since    time.Time
}

// debtDue tells a session that an answer may have held up others for long enough.
type debtDue struct{}

// owe notes that the answer to a request will come later.
func (s *session) owe(r *request) { s.note(owed{identity: r.identity, since: r.now}) }

func (s *session) note(o owed) {
	o.identity, _ = messages.CutRepeat(o.identity)
	if s.debt == nil {
		s.debt = &debt{}
		s.node.Wheel.Arm(&s.debt.timer, debtTime, func() { s.node.tell(s.self, debtDue{}) })
	}
	if !slices.ContainsFunc(s.debt.owed, func(e owed) bool { return e.identity == o.identity }) {
		s.debt.owed = append(s.debt.owed, o)
	}
}

// answerInOrder answers a request at once, or behind those that came before it.
func (s *session) answerInOrder(identity string, body []byte) {
	if s.debt == nil {
		s.deliver(identity, body)
		return
	}
	s.note(owed{identity: identity, since: time.Now()})
	s.settleOwed(identity, body)
}

// settleOwed gives the answer to a request. If it is owed it keeps its place; answers to messages have none.
func (s *session) settleOwed(identity string, body []byte) {
	identity, _ = messages.CutRepeat(identity)
	if s.debt == nil {
		s.deliver(identity, body)
		return
	}
	i := slices.IndexFunc(s.debt.owed, func(o owed) bool { return o.identity == identity })
	if i < 0 {
		s.deliver(identity, body)
		return
	}
	s.debt.owed[i].body = body
	s.pay()
}

// pay delivers the answers that have nothing before them.
func (s *session) pay() {
	n := 0
	for _, o := range s.debt.owed {
		if o.body == nil {
			break
		}
		s.deliver(o.identity, o.body)
		n++
	}
	s.debt.owed = slices.Delete(s.debt.owed, 0, n)
	if len(s.debt.owed) == 0 {
		s.node.Wheel.Disarm(&s.debt.timer)
		s.debt = nil
	}
}

// onDebtDue lets an answer that is long overdue come when it comes.
func (s *session) onDebtDue(now time.Time) {
	if s.debt == nil {
		return
	}
	s.debt.owed = slices.DeleteFunc(s.debt.owed, func(o owed) bool { return o.body == nil && now.Sub(o.since) >= debtTime })
	if s.pay(); s.debt != nil {
		s.node.Wheel.Arm(&s.debt.timer, debtTime, func() { s.node.tell(s.self, debtDue{}) })
	}
}

// payAll delivers whatever is known, when the session is over.
func (s *session) payAll() {
	if s.debt == nil {
		return
	}
	s.debt.owed = slices.DeleteFunc(s.debt.owed, func(o owed) bool { return o.body == nil })
	s.pay()
}
