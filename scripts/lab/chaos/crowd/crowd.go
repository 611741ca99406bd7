// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/januscloud/januscloud/scripts/lab/chaos/ledger"
)

// Of all sessions, so many are members of rooms and so many poll, in percent; mediaPeers have real media.
const (
	roomShare  = 10
	pollShare  = 20
	mediaPeers = 4
	// MinSessions is how many a crowd has at least, so that each kind of client is in it.
	MinSessions = 40
)

// Options say how large a crowd is. All are required.
type Options struct {
	// Edges are where it connects.
	Edges []Edge
	// Sessions is how many it has, Rate how many requests they send together, per second.
	Sessions, Rate int
	// Seed is what members of rooms draw from.
	Seed uint64
}

// Crowd is all clients.
type Crowd struct {
	edges    *edges
	interval time.Duration // between two requests of one client
	seed     uint64
	bell     *bell
	calm     atomic.Bool
	client   *http.Client
	ledgers  []*ledger.Ledger
	tracks   []*track
	lives    []func(context.Context)
	running  sync.WaitGroup
}

// New makes a crowd that does nothing yet.
func New(o Options) *Crowd {
	c := &Crowd{
		edges: newEdges(o.Edges), interval: time.Duration(o.Sessions) * time.Second / time.Duration(o.Rate), seed: o.Seed,
		bell: newBell(), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.Sessions}},
	}
	rooms := o.Sessions * roomShare / 100 / roomMembers
	polls := o.Sessions * pollShare / 100
	for n := range rooms {
		r := c.newRoom(n)
		for _, m := range r.members {
			c.ledgers = append(c.ledgers, m.ledger)
		}
		c.lives = append(c.lives, r.run)
	}
	for n := range polls {
		p := c.newPoller(n)
		c.add(p.ledger, p.run)
	}
	for n := range mediaPeers {
		p := c.newPeer(n)
		c.tracks = append(c.tracks, &p.track)
		c.add(p.ledger, func(ctx context.Context) { p.run(ctx, c) })
	}
	for n := range o.Sessions - rooms*roomMembers - polls - mediaPeers {
		s := newSession(fmt.Sprintf("echo%d", n+1), c.edges, n%len(o.Edges))
		c.add(s.ledger, func(ctx context.Context) { c.echo(ctx, s, nil) })
	}
	return c
}

func (c *Crowd) add(l *ledger.Ledger, life func(context.Context)) {
	c.ledgers = append(c.ledgers, l)
	c.lives = append(c.lives, life)
}

// Run lets all clients live until the context ends. They begin one after the other within an interval.
func (c *Crowd) Run(ctx context.Context) {
	c.running.Go(func() { c.edges.watch(ctx) })
	for n, life := range c.lives {
		c.running.Go(func() {
			pause(ctx, c.interval*time.Duration(n)/time.Duration(len(c.lives)))
			life(ctx)
		})
	}
	c.running.Wait()
	c.client.CloseIdleConnections()
}

// Ring has all clients send a request now.
func (c *Crowd) Ring() { c.bell.ring() }

// Calm tells whether clients may go back to the edge they would rather be on: after a fault all may be on one.
func (c *Crowd) Calm(calm bool) { c.calm.Store(calm) }

// Fault tells all ledgers that something is about to be broken.
func (c *Crowd) Fault(now time.Time) {
	for _, l := range c.ledgers {
		l.Fault(now)
	}
}

// Clean is "" when every client was served since a time, and nothing of before is due; else what is wrong with one.
func (c *Crowd) Clean(since time.Time) string {
	return c.first(func(l *ledger.Ledger) string { return l.Clean(since) })
}

// Served is Clean, but for events.
func (c *Crowd) Served(since time.Time) string {
	return c.first(func(l *ledger.Ledger) string { return l.Served(since) })
}

// first is what is wrong with one client, where something is.
func (c *Crowd) first(wrong func(*ledger.Ledger) string) string {
	for _, l := range c.ledgers {
		if reason := wrong(l); reason != "" {
			return reason
		}
	}
	return ""
}

// Close gives up what is due from before a time.
func (c *Crowd) Close(before time.Time) {
	for _, l := range c.ledgers {
		l.Close(before, time.Now())
	}
}

// Take returns what all clients counted since it was called last, and what was wrong.
func (c *Crowd) Take() (counts ledger.Counts, media Media, problems []string) {
	now := time.Now()
	for _, l := range c.ledgers {
		of, wrong := l.Take(now)
		counts.Add(of)
		problems = append(problems, wrong...)
	}
	for _, t := range c.tracks {
		media.Add(t.take(now))
	}
	return counts, media, problems
}
