// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"slices"
	"strconv"
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
	identity string
	body     []byte
}

// pollDue tells a session that a poll has waited long enough.
type pollDue struct{ poll *poll }

// onPoll answers a long poll with what waits for it, or has it wait. Whoever does not own the session over HTTP gets the
// error that its edge turns into a 404; but it has shown that it lives.
func (s *session) onPoll(in *inbound) {
	identity, repeat := messages.CutRepeat(in.msg.Reply)
	if repeat && s.pollAgain(identity) {
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
	if len(s.kept) > 0 || len(s.polls) >= maxPolls {
		s.answerPoll(p)
		return
	}
	s.polls = append(s.polls, p)
	s.node.Wheel.Arm(&p.timer, pollWait, func() { s.node.tell(s.self, pollDue{p}) })
}

// pollAgain deals with the repeat of a poll that is known: one that waits goes on waiting, one that was answered gets the
// same answer.
func (s *session) pollAgain(identity string) bool {
	if slices.ContainsFunc(s.polls, func(p *poll) bool { return p.identity == identity }) {
		return true
	}
	for _, p := range s.polled {
		if p.identity == identity {
			s.deliver(identity, p.body)
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

// answerPoll gives a poll what is kept for it, or a keepalive if that is nothing.
func (s *session) answerPoll(p *poll) {
	n := min(p.max, len(s.kept))
	body := make([]byte, 0, 256)
	if p.max > 1 {
		body = append(body, '[')
	}
	for i, event := range s.kept[:n] {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, event.body...)
		s.keptBytes -= len(event.body)
	}
	s.kept = slices.Delete(s.kept, 0, n)
	if n == 0 {
		body = append(body, `{"janus":"keepalive"}`...)
	}
	if p.max > 1 {
		body = append(body, ']')
	}
	s.deliver(p.identity, body)
	if len(s.polled) == maxPolled {
		s.polled = slices.Delete(s.polled, 0, 1)
	}
	s.polled = append(s.polled, polled{p.identity, body})
}

func (s *session) onPollDue(due pollDue) {
	if s.dropPoll(func(p *poll) bool { return p == due.poll }) {
		s.answerPoll(due.poll)
	}
}

// onUnpoll forgets a poll whose client left, so that no event is given to nobody.
func (s *session) onUnpoll(identity string) {
	identity, _ = messages.CutRepeat(identity)
	s.dropPoll(func(p *poll) bool { return p.identity == identity })
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

// pollsGone forgets the polls of edges that are not heard any more.
func (s *session) pollsGone(edges []messages.Member) {
	for s.dropPoll(func(p *poll) bool {
		t, err := messages.ParseTransport(p.identity)
		return err != nil || slices.Contains(edges, t.Edge)
	}) {
	}
}
