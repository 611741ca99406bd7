// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusapi"
	"github.com/januscloud/januscloud/mediactl/janusproc"
	"github.com/januscloud/januscloud/mediactl/janustest"
	"github.com/januscloud/januscloud/scripts/lab"
)

const (
	// mediaPause is how long a client may go without an answer when the media role of its Janus is restarted.
	mediaPause = 5 * time.Second
	// twinTime is how long a media role must be silent before another one gets its name.
	twinTime = 2500 * time.Millisecond
	// mediaClients is how many clients a restarted media role serves.
	mediaClients = 50
	// requestTime is how long an edge waits before it answers a WebSocket client by itself.
	requestTime = 30 * time.Second
)

// TestRestartMedia kills (-9) a media role under load, freezes it, has it leave in order, and wakes it beside a twin, each time with
// a successor of the same name or itself going on: the sessions and handles of its Janus are the same before and after, and every request is answered.
func TestRestartMedia(t *testing.T) {
	frozen := faultTime(t, "E2E_MEDIA_FROZEN", 2500*time.Millisecond)
	c := startCluster(t, clusterShape{
		nats: 1, edges: 1, nodes: 1, janus: 1, change: func(j *janusproc.Config) { j.EventLoops = 2 },
		sessionFlags: []string{"--media-grace", (frozen + 10*time.Second).String()},
	})
	media := c.media[0]
	for _, tt := range []struct {
		name string
		end  func()
	}{
		{"killed", media.Restart},
		{"stopped", func() { media.Stop(); media.Restart() }},
		{"frozen", func() {
			media.Freeze()
			rest(frozen)
			media.Thaw()
		}},
		{"twinned", func() {
			media.Freeze()
			rest(twinTime)
			c.startMedia(0)
			media.Thaw()
			select {
			case <-media.Done():
			case <-within(t, answerTime).Done():
				t.Error("the role that woke beside its twin goes on")
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { c.restartMedia(t, tt.name, tt.end) })
	}
}

// TestRestartNode kills (-9) the only node of a cluster, with session and media role, and starts it again.
func TestRestartNode(t *testing.T) {
	c := startCluster(t, clusterShape{nats: 1, edges: 1})
	j := lab.Janus(t, func(j *janusproc.Config) {
		j.ReclaimSessionTimeout, j.AdminSecret, j.EventLoops = 90*time.Second, "lab", 2
	})
	c.janus = append(c.janus, j)
	node := c.role("node", 0, "--janus", j.WSURL())
	c.restartMedia(t, "node", node.Restart)
}

// restartMedia has clients ask while something happens to the media role of the only Janus.
func (c *testCluster) restartMedia(t *testing.T, name string, happens func()) {
	ctx := within(t, 2*time.Minute)
	callers := c.connect(ctx, t, name, mediaClients)
	each(t, callers, func(_ int, k *caller) error { return k.say(ctx) })
	before := handlesOf(ctx, t, c.janus[0])
	pauses := c.askWhile(ctx, t, callers, happens)
	each(t, callers, func(_ int, k *caller) error { return k.say(ctx) })
	if after := handlesOf(ctx, t, c.janus[0]); before != after {
		t.Errorf("Janus had sessions and handles\n%s\nand has now\n%s", before, after)
	}
	refused, lost := 0, 0
	for _, k := range callers {
		r, l, err := k.check()
		if err != nil {
			t.Error(err)
		}
		refused, lost = refused+r, lost+l
		for _, transaction := range k.sent {
			m := k.Replies(transaction)[0]
			reason := m.Text("error", "reason")
			timedOut := faultTime(t, "E2E_MEDIA_FROZEN", 0)+mediaPause > requestTime && strings.HasPrefix(reason, "Request timed out")
			if m.Janus == "error" && !timedOut && !strings.HasPrefix(reason, "Outcome unknown") {
				t.Errorf("%s: %s", transaction, m)
			}
		}
		for _, m := range k.Events(k.handle) {
			if m.Janus != "event" {
				t.Errorf("%s was told %s", k.name, m)
			}
		}
	}
	slices.Sort(pauses)
	longest := pauses[len(pauses)-1]
	t.Logf("%s: longest pause of each of %d sessions: median %v, longest %v; %d messages of unknown outcome, the events of %d lost", name,
		len(pauses), pauses[len(pauses)/2].Round(time.Millisecond), longest.Round(time.Millisecond), refused, lost)
	if limit := mediaPause + faultTime(t, "E2E_MEDIA_FROZEN", 0); longest > limit {
		t.Errorf("a session had no answer for %v, want %v at most", longest, limit)
	}
	if refused > 2*len(callers) {
		t.Errorf("%d messages have an unknown outcome, though each client sends one at a time", refused)
	}
	each(t, callers, func(_ int, k *caller) error { return k.Destroy(ctx, k.session) })
	each(t, callers, func(_ int, k *caller) error { return k.Close() })
}

// handlesOf lists the sessions of a Janus that have handles of the echo test, with these.
func handlesOf(ctx context.Context, t *testing.T, j *lab.JanusServer) string {
	t.Helper()
	admin, err := janusapi.NewAdmin(j.Config.AdminWSURL(), j.Config.AdminSecret)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	var list struct{ Sessions []uint64 }
	ask := func(verb string, fields map[string]any, into any) {
		t.Helper()
		answer, err := admin.Do(ctx, verb, fields)
		if err == nil {
			err = json.Unmarshal(answer, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
	}
	ask("list_sessions", nil, &list)
	slices.Sort(list.Sessions)
	var lines []string
	for _, session := range list.Sessions {
		var of struct{ Handles []uint64 }
		ask("list_handles", map[string]any{"session_id": session}, &of)
		slices.Sort(of.Handles)
		if len(of.Handles) > 0 {
			lines = append(lines, fmt.Sprint(session, of.Handles))
		}
	}
	return strings.Join(lines, "\n")
}

// TestMediaRunsNothingTwice counts, at the end of the line, how often each message was run while its media role was killed and
// started again: once if it was acknowledged, and never more than once.
func TestMediaRunsNothingTwice(t *testing.T) {
	janus := janustest.Start(t, janustest.Options{})
	c := startCluster(t, clusterShape{nats: 1, edges: 1, nodes: 1})
	media := c.role("media", 0, "--janus", janus.URL())
	ctx := within(t, 2*time.Minute)
	callers := c.connect(ctx, t, "once", mediaClients)
	each(t, callers, func(_ int, k *caller) error { return k.say(ctx) })
	sessions := janus.Sessions()
	c.askWhile(ctx, t, callers, media.Restart)
	if now := janus.Sessions(); !slices.Equal(now, sessions) {
		t.Errorf("Janus had the sessions %v and has now %v", sessions, now)
	}
	runs := make(map[string]int)
	for _, q := range janus.Requests() {
		if _, own, ok := strings.Cut(q.Transaction, "|"); ok && q.Janus == "message" {
			runs[own]++
		}
	}
	unknown := 0
	for _, k := range callers {
		for _, transaction := range k.sent {
			replies := k.Replies(transaction)
			switch n := runs[transaction]; {
			case len(replies) != 1:
				t.Errorf("%s has the replies %v", transaction, replies)
			case replies[0].Janus == "ack" && n != 1, n > 1:
				t.Errorf("%s was run %d times and answered %s", transaction, n, replies[0])
			case replies[0].Janus != "ack":
				unknown++
			}
		}
	}
	t.Logf("%d messages were run, the outcome of %d is unknown", len(runs), unknown)
}
