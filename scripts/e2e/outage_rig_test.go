// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/scripts/lab"
)

// faultTime is how long a fault lasts: short in a usual run, longer where the environment says so.
func faultTime(t *testing.T, variable string, usual time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return d
}

// ordeal is what is done to a cluster that is in use.
type ordeal struct {
	name    string
	clients int
	happens func()          // on a goroutine of its own, while clients ask
	pause   time.Duration   // that a client may see; 0: any
	refused bool            // requests may fail with an error, as long as they have one answer each
	idle    int             // sessions that are there besides
	then    func([]*caller) // looks at more, while the sessions are there; may be nil
}

// endure has clients with two handles each ask while something happens. None may miss, or see twice, anything, and afterwards all
// their handles must serve, each partition have one owner, and no session be doubled.
func (c *testCluster) endure(t *testing.T, o ordeal) {
	t.Helper()
	ctx := within(t, 20*time.Minute)
	callers := c.connect(ctx, t, o.name, o.clients)
	spare := make([]uint64, o.clients)
	each(t, callers, func(i int, k *caller) (err error) {
		if i%2 == 0 {
			if err := k.say(ctx); err != nil {
				return err
			}
		}
		spare[i], err = k.Attach(ctx, k.session, "janus.plugin.echotest")
		return err
	})
	pauses := c.askWhile(ctx, t, callers, o.happens)
	slices.Sort(pauses)
	longest := pauses[o.clients-1]
	t.Logf("%s: longest pause of each of %d sessions: median %v, longest %v", o.name, o.clients,
		pauses[o.clients/2].Round(time.Millisecond), longest.Round(time.Millisecond))
	if o.pause > 0 && longest > o.pause {
		t.Errorf("a session had no answer for %v, want %v at most", longest, o.pause)
	}
	c.checkEndured(ctx, t, callers, spare, o.refused)
	c.checkOwners(t, o.clients+o.idle)
	if o.then != nil {
		o.then(callers)
	}
	each(t, callers, func(_ int, k *caller) error { return k.Destroy(ctx, k.session) })
	each(t, callers, func(_ int, k *caller) error { return k.Close() })
	c.checkForgotten(t, o.idle)
}

// checkForgotten waits until the records of all sessions are deleted but for so many, which have a handle each.
func (c *testCluster) checkForgotten(t *testing.T, sessions int) {
	t.Helper()
	lab.WaitFor(t, 20*time.Second, func() string {
		keys, err := c.records(within(t, 5*time.Second))
		if err != nil || len(keys) != 2*sessions {
			return fmt.Sprintf("%d records are stored (%v), want %d: %v", len(keys), err, 2*sessions, keys)
		}
		return ""
	})
}

// checkEndured has all handles used, and looks at what came meanwhile.
func (c *testCluster) checkEndured(ctx context.Context, t *testing.T, callers []*caller, spare []uint64, mayRefuse bool) {
	t.Helper()
	refused, lost := make([]int, len(callers)), make([]int, len(callers))
	messages := 0
	each(t, callers, func(i int, k *caller) (err error) {
		first := k.handle
		if k.handle = spare[i]; k.handle != 0 {
			if err := k.sayUnnumbered(ctx); err != nil {
				return fmt.Errorf("second handle: %w", err)
			}
		}
		k.handle = first
		if err := k.say(ctx); err != nil {
			return err
		}
		refused[i], lost[i], err = k.check()
		return err
	})
	sum := func(of []int) (n int) {
		for _, x := range of {
			n += x
		}
		return n
	}
	for _, k := range callers {
		messages += len(k.sent)
	}
	t.Logf("%d messages: %d refused, %d lost, none doubled or out of order", messages, sum(refused), sum(lost))
	if sum(lost) > 0 || sum(refused) > 0 && !mayRefuse {
		t.Errorf("%d messages were refused, the events of %d lost", sum(refused), sum(lost))
	}
}

// sayUnnumbered sends a message that is not among those that are checked, to the present handle.
func (c *caller) sayUnnumbered(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	_, err := c.Message(ctx, c.session, c.handle, map[string]any{"audio": true}, nil)
	return err
}

// checkOwners waits until each partition has one owner, and each of so many sessions.
func (c *testCluster) checkOwners(t *testing.T, sessions int) {
	t.Helper()
	lab.WaitFor(t, 10*time.Second, func() string {
		var partitions, there float64
		for _, n := range c.nodes {
			if !n.Running() {
				continue
			}
			all, err := metrics(n)
			if err != nil {
				return err.Error()
			}
			partitions += all["januscloud_session_partitions"]
			there += all["januscloud_session_sessions"]
		}
		if partitions != 1024 || there != float64(sessions) {
			return fmt.Sprintf("%v partitions are owned, want 1024; %v sessions are there, want %d", partitions, there, sessions)
		}
		return ""
	})
}

// epochs listens to all session nodes for some beats, and returns the lowest and the highest epoch that they own a partition by.
func (c *testCluster) epochs(t *testing.T) (lowest, highest uint64) {
	t.Helper()
	conn, err := nats.Connect(c.nats.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sub, err := conn.SubscribeSync("janus.heartbeat.session.>")
	if err != nil {
		t.Fatal(err)
	}
	owners := make(map[string]messages.PartitionSet)
	var all messages.PartitionSet
	for all.Len() < messages.Partitions {
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		b, err := messages.ParseBeat(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		set := owners[b.Member.Name]
		for _, r := range b.Session.Owned {
			for p := range r.Partitions.All() {
				set.Add(p)
				all.Add(p)
			}
			if highest = max(highest, r.Epoch.Number); lowest == 0 || r.Epoch.Number < lowest {
				lowest = r.Epoch.Number
			}
		}
		owners[b.Member.Name] = set
	}
	return lowest, highest
}

// status asks a role for its health or readiness: /healthz or /readyz.
func status(r *lab.RoleProcess, path string) (int, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(r.Ready.Fields["health"] + path)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// waitStatus waits until all roles have that status.
func (c *testCluster) waitStatus(t *testing.T, path string, want int, limit time.Duration) {
	t.Helper()
	for _, r := range c.roles() {
		lab.WaitFor(t, limit, func() string {
			if got, err := status(r, path); err != nil || got != want {
				return fmt.Sprintf("%s of %s is %d (%v), want %d", path, r.Ready.Name, got, err, want)
			}
			return ""
		})
	}
}

// rest lets so much time pass: how long a fault lasts is a part of what is tested.
func rest(d time.Duration) { <-time.After(d) }

// restartAll kills processes and starts them again, all at once.
func restartAll(roles []*lab.RoleProcess) {
	for _, r := range roles {
		r.Kill()
	}
	var all sync.WaitGroup
	for _, r := range roles {
		all.Go(r.Restart)
	}
	all.Wait()
}
