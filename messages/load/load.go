// SPDX-License-Identifier: Apache-2.0

// Package load measures how busy the machine's processors are: the figure that heartbeats carry and placement goes by.
package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// interval is the time between two samples. The kernel counts in hundredths of a second, so a shorter one measures noise.
	interval = 500 * time.Millisecond
	// settle is the time constant of the smoothing: a machine that turns busy at once is two thirds there after so long.
	settle = 3 * time.Second
)

// Meter is a running measurement. One per process is enough: it is the machine that is measured. Safe for any goroutine.
type Meter struct {
	bits atomic.Uint64 // of a float64
}

// Value is the busy part of all processors together, 0 to 1, smoothed over some seconds. It is 0 before the first sample
// and on a system without /proc/stat.
func (m *Meter) Value() float64 { return math.Float64frombits(m.bits.Load()) }

// Start measures until ctx ends; the last value stays.
func Start(ctx context.Context) *Meter { return start(ctx, readStat) }

func start(ctx context.Context, read func() (Times, error)) *Meter {
	m := new(Meter)
	last, err := read()
	if err != nil {
		return m // a system that does not tell will not tell later either
	}
	go m.run(ctx, read, last)
	return m
}

func (m *Meter) run(ctx context.Context, read func() (Times, error), last Times) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	value, known := 0.0, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now, err := read()
		if err != nil {
			continue
		}
		part, ok := last.Busy(now)
		last = now
		switch {
		case !ok:
			continue
		case !known:
			value, known = part, true
		default:
			value += (part - value) * (1 - math.Exp(-interval.Seconds()/settle.Seconds()))
		}
		m.bits.Store(math.Float64bits(value))
	}
}

// Times are the processors' times since boot, in ticks of the kernel.
type Times struct {
	All  uint64
	Idle uint64 // doing nothing, or waiting for disks
}

// Busy is the busy part, 0 to 1, of what passed between t and a later reading. ok is false when nothing passed, or the
// clock of a virtual machine ran backwards.
func (t Times) Busy(later Times) (part float64, ok bool) {
	if later.All <= t.All || later.Idle < t.Idle {
		return 0, false
	}
	all, idle := later.All-t.All, later.Idle-t.Idle
	return max(0, 1-float64(idle)/float64(all)), true
}

// ErrStat says that a text does not begin as /proc/stat does.
var ErrStat = errors.New("load: no line \"cpu\" with at least four times")

// Parse reads the first line of /proc/stat (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq, steal; what
// follows is part of the first two. Time that a hypervisor stole counts as busy: it is not to be had.
func Parse(stat []byte) (Times, error) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 5 || string(fields[0]) != "cpu" {
		return Times{}, ErrStat
	}
	var t Times
	for i, field := range fields[1:min(len(fields), 9)] {
		n, err := strconv.ParseUint(string(field), 10, 64)
		if err != nil {
			return Times{}, fmt.Errorf("%w: %w", ErrStat, err)
		}
		t.All += n
		if i == 3 || i == 4 {
			t.Idle += n
		}
	}
	return t, nil
}

func readStat() (Times, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Times{}, fmt.Errorf("load: %w", err)
	}
	return Parse(stat)
}
