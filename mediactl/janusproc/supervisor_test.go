// SPDX-License-Identifier: Apache-2.0

package janusproc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// world plays processes and addresses in the bubble of a synctest.
type world struct {
	begun   time.Time
	history []string // "1.5s start 1", …
	life    []time.Duration
	starts  int
	current *actor
	answer  func() (Info, error) // of the address
}

// actor is a process that ends after its life, or when stopped.
type actor struct {
	world *world
	pid   int
	done  chan struct{}
	end   func(error)
	err   error
}

func newWorld(life ...time.Duration) *world {
	return &world{begun: time.Now(), life: life, answer: func() (Info, error) { return Info{}, syscall.ECONNREFUSED }}
}

func (w *world) note(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf("%v ", time.Since(w.begun))+fmt.Sprintf(format, args...))
}

// launch starts the next process; a life of 0 means that it does not start, a negative one that it never ends by itself.
func (w *world) launch(Command) (child, error) {
	life := w.life[min(w.starts, len(w.life)-1)]
	w.starts++
	w.note("start %d", w.starts)
	if life == 0 {
		return nil, errors.New("no such program")
	}
	a := &actor{world: w, pid: w.starts, done: make(chan struct{})}
	w.current = a
	ended := false
	a.end = func(err error) {
		if !ended {
			ended = true
			a.err = err
			close(a.done)
		}
	}
	if life > 0 {
		time.AfterFunc(life, func() { a.end(errors.New("crashed")) })
	}
	return a, nil
}

func (a *actor) PID() int              { return a.pid }
func (a *actor) Done() <-chan struct{} { return a.done }
func (a *actor) Err() error            { return a.err }
func (a *actor) Stop(_ context.Context, grace time.Duration) error {
	a.world.note("stop %d within %v", a.pid, grace)
	a.end(nil)
	return nil
}

// supervise runs a supervisor for a time and returns what happened.
func (w *world) supervise(o SupervisorOptions, d time.Duration, during func(*Supervisor)) []string {
	o.OnChange = func(st Status) { w.note("%v", st.State) }
	s := NewSupervisor(o)
	s.launch = w.launch
	s.probe = func(context.Context, string) (Info, error) { return w.answer() }
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if during != nil {
		go during(s)
	}
	if err := s.Run(ctx); err != nil {
		w.note("error %v", err)
	}
	synctest.Wait()
	return w.history
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// TestBackoff: pauses double while processes end early, up to the longest, and begin anew after one that was steady.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, 0, time.Second, 0, 0, 20*time.Second, -1)
		w.supervise(SupervisorOptions{MinDelay: time.Second, MaxDelay: 4 * time.Second}, time.Minute, nil)
		var starts []string
		for _, h := range w.history {
			if strings.Contains(h, "start") {
				starts = append(starts, h)
			}
		}
		expect(t, starts, "0s start 1", "1s start 2", "3s start 3", "8s start 4", "12s start 5", "16s start 6", "37s start 7")
	})
}

// TestStopAtTheEnd: a process of ours does not survive its supervisor.
func TestStopAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expect(t, newWorld(-1).supervise(SupervisorOptions{StopGrace: 3 * time.Second}, time.Second, nil),
			"0s start 1", "0s running", "1s stop 1 within 3s", "1s stopped")
	})
}

// TestLeftRunning: one that outlives does.
func TestLeftRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(-1)
		o := SupervisorOptions{Command: Command{Outlive: true}}
		expect(t, w.supervise(o, time.Second, nil), "0s start 1", "0s running", "1s stopped")
		w.current.end(nil)
	})
}

// TestRestart: a hanging process is ended soon and started again after the shortest pause.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(-1)
		got := w.supervise(SupervisorOptions{}, 2*time.Second, func(s *Supervisor) {
			time.Sleep(time.Second)
			s.Restart()
			s.Restart()
		})
		expect(t, got, "0s start 1", "0s running", "1s stop 1 within 2s", "1s waiting",
			"1.1s start 2", "1.1s running", "2s stop 2 within 10s", "2s stopped")
	})
}

// TestAdopt: a Janus that answers is watched, never stopped, and replaced once its address is free.
func TestAdopt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(-1)
		w.answer = func() (Info, error) {
			switch t := time.Since(w.begun); {
			case t < 3*time.Second:
				return Info{ServerName: "j1"}, nil
			case t < 5*time.Second: // it hangs
				return Info{}, context.DeadlineExceeded
			case t < 8*time.Second:
				return Info{ServerName: "j1"}, nil
			}
			return Info{}, syscall.ECONNREFUSED
		}
		got := w.supervise(SupervisorOptions{URL: "ws://j1", Name: "j1"}, 10*time.Second, func(s *Supervisor) {
			time.Sleep(time.Second)
			s.Restart()
		})
		expect(t, got, "0s adopted", "3s blocked", "5s adopted", "8s start 1", "8s running",
			"10s stop 1 within 10s", "10s stopped")
	})
}

// TestOtherJanus: somebody else's Janus at our address is neither used nor doubled.
func TestOtherJanus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(-1)
		w.answer = func() (Info, error) { return Info{ServerName: "stranger"}, nil }
		var during Status
		got := w.supervise(SupervisorOptions{URL: "ws://j1", Name: "j1"}, 3*time.Second, func(s *Supervisor) {
			time.Sleep(time.Second)
			during = s.Status()
		})
		expect(t, got, "0s blocked", "3s stopped")
		if !errors.Is(during.Err, errOtherJanus) || during.PID != 0 {
			t.Errorf("%+v", during)
		}
	})
}

// TestAdoptThenLeave: an adopted Janus goes on after its watcher.
func TestAdoptThenLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(-1)
		w.answer = func() (Info, error) { return Info{}, nil }
		expect(t, w.supervise(SupervisorOptions{URL: "ws://j1"}, 5*time.Second, nil), "0s adopted", "5s stopped")
	})
}
