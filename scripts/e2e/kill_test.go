// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/januscloud/januscloud/scripts/lab"
)

const (
	// pauseLimit is how long a session may go without an answer when its node is killed. The aim is a second; what is asserted
	// leaves room for a machine that is busy with other things. The test logs what it measured.
	pauseLimit = 3 * time.Second
	// askEvery is how often each client of the kill test asks for something.
	askEvery = 50 * time.Millisecond
)

// TestKillSessionNode kills (-9) a session node with 200 sessions on it: another one must serve them all, with their handles,
// after a short pause.
func TestKillSessionNode(t *testing.T) {
	c := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 1, janus: 2})
	kill := (*lab.RoleProcess).Kill
	t.Run("alone", func(t *testing.T) { c.killSessionNode(t, "alone", kill) })
	// Somebody who listens to everything keeps NATS from telling that a request found nobody to take it.
	conn, err := nats.Connect(c.nats.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var overheard atomic.Int64
	if _, err := conn.Subscribe("janus.>", func(*nats.Msg) { overheard.Add(1) }); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	told := c.unserved(t)
	t.Run("overheard", func(t *testing.T) { c.killSessionNode(t, "overheard", kill) })
	if more := c.unserved(t) - told; more > 0 || overheard.Load() == 0 {
		t.Errorf("%v requests were told that nobody takes them, %d messages were overheard", more, overheard.Load())
	}
}

// unserved is how often the edges were told that nobody takes a request.
func (c *testCluster) unserved(t *testing.T) (times float64) {
	t.Helper()
	for _, e := range c.edges {
		times += metric(t, e, "januscloud_edge_unserved_total")
	}
	return times
}

// TestFreezeSessionNode freezes a session node with 200 sessions, which another one takes over, and wakes it when it is deposed: it
// must find that out before it says anything.
func TestFreezeSessionNode(t *testing.T) {
	c := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 1, janus: 2})
	frozen := c.nodes[0]
	c.killSessionNode(t, "frozen", func(victim *lab.RoleProcess) { victim.Freeze() })
	ctx := within(t, time.Minute)
	callers := c.connect(ctx, t, "later", 100)
	c.askWhile(ctx, t, callers, frozen.Thaw)
	each(t, callers, func(_ int, k *caller) error { return k.say(ctx) })
	each(t, callers, func(_ int, k *caller) error { return k.checkAll() })
	lab.WaitFor(t, 10*time.Second, func() string { // it has taken part again
		if ready, err := metrics(frozen); err != nil || ready["januscloud_session_partitions"] == 0 {
			return fmt.Sprintf("the frozen node owns %v partitions (%v)", ready["januscloud_session_partitions"], err)
		}
		return ""
	})
}

// killSessionNode ends the only node, one way or another, which leaves the new one that it starts before.
func (c *testCluster) killSessionNode(t *testing.T, prefix string, end func(*lab.RoleProcess)) {
	const clients = 200
	ctx := within(t, 2*time.Minute)
	callers := c.connect(ctx, t, prefix, clients)
	// Every other session has a bound handle; the others, and second handles, are known to the node alone.
	spare := make([]uint64, clients)
	each(t, callers, func(i int, k *caller) (err error) {
		if i%2 == 0 {
			if err := k.say(ctx); err != nil {
				return err
			}
		}
		spare[i], err = k.Attach(ctx, k.session, "janus.plugin.echotest")
		return err
	})
	victim := c.nodes[len(c.nodes)-1]
	if owned := metric(t, victim, "januscloud_session_sessions"); owned != clients {
		t.Fatalf("%v of %d sessions are on the node to be killed", owned, clients)
	}
	successor := c.addNode(t)

	pauses := c.askWhile(ctx, t, callers, func() { end(victim) })
	slices.Sort(pauses)
	t.Logf("longest pause of each of %d sessions: median %v, longest %v", clients,
		pauses[clients/2].Round(time.Millisecond), pauses[clients-1].Round(time.Millisecond))
	if longest := pauses[clients-1]; longest > pauseLimit {
		t.Errorf("a session had no answer for %v, want %v at most", longest, pauseLimit)
	}
	c.checkServed(ctx, t, callers, spare)
	if reason := mismatch(successor, map[string]float64{
		"januscloud_session_sessions": clients, "januscloud_session_handles": 2 * clients, "januscloud_session_partitions": 1024,
	}); reason != "" {
		t.Error(reason)
	}
	each(t, callers, func(_ int, k *caller) error { return k.Destroy(ctx, k.session) })
	each(t, callers, func(_ int, k *caller) error { return k.Close() })
}

// checkServed has every session use both its handles, and looks at what came while its node was changing.
func (c *testCluster) checkServed(ctx context.Context, t *testing.T, callers []*caller, spare []uint64) {
	t.Helper()
	var refused, lost atomic.Int64
	each(t, callers, func(i int, k *caller) error {
		request := map[string]any{"janus": "keepalive", "session_id": k.session, "handle_id": spare[i]}
		if _, err := k.Must(ctx, request); err != nil {
			return fmt.Errorf("%s: second handle: %w", k.name, err)
		}
		if err := k.say(ctx); err != nil {
			return err
		}
		r, l, err := k.check()
		refused.Add(int64(r))
		lost.Add(int64(l))
		return err
	})
	if refused.Load()+lost.Load() > 0 {
		t.Errorf("%d messages were refused, the events of %d lost", refused.Load(), lost.Load())
	}
}

// addNode starts another session node and returns when all others have heard of it.
func (c *testCluster) addNode(t *testing.T) *lab.RoleProcess {
	t.Helper()
	known := make(map[*lab.RoleProcess]float64)
	for _, r := range c.roles() {
		known[r] = metric(t, r, "januscloud_roster_members")
	}
	n := c.role("session", len(c.nodes), c.shape.sessionFlags...)
	c.nodes = append(c.nodes, n)
	for r, members := range known {
		lab.WaitFor(t, 10*time.Second, func() string {
			return mismatch(r, map[string]float64{"januscloud_roster_members": members + 1})
		})
	}
	return n
}

// askWhile has every caller send messages one after the other while something happens. It returns, for each, the longest time that
// one of its messages waited for its reply.
func (c *testCluster) askWhile(ctx context.Context, t *testing.T, callers []*caller, happens func()) []time.Duration {
	t.Helper()
	const rounds = 20 // before it happens, and after
	longest := make([]time.Duration, len(callers))
	var ready sync.WaitGroup
	ready.Add(len(callers))
	happened := make(chan struct{})
	go func() {
		ready.Wait()
		happens()
		close(happened)
	}()
	each(t, callers, func(i int, k *caller) error {
		ticker := time.NewTicker(askEvery)
		defer ticker.Stop()
		after := 0
		for n := 0; after < rounds; n++ {
			if n == rounds {
				ready.Done()
			}
			select {
			case <-happened:
				after++
			default:
			}
			start := time.Now()
			if _, err := k.Request(ctx, k.next()); err != nil {
				if n < rounds {
					ready.Done()
				}
				return fmt.Errorf("%s: message %d: %w", k.name, len(k.sent), err)
			}
			longest[i] = max(longest[i], time.Since(start))
			<-ticker.C
		}
		return nil
	})
	return longest
}
