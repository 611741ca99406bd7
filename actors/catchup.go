// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// catchTime is how long a media server may take to tell once more what may have got lost.
	catchTime = time.Second
	// maxCatchTries is how often it is asked.
	maxCatchTries = 5
	// maxHeldBack bounds the events that wait meanwhile.
	maxHeldBack = 1024
)

// catching is the state of a session that waits until media servers have told once more what they said a moment ago: it was
// taken over, and the former owner may have died with it; or an event shows that one before it got lost, with a NATS server
// perhaps. What they say now waits behind that.
type catching struct {
	owed  map[string]struct{} // media servers that have not told all
	last  map[string]uint64   // number of the last event of each that was told again, or that the client has
	holes map[string]uint64   // number of an event of each that is missing
	queue []*inbound
	tries int
	timer wheel.Timer
}

// catchDue tells a session that it has waited long enough.
type catchDue struct{}

// catchUp asks a new owner's media servers for the events that were not acknowledged. The edge of the session leaves out what it
// has written already; of long polls, and of connections that closed, edges have told.
func (s *session) catchUp() {
	c := &catching{last: s.written, owed: map[string]struct{}{}}
	if s.written = nil; c.last == nil {
		c.last = map[string]uint64{}
	}
	for _, server := range s.servers {
		if origin := s.node.originOf(server); origin != "" {
			c.owed[origin] = struct{}{}
		}
	}
	s.beginCatching(c)
}

// missed asks a media server for what got lost up to an event of it.
func (s *session) missed(server string, hole uint64) {
	s.node.metrics.holes.Inc()
	c := &catching{owed: map[string]struct{}{server: {}}, last: map[string]uint64{}, holes: map[string]uint64{server: hole}}
	for _, h := range s.heard {
		c.last[h.server] = h.last
	}
	s.beginCatching(c)
}

func (s *session) beginCatching(c *catching) {
	if s.askReplay(c); len(c.owed) > 0 {
		s.catching = c
		s.armCatching(c)
	}
}

func (s *session) armCatching(c *catching) {
	s.node.Wheel.Arm(&c.timer, catchTime, func() { s.node.tell(s.self, catchDue{}) })
}

// askReplay asks those that have not told all. Nobody waits for the dead; but whoever has just shown that something is missing
// lives, though it may be a moment before its beats are heard again.
func (s *session) askReplay(c *catching) {
	ask, err := json.Marshal(messages.Replay{Session: s.id, Epoch: s.epoch()})
	if err != nil {
		s.log().Error("replay does not marshal", "error", err)
	}
	c.tries++
	for server := range c.owed {
		spoke := c.tries == 1 && c.holes != nil
		if err != nil || !spoke && !s.node.tells(server) {
			delete(c.owed, server)
			continue
		}
		_ = s.node.Bus.Publish(messages.MediaReplay(server), "", ask) // it is asked again
	}
}

// inOrder handles an event unless it came before. When one before it is missing, that is asked for.
func (s *session) inOrder(in *inbound, from source) {
	if s.ending != nil || s.holdBack(in) {
		return
	}
	if from.server != "" {
		last := s.lastOf(from.server)
		if from.seq <= last {
			return
		}
		if in.before > last {
			if s.missed(from.server, in.before); s.holdBack(in) {
				return
			}
		}
	}
	s.event(in, from)
}

// onLast hears which event is the last that a media server keeps for the session: it was not acknowledged for long.
func (s *session) onLast(origin string) {
	server, seq, ok := messages.CutOrigin(origin)
	switch {
	case !ok || s.ending != nil || s.catching != nil:
	case s.lastOf(server) < seq:
		s.missed(server, seq)
	default:
		s.ackAgain(server)
	}
}

// holdBack keeps an event until what came before it is known.
func (s *session) holdBack(in *inbound) bool {
	if s.catching == nil {
		return false
	}
	s.catching.queue = append(s.catching.queue, in)
	if len(s.catching.queue) > maxHeldBack {
		s.giveUpCatching()
	}
	return true
}

// eventAgain takes an event that may have got lost.
func (s *session) eventAgain(in *inbound) {
	if s.catching == nil {
		return // too late
	}
	from := sourceOf(in.msg.Reply)
	if from.server != "" {
		if from.seq <= s.catching.last[from.server] {
			s.hear(from)
			s.passAcks()
			return
		}
		s.catching.last[from.server] = from.seq
	}
	s.event(in, from)
}

// caught hears that a media server has told all.
func (s *session) caught(server string) {
	if s.catching == nil {
		return
	}
	if delete(s.catching.owed, server); len(s.catching.owed) == 0 {
		s.caughtUp()
	}
}

// onCatchDue asks once more, for what the answer may have got lost with.
func (s *session) onCatchDue() {
	c := s.catching
	if c == nil {
		return
	}
	if c.tries < maxCatchTries {
		s.askReplay(c)
	} else {
		clear(c.owed)
	}
	if len(c.owed) > 0 {
		s.armCatching(c)
		return
	}
	s.giveUpCatching()
}

// caughtUp goes on with what came meanwhile, but for what was told again.
func (s *session) caughtUp() { s.endCatching(s.inOrder) }

// giveUpCatching goes on, too; what is missing stays lost.
func (s *session) giveUpCatching() {
	s.log().Warn("a media server does not tell once more what may have got lost")
	s.endCatching(s.event)
}

func (s *session) endCatching(next func(*inbound, source)) {
	c := s.catching
	if c == nil {
		return
	}
	s.catching = nil
	s.node.Wheel.Disarm(&c.timer)
	s.pump()
	for server, hole := range c.holes {
		if s.lastOf(server) < hole { // it does not have that any more
			s.node.metrics.eventsLost.Inc()
			s.hear(source{server: server, seq: hole})
		}
	}
	for _, in := range c.queue {
		if from := sourceOf(in.msg.Reply); from.server == "" || from.seq > c.last[from.server] {
			next(in, from)
		}
	}
	s.passLate()
}
