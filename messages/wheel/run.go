// SPDX-License-Identifier: Apache-2.0

package wheel

import "time"

// run takes tick after tick. It waits for the moment the next one begins instead of using
// a ticker: so ticks keep their place on the clock after a late wake-up, and none is lost
// in a ticker's one-element channel.
func (w *Wheel) run(quit, stopped chan struct{}) {
	defer close(stopped)
	timer := time.NewTimer(w.untilNext())
	defer timer.Stop()
	for {
		select {
		case <-quit:
			return
		case <-timer.C:
		}
		if !w.catchUp(quit) {
			return
		}
		timer.Reset(w.untilNext())
	}
}

// untilNext tells how long it is until the next tick that was not taken yet.
func (w *Wheel) untilNext() time.Duration {
	w.mu.Lock()
	next := w.now + 1
	w.mu.Unlock()
	return time.Duration(next)*w.tick - time.Since(w.base)
}

// catchUp takes every tick that has begun: one as a rule, many after the process was
// frozen. It answers false if the wheel is to stop; the tick it was at is then left as it
// is, for the wheel's next start.
func (w *Wheel) catchUp(quit chan struct{}) bool {
	elapsed := int64(time.Since(w.base) / w.tick)
	for {
		if closed(quit) {
			return false
		}
		if f := w.take(); f != nil {
			f()
		} else if !w.step(elapsed) {
			return true
		}
	}
}

// closed tells whether a channel that only ever gets closed is.
func closed(ch chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
