// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
	"github.com/januscloud/januscloud/scripts/lab/chaos/crowd"
	"github.com/januscloud/januscloud/scripts/lab/chaos/ledger"
)

const (
	// settleTime is how long clients may need to be whole again; longer than any request may wait for its answer.
	settleTime = 45 * time.Second
	// eventTime is how long events are waited for, once all clients are served, that may well be lost: what a Janus says while its media
	// role is away nobody keeps.
	eventTime = 5 * time.Second
	// beginTime is how long all clients may take to begin.
	beginTime = time.Minute
	// memoryTime is how long a media role that was restarted may not know what the one before it was asked: as long as a request
	// may be repeated. Whatever breaks meanwhile, it answers such repeats with "Outcome unknown"; a busy machine adds a little.
	memoryTime = 40 * time.Second
	// shown bounds the descriptions of what was wrong that are printed for one fault.
	shown = 8
)

// quiet is the row of the time in which nothing is broken.
const quiet = "nothing"

// row is what all faults of one kind cost.
type row struct {
	fault
	times int
	young int // of Unknown: soon after a media role was restarted, see memoryTime
	ledger.Counts
	media crowd.Media
}

func (r *row) name() string {
	if r.part == "" {
		return quiet
	}
	return r.String()
}

// run is a crowd, a cluster and what became of them.
type run struct {
	tb      lab.TB
	options options
	cluster *cluster
	crowd   *crowd.Crowd
	started time.Time
	lasted  time.Duration
	quiet   row
	forgot  time.Time // when a media role was restarted last
	rows    map[fault]*row
}

func newRun(tb lab.TB, o options, c *cluster) *run {
	return &run{
		tb: tb, options: o, cluster: c, rows: make(map[fault]*row),
		crowd: crowd.New(crowd.Options{Edges: c.edges, Sessions: o.Sessions, Rate: o.Rate, Seed: o.Seed}),
	}
}

// all makes faults until the time is over or the context ends.
func (r *run) all(ctx context.Context) {
	living, end := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	clients.Go(func() { r.crowd.Run(living) })
	defer clients.Wait()
	defer end()
	r.started = time.Now()
	if reason := clean(ctx, beginTime, func() string { return r.crowd.Clean(r.started) }); reason != "" {
		r.tb.Fatalf("the clients did not begin: %s", reason)
	}
	r.tb.Logf("%d sessions began in %v", r.options.Sessions, time.Since(r.started).Round(time.Millisecond))
	r.crowd.Take() // beginning is no one's fault
	r.started = time.Now()
	defer func() { r.lasted = time.Since(r.started) }()
	faults := newSequence(r.options.Seed, r.options.chosen)
	for n := 1; ; n++ {
		r.rest(ctx)
		if ctx.Err() != nil || time.Since(r.started) >= r.options.Time || r.options.Once && n > 1 && faults.exhausted() {
			return
		}
		if err := r.once(ctx, n, faults.next()); err != nil {
			r.tb.Fatalf("%v", err)
		}
	}
}

// rest lets nothing be broken for a while, in which clients go back where they belong.
func (r *run) rest(ctx context.Context) {
	r.crowd.Calm(true)
	wait(ctx, r.options.Pause)
	r.crowd.Calm(false)
	r.crowd.Ring()
	r.settle(ctx, &r.quiet)
}

// once makes one fault and counts what it cost.
func (r *run) once(ctx context.Context, n int, s strike) error {
	r.tb.Logf("%s fault %d: %s (%s), %v", time.Since(r.started).Round(time.Second), n, s, r.cluster.victim(s).name, s.lasts.Round(time.Millisecond))
	of := r.rows[s.fault]
	if of == nil {
		of = &row{fault: s.fault}
		r.rows[s.fault] = of
	}
	of.times++
	r.crowd.Fault(time.Now().Add(s.delay))
	r.crowd.Ring()
	wait(ctx, s.delay)
	if err := r.cluster.strike(ctx, s); err != nil {
		return err
	}
	r.crowd.Ring()
	was := of.Unknown
	r.settle(ctx, of)
	if time.Since(r.forgot) < memoryTime {
		of.young += of.Unknown - was
	}
	if (s.part == mediaPart || s.part == nodePart) && (s.way == kill || s.way == stop) {
		r.forgot = time.Now()
	}
	r.cluster.nats.WaitReady(r.tb)
	return nil
}

// settle waits until all clients are served again and have what they are due, gives up what is missing, and counts.
func (r *run) settle(ctx context.Context, of *row) {
	over := time.Now()
	whole, limit := func() string { return r.crowd.Clean(over) }, settleTime
	if of.losesEvents() {
		clean(ctx, settleTime, func() string { return r.crowd.Served(over) })
		limit = eventTime
	}
	reason := clean(ctx, limit, whole)
	if ctx.Err() != nil {
		return // what is due now may still have come
	}
	if reason != "" {
		r.tb.Logf("given up: %s", reason)
		r.crowd.Close(over)
	}
	counts, media, problems := r.crowd.Take()
	of.Add(counts)
	of.media.Add(media)
	if of != &r.quiet || len(problems) > 0 {
		r.tb.Logf("settled after %v: %s", time.Since(over).Round(time.Millisecond), oneLine(counts, media))
	}
	for i, p := range problems {
		if i == shown {
			r.tb.Logf("    and %d more", len(problems)-shown)
			break
		}
		r.tb.Logf("    %s", p)
	}
}

// clean waits until nothing is wrong any more.
func clean(ctx context.Context, limit time.Duration, wrong func() string) (reason string) {
	const step = 50 * time.Millisecond
	for end := time.Now().Add(limit); ; {
		reason = wrong()
		if reason == "" || time.Now().After(end) || ctx.Err() != nil {
			return reason
		}
		wait(ctx, step)
	}
}
