// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
)

const (
	// eventEvery is how often each client of TestKillEdge asks for an event.
	eventEvery = 20 * time.Millisecond
	// mayRepeat is how many events of a client may come again: those of 100 ms, with room for a machine that is busy.
	mayRepeat = 25
)

// TestKillEdge kills (-9) one of two edges while its clients get numbered events: each goes to the other edge, claims its session
// and finds there what the dead edge had not written.
func TestKillEdge(t *testing.T) {
	const clients = 40
	c := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 1, janus: 1})
	ctx := within(t, time.Minute)
	callers := make([]*caller, clients)
	each(t, callers, func(i int, _ *caller) (err error) {
		callers[i], err = newCaller(ctx, fmt.Sprintf("client%d", i+1), c.edges[0].Ready.WS)
		return err
	})
	t.Cleanup(func() {
		for _, k := range callers {
			k.Abort()
		}
	})
	var asked, repeated, longest atomic.Int64
	kill := time.AfterFunc(time.Second, c.edges[0].Kill)
	defer kill.Stop()
	each(t, callers, func(_ int, k *caller) error {
		n, pause, err := k.moveWith(ctx, c.edges[1].Ready.WS)
		asked.Add(int64(len(k.sent)))
		repeated.Add(int64(n))
		for was := longest.Load(); int64(pause) > was && !longest.CompareAndSwap(was, int64(pause)); was = longest.Load() {
		}
		return err
	})
	t.Logf("%d messages of %d clients: %d events came again, the longest pause was %v",
		asked.Load(), clients, repeated.Load(), time.Duration(longest.Load()).Round(time.Millisecond))
}

// moveWith asks for events until the edge dies, and claims the session at another one. It returns how many events came again
// there, and how long no event came.
func (c *caller) moveWith(ctx context.Context, to string) (repeated int, pause time.Duration, err error) {
	ticker := time.NewTicker(eventEvery)
	defer ticker.Stop()
	for dead := false; !dead; {
		select {
		case <-c.Closed():
			dead = true
		case <-ticker.C:
			if _, err := c.Send(c.next()); err != nil {
				c.sent = c.sent[:len(c.sent)-1]
				dead = true
			}
		}
	}
	<-c.Closed()
	lost := time.Now()
	old, before := c.Client, c.Events(c.handle)
	if c.Client, err = lab.Dial(ctx, to); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", c.name, err)
	}
	if _, err := c.Must(ctx, map[string]any{"janus": "claim", "session_id": c.session}); err != nil {
		return 0, 0, fmt.Errorf("%s: claim: %w", c.name, err)
	}
	// The last one comes behind everything that waits.
	last := c.next()
	if answer, err := c.RequestEvent(ctx, last); err != nil || answer.Janus != "event" {
		return 0, 0, fmt.Errorf("%s: answered by %s: %w", c.name, answer, err)
	}
	pause = time.Since(lost)
	ran := func(transaction string) bool { return len(old.Replies(transaction))+len(c.Replies(transaction)) > 0 }
	repeated, err = c.checkMoved(before, c.Events(c.handle), ran)
	return repeated, pause, err
}

// checkMoved compares the events before and after the death of an edge with what was asked: what comes again must come first, and
// there must be one event for each message that ran, as far as the client knows. It returns how many came again.
func (c *caller) checkMoved(before, after []lab.Message, ran func(transaction string) bool) (repeated int, err error) {
	seen := make(map[string]bool)
	for _, e := range before {
		seen[e.Transaction] = true
	}
	var news []string
	for _, e := range after {
		switch {
		case !seen[e.Transaction]:
			seen[e.Transaction] = true
			news = append(news, e.Transaction)
		case len(news) > 0:
			return 0, fmt.Errorf("%s: %s came again behind %v", c.name, e.Transaction, news)
		default:
			repeated++
		}
	}
	if repeated > mayRepeat {
		return 0, fmt.Errorf("%s: %d events came again", c.name, repeated)
	}
	var got, want []string
	for _, e := range before {
		got = append(got, e.Transaction)
	}
	got = append(got, news...)
	for _, x := range c.sent {
		if seen[x] || ran(x) {
			want = append(want, x)
		}
	}
	slices.Sort(got) // a Janus serves messages from several threads: those sent at once may change places there
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return 0, fmt.Errorf("%s: got the events of %v, want those of %v", c.name, got, want)
	}
	return repeated, nil
}
