// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"sync/atomic"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// pulseEvery is how often the process notes that it runs.
	pulseEvery = 250 * time.Millisecond
	// maxLate is how late that may be. Then the cluster may hold the role for dead, and somebody else may serve its Janus.
	maxLate = time.Second
)

// pulse notices that the process, or its whole machine, was kept from running. Its methods may be called from any goroutine.
type pulse struct {
	last  atomic.Pointer[time.Time]
	late  atomic.Bool // until the role has drawn its conclusions
	timer wheel.Timer
}

// beat notes that the process runs. It returns when it ran last, and whether that is too long ago.
func (p *pulse) beat(now time.Time) (last time.Time, late bool) {
	last = *p.last.Load()
	if late = tooLong(last, now); late {
		p.late.Store(true) // before anybody sees the new time
	}
	p.last.Store(&now)
	return last, late
}

// asleep reports whether the process was kept from running, and the role has not drawn its conclusions yet.
func (p *pulse) asleep(now time.Time) bool { return p.late.Load() || tooLong(*p.last.Load(), now) }

// tooLong looks at both clocks: one of them stands still while the machine sleeps.
func tooLong(last, now time.Time) bool {
	const limit = pulseEvery + maxLate
	return now.Sub(last) > limit || now.Round(0).Sub(last.Round(0)) > limit
}

// startPulse begins to watch over the process.
func (m *Media) startPulse() { m.pulseDue() }

func (m *Media) pulseDue() {
	if m.state.Load() == messages.StateLeaving {
		return
	}
	m.options.Wheel.Arm(&m.pulse.timer, pulseEvery, m.pulseDue)
	if last, late := m.pulse.beat(time.Now()); late {
		m.slept.Store(&last)
		m.tell(woken{})
	}
}

func (m *Media) asleep() bool { return m.pulse.asleep(time.Now()) }

// renewed takes the next incarnation. It is drawn as of the moment when the process still ran: whoever was given the role
// meanwhile is younger, and stays.
func (m *Media) renewed() (messages.Member, bool) {
	was, last := m.Member(), m.slept.Swap(nil)
	if last == nil || m.isDeposed() || m.state.Load() == messages.StateLeaving {
		return was, false
	}
	next := messages.Member{Name: was.Name, Inc: messages.NewIncarnation(*last)}
	for next.Inc <= was.Inc { // it slept in the millisecond of its start
		*last = last.Add(time.Millisecond)
		next.Inc = messages.NewIncarnation(*last)
	}
	if err := m.listen(next); err != nil {
		m.log.Error("not heard any more", "error", err)
		return was, false
	}
	m.pulse.late.Store(false)
	return next, true
}
