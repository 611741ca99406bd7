// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/januscloud/januscloud/scripts/lab/bench/drive"
)

// bench measures one layout.
type bench struct {
	options
	layout          string
	direct, cluster side
	out             *output
	say             func(format string, args ...any)
}

// cleanup bounds the work after a measurement, cancelled or not.
const cleanup = time.Minute

// all measures what the options ask for, memory first: load leaves traces in it.
func (b *bench) all(ctx context.Context, l *layoutResult) error {
	if err := b.comeUp(ctx); err != nil {
		return err
	}
	if b.Idle > 0 {
		idle, err := b.idle(ctx)
		if err != nil {
			return fmt.Errorf("idle: %w", err)
		}
		l.Idle = &idle
	}
	for _, mode := range b.Mode {
		for _, clients := range b.Clients {
			c, err := b.compare(ctx, mode, clients)
			if err != nil {
				return fmt.Errorf("%s with %d clients: %w", mode, clients, err)
			}
			l.Comparisons = append(l.Comparisons, c)
		}
		if b.Profile {
			if err := b.profile(ctx, mode, slices.Max(b.Clients)); err != nil {
				return fmt.Errorf("profile of %s: %w", mode, err)
			}
		}
	}
	return nil
}

// comeUp waits until the cluster passes a message to Janus and back: roles serve before they know each other.
func (b *bench) comeUp(ctx context.Context) error {
	const limit = 15 * time.Second
	for deadline := time.Now().Add(limit); ; {
		err := b.try(ctx)
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// try passes one message.
func (b *bench) try(ctx context.Context) error {
	load, err := drive.Open(ctx, drive.Options{URL: b.cluster.url, Mode: drive.Message, Clients: 1})
	if err != nil {
		return err
	}
	return load.Close(ctx)
}

// compare drives both sides in turns.
func (b *bench) compare(ctx context.Context, mode drive.Mode, clients int) (c comparison, err error) {
	c = comparison{Mode: string(mode), Clients: clients}
	turns := []struct {
		side side
		into *measured
		load *drive.Load
	}{{side: b.direct, into: &c.Direct}, {side: b.cluster, into: &c.Cluster}}
	for i := range turns {
		t := &turns[i]
		if t.load, err = b.open(ctx, t.side, mode, clients); err != nil {
			return c, err
		}
		defer func() { err = errors.Join(err, closeLoad(ctx, t.load)) }()
	}
	for n := range b.Rounds {
		for i := range turns {
			t := &turns[i]
			f, err := b.turn(ctx, t.side, t.load)
			if err != nil {
				return c, fmt.Errorf("%s: %w", t.side.name, err)
			}
			t.into.Rounds = append(t.into.Rounds, f)
		}
		b.say("%s: %s, %d clients, round %d of %d: direct %.0f/s, p50 %.0f µs; cluster %.0f/s, p50 %.0f µs, %.0f CPU µs", b.layout, mode, clients,
			n+1, b.Rounds, c.Direct.Rounds[n].PerSecond, c.Direct.Rounds[n].P50, c.Cluster.Rounds[n].PerSecond, c.Cluster.Rounds[n].P50, c.Cluster.Rounds[n].ours())
	}
	c.Direct.Median, c.Cluster.Median = median(c.Direct.Rounds), median(c.Cluster.Rounds)
	return c, nil
}

func (b *bench) open(ctx context.Context, s side, mode drive.Mode, clients int) (*drive.Load, error) {
	load, err := drive.Open(ctx, drive.Options{URL: s.url, Mode: mode, Clients: clients, Workers: b.Workers, Size: b.Size})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return load, nil
}

func closeLoad(ctx context.Context, load *drive.Load) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	return load.Close(ctx)
}

// tries is how often a turn is repeated in which the machine did not get to anything.
const tries = 3

// turn measures one side.
func (b *bench) turn(ctx context.Context, s side, load *drive.Load) (f figures, err error) {
	for range tries {
		if f, err = b.tryTurn(ctx, s, load); !errors.Is(err, drive.ErrNothing) {
			break
		}
		b.say("%s: %v, trying again", b.layout, err)
	}
	return f, err
}

func (b *bench) tryTurn(ctx context.Context, s side, load *drive.Load) (figures, error) {
	var before, after map[string]time.Duration
	var errBefore, errAfter error
	run, err := load.Run(ctx, drive.Window{
		Warm: b.Warm, Measure: b.Duration,
		Begin: func() { before, errBefore = s.cpu(os.Getpid()) },
		End:   func() { after, errAfter = s.cpu(os.Getpid()) },
	})
	if err := errors.Join(err, errBefore, errAfter); err != nil {
		return figures{}, err
	}
	return newFigures(run, before, after), nil
}
