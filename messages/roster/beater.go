// SPDX-License-Identifier: Apache-2.0

package roster

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// Beater says every messages.BeatInterval that a role is alive.
type Beater struct {
	bus     *bus.Bus
	current func() messages.Beat
	start   time.Time
	last    atomic.Int64 // when the last beat went out, since start
	resume  atomic.Int64 // until when the role must listen before it acts, since start
	now     chan struct{}
	stop    chan struct{}
	once    sync.Once
	done    chan struct{}
}

// NewBeater starts to beat what current returns; it is called on the beater's goroutine and must not block.
func NewBeater(b *bus.Bus, current func() messages.Beat) *Beater {
	t := &Beater{
		bus: b, current: current, start: time.Now(),
		now: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	t.beat("")
	b.OnState(func(connected bool) {
		if connected {
			t.Now() // others may wait to hear that it is back
		}
	})
	go t.run()
	return t
}

// Now beats at once: something changed that others wait for.
func (t *Beater) Now() {
	select {
	case t.now <- struct{}{}:
	default: // a beat is due anyway
	}
}

// maxAge is the age of the last beat beyond which a role may have been held for dead: two intervals, and what a beat
// may be late.
const maxAge = 2*messages.BeatInterval + messages.BeatInterval/2

// Awake reports whether the role may act for the cluster. One that did not beat for more than two intervals, because it
// was frozen or cut off, may have been replaced: it must not act until it has beaten and listened for a whole interval.
func (t *Beater) Awake() bool {
	now := time.Since(t.start)
	return now-time.Duration(t.last.Load()) <= maxAge && now >= time.Duration(t.resume.Load())
}

// Stop beats StateLeaving and ends. It may be called more than once.
func (t *Beater) Stop() {
	t.once.Do(func() { close(t.stop) })
	<-t.done
}

func (t *Beater) run() {
	defer close(t.done)
	ticker := time.NewTicker(messages.BeatInterval)
	defer ticker.Stop()
	for {
		select {
		case <-t.stop:
			t.beat(messages.StateLeaving)
			return
		case <-t.now:
		case <-ticker.C:
		}
		t.beat("")
	}
}

func (t *Beater) beat(state messages.State) {
	b := t.current()
	if state != "" {
		b.State = state
	}
	data, err := json.Marshal(b)
	if err != nil {
		return // a Beat always marshals; were it not so, Age would tell
	}
	sent := time.Since(t.start)
	if t.bus.Publish(messages.HeartbeatSubject(b.Role, b.Member.Name), "", data) != nil {
		return
	}
	if gap := sent - time.Duration(t.last.Load()); gap > maxAge {
		t.resume.Store(int64(sent + messages.BeatInterval))
	}
	t.last.Store(int64(sent))
}
