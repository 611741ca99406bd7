// SPDX-License-Identifier: Apache-2.0

// Package wheel keeps very many coarse timers cheaply: session time-outs,
// reclaim times, request deadlines, keepalives.
//
// One goroutine, one tick (50 ms where nothing else is asked for) and intrusive
// lists: arming, moving and disarming cost the same whether ten timers wait or a
// million (some 50 ns), and allocate nothing. A timer takes 40 bytes within what it times
// out, a wheel 8 KB. The shape is the hierarchical wheel of Varghese
// and Lauck (SOSP 1987): four levels of 256 slots, each level 256 times coarser
// than the one below, timers moving down as their time comes nearer.
//
// It exists because a time.Timer per session costs twice the memory, and because
// the time-outs that the actor library offers race with the messages that are
// meant to stop them.
package wheel

import (
	"sync"
	"time"
)

// DefaultTick is the tick that New uses when asked for none: fine enough for time-outs
// that are counted in seconds, and twenty wake-ups per second of an idle process.
const DefaultTick = 50 * time.Millisecond

// Geometry of the wheel. Four levels of 256 slots reach 2^32 ticks: 6.8 years of 50 ms.
// What is armed for longer waits in the last slot and is placed again when that one comes.
const (
	levelBits = 8
	levels    = 4
	perLevel  = 1 << levelBits
	slotMask  = perLevel - 1
	reach     = 1 << (levels * levelBits)
)

// cascadeBatch bounds how many timers move to a finer level under one hold of the lock
// (about 50 µs), so that a slot of a million timers does not hold up whoever arms one.
const cascadeBatch = 1024

// maxDelay is the longest delay that is told apart from a longer one. It keeps the sum of
// elapsed time and delay within an int64 for a process that runs a century.
const maxDelay = 100 * 365 * 24 * time.Hour

// Wheel runs timers. Its methods may be called from any goroutine, callbacks included
// (except Stop). The mutex guards list links alone: it is held for a few dozen
// nanoseconds, never while a callback runs.
type Wheel struct {
	tick time.Duration
	base time.Time // tick 0; its monotonic reading is what counts

	mu    sync.Mutex
	now   int64 // the last tick whose timers were taken
	armed int
	head  [levels * perLevel]*Timer // circular lists; head[i].prev is the last one

	life    sync.Mutex // Start and Stop only
	quit    chan struct{}
	stopped chan struct{}
}

// Timer is one timer. Its zero value is ready; it is meant to be a field of what it
// times out (40 bytes), and must not be copied or dropped while armed: the wheel points
// at it. It belongs to one wheel at a time, and carries one time-out at a time.
type Timer struct {
	_          noCopy
	next, prev *Timer
	f          func()
	due        int64  // tick
	list       uint16 // index in Wheel.head plus one; 0 while not armed
}

// New makes a wheel that stands still until Start. Timers may be armed before that;
// their time runs from the call of Arm. A tick of zero or less means DefaultTick.
func New(tick time.Duration) *Wheel {
	if tick <= 0 {
		tick = DefaultTick
	}
	return &Wheel{tick: tick, base: time.Now()}
}

// Start begins to run timers, in a goroutine of its own; what is overdue at once. Starting
// a wheel that runs does nothing.
func (w *Wheel) Start() {
	w.life.Lock()
	defer w.life.Unlock()
	if w.quit != nil {
		return
	}
	w.quit, w.stopped = make(chan struct{}), make(chan struct{})
	go w.run(w.quit, w.stopped)
}

// Stop ends the goroutine and waits for it, and so for a callback that runs: it must not
// be called from one. Afterwards no callback runs; timers stay armed, and go on, late,
// if the wheel is started again. Stopping a wheel that stands still does nothing.
func (w *Wheel) Stop() {
	w.life.Lock()
	defer w.life.Unlock()
	if w.quit == nil {
		return
	}
	close(w.quit)
	<-w.stopped
	w.quit, w.stopped = nil, nil
}

// Arm lets f run once, d from now: never before, and at most one tick after as long as
// the wheel's goroutine gets to run (callbacks are short, the process is not frozen). A
// wheel that was held up runs what is overdue when it wakes, once, in order of ticks. A
// d of zero or less means the next tick.
//
// Arming an armed timer moves it: only the last f runs, at the last time. f runs on the
// wheel's goroutine with no lock held; it must not block (it tells an actor), and may arm
// and disarm, its own timer included. Arm allocates nothing: give it a function that is
// kept, not a new closure per call, where that matters.
func (w *Wheel) Arm(t *Timer, d time.Duration, f func()) {
	d = min(max(d, 0), maxDelay)
	elapsed := time.Since(w.base) + d
	due := int64((elapsed + w.tick - 1) / w.tick)

	w.mu.Lock()
	if t.list != 0 {
		w.unlink(t)
	}
	t.f, t.due = f, max(due, w.now+1)
	w.place(t)
	w.mu.Unlock()
}

// Disarm takes the timer back. It answers true if that kept a callback from running, and
// false if there was none to keep: never armed, disarmed before, or already fired. In the
// last case the callback may be running at this moment; whoever must not be disturbed by
// it compares notes in its own loop.
func (w *Wheel) Disarm(t *Timer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.list == 0 {
		return false
	}
	w.unlink(t)
	t.f = nil
	return true
}

// Armed tells how many timers wait.
func (w *Wheel) Armed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.armed
}

// noCopy makes go vet report copies of what contains it.
type noCopy struct{}

// Lock does nothing; vet looks for it.
func (*noCopy) Lock() {}

// Unlock does nothing.
func (*noCopy) Unlock() {}
