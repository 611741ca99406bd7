// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"slices"
	"time"

	"github.com/januscloud/januscloud/messages"
)

const (
	// grantTime is how long a name stays promised to a handle whose Janus has not given it yet.
	grantTime = 5 * time.Second
	// namePause is the time between two searches for a name that is about to be given.
	namePause = 50 * time.Millisecond
)

// grant is the promise of a name to one handle: of two that ask different Janus for it at once, one is to get it. It need not
// outlive its owner.
type grant struct {
	to    messages.RoomMember
	until time.Time
	moves bool // that one has it, on a Janus that it is about to leave
	ended bool // while a search is under way, whose outcome may be older: it begins anew
}

func (g grant) holds(now time.Time) bool { return now.Before(g.until) }

// of tells whether the name is promised to this handle, wherever it is.
func (g grant) of(m *messages.RoomMember) bool {
	return m != nil && g.to.Session == m.Session && g.to.Handle == m.Handle
}

// onName answers what was asked before the search began: later ones may know of what came after. Who looks for a name that is
// promised waits until it is given, and is not sent to where its handle is leaving.
func (r *room) onName(l located, now time.Time) {
	if len(l.homes) == 0 && len(l.missing) > 0 && now.Sub(r.trying) < searchTime {
		r.node.Wheel.Arm(&r.rest, searchPause, func() { r.node.tell(r.self, roomAgain{}) })
		return
	}
	if r.grant.ended {
		r.grant.ended = false
		r.locate()
		return
	}
	var wait []*roomJob
	for range min(r.asked, len(r.jobs)) {
		switch job := r.next(); {
		case job.ask.Claim != "":
			r.answer(job, r.claim(job.ask, l.homes, now))
		case r.grant.holds(now) && r.grant.moves && job.ask.Hasty:
			to := r.grant.to
			r.answer(job, messages.RoomAnswer{Member: &to})
		case r.grant.holds(now) && (r.grant.moves || len(l.homes) == 0):
			r.release(job)
			wait = append(wait, job)
		case len(l.homes) > 0:
			r.answer(job, messages.RoomAnswer{Server: l.homes[0]})
		default:
			r.answer(job, messages.RoomAnswer{})
		}
	}
	r.jobs = slices.Concat(wait, r.jobs)
	if len(wait) > 0 {
		r.node.Wheel.Arm(&r.rest, namePause, func() { r.node.tell(r.self, roomAgain{}) })
		return
	}
	r.busy = false
	r.pump()
}

// claim promises the name to a handle, unless another one has it, or has the promise. A handle that moves has the name where it
// comes from.
func (r *room) claim(ask messages.RoomAsk, homes []messages.Member, now time.Time) messages.RoomAnswer {
	if ask.Member == nil {
		return messages.RoomAnswer{Error: messages.Errorf(messages.CodeUnknown, "A name for nobody")}
	}
	elsewhere := slices.ContainsFunc(homes, func(home messages.Member) bool {
		return ask.Claim != messages.ClaimMove || home != ask.Member.Server
	})
	switch {
	case r.grant.holds(now) && !r.grant.of(ask.Member):
		to := r.grant.to
		return messages.RoomAnswer{Member: &to}
	case elsewhere:
		return messages.RoomAnswer{Server: homes[0]}
	}
	r.grant = grant{to: *ask.Member, until: now.Add(grantTime), moves: ask.Claim == messages.ClaimMove}
	return messages.RoomAnswer{Member: ask.Member}
}

// given ends a promise: a Janus has given the name to its handle, or refused it.
func (r *room) given(m *messages.RoomMember) {
	if r.grant.of(m) {
		r.grant = grant{ended: r.busy}
	}
	if len(r.jobs)+len(r.running) == 0 {
		r.pump()
	}
}
