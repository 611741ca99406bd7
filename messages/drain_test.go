// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestDrainOrder(t *testing.T) {
	for _, c := range []struct {
		now   State
		order string
		want  string
	}{
		{StateReady, `{}`, `{"state":"draining"}`},
		{StateDraining, `{}`, `{"state":"draining"}`},
		{StateDraining, `{"end":true}`, `{"state":"draining"}`},
		{StateDraining, `{"off":true}`, `{"state":"ready"}`},
		{StateReady, `{"off":true}`, `{"state":"ready"}`},
		{StateJoining, `{}`, `{"state":"joining","error":"the role is joining"}`},
		{StateLeaving, `{"off":true}`, `{"state":"leaving","error":"the role is leaving"}`},
	} {
		got := AnswerDrain([]byte(c.order), func(o DrainOrder) (State, error) { return o.From(c.now) })
		if string(got) != c.want {
			t.Errorf("%s at %s: %s, want %s", c.order, c.now, got, c.want)
		}
	}
	got := AnswerDrain([]byte(`{`), func(DrainOrder) (State, error) { t.Error("heeded"); return "", nil })
	if want := `{"state":"","error":"unexpected end of JSON input"}`; string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A role that stops while it is told to drain has stopped, whichever came first.
func TestApplyDrainOrder(t *testing.T) {
	for _, c := range []struct {
		now, next State
		order     DrainOrder
		changed   bool
		refused   bool
	}{
		{now: StateReady, next: StateDraining, changed: true},
		{now: StateDraining, next: StateDraining},
		{now: StateDraining, order: DrainOrder{Off: true}, next: StateReady, changed: true},
		{now: StateLeaving, next: StateLeaving, refused: true},
	} {
		var state atomic.Value
		state.Store(c.now)
		next, changed, err := c.order.Apply(&state)
		if next != c.next || changed != c.changed || (err != nil) != c.refused || state.Load() != c.next {
			t.Errorf("%+v at %s: %s (now %v), changed %v, %v", c.order, c.now, next, state.Load(), changed, err)
		}
	}
	for range 1000 {
		var state atomic.Value
		state.Store(StateReady)
		var both sync.WaitGroup
		both.Go(func() { state.Store(StateLeaving) })
		both.Go(func() {
			if next, changed, err := (DrainOrder{}).Apply(&state); changed != (err == nil) || changed != (next == StateDraining) {
				t.Errorf("%s, changed %v, %v", next, changed, err)
			}
		})
		if both.Wait(); state.Load() != StateLeaving {
			t.Fatalf("a role that stops is %v", state.Load())
		}
	}
}

func TestDrained(t *testing.T) {
	for _, c := range []struct {
		beat Beat
		left int
		what string
		want bool
	}{
		{Beat{State: StateDraining, Edge: &EdgeBeat{}}, 0, "connections", true},
		{Beat{State: StateDraining, Edge: &EdgeBeat{Connections: 3}}, 3, "connections", false},
		{Beat{State: StateDraining, Session: &SessionBeat{Owned: []OwnedRange{{Partitions: AllPartitions()}}}}, Partitions, "partitions", false},
		{Beat{State: StateDraining, Session: &SessionBeat{}}, 0, "partitions", true},
		{Beat{State: StateDraining, Media: &MediaBeat{Handles: 1}}, 1, "handles", false},
		{Beat{State: StateDraining, Media: &MediaBeat{}}, 0, "handles", true},
		{Beat{State: StateReady, Media: &MediaBeat{}}, 0, "handles", false},
	} {
		if n, what := c.beat.Left(); n != c.left || what != c.what || c.beat.Drained() != c.want {
			t.Errorf("%+v: %d %s left, drained %v", c.beat, n, what, c.beat.Drained())
		}
	}
}
