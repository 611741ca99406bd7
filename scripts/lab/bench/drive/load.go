// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Options of a Load.
type Options struct {
	// URL is the address of the Janus API over WebSocket.
	URL  string
	Mode Mode
	// Clients is how many connections there are, each with one request in flight. At least 1.
	Clients int
	// Workers is how many threads serve them; 0 means 1.
	Workers int
	// Size is what a message to the echo test is filled up to, in bytes.
	Size int
	// MaxSessions ends a CreateAttach early when so many sessions were made; 0 means 20,000.
	MaxSessions int
}

// Load is a number of clients that ask the same, again and again. Not for use by several goroutines.
type Load struct {
	options Options
	crowd   *crowd
	workers []*worker
	phase   atomic.Int32  // what the workers are to do
	full    chan struct{} // closed when MaxSessions is reached
	once    sync.Once
	broken  bool // a run failed: answers may still be under way
}

// What workers do with the requests that are answered: nothing, count them, or stop asking.
const (
	warming = iota
	measuring
	stopping
)

const defaultMaxSessions = 20_000

// Open connects the clients and gives them the sessions and handles that they need. The caller closes the Load.
func Open(ctx context.Context, o Options) (*Load, error) {
	if o.Mode.round() == nil || o.Clients < 1 {
		return nil, fmt.Errorf("drive: no mode %q, or no clients (%d)", o.Mode, o.Clients)
	}
	if o.MaxSessions <= 0 {
		o.MaxSessions = defaultMaxSessions
	}
	c, err := connect(ctx, o.URL, o.Clients, o.Size)
	if err != nil {
		return nil, err
	}
	l := &Load{options: o, crowd: c}
	if err := c.do(ctx, o.Mode.prepare()...); err != nil {
		c.hangUp()
		return nil, err
	}
	for i := range max(o.Workers, 1) {
		w, err := newWorker(l, i)
		if err != nil {
			return nil, errors.Join(err, l.Close(ctx))
		}
		l.workers = append(l.workers, w)
	}
	return l, nil
}

// Close destroys the sessions, unless a run failed, and hangs up.
func (l *Load) Close(ctx context.Context) error {
	for _, w := range l.workers {
		w.close()
	}
	l.workers = nil
	if l.broken {
		l.crowd.hangUp()
		return nil
	}
	return l.crowd.leave(ctx)
}

// Window is the time in which requests are counted.
type Window struct {
	// Warm is how long clients ask before it begins, Measure how long it lasts.
	Warm, Measure time.Duration
	// Begin and End are called at its two ends, to look at clocks; they may be nil.
	Begin, End func()
}

// Run is what came of a window.
type Run struct {
	// Elapsed is how long it really lasted.
	Elapsed time.Duration
	// Latency holds the time of each round that ended in it, in nanoseconds.
	Latency *hdrhistogram.Histogram
}

// ErrNothing says that no round ended in the window, though each was answered in the end: the machine was busy with something
// else. The Load can be run again.
var ErrNothing = errors.New("drive: no round ended in the window")

// Rounds is how many rounds ended in the window.
func (r Run) Rounds() int64 { return r.Latency.TotalCount() }

// NewHistogram makes a histogram of times between 1 µs and a minute, in nanoseconds, exact to three digits.
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(time.Minute), 3)
}

// Run has the clients ask in a closed loop for the time of a window, and returns when the last answer has come. A wrong answer,
// or none within Patience, is an error.
func (l *Load) Run(ctx context.Context, w Window) (Run, error) {
	l.phase.Store(warming)
	l.full, l.once = make(chan struct{}), sync.Once{}
	var wait sync.WaitGroup
	failed := make(chan struct{}, len(l.workers))
	for _, worker := range l.workers {
		wait.Go(func() {
			if worker.run(); worker.err != nil {
				failed <- struct{}{}
			}
		})
	}
	elapsed, err := l.window(ctx, w, failed)
	l.phase.Store(stopping)
	wait.Wait()
	run := Run{Elapsed: elapsed, Latency: NewHistogram()}
	for _, worker := range l.workers {
		run.Latency.Merge(worker.latency)
		err = errors.Join(err, worker.err)
	}
	if l.options.Mode == CreateAttach && err == nil {
		err = l.crowd.destroyMade(ctx)
	}
	l.broken = l.broken || err != nil
	if err == nil && run.Rounds() == 0 {
		err = fmt.Errorf("%w: %s, %v", ErrNothing, l.options.Mode, elapsed)
	}
	return run, err
}

// window waits for its two ends.
func (l *Load) window(ctx context.Context, w Window, failed <-chan struct{}) (time.Duration, error) {
	pause := func(d time.Duration) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.full:
		case <-failed: // the worker tells why
			return errStopped
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errStopped, context.Cause(ctx))
		}
		return nil
	}
	call := func(f func()) {
		if f != nil {
			f()
		}
	}
	if err := pause(w.Warm); err != nil {
		return 0, err
	}
	call(w.Begin)
	begin := time.Now()
	l.phase.Store(measuring)
	err := pause(w.Measure)
	l.phase.Store(stopping)
	elapsed := time.Since(begin)
	call(w.End)
	return elapsed, err
}
