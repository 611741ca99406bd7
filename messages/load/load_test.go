// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, stat string
		want       Times
		bad        bool
	}{
		{"Linux 6", "cpu  100 1 50 800 40 2 3 4 7 0\ncpu0 1 2 3 4\nbtime 5\n", Times{All: 1000, Idle: 840}, false},
		{"Linux 2.4: four times", "cpu 1 2 3 4", Times{All: 10, Idle: 4}, false},
		{"one processor only", "cpu0 1 2 3 4\n", Times{}, true},
		{"too few", "cpu 1 2 3\n", Times{}, true},
		{"negative", "cpu 1 2 -3 4\n", Times{}, true},
		{"empty", "", Times{}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.stat))
			if got != tt.want || errors.Is(err, ErrStat) != tt.bad {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("cpu  100 1 50 800 40 2 3 4 7 0\n"))
	f.Fuzz(func(t *testing.T, stat []byte) {
		if times, err := Parse(stat); err != nil && times != (Times{}) {
			t.Errorf("%+v beside %v", times, err)
		}
	})
}

func TestBusy(t *testing.T) {
	from := Times{All: 1000, Idle: 500}
	for _, tt := range []struct {
		later Times
		want  float64
		ok    bool
	}{
		{Times{All: 1100, Idle: 500}, 1, true},
		{Times{All: 1100, Idle: 600}, 0, true},
		{Times{All: 1100, Idle: 575}, 0.25, true},
		{Times{All: 1100, Idle: 700}, 0, true}, // the kernel rounds
		{Times{All: 1000, Idle: 500}, 0, false},
		{Times{All: 900, Idle: 400}, 0, false},
		{Times{All: 1100, Idle: 400}, 0, false},
	} {
		if got, ok := from.Busy(tt.later); got != tt.want || ok != tt.ok {
			t.Errorf("%+v: %v, %v", tt.later, got, ok)
		}
	}
}

// TestSmoothing turns a machine busy and watches the meter follow.
func TestSmoothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var now Times
		var idle atomic.Uint64 // of every hundred ticks
		idle.Store(100)
		m := start(ctx, func() (Times, error) {
			now.All += 100
			now.Idle += idle.Load()
			return now, nil
		})
		if m.Value() != 0 {
			t.Errorf("%v before the first sample", m.Value())
		}
		time.Sleep(2 * interval)
		synctest.Wait()
		if m.Value() != 0 {
			t.Errorf("%v on an idle machine", m.Value())
		}
		idle.Store(0)
		time.Sleep(settle)
		synctest.Wait()
		if got, want := m.Value(), 1-1/math.E; math.Abs(got-want) > 0.02 {
			t.Errorf("%.3f after the settling time, want %.3f", got, want)
		}
		time.Sleep(5 * settle)
		synctest.Wait()
		if got := m.Value(); got < 0.98 || got > 1 {
			t.Errorf("%.3f on a busy machine", got)
		}
	})
}

func TestNoStat(t *testing.T) {
	m := start(t.Context(), func() (Times, error) { return Times{}, ErrStat })
	if m.Value() != 0 {
		t.Error(m.Value())
	}
}

// TestThisMachine reads the real thing.
func TestThisMachine(t *testing.T) {
	if times, err := readStat(); err != nil || times.All == 0 {
		t.Errorf("%+v, %v", times, err)
	}
}
