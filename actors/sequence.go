// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// gapAsk is how often a request that did not arrive is asked for.
	gapAsk = 250 * time.Millisecond
	// gapTime is how long those behind it wait: by then its edge has repeated it of its own accord.
	gapTime = time.Second
	// maxBehindGap and maxBehindGapBytes bound what waits.
	maxBehindGap      = 256
	maxBehindGapBytes = 1 << 20
)

// gap is the state of a session that misses a request of its connection: those behind it wait, so that they are handled in the
// order in which the client sent them. NATS loses what is on its way to a member that loses its connection.
type gap struct {
	behind []numbered // in order
	bytes  int
	until  time.Time
	timer  wheel.Timer
}

// numbered is a request with its number.
type numbered struct {
	n uint64
	*inbound
}

// gapDue tells a session that a missing request may have to be asked for again.
type gapDue struct{}

// inTurn handles a request, and those that waited for it; or has it wait for one that is missing. Only those of the connection that
// owns the session have an order to keep.
func (s *session) inTurn(in *inbound) {
	n, ok := s.transport.Number(in.msg.Reply)
	if ok && s.last != 0 && n > s.last+1 && s.missing(n, in) {
		return
	}
	if ok {
		s.last = max(s.last, n)
	} else {
		s.hearFormer(in.msg.Reply)
	}
	s.request(in)
	s.closeGap()
}

// missing has a request wait for those before it. It reports false when too much waits already: then order is given up.
func (s *session) missing(n uint64, in *inbound) bool {
	if s.gap == nil {
		s.gap = &gap{until: in.now.Add(gapTime)}
	}
	g := s.gap
	at, repeat := slices.BinarySearchFunc(g.behind, n, func(b numbered, n uint64) int { return cmp.Compare(b.n, n) })
	if repeat {
		return true
	}
	if len(g.behind) == maxBehindGap || g.bytes+len(in.msg.Data) > maxBehindGapBytes {
		s.giveUpGap("too much waits")
		return false
	}
	g.behind, g.bytes = slices.Insert(g.behind, at, numbered{n, in}), g.bytes+len(in.msg.Data)
	if len(g.behind) == 1 {
		s.node.metrics.gaps.Inc()
		s.askForGap()
	}
	return true
}

// askForGap asks the edge for what is missing before the first that waits.
func (s *session) askForGap() {
	g := s.gap
	s.node.Wheel.Arm(&g.timer, gapAsk, func() { s.node.tell(s.self, gapDue{}) })
	ask, err := json.Marshal(messages.Resend{
		Session: s.id, Connection: s.transport.Connection, After: s.last, Before: g.behind[0].n,
	})
	if err != nil || s.node.Bus.Publish(messages.EdgeResend(s.transport.Edge), "", ask) != nil {
		s.node.metrics.dropped.WithLabelValues("disconnected").Inc() // it is asked for again
	}
}

// onGapDue asks again, or goes on without what is missing.
func (s *session) onGapDue(now time.Time) {
	switch {
	case s.gap == nil:
	case now.Before(s.gap.until):
		s.askForGap()
	default:
		s.giveUpGap("it did not come")
	}
}

// whole hears from the edge that nothing is missing any more before a number.
func (s *session) whole(in *inbound) {
	before, _ := strconv.ParseUint(in.subject.Arg, 10, 64)
	t, err := messages.ParseTransport(in.msg.Reply)
	if s.gap == nil || err != nil || t != s.transport || s.gap.behind[0].n > before {
		return
	}
	s.last = s.gap.behind[0].n - 1
	s.closeGap()
}

// closeGap handles what waited, up to the next that is missing.
func (s *session) closeGap() {
	for s.gap != nil && s.gap.behind[0].n <= s.last+1 {
		g := s.gap
		next := g.behind[0]
		g.behind, g.bytes = g.behind[1:], g.bytes-len(next.msg.Data)
		if len(g.behind) == 0 {
			s.endGap()
		}
		s.last = max(s.last, next.n)
		s.request(next.inbound)
		if s.gap == g && len(g.behind) > 0 && g.behind[0].n > s.last+1 {
			g.until = time.Now().Add(gapTime)
			s.askForGap()
		}
	}
}

// giveUpGap handles all that waited.
func (s *session) giveUpGap(why string) {
	if s.gap == nil {
		return
	}
	behind := s.gap.behind
	s.log().Warn("requests out of order", "missing", s.last+1, "behind", len(behind), "reason", why)
	s.endGap()
	for _, b := range behind {
		s.last = max(s.last, b.n)
		s.request(b.inbound)
	}
}

func (s *session) endGap() {
	s.node.Wheel.Disarm(&s.gap.timer)
	s.gap = nil
}

// renumber is called when another connection owns the session: what the one before sent has no order any more.
func (s *session) renumber(identity string) {
	s.giveUpGap("another connection owns the session")
	s.last, _ = s.transport.Number(identity)
}
