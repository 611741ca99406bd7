// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
)

const (
	// probeEvery is how often an edge is asked whether it lives, probeTime how long it may take to say so.
	probeEvery = 250 * time.Millisecond
	probeTime  = time.Second
)

// Edge is where clients connect.
type Edge struct {
	// WS and HTTP are URLs of the Janus API.
	WS, HTTP string
}

// edges are all edges and which of them answer, as a load balancer with a health check would know.
type edges struct {
	all []Edge

	mu      sync.Mutex // guards the rest: probes write, clients read
	up      []bool
	suspect []chan struct{} // closed while an edge is down
}

func newEdges(all []Edge) *edges {
	e := &edges{all: all, up: make([]bool, len(all)), suspect: make([]chan struct{}, len(all))}
	for i := range all {
		e.up[i], e.suspect[i] = true, make(chan struct{})
	}
	return e
}

// watch asks all edges again and again, until the context ends.
func (e *edges) watch(ctx context.Context) {
	var probes sync.WaitGroup
	for i := range e.all {
		probes.Go(func() {
			for ctx.Err() == nil {
				e.probe(ctx, i)
				pause(ctx, probeEvery)
			}
		})
	}
	probes.Wait()
}

// probe asks one edge until it does not answer.
func (e *edges) probe(ctx context.Context, i int) {
	within, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	c, err := lab.Dial(within, e.all[i].WS)
	if err != nil {
		e.set(i, false)
		return
	}
	defer c.Abort()
	for err == nil {
		within, cancel := context.WithTimeout(ctx, probeTime)
		_, err = c.Request(within, map[string]any{"janus": "ping"})
		cancel()
		if err != nil && saidGoodbye(c) {
			e.leave(i)
		} else {
			e.set(i, err == nil || ctx.Err() != nil)
		}
		pause(ctx, probeEvery)
	}
}

// saidGoodbye reports whether an edge closed a connection in good order.
func saidGoodbye(c *lab.Client) bool {
	select {
	case <-c.Closed():
		return strings.Contains(c.Err().Error(), "close frame 1001")
	default:
		return false
	}
}

// leave notes that an edge takes no requests any more, but answers those that it has.
func (e *edges) leave(i int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.up[i] = false
}

func (e *edges) set(i int, up bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case up && !e.up[i]:
		e.suspect[i] = make(chan struct{})
	case !up && e.up[i]:
		close(e.suspect[i])
	}
	e.up[i] = up
}

// pick is the first edge from first on that answers; first itself where none does.
func (e *edges) pick(first int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	for n := range e.all {
		if i := (first + n) % len(e.all); e.up[i] {
			return i
		}
	}
	return first % len(e.all)
}

// down is closed when an edge does not answer any more.
func (e *edges) down(i int) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.suspect[i]
}

// pause waits, no longer than the context lasts.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
