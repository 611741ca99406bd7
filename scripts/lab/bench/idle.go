// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/januscloud/januscloud/scripts/lab/bench/drive"
	"github.com/januscloud/januscloud/scripts/lab/bench/proc"
)

// What each idle client has at a level.
const (
	hasNothing    = "nothing"
	hasConnection = "connection"
	hasSession    = "session"
	hasHandle     = "handle"
)

const (
	// settleTime bounds the wait until garbage is given back; settleStep is how long a process must have stayed the same.
	settleTime = 15 * time.Second
	settleStep = time.Second
	// busyTime is how long the processor time of idle processes is measured.
	busyTime = 2 * time.Second
)

// idle measures what idle clients and sessions cost, behind the cluster and on Janus itself.
func (b *bench) idle(ctx context.Context) (r idleResult, err error) {
	r.Clients = b.Idle
	for _, s := range []struct {
		side side
		into *[]level
		busy *map[string]float64
	}{{b.cluster, &r.Cluster, &r.Busy}, {b.direct, &r.Direct, nil}} {
		// What every process makes when it first works is not the clients'.
		if err := b.exercise(ctx, s.side); err != nil {
			return r, err
		}
		if *s.into, err = b.levels(ctx, s.side, s.busy); err != nil {
			return r, fmt.Errorf("%s: %w", s.side.name, err)
		}
	}
	return r, nil
}

// exercise runs a little load.
func (b *bench) exercise(ctx context.Context, s side) (err error) {
	for _, mode := range []drive.Mode{drive.Message, drive.CreateAttach} {
		load, err := b.open(ctx, s, mode, 8)
		if err != nil {
			return err
		}
		_, err = load.Run(ctx, drive.Window{Measure: 200 * time.Millisecond})
		if err = errors.Join(err, closeLoad(ctx, load)); err != nil {
			return err
		}
	}
	return nil
}

// levels brings clients, then sessions, then handles, and looks at the memory each time.
func (b *bench) levels(ctx context.Context, s side, busy *map[string]float64) (levels []level, err error) {
	look := func(has string) error {
		l, err := s.level(ctx, has)
		levels = append(levels, l)
		b.say("%s: idle, %s: %d clients with %s: %s", b.layout, s.name, b.Idle, has, l)
		return err
	}
	if err := look(hasNothing); err != nil {
		return nil, err
	}
	idle, err := drive.OpenIdle(ctx, s.url, b.Idle)
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
		defer cancel()
		err = errors.Join(err, idle.Close(ctx))
	}()
	if err := look(hasConnection); err != nil {
		return nil, err
	}
	if err := idle.Sessions(ctx); err != nil {
		return nil, err
	}
	if err := look(hasSession); err != nil {
		return nil, err
	}
	if busy != nil {
		if *busy, err = s.busy(ctx); err != nil {
			return nil, err
		}
	}
	if b.Profile {
		if err := b.saveHeaps(ctx, s); err != nil {
			return nil, err
		}
	}
	if b.Handles {
		if err := idle.Handles(ctx); err != nil {
			return nil, err
		}
		return levels, look(hasHandle)
	}
	return levels, nil
}

// level reads the memory of all processes after collections, once they have given back what they do not need.
func (s side) level(ctx context.Context, has string) (level, error) {
	before := s.nothing(has)
	for deadline := time.Now().Add(settleTime); ; {
		l := s.nothing(has)
		for _, p := range s.processes {
			f, err := p.footprint(ctx)
			if err != nil {
				return l, fmt.Errorf("memory of %s: %w", p.name, err)
			}
			l.Memory[p.name] = f
		}
		if l.near(before) || time.Now().After(deadline) {
			return l, nil
		}
		before = l
		if err := sleep(ctx, settleStep); err != nil {
			return l, err
		}
	}
}

func (s side) nothing(has string) level {
	return level{Has: has, Memory: make(map[string]footprint, len(s.processes))}
}

// near tells whether no process has changed by more than half a percent.
func (l level) near(before level) bool {
	for name, f := range l.Memory {
		if abs(f.RSS-before.Memory[name].RSS) > f.RSS/200 {
			return false
		}
	}
	return true
}

// footprint is what a process occupies after a collection.
func (p process) footprint(ctx context.Context) (f footprint, err error) {
	if f.Live, err = p.collect(ctx); err == nil {
		f.Memory, err = proc.ReadMemory(p.pid)
	}
	return f, err
}

func abs(n int64) int64 { return max(n, -n) }

// busy is how much of a processor each process uses while nobody asks anything.
func (s side) busy(ctx context.Context) (map[string]float64, error) {
	before, err := s.cpu(os.Getpid())
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := sleep(ctx, busyTime); err != nil {
		return nil, err
	}
	after, err := s.cpu(os.Getpid())
	if err != nil {
		return nil, err
	}
	busy := make(map[string]float64)
	for _, p := range s.processes {
		busy[p.name] = float64(after[p.name]-before[p.name]) / float64(time.Since(begin))
	}
	return busy, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// String tells the resident memory of each process, for the log.
func (l level) String() string {
	text := ""
	for _, name := range sortedKeys(l.Memory) {
		text += fmt.Sprintf("%s %.1f MB  ", name, float64(l.Memory[name].RSS)/1e6)
	}
	return text
}
