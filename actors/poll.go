// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// pollWait is how long a long poll waits for an event (src/transports/janus_http.c of Janus).
	pollWait = 30 * time.Second
	// maxPolls bounds the long polls that wait on one session; further ones are answered at once.
	maxPolls = 32
	// maxPolled is how many answered polls are remembered, to answer their repeats; a client has seldom more than one.
	maxPolled = 4
)

// poll is a long poll that waits for events.
type poll struct {
	identity string
	max      int // events that it takes; more than one make an array of the answer
	timer    wheel.Timer
}

// polled is a poll that was answered. The answer may have been lost on its way: a repeat must get it again, and not what
// came after it.
type polled struct {
	identity    string
	body        []byte
	first, last uint64 // numbers of what is in it; 0: nothing is
}

// pollDue tells a session that a poll has waited long enough.
type pollDue struct{ poll *poll }

// onPoll answers a long poll with what waits for it, or has it wait. Whoever does not own the session over HTTP gets the
// error that its edge turns into a 404; but it has shown that it lives.
func (s *session) onPoll(in *inbound) {
	identity, _ := messages.CutRepeat(in.msg.Reply)
	if s.pollAgain(identity) {
		return // it has shown before that it lives
	}
	if s.ending == nil && s.unread && s.transport.IsZero() {
		s.node.tell(s.part.self, notRestored{in.msg}) // the records may know that the session polls
		return
	}
	if s.ending == nil {
		s.active = in.now
	}
	if s.ending != nil || !s.transport.Polling {
		s.deliver(identity, messages.Reply{Session: s.id}.AppendError(nil, messages.ErrSessionNotFound(s.id)))
		return
	}
	limit, _ := strconv.Atoi(in.subject.Arg)
	p := &poll{identity: identity, max: max(1, limit)}
	if len(s.polls) >= maxPolls {
		s.answerPoll(p)
		return
	}
	s.polls = append(s.polls, p)
	s.node.Wheel.Arm(&p.timer, pollWait, func() { s.node.tell(s.self, pollDue{p}) })
	s.pump()
}

// pollAgain deals with a poll that is known: one that waits goes on waiting, one that was answered gets the same answer. It may be the
// first try that comes late: a NATS server that was frozen kept it back.
func (s *session) pollAgain(identity string) bool {
	if slices.ContainsFunc(s.polls, func(p *poll) bool { return p.identity == identity }) {
		return true
	}
	for _, p := range s.polled {
		if p.identity == identity {
			s.publish(identity, s.deliveryOf(p), p.body)
			return true
		}
	}
	return false
}

// wakePolls answers all polls that wait: one gets what there is, the others are told to come again, as Janus does. Which one is
// chance there; here it is the latest: who polls once more may have lost the earlier one with an edge that is not known to be
// gone yet.
func (s *session) wakePolls() {
	polls := s.polls
	s.polls = nil
	for _, p := range slices.Backward(polls) {
		s.node.Wheel.Disarm(&p.timer)
		s.answerPoll(p)
	}
}

// answerPoll gives a poll what waits for it, or a keepalive if that is nothing.
func (s *session) answerPoll(p *poll) {
	answer := polled{identity: p.identity}
	var events []outgoing
	if out := s.out; s.pollable() {
		out.sent, out.resend, out.unheard = min(p.max, len(out.queue)), 0, 0
		events = out.queue[:out.sent]
		answer.first, answer.last = s.number(0), s.number(out.sent-1)
	}
	answer.body = pollBody(events, p.max > 1)
	s.publish(p.identity, s.deliveryOf(answer), answer.body)
	if len(s.polled) == maxPolled {
		s.polled = slices.Delete(s.polled, 0, 1)
	}
	s.polled = append(s.polled, answer)
}

// pollBody is the answer with these events: a keepalive if there are none.
func pollBody(events []outgoing, many bool) []byte {
	size := 32
	for _, e := range events {
		size += len(e.body) + 1
	}
	body := make([]byte, 0, size)
	if many {
		body = append(body, '[')
	}
	for i, e := range events {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, e.body...)
	}
	if len(events) == 0 {
		body = append(body, `{"janus":"keepalive"}`...)
	}
	if many {
		body = append(body, ']')
	}
	return body
}

// deliveryOf is what the edge is told of the answer to a poll: what it acknowledges with it, and what to tell the next owner.
func (s *session) deliveryOf(p polled) messages.Delivery {
	d := messages.Delivery{Seq: p.last}
	if s.out == nil || p.last == 0 {
		return d
	}
	var origins []string
	for i, e := range s.out.queue {
		n := s.number(i)
		server, _, ok := messages.CutOrigin(e.origin)
		if !ok || n < p.first || n > p.last {
			continue
		}
		same := func(o string) bool { other, _, _ := messages.CutOrigin(o); return other == server }
		if at := slices.IndexFunc(origins, same); at >= 0 {
			origins[at] = e.origin
		} else {
			origins = append(origins, e.origin)
		}
	}
	d.Origin = strings.Join(origins, messages.OriginSeparator)
	return d
}

// checkPolled looks what became of the answer to a poll that is not acknowledged. Its edge gets it once more: of what it has written
// it says so again, and likewise of a poll that it does not have. Nothing can be learnt of an edge that is silent: only when it stays
// so the next poll gets the same.
func (s *session) checkPolled() {
	out := s.out
	out.resend++
	p := s.unsettled()
	if p == nil {
		if out.resend >= pollPeriods {
			s.takeBack()
		}
		return
	}
	identity := p.identity
	t, err := messages.ParseTransport(identity)
	heard, ended := s.node.edge(t.Edge)
	if !heard {
		out.unheard++
	}
	switch {
	case err != nil, ended, out.unheard >= unheardPeriods, out.resend >= pollPeriods:
		s.returnPolled(func(polled string) bool { return polled == identity })
	case heard && out.resend > 1:
		s.node.metrics.resends.Inc()
		s.publish(identity, s.deliveryOf(*p), p.body)
	}
}

// onEdgeEnded hears that an edge acknowledges nothing any more: what is in its hands is for the next poll.
func (s *session) onEdgeEnded(edge messages.Member) {
	if s.out == nil || s.out.sent == 0 || !s.transport.Polling {
		return
	}
	if p := s.unsettled(); p != nil {
		identity := p.identity
		if t, err := messages.ParseTransport(identity); err == nil && t.Edge == edge {
			s.returnPolled(func(polled string) bool { return polled == identity })
		}
	}
}

// unsettled is the answer to a poll with events that are not acknowledged; nil when it is not remembered.
func (s *session) unsettled() *polled {
	for i := range slices.Backward(s.polled) {
		if p := &s.polled[i]; p.last > 0 && p.last >= s.number(0) {
			return p
		}
	}
	return nil
}

// edge reports whether an incarnation of an edge is heard, and whether it has ended for certain: another one has its name.
func (n *Node) edge(m messages.Member) (heard, ended bool) {
	p, known := n.Roster.View().Find(messages.RoleEdge, m.Name)
	return known && !p.Silent && p.Beat.Member == m, known && p.Beat.Member.Inc > m.Inc
}

// returnPolled takes an answer back that reached nobody, for the next poll.
func (s *session) returnPolled(which func(identity string) bool) {
	back := false
	s.polled = slices.DeleteFunc(s.polled, func(p polled) bool {
		gone := which(p.identity)
		back = back || gone && p.last > 0 && s.out != nil && s.out.sent > 0 && p.last >= s.number(0)
		return gone
	})
	if back {
		s.sendAgain()
	}
}

func (s *session) onPollDue(due pollDue) {
	if s.dropPoll(func(p *poll) bool { return p == due.poll }) {
		s.answerPoll(due.poll)
	}
}

// onUnpoll forgets a poll whose client left, so that no event is given to nobody. If it was answered, it was too late.
func (s *session) onUnpoll(identity string) {
	identity, _ = messages.CutRepeat(identity)
	s.dropPoll(func(p *poll) bool { return p.identity == identity })
	s.returnPolled(func(polled string) bool { return polled == identity })
}

// dropPoll takes a waiting poll out, and reports whether there was one.
func (s *session) dropPoll(which func(*poll) bool) bool {
	i := slices.IndexFunc(s.polls, which)
	if i < 0 {
		return false
	}
	s.node.Wheel.Disarm(&s.polls[i].timer)
	s.polls = slices.Delete(s.polls, i, i+1)
	return true
}

// pollsGone forgets the polls of edges that are not heard any more; those that are there still repeat them. What they were answered may
// have been written: see checkPolled.
func (s *session) pollsGone(edges []messages.Member) {
	there := func(identity string) bool {
		t, err := messages.ParseTransport(identity)
		return err != nil || slices.Contains(edges, t.Edge)
	}
	for s.dropPoll(func(p *poll) bool { return there(p.identity) }) {
	}
}
