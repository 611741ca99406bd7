// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
)

// TestCluster has 200 clients use a cluster of three NATS servers, two edges, three session nodes and two Janus: every reply and
// event must come once and in order, the clients must be spread over both Janus, and nothing may remain of them.
func TestCluster(t *testing.T) {
	const clients, messages = 200, 50
	c := startCluster(t, clusterShape{nats: 3, edges: 2, nodes: 3, janus: 2})
	ctx := within(t, 3*time.Minute)

	c.warmUp(t)
	before := make(map[*lab.RoleProcess]float64)
	for _, r := range c.roles() {
		before[r] = metric(t, r, "go_goroutines")
	}

	start := time.Now()
	callers := c.connect(ctx, t, "client", clients)
	connected := time.Now()
	each(t, callers, func(_ int, k *caller) error {
		for range messages {
			if err := k.say(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	said := time.Now()
	each(t, callers, func(_ int, k *caller) error { return k.checkAll() })
	c.checkSpread(t, callers, messages)
	each(t, callers, func(_ int, k *caller) error { return k.Destroy(ctx, k.session) })
	each(t, callers, func(_ int, k *caller) error { return k.checkAll() })
	each(t, callers, func(_ int, k *caller) error { return k.Close() })
	t.Logf("%d sessions with a handle in %v, %d messages in %v", clients, connected.Sub(start).Round(time.Millisecond),
		clients*messages, said.Sub(connected).Round(time.Millisecond))
	c.checkNothingRemains(t, before)
}

// warmUp has one client come through each edge and go: what is made once is made then.
func (c *testCluster) warmUp(t *testing.T) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	callers := c.connect(ctx, t, "warm-up", 2*len(c.edges))
	each(t, callers, func(_ int, k *caller) error {
		if err := k.say(ctx); err != nil {
			return err
		}
		if err := k.Destroy(ctx, k.session); err != nil {
			return err
		}
		return k.Close()
	})
	c.waitEmpty(t)
}

// checkSpread looks where the sessions are, and whether each handle was left by its last message.
func (c *testCluster) checkSpread(t *testing.T, callers []*caller, messages int) {
	t.Helper()
	at := make(map[uint64]*lab.JanusServer)
	for _, j := range c.janus {
		sessions, err := janusSessions(j)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d sessions", j.Config.Name, len(sessions))
		if least := len(callers) / len(c.janus) / 2; len(sessions) < least {
			t.Errorf("%s has %d of %d sessions, want %d at least", j.Config.Name, len(sessions), len(callers), least)
		}
		for _, s := range sessions {
			if at[s] != nil {
				t.Errorf("session %d is on two Janus", s)
			}
			at[s] = j
		}
	}
	for i, k := range callers {
		if at[k.session] == nil {
			t.Fatalf("%s: session %d is on no Janus", k.name, k.session)
		}
		if i%20 == 0 { // asking takes time
			if err := lastBitrate(at[k.session], k.session, 1000*messages); err != nil {
				t.Errorf("%s: %v", k.name, err)
			}
		}
	}
	for _, n := range c.nodes {
		t.Logf("%s: %v sessions", n.Ready.Name, metric(t, n, "januscloud_session_sessions"))
	}
}

// lastBitrate checks that the one handle of a session has the bitrate that its last message set.
func lastBitrate(j *lab.JanusServer, session uint64, want int) error {
	var list struct {
		Handles []uint64 `json:"handles"`
	}
	if err := admin(j, "list_handles", map[string]any{"session_id": session}, &list); err != nil {
		return err
	}
	if len(list.Handles) != 1 {
		return fmt.Errorf("session %d has handles %v", session, list.Handles)
	}
	var info struct {
		Info struct {
			Plugin struct {
				Bitrate int `json:"bitrate"`
			} `json:"plugin_specific"`
		} `json:"info"`
	}
	if err := admin(j, "handle_info", map[string]any{"session_id": session, "handle_id": list.Handles[0]}, &info); err != nil {
		return err
	}
	if got := info.Info.Plugin.Bitrate; got != want {
		return fmt.Errorf("the last message set bitrate %d, the handle has %d", want, got)
	}
	return nil
}

// checkNothingRemains looks for what clients that are gone left behind: in Janus, in the records, in the roles. before is how many
// goroutines each role had when it had nothing to do.
func (c *testCluster) checkNothingRemains(t *testing.T, before map[*lab.RoleProcess]float64) {
	t.Helper()
	c.waitEmpty(t)
	// A goroutine for each of the clients would be 100 more; a few come and go with what a process does by itself.
	const slack = 10
	for _, r := range c.roles() {
		lab.WaitFor(t, 20*time.Second, func() string {
			all, err := metrics(r)
			if err != nil {
				return err.Error()
			}
			if now := all["go_goroutines"]; now > before[r]+slack {
				return fmt.Sprintf("%s: %v goroutines, %v before", r.Ready.Name, now, before[r])
			}
			return ""
		})
	}
}

// waitEmpty waits until nobody knows of any session.
func (c *testCluster) waitEmpty(t *testing.T) {
	t.Helper()
	const limit = 20 * time.Second
	for _, j := range c.janus {
		lab.WaitFor(t, limit, func() string {
			if sessions, err := janusSessions(j); err != nil || len(sessions) > 0 {
				return fmt.Sprintf("%s still has sessions %v (%v)", j.Config.Name, sessions, err)
			}
			return ""
		})
	}
	lab.WaitFor(t, limit, func() string {
		if keys, err := c.records(within(t, 5*time.Second)); err != nil || len(keys) > 0 {
			return fmt.Sprintf("records remain: %v (%v)", keys, err)
		}
		return ""
	})
	for _, n := range c.nodes {
		lab.WaitFor(t, limit, func() string {
			return mismatch(n, map[string]float64{"januscloud_session_sessions": 0, "januscloud_session_handles": 0})
		})
	}
	for _, m := range c.media {
		lab.WaitFor(t, limit, func() string {
			return mismatch(m, map[string]float64{"januscloud_media_sessions": 0, "januscloud_media_handles": 0})
		})
	}
	for _, e := range c.edges {
		lab.WaitFor(t, limit, func() string { return mismatch(e, map[string]float64{"januscloud_edge_connections": 0}) })
	}
}
