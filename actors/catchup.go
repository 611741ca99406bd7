// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// catchTime is how long a new owner waits for what was on its way to its predecessor.
	catchTime = time.Second
	// maxHeldBack bounds the events that wait meanwhile.
	maxHeldBack = 1024
)

// catching is the state of a session that was taken over, until its media servers have told once more what they said a moment
// ago: the former owner may have died with it. What they say now waits behind that.
type catching struct {
	owed  int               // media servers that have not told all
	last  map[string]uint64 // number of the last event of each that was told again, or written for the former owner
	queue []*inbound
	timer wheel.Timer
}

// catchDue tells a session that it has waited long enough.
type catchDue struct{}

// catchUp asks for the events that were not acknowledged. The edge of the session leaves out what it has written already; of
// long polls, and of connections that closed, edges have told.
func (s *session) catchUp() {
	c := &catching{last: s.written}
	if s.written = nil; c.last == nil {
		c.last = map[string]uint64{}
	}
	ask, err := json.Marshal(messages.Replay{Session: s.id, Epoch: s.epoch()})
	if err != nil {
		s.log().Error("replay does not marshal", "error", err)
		return
	}
	for _, server := range s.servers {
		if s.node.alive(server) && s.node.Bus.Publish(messages.MediaReplay(server), "", ask) == nil {
			c.owed++
		}
	}
	if c.owed > 0 {
		s.catching = c
		s.node.Wheel.Arm(&c.timer, catchTime, func() { s.node.tell(s.self, catchDue{}) })
	}
}

// holdBack keeps an event until what came before it is known.
func (s *session) holdBack(in *inbound) bool {
	if s.catching == nil {
		return false
	}
	s.catching.queue = append(s.catching.queue, in)
	if len(s.catching.queue) > maxHeldBack {
		s.caughtUp()
	}
	return true
}

// eventAgain takes an event that may have got lost.
func (s *session) eventAgain(in *inbound) {
	if s.catching == nil {
		return // too late
	}
	if server, seq, ok := messages.CutOrigin(in.msg.Reply); ok {
		if seq <= s.catching.last[server] {
			s.hear(in.msg.Reply)
			s.passAcks()
			return
		}
		s.catching.last[server] = seq
	}
	s.event(in)
}

// caught hears that a media server has told all.
func (s *session) caught() {
	if s.catching == nil {
		return
	}
	if s.catching.owed--; s.catching.owed == 0 {
		s.caughtUp()
	}
}

// caughtUp goes on with what came meanwhile, but for what was told again.
func (s *session) caughtUp() {
	c := s.catching
	if c == nil {
		return
	}
	s.catching = nil
	s.node.Wheel.Disarm(&c.timer)
	for _, in := range c.queue {
		if server, seq, ok := messages.CutOrigin(in.msg.Reply); ok && seq <= c.last[server] {
			continue
		}
		s.event(in)
	}
}
