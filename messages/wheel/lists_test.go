// SPDX-License-Identifier: Apache-2.0

package wheel

import (
	"math/rand/v2"
	"testing"
	"time"
)

// model is a wheel beside a plain map of what it should hold.
type model struct {
	t      *testing.T
	w      *Wheel
	timers []Timer
	due    map[int]int64
}

func newModel(t *testing.T, timers int, now int64) *model {
	m := &model{t: t, w: New(tick), timers: make([]Timer, timers), due: make(map[int]int64)}
	m.w.now = now
	return m
}

// arm places a timer some ticks ahead, as Arm does once it knows the tick.
func (m *model) arm(i int, ahead int64) {
	timer := &m.timers[i]
	if timer.list != 0 {
		m.w.unlink(timer)
	}
	timer.due = m.w.now + ahead
	timer.f = func() {
		if due, armed := m.due[i]; !armed || due != m.w.now {
			m.t.Errorf("timer %d fires in tick %d; armed %v for %d", i, m.w.now, armed, due)
		}
		delete(m.due, i)
	}
	m.w.place(timer)
	m.due[i] = timer.due
}

func (m *model) disarm(i int) {
	_, armed := m.due[i]
	if m.w.Disarm(&m.timers[i]) != armed {
		m.t.Errorf("timer %d: armed %v", i, armed)
	}
	delete(m.due, i)
}

// step takes one tick and checks that nothing due was left.
func (m *model) step() {
	if !m.w.step(m.w.now + 1) {
		m.t.Fatal("no step")
	}
	for f := m.w.take(); f != nil; f = m.w.take() {
		f()
	}
	if m.w.armed != len(m.due) {
		m.t.Fatalf("tick %d: %d armed, not %d", m.w.now, m.w.armed, len(m.due))
	}
}

// The wheel agrees with the map through random arming, moving and disarming, around the
// ticks at which one, two and three levels turn over.
func TestAgainstModel(t *testing.T) {
	for _, start := range []int64{0, 1<<8 - 10, 1<<16 - 3000, 1<<24 - 3000, 1<<32 - 3000, 1<<40 - 3000} {
		random := rand.New(rand.NewPCG(uint64(start), 1))
		m := newModel(t, 500, start)
		for range 6000 {
			for range random.IntN(8) {
				if i := random.IntN(len(m.timers)); random.IntN(4) == 0 {
					m.disarm(i)
				} else {
					m.arm(i, 1+random.Int64N(1<<random.IntN(14)))
				}
			}
			m.step()
		}
		for i := range m.timers {
			m.disarm(i)
		}
	}
}

// Timers on the two coarsest levels, and beyond them all, come down at the right tick. The
// ticks in between, at which nothing happens, are left out.
func TestFarAhead(t *testing.T) {
	for _, ahead := range []int64{1<<24 - 1, 1 << 24, 1<<24 + 1, 5<<24 + 12345, 1<<32 - 1, 1 << 32, 1<<32 + 1, 3<<32 + 77, 255<<32 + 255} {
		for _, start := range []int64{0, 1, 255, 1<<24 - 1, 7<<32 + 3} {
			m := newModel(t, 1, start)
			m.arm(0, ahead)
			for len(m.due) > 0 {
				// The next tick at which any level from the second on turns over its slot, or the due one.
				next := min((m.w.now|(1<<levelBits-1))+1, start+ahead)
				if coarse := (m.w.now | (1<<(2*levelBits) - 1)) + 1; coarse < start+ahead-1<<17 {
					next = coarse
				}
				if coarse := (m.w.now | (1<<(3*levelBits) - 1)) + 1; coarse < start+ahead-1<<25 {
					next = coarse
				}
				if m.w.now = next - 1; next > start+ahead {
					t.Fatalf("start %d, ahead %d: tick %d and not fired", start, ahead, next)
				}
				m.step()
			}
		}
	}
}

// A delay beyond all reason does not wrap around.
func TestLongestDelay(t *testing.T) {
	w := New(1)
	var timer Timer
	w.Arm(&timer, 1<<63-1, func() {})
	if timer.due < int64(maxDelay) {
		t.Errorf("due in tick %d", timer.due)
	}
}

// A slot of a million timers is moved down in pieces, between which others may arm and
// disarm. Here they do so while it happens.
func TestCascadeLetsOthersIn(t *testing.T) {
	const timers = 20 * cascadeBatch
	m := newModel(t, timers, 0)
	for i := range m.timers {
		m.arm(i, 300)
	}
	m.w.now = 255
	var other Timer
	armed, quit := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(armed)
		for {
			select {
			case <-quit:
				return
			default:
				m.w.Arm(&other, time.Hour, func() {})
			}
		}
	}()
	m.w.step(256)
	close(quit)
	<-armed
	m.w.Disarm(&other)
	for m.w.now < 300 {
		m.step()
	}
	if len(m.due) != 0 {
		t.Errorf("%d not fired", len(m.due))
	}
}

// benchTimers is a node's worth several times over.
const benchTimers = 1_000_000

func armed(b *testing.B) (*Wheel, []Timer) {
	b.Helper()
	w, timers := New(tick), make([]Timer, benchTimers)
	for i := range timers {
		w.Arm(&timers[i], time.Minute+time.Duration(i)*time.Microsecond, func() {})
	}
	return w, timers
}

// BenchmarkMove is what each request of a session costs: its time-out moves on.
func BenchmarkMove(b *testing.B) {
	w, timers := armed(b)
	f := func() {}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i = (i + 7919) % benchTimers
		w.Arm(&timers[i], time.Minute, f)
	}
}

// BenchmarkMoveParallel is the same from all processors.
func BenchmarkMoveParallel(b *testing.B) {
	w, timers := armed(b)
	f := func() {}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(benchTimers); pb.Next(); i = (i + 7919) % benchTimers {
			w.Arm(&timers[i], time.Minute, f)
		}
	})
}

// BenchmarkArmDisarm is a deadline that was met.
func BenchmarkArmDisarm(b *testing.B) {
	w, _ := armed(b)
	var timer Timer
	f := func() {}
	b.ReportAllocs()
	for b.Loop() {
		w.Arm(&timer, 9*time.Second, f)
		w.Disarm(&timer)
	}
}

// BenchmarkTick is a tick of the wheel with a million timers of which none is due; every
// 256th of them moves its share of them down.
func BenchmarkTick(b *testing.B) {
	w, _ := armed(b)
	b.ReportAllocs()
	for b.Loop() {
		w.step(w.now + 1)
		for w.take() != nil {
			continue
		}
	}
}

// BenchmarkFire is a million timers from their waiting to their calls.
func BenchmarkFire(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		w, _ := armed(b)
		b.StartTimer()
		fired := 0
		for fired < benchTimers {
			w.step(w.now + 1)
			for f := w.take(); f != nil; f = w.take() {
				f()
				fired++
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchTimers, "ns/timer")
}
