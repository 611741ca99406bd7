// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/wheel"
)

// heardServer is how far a session has come with the events of a media server.
type heardServer struct {
	server string
	last   uint64 // number of the last event that came
	told   uint64 // the media server knows that nobody needs those up to this one
}

// maxHeard bounds the media servers whose events are remembered by a session.
const maxHeard = 64

// source is where an event comes from: which media server, as the how many-eth of its events. It is zero for what none has said.
type source struct {
	origin string // the two as edges are told them: see messages.Delivery
	server string
	seq    uint64
}

// sourceOf reads an origin; one without a number has no server.
func sourceOf(origin string) source {
	server, seq, ok := messages.CutOrigin(origin)
	if !ok {
		return source{origin: origin}
	}
	return source{origin, server, seq}
}

// hear remembers the last event of a media server.
func (s *session) hear(from source) {
	if from.server == "" {
		return
	}
	if h := s.heardOf(from.server); h != nil {
		h.last = max(h.last, from.seq)
		return
	}
	if len(s.heard) == maxHeard {
		s.heard = slices.Delete(s.heard, 0, 1)
	}
	s.heard = append(s.heard, heardServer{server: strings.Clone(from.server), last: from.seq})
}

// heardOf is what is known of a media server's events; nil: none came.
func (s *session) heardOf(server string) *heardServer {
	for i := range s.heard {
		if h := &s.heard[i]; h.server == server {
			return h
		}
	}
	return nil
}

// lastOf is the number of the last event of a media server that came.
func (s *session) lastOf(server string) uint64 {
	if h := s.heardOf(server); h != nil {
		return h.last
	}
	return 0
}

// ackAgain acknowledges once more what nobody needs any more: it may have got lost.
func (s *session) ackAgain(server string) {
	if h := s.heardOf(server); h != nil {
		h.told = 0
		s.passAcks()
	}
}

// done is the number up to which nobody needs the events of a media server any more: they were written to the client, or were
// none for it.
func (s *session) done(h *heardServer) uint64 {
	if s.out == nil {
		return h.last
	}
	for i := range s.out.queue {
		if o := &s.out.queue[i]; o.server == h.server {
			return o.seq - 1
		}
	}
	return h.last
}

// origins tells the edge of a claim which events were written by the one before: should this owner die, it must know.
func (s *session) origins() string {
	var all []byte
	for i := range s.heard {
		if i > 0 {
			all = append(all, messages.OriginSeparator...)
		}
		h := &s.heard[i]
		all = messages.AppendOrigin(all, h.server, s.done(h), 0)
	}
	return string(all)
}

// passAcks has media servers forget the events that nobody needs any more, soon.
func (s *session) passAcks() {
	s.eachAck(func(a acked) { s.node.tell(s.node.acknowledger, a) })
}

// ackAtOnce is passAcks for what is in an inbox: no edge knows about that, and should this node die, the next owner would put it
// there again. So the acknowledgement leaves right behind the event, in the same write.
func (s *session) ackAtOnce() {
	s.eachAck(func(a acked) {
		if s.node.Bus.Publish(messages.MediaAcked(a.server), "", a.Append(nil)) != nil {
			s.node.tell(s.node.acknowledger, a)
		}
	})
}

func (s *session) eachAck(do func(acked)) {
	for i := range s.heard {
		h := &s.heard[i]
		if n := s.done(h); n > h.told {
			h.told = n
			do(acked{h.server, messages.Acked{Session: s.id, Seq: n}})
		}
	}
}

// ackInterval is how long acknowledgements for media servers gather.
const ackInterval = 50 * time.Millisecond

type (
	// acked has a media server told that events are not needed any more.
	acked struct {
		server string
		messages.Acked
	}
	ackDue struct{}
)

// acknowledger is the actor that passes on to media servers what edges have acknowledged, one message for many sessions.
type acknowledger struct {
	node  *Node
	self  *actor.PID
	reach map[string]map[uint64]uint64 // by media server and session
	timer wheel.Timer
}

// Receive handles one message; see the types for who sends them.
func (a *acknowledger) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.self = ctx.Self()
	case acked:
		a.add(m)
	case ackDue:
		a.publish()
	}
}

func (a *acknowledger) add(m acked) {
	if len(a.reach) == 0 {
		a.arm()
	}
	of := a.reach[m.server]
	if of == nil {
		of = map[uint64]uint64{}
		a.reach[m.server] = of
	}
	of[m.Session] = m.Seq
}

// publish tells all. What the bus does not take is told later.
func (a *acknowledger) publish() {
	for server, of := range a.reach {
		if a.tell(server, of) {
			delete(a.reach, server)
		}
	}
	if len(a.reach) > 0 {
		a.arm()
	}
}

func (a *acknowledger) tell(server string, of map[uint64]uint64) bool {
	var body []byte
	count := 0
	for session, seq := range of {
		body = messages.Acked{Session: session, Seq: seq}.Append(body)
		if count++; count%messages.MaxAcks == 0 || count == len(of) {
			if a.node.Bus.Publish(messages.MediaAcked(server), "", body) != nil {
				return false
			}
			body = nil
		}
	}
	return true
}

func (a *acknowledger) arm() {
	a.node.Wheel.Arm(&a.timer, ackInterval, func() { a.node.tell(a.self, ackDue{}) })
}
