// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

const (
	// keepaliveEvery is the longest that a session goes without a message to Janus, whose reclaim time counts from the last
	// one (1.1.2). With the imprecision of ticks it stays under 20 s.
	keepaliveEvery = 19 * time.Second
	// keepaliveSpread is how much earlier it may be: each time is drawn, so that sessions made together drift apart.
	keepaliveSpread = 7 * time.Second
	// idleTime is how long a session without handles is kept: its client is likely to attach again.
	idleTime = 30 * time.Second
)

// keepaliveDue tells the actor to look after a session.
type keepaliveDue struct{ session *session }

// keepFrom notes when the session was last active, and arms its keepalive.
func (s *server) keepFrom(x *session, active time.Time) {
	x.active = active
	s.wheel.Arm(&x.timer, keepaliveEvery-rand.N(keepaliveSpread)-time.Since(active), x.due)
}

// keepSoon arms the keepalive of a session that was claimed with all the others: at any time within the next interval, so
// that they do not come together.
func (s *server) keepSoon(x *session) {
	x.active = s.now.Add(-keepaliveEvery)
	s.wheel.Arm(&x.timer, rand.N(keepaliveEvery), x.due)
}

// onKeepaliveDue keeps a session alive that was silent for long, or ends it when nobody has had a handle in it for long.
func (s *server) onKeepaliveDue(x *session, now time.Time) {
	switch {
	case x.phase != ready:
	case s.stage != serving:
		s.keepFrom(x, now) // claimed soon, or lost
	case !x.unsure.IsZero() && now.Sub(x.unsure) >= sureTime:
		s.endUnasked(x)
	case !x.empty.IsZero() && now.Sub(x.empty) >= idleTime:
		s.endIdle(x)
	case now.Sub(x.active) < keepaliveEvery-keepaliveSpread:
		s.keepFrom(x, x.active) // something else was sent meanwhile
	default:
		s.keepAlive(x)
		s.keepFrom(x, now)
	}
}

// endUnasked ends what an earlier incarnation had in a session and no owner has asked for. Handles that were attached since stay.
func (s *server) endUnasked(x *session) {
	for h := x.handles; h != nil; h = h.next {
		if !h.unsure {
			x.unsure = time.Time{}
			s.endUnsure(x)
			s.keepFrom(x, x.active)
			return
		}
	}
	s.endIdle(x)
}

func (s *server) keepAlive(x *session) {
	if r := s.flight.open(janusjson.VerbKeepalive, s.now); r != nil {
		r.session, r.target = x.id, x
		if s.sendOwn(r, 0) {
			s.metrics.keepalives.Inc()
		}
	}
}

// endIdle destroys a session in which nobody has a handle.
func (s *server) endIdle(x *session) {
	if r := s.flight.open(janusjson.VerbDestroy, s.now); r != nil {
		r.session, r.target = x.id, x
		if s.sendOwn(r, 0) {
			s.ending(x)
			return
		}
	}
	s.keepFrom(x, x.active)
}

// keptAlive takes Janus's answer to a keepalive, or to the question whether it accepts our secret.
func (s *server) keptAlive(r *request, verb janusjson.Verb) {
	var code messages.Code
	if verb == janusjson.VerbError {
		code = s.janusError().Code
	}
	switch {
	case r.target == nil:
		s.secretChecked(code != messages.CodeUnauthorized)
	case code == messages.CodeSessionNotFound:
		s.loseSession(r.target, "session lost by Janus")
	}
}

// checkSecret asks something that needs the secret and changes nothing: hardly a session has that id.
func (s *server) checkSecret() {
	if r := s.flight.open(janusjson.VerbKeepalive, s.now); r != nil {
		r.session = messages.MaxID
		s.sendOwn(r, 0)
	}
}

var errSecret = errors.New("Janus does not accept our API secret")

func (s *server) secretChecked(accepted bool) {
	if !accepted && !s.refused {
		s.log.Error("Janus does not accept our API secret")
		s.status.fail(errSecret)
	}
	s.accepted, s.refused = accepted, !accepted
	s.greeted()
}
