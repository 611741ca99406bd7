// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"flag"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/e2e/conversation"
)

// batch is how many conversations are played at once, with one restart of a session node among them. With that it is below
// what TestMain lets run at once: those that wait for the restart must not keep it from running.
const batch = 14

// allRestarts has every conversation played with every Janus, which takes twice the time.
var allRestarts = flag.Bool("all-restarts", false, "play all conversations with each Janus while nodes restart, not half of them with the one and half with the other")

// TestConversationsRestart plays the conversations with a cluster of three session nodes of which one is always being restarted:
// killed (-9) and told to end by turns. Half of the conversations stop in the middle until it is gone, the others begin then, while
// its sessions are being taken over. What clients see must be what one Janus says all the same.
func TestConversationsRestart(t *testing.T) {
	all, differences := groups(t)
	all = slices.DeleteFunc(all, func(g group) bool { return g.Setup != (conversation.Setup{}) })
	for turn, g := range all {
		if !*allRestarts {
			g.scripts = everyOther(g.scripts, turn, len(all))
		}
		t.Run(g.String(), func(t *testing.T) { g.playRestarting(t, differences) })
	}
}

// everyOther leaves out the conversations whose turn it is with another Janus.
func everyOther(scripts []*conversation.Script, turn, turns int) []*conversation.Script {
	var mine []*conversation.Script
	for i, s := range scripts {
		if i%turns == turn || s.Janus != "" {
			mine = append(mine, s)
		}
	}
	return mine
}

// playRestarting plays the conversations of a group in batches, and restarts a node during each.
func (g group) playRestarting(t *testing.T, differences *conversation.Differences) {
	shape := g.shape()
	shape.nodes = 3
	janus, c := g.referenceJanus(t), startCluster(t, shape)
	servers := c.servers()
	var scripts []*conversation.Script
	for _, s := range g.scripts {
		if !s.Alone && !s.Slow {
			scripts = append(scripts, s)
		}
	}
	for n := 0; len(scripts) > 0; n++ {
		now := scripts[:min(batch, len(scripts))]
		scripts = scripts[len(now):]
		t.Run("batch", func(t *testing.T) {
			pause := newPause(len(now))
			for i, s := range now {
				t.Run(s.Name, func(t *testing.T) {
					t.Parallel()
					arrive := sync.OnceFunc(pause.arrived.Done)
					defer arrive()
					server := servers(i)
					server.Before = pause.before(arrive, i%2 == 0)
					converse(t, s, differences, janus, server)
				})
			}
			t.Run("restart", func(t *testing.T) {
				t.Parallel()
				c.restartNode(t, n, pause)
			})
		})
	}
}

// restartNode ends the node whose turn it is when all conversations pause, lets them go on, and starts it anew.
func (c *testCluster) restartNode(t *testing.T, n int, p *pause) {
	resume := sync.OnceFunc(func() { close(p.over) })
	defer resume()
	p.arrived.Wait()
	node := c.nodes[n%len(c.nodes)]
	start := time.Now()
	if n%2 == 0 {
		node.Kill()
	} else {
		node.Stop()
	}
	t.Logf("%s was gone after %v", node.Ready.Name, time.Since(start).Round(time.Millisecond))
	resume()
	node.Restart()
}

// pause stops conversations until it is over.
type pause struct {
	arrived sync.WaitGroup
	over    chan struct{}
}

func newPause(conversations int) *pause {
	p := &pause{over: make(chan struct{})}
	p.arrived.Add(conversations)
	return p
}

// before is for conversation.Server: it calls arrive in the middle of the conversation, or at its beginning.
func (p *pause) before(arrive func(), middle bool) func(ctx context.Context, n, steps int) error {
	return func(ctx context.Context, n, steps int) error {
		if middle && n < steps/2 {
			return nil
		}
		arrive()
		select {
		case <-p.over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
