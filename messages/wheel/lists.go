// SPDX-License-Identifier: Apache-2.0

package wheel

// place puts an idle timer on the list of its due tick: the finest level that reaches so
// far, the slot within it from the tick's own bits. A tick that is being taken (ahead is 0)
// is on the finest level too. The lock is held.
func (w *Wheel) place(t *Timer) {
	due, ahead := t.due, t.due-w.now
	if ahead >= reach {
		due, ahead = w.now+reach-1, reach-1
	}
	level := 0
	for ; ahead >= perLevel; ahead >>= levelBits {
		level++
	}
	w.link(t, slot(level, due))
}

// slot names the list of a level in which a tick lies.
func slot(level int, tick int64) int {
	return level*perLevel + int(tick>>(level*levelBits))&slotMask
}

// link appends an idle timer to a list. The lock is held.
func (w *Wheel) link(t *Timer, list int) {
	first := w.head[list]
	if first == nil {
		t.next, t.prev = t, t
		w.head[list] = t
	} else {
		t.next, t.prev = first, first.prev
		t.prev.next, t.next.prev = t, t
	}
	t.list = uint16(list + 1)
	w.armed++
}

// unlink makes a linked timer idle. The lock is held.
func (w *Wheel) unlink(t *Timer) {
	list := t.list - 1
	switch {
	case t.next == t:
		w.head[list] = nil
	case w.head[list] == t:
		w.head[list] = t.next
		fallthrough
	default:
		t.prev.next, t.next.prev = t.next, t.prev
	}
	t.next, t.prev, t.list = nil, nil, 0
	w.armed--
}

// step enters the next tick if it is not later than elapsed, and moves down what comes
// within reach of a finer level. It answers false if no tick is left to enter.
func (w *Wheel) step(elapsed int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now >= elapsed {
		return false
	}
	w.now++
	for level := w.turned(); level > 0; level-- {
		w.cascade(slot(level, w.now))
	}
	return true
}

// turned tells how many levels besides the finest enter a new slot with this tick. The
// lock is held.
func (w *Wheel) turned() int {
	level := 0
	for level < levels-1 && w.now>>(level*levelBits)&slotMask == 0 {
		level++
	}
	return level
}

// cascade places the timers of one slot anew, now that they are nearer; none of them comes
// back to it, nor does one that is armed now. The lock is held, and let go for a moment
// after each batch: what still waits to be moved is on a list as always, and may be
// disarmed or armed meanwhile.
func (w *Wheel) cascade(from int) {
	for n := 1; w.head[from] != nil; n++ {
		t := w.head[from]
		w.unlink(t)
		w.place(t)
		if n%cascadeBatch == 0 {
			w.mu.Unlock()
			w.mu.Lock()
		}
	}
}

// take makes the first timer of the present tick idle and answers its callback, nil when
// none is left. One lock per timer: so what one callback disarms does not run after it,
// though it was due in the same tick.
func (w *Wheel) take() func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.head[slot(0, w.now)]
	if t == nil {
		return nil
	}
	f := t.f
	w.unlink(t)
	t.f = nil
	return f
}
