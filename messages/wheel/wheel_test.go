// SPDX-License-Identifier: Apache-2.0

package wheel

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"go.uber.org/goleak"
)

const tick = DefaultTick

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running calls f in a bubble of fake time with a wheel that runs.
func running(t *testing.T, f func(t *testing.T, w *Wheel)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := New(0)
		w.Start()
		defer w.Stop()
		f(t, w)
	})
}

func TestFiresWithinOneTickAfterTheDelay(t *testing.T) {
	delays := []time.Duration{
		-time.Second, 0, 1, tick - 1, tick, tick + 1, 3 * tick, 255 * tick, 256 * tick, 256*tick + 1,
		257 * tick, 300 * tick, 65535 * tick, 65536 * tick, 65537*tick - 1,
	}
	// When the timer is armed: at some place within a tick, and within a turn of the finest level.
	for _, phase := range []time.Duration{0, 1, tick - 1, 254*tick + 7} {
		running(t, func(t *testing.T, w *Wheel) {
			time.Sleep(phase)
			armed := time.Now()
			fired := make([]time.Duration, len(delays))
			timers := make([]Timer, len(delays))
			for i, d := range delays {
				w.Arm(&timers[i], d, func() { fired[i] += time.Since(armed) })
			}
			if w.Armed() != len(delays) {
				t.Errorf("%d armed", w.Armed())
			}
			time.Sleep(65538 * tick)
			synctest.Wait()
			for i, d := range delays {
				if got := fired[i]; got < max(d, 1) || got > max(d, 0)+tick {
					t.Errorf("armed %v after the start for %v: fired after %v", phase, d, got)
				}
			}
			if w.Armed() != 0 {
				t.Errorf("%d still armed", w.Armed())
			}
		})
	}
}

func TestFiresInOrderOfTicks(t *testing.T) {
	running(t, func(t *testing.T, w *Wheel) {
		var got, want []int
		timers := make([]Timer, 600)
		for i := range timers {
			ticks := i * 37 % len(timers) // every number once
			w.Arm(&timers[i], time.Duration(ticks+1)*tick, func() { got = append(got, ticks) })
			want = append(want, i)
		}
		time.Sleep(time.Duration(len(timers)+2) * tick)
		synctest.Wait()
		if !slices.Equal(got, want) {
			t.Errorf("fired in the order %v", got)
		}
	})
}

func TestArmingMoves(t *testing.T) {
	running(t, func(t *testing.T, w *Wheel) {
		var timer Timer
		start := time.Now()
		var fired []time.Duration
		for _, d := range []time.Duration{time.Second, time.Minute, time.Millisecond, 10 * time.Second} {
			w.Arm(&timer, d, func() { fired = append(fired, d, time.Since(start)) })
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !slices.Equal(fired, []time.Duration{10 * time.Second, 10 * time.Second}) {
			t.Errorf("fired %v", fired)
		}
	})
}

func TestKeptAliveNeverFires(t *testing.T) {
	running(t, func(t *testing.T, w *Wheel) {
		var timer Timer
		var fired time.Time
		for range 200 {
			w.Arm(&timer, time.Minute, func() { fired = time.Now() })
			time.Sleep(59 * time.Second)
		}
		left := time.Now()
		time.Sleep(time.Second + tick)
		synctest.Wait()
		if fired.Sub(left) < time.Second {
			t.Errorf("it was moved in time, and fired %v after it was left alone", fired.Sub(left))
		}
	})
}

func TestDisarm(t *testing.T) {
	running(t, func(t *testing.T, w *Wheel) {
		var timer Timer
		fired := 0
		if w.Disarm(&timer) {
			t.Error("a timer that never was armed")
		}
		w.Arm(&timer, time.Second, func() { fired++ })
		if !w.Disarm(&timer) || w.Disarm(&timer) {
			t.Error("an armed timer is disarmed once")
		}
		time.Sleep(2 * time.Second)
		w.Arm(&timer, time.Second, func() { fired++ })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if w.Disarm(&timer) {
			t.Error("a timer that fired")
		}
		if fired != 1 || w.Armed() != 0 {
			t.Errorf("fired %d times, %d armed", fired, w.Armed())
		}
	})
}

func TestCallbacksArmAndDisarm(t *testing.T) {
	running(t, func(t *testing.T, w *Wheel) {
		// Two of the same tick: the first takes the second back.
		var first, second Timer
		w.Arm(&first, time.Second, func() {
			if !w.Disarm(&second) {
				t.Error("the second had fired")
			}
			if w.Disarm(&first) {
				t.Error("the first is armed while it fires")
			}
		})
		w.Arm(&second, time.Second, func() { t.Error("fired after it was disarmed") })
		// One that arms itself: once per tick, not for ever within one.
		var again Timer
		var beats atomic.Int32
		var beat func()
		beat = func() {
			if beats.Add(1) < 100 {
				w.Arm(&again, 0, beat)
			}
		}
		start := time.Now()
		w.Arm(&again, 0, beat)
		time.Sleep(50*tick + tick/2)
		synctest.Wait()
		if beats.Load() != 50 {
			t.Errorf("%d beats in %v", beats.Load(), time.Since(start))
		}
		time.Sleep(100 * tick)
		synctest.Wait()
		if beats.Load() != 100 || w.Armed() != 0 {
			t.Errorf("%d beats, %d armed", beats.Load(), w.Armed())
		}
	})
}

// A wheel that could not run for an hour, as after SIGSTOP, fires what is overdue once, in
// order, and at once; and keeps its ticks' place on the clock.
func TestFrozen(t *testing.T) {
	running(t, func(t *testing.T, w *Wheel) {
		start := time.Now()
		type firing struct {
			timer int
			at    time.Duration
		}
		var got []firing
		var timers [4]Timer
		note := func(i int) func() {
			return func() { got = append(got, firing{i, time.Since(start)}) }
		}
		var freeze Timer
		w.Arm(&freeze, tick, func() { time.Sleep(time.Hour + tick/3) })
		w.Arm(&timers[2], 30*time.Minute, note(2))
		w.Arm(&timers[1], time.Second, note(1))
		w.Arm(&timers[3], time.Hour+2*time.Minute, note(3))
		time.Sleep(time.Minute)
		w.Arm(&timers[0], 2*tick, note(0)) // while it is frozen
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		woken := tick + time.Hour + tick/3
		want := []firing{{1, woken}, {0, woken}, {2, woken}, {3, time.Hour + 2*time.Minute}}
		if !slices.Equal(got, want) {
			t.Errorf("fired %v, not %v", got, want)
		}
	})
}

func TestStartAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(tick)
		w.Stop()
		var early, late, rest Timer
		fired := ""
		w.Arm(&early, time.Second, func() { fired += "early " })
		w.Arm(&late, 5*time.Second, func() { fired += "late " })
		time.Sleep(3 * time.Second)
		if fired != "" {
			t.Errorf("fired before the start: %s", fired)
		}
		w.Start()
		w.Start()
		synctest.Wait()
		if fired != "early " {
			t.Errorf("fired after the start: %s", fired)
		}
		w.Stop()
		w.Stop()
		time.Sleep(time.Minute)
		w.Arm(&rest, time.Second, func() { fired += "rest" })
		w.Start()
		time.Sleep(time.Second + tick)
		synctest.Wait()
		w.Stop()
		if fired != "early late rest" {
			t.Errorf("fired: %s", fired)
		}
	})
}

// What is due in the tick at which the wheel was stopped is not forgotten.
func TestStopInTheMiddleOfATick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(tick)
		w.Start()
		stopped := make(chan struct{})
		fired := 0
		timers := make([]Timer, 10)
		for i := range timers {
			w.Arm(&timers[i], time.Second, func() {
				if fired++; fired == 3 {
					go func() { w.Stop(); close(stopped) }()
					time.Sleep(time.Second) // Stop is waiting by now
				}
			})
		}
		<-stopped
		if fired != 3 || w.Armed() != 7 {
			t.Errorf("fired %d, armed %d", fired, w.Armed())
		}
		w.Start()
		time.Sleep(tick)
		synctest.Wait()
		w.Stop()
		if fired != 10 {
			t.Errorf("fired %d", fired)
		}
	})
}

// Every arming of a timer ends in exactly one way: it fires, or it is taken back; while
// others move theirs without asking.
func TestRace(t *testing.T) {
	const workers, timers, rounds = 4, 50, 200
	w := New(time.Millisecond)
	w.Start()
	var armed, fired, taken atomic.Int64
	var busy sync.WaitGroup
	disarm := func(timer *Timer) {
		if w.Disarm(timer) {
			taken.Add(1)
		}
	}
	for range workers {
		busy.Go(func() {
			own := make([]Timer, timers)
			fire := func() { fired.Add(1) }
			for i := range rounds * timers {
				timer := &own[i*31%timers]
				disarm(timer)
				w.Arm(timer, time.Duration(i%7)*time.Millisecond, fire)
				armed.Add(1)
			}
			for i := range own {
				disarm(&own[i])
			}
		})
		busy.Go(func() {
			var moved Timer
			for i := range rounds * timers {
				w.Arm(&moved, time.Duration(i%5)*time.Millisecond, func() {})
			}
			w.Disarm(&moved)
		})
	}
	busy.Wait()
	w.Stop()
	if fired.Load()+taken.Load() != armed.Load() || w.Armed() != 0 {
		t.Errorf("%d armed, %d fired, %d taken back, %d left", armed.Load(), fired.Load(), taken.Load(), w.Armed())
	}
}

func TestSize(t *testing.T) {
	if size := unsafe.Sizeof(Timer{}); size != 40 {
		t.Errorf("a timer takes %d bytes, the documentation says 40", size)
	}
}

func TestArmAllocatesNothing(t *testing.T) {
	w := New(tick)
	var timer Timer
	f := func() {}
	if n := testing.AllocsPerRun(100, func() { w.Arm(&timer, time.Minute, f); w.Disarm(&timer) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
