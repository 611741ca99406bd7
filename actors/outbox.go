// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"slices"
	"strings"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// maxKept and maxKeptBytes bound what is kept for the client of one session.
	maxKept      = 1024
	maxKeptBytes = 256 << 10
	// outPeriod is how often a session that has something to say looks whether it arrives: what its edge did not receive within
	// that time got lost on the way.
	outPeriod = 500 * time.Millisecond
	// longestResend is how many periods may pass between two attempts to get the same through.
	longestResend = 8
	// doubtPeriods is how many periods a session waits for the edge that it was claimed away from: longer than edges take to
	// acknowledge, and than it takes to find one dead.
	doubtPeriods = 2
	// pollPeriods is how many periods the answer to a poll may be unacknowledged before the next poll gets the same, whatever its
	// edge does; unheardPeriods how many of these an edge may be silent: longer than it takes to find its NATS server dead, and
	// another one. What it had written by then it acknowledges when it is back.
	pollPeriods    = 6
	unheardPeriods = 3
)

// outgoing is something for the client: an event, or the reply to a request that came on the session's own connection.
type outgoing struct {
	body     []byte
	source          // of an event of a media server
	identity string // of the request that it answers; "": an event
}

// outbox is what a session has to say to its client, in order: first what was sent but is not acknowledged by the edge (which
// may be dead), then what waits, for a transport or for a poll. A session that said nothing for a while has none.
type outbox struct {
	queue []outgoing
	bytes int
	sent  int // of queue

	received uint64 // the edge has what was sent up to this number, though the client may not
	checked  uint64 // what was sent up to this number has had a period's time to be received
	resend   int    // periods until the next attempt
	pause    int    // and from that to the next
	unheard  int    // periods in which the edge of the poll that was answered was silent

	doubt  messages.Transport // former transport, which may still acknowledge what was sent; zero: none
	doubts int                // periods that it still has
	timer  wheel.Timer
	few    [4]outgoing // room for the usual
}

// outDue tells a session that a period is over.
type outDue struct{}

// toClient puts something behind what is there. What is too much pushes the oldest out.
func (s *session) toClient(o outgoing) {
	out := s.out
	if out == nil {
		out = &outbox{pause: 1}
		out.queue = out.few[:0]
		s.out = out
		s.node.Wheel.Arm(&out.timer, outPeriod, s.outDue)
	}
	s.seq++
	out.queue = append(out.queue, o)
	out.bytes += len(o.body)
	if n := out.excess(); n > 0 {
		s.overflow(n)
	}
	if s.transport.IsZero() || s.transport.Polling {
		s.node.metrics.eventsKept.Inc()
	}
	s.pump()
}

func (s *session) outDue() { s.node.tell(s.self, outDue{}) }

// excess is how many of the oldest are too many.
func (out *outbox) excess() int {
	n, bytes := max(0, len(out.queue)-maxKept), out.bytes
	for i := range out.queue[:len(out.queue)-1] { // the last one is kept in any case
		if i >= n && bytes <= maxKeptBytes {
			return i
		}
		bytes -= len(out.queue[i].body)
	}
	return len(out.queue) - 1
}

// drop takes the n oldest out.
func (out *outbox) drop(n int) {
	for _, o := range out.queue[:n] {
		out.bytes -= len(o.body)
	}
	out.queue = slices.Delete(out.queue, 0, n)
	out.sent = max(0, out.sent-n)
}

func (s *session) overflow(n int) {
	s.node.metrics.eventsLost.Add(float64(n))
	if !s.overflown {
		s.overflown = true
		s.log().Warn("client does not take what it is sent: the oldest is dropped", "kept", len(s.out.queue), "bytes", s.out.bytes)
	}
	s.out.drop(n)
	s.passAcks()
}

// waits reports whether there is something that was not sent.
func (s *session) waits() bool { return s.out != nil && s.out.sent < len(s.out.queue) }

// pollable reports whether there is something for a poll. An answer that was not acknowledged may be needed again, before what
// comes behind it. What is told once more comes one by one, and is for one poll if it takes as much: it waited when the poll came.
func (s *session) pollable() bool {
	return s.waits() && s.out.sent == 0 && s.out.doubt.IsZero() && s.catching == nil
}

// number is the number of an element of the queue.
func (s *session) number(i int) uint64 { return s.seq - uint64(len(s.out.queue)-1-i) }

// pump sends what waits, if there is somebody to send it to.
func (s *session) pump() {
	out := s.out
	switch {
	case out == nil || s.transport.IsZero() || !out.doubt.IsZero():
	case s.transport.Polling:
		if s.pollable() {
			s.wakePolls()
		}
	case s.transport.Inbox != "":
		s.toInbox()
	default:
		for out.sent < len(out.queue) && s.send(out.sent) {
			out.sent++
		}
	}
}

// send publishes an element of the queue for the session's connection. It reports false when the bus does not take it.
func (s *session) send(i int) bool {
	o := &s.out.queue[i]
	to := o.identity
	if to == "" || !strings.HasPrefix(to, s.address) { // what another connection asked is told to the one that is there
		to = s.eventSubject()
	}
	return s.publish(to, messages.Delivery{Seq: s.number(i), Behind: uint64(i), Origin: o.origin}, o.body)
}

// toInbox publishes for a client that speaks NATS: it has what the bus takes.
func (s *session) toInbox() {
	out := s.out
	n := 0
	for _, o := range out.queue {
		if s.node.Bus.Publish(s.transport.Inbox, "", o.body) != nil {
			break
		}
		n++
	}
	if n > 0 {
		out.drop(n)
		s.ackAtOnce()
	}
}

// onWritten hears from an edge how far it has come.
func (s *session) onWritten(w messages.Written) {
	out := s.out
	if out == nil || w.Epoch != s.epoch().Number || len(out.queue) == 0 {
		return
	}
	out.received = max(out.received, w.Received)
	first := s.number(0)
	if w.Written < first || w.Written > s.seq {
		return
	}
	out.drop(int(w.Written-first) + 1)
	if out.resend, out.pause = 0, 1; out.sent == 0 {
		s.endDoubt()
	}
	s.passAcks()
	s.pump()
}

// doubtful keeps what was not acknowledged by a former transport, and what comes behind it, until that is done, or it is known
// that it never will be.
func (s *session) doubtful(was messages.Transport) {
	if s.out != nil && s.out.sent > 0 {
		s.out.doubt, s.out.doubts = was, doubtPeriods
	}
}

// endDoubt sends what waits because of the former transport; what that did not acknowledge goes to the new one.
func (s *session) endDoubt() {
	if out := s.out; out != nil && !out.doubt.IsZero() {
		out.doubt = messages.Transport{}
		s.sendAgain()
	}
}

// sendAgain sends what was not acknowledged once more, and what waits behind it.
func (s *session) sendAgain() {
	s.takeBack()
	s.pump()
}

// takeBack has what was not acknowledged wait to be sent again.
func (s *session) takeBack() {
	if s.out != nil {
		s.out.sent, s.out.received, s.out.checked = 0, 0, 0
		s.out.resend, s.out.pause, s.out.unheard = 0, 1, 0
	}
}

// onOutDue looks what became of what was sent.
func (s *session) onOutDue() {
	out := s.out
	switch {
	case out == nil:
		return
	case len(out.queue) == 0:
		s.out = nil
		return
	}
	s.node.Wheel.Arm(&out.timer, outPeriod, s.outDue)
	if !out.doubt.IsZero() {
		if out.doubts--; out.doubts == 0 {
			s.endDoubt()
		}
		return
	}
	switch {
	case s.transport.IsZero() || out.sent == 0:
	case s.transport.Polling:
		s.checkPolled()
	default:
		s.checkReceived()
	}
	s.pump()
}

// checkReceived sends again what the edge did not receive in time. What it received but cannot write, since the client does not
// read, is not sent again.
func (s *session) checkReceived() {
	out := s.out
	first, last := s.number(0), s.number(out.sent-1)
	missing := max(out.received+1, first)
	if missing > out.checked {
		out.checked, out.resend = last, 0
		return
	}
	if out.resend--; out.resend > 0 {
		return
	}
	out.sent = int(missing - first)
	out.resend, out.pause = out.pause, min(2*out.pause, longestResend)
	s.node.metrics.resends.Inc()
}
