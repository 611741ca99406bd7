// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// offerOf is the offer of a conversation.
func offerOf(t *testing.T, conversation string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(conversationsFolder, conversation+".txtar"))
	_, offer, found := strings.Cut(string(text), "-- offer.sdp --\n")
	if err != nil || !found {
		t.Fatalf("no offer: %v", err)
	}
	return strings.ReplaceAll(offer, "\n", "\r\n")
}

// TestCallEachOther has users call each other at once, whose handles begin on either of two Janus, or on none: one of each two gets
// through, and the other one, whose own call comes second, hears it ring.
func TestCallEachOther(t *testing.T) {
	const pairs = 8
	cluster := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 2, janus: 2, sessionFlags: []string{"--peer-calls"}})
	ctx := within(t, 2*time.Minute)
	offer := offerOf(t, "videocall-declined")
	for _, plugin := range []string{"janus.plugin.videocall", "janus.plugin.p2pcall"} {
		var users [2 * pairs]*peer
		for i := range users {
			users[i] = newUser(ctx, t, cluster.edges[i%2].Ready.WS, plugin, fmt.Sprintf("user-%d-%d", os.Getpid(), i))
			users[i].sdp = offer
		}
		var told [2 * pairs]string
		var calls errgroup.Group
		for i, u := range users {
			calls.Go(func() error {
				other := users[(i+pairs)%len(users)]
				answer, err := u.RequestEvent(ctx, map[string]any{
					"janus": "message", "session_id": u.session, "handle_id": u.handle,
					"body": map[string]any{"request": "call", "username": other.name}, "jsep": map[string]any{"type": "offer", "sdp": offer},
				})
				told[i] = answer.Text("plugindata", "data", "result", "event")
				if code := answer.Number("plugindata", "data", "error_code") + answer.Number("error", "code"); code != 0 {
					told[i] = fmt.Sprint(code)
				}
				return err
			})
		}
		if err := calls.Wait(); err != nil {
			t.Fatalf("%s: %v", plugin, err)
		}
		for i := range pairs {
			a, b := i, i+pairs
			if told[b] == "calling" {
				a, b = b, a
			}
			// Who calls second is in a call already, as the plugin or the core of Janus (Error setting ICE locally) finds, or finds the
			// other in one.
			if told[a] != "calling" || !slices.Contains([]string{"480", "490", "hangup"}, told[b]) {
				t.Errorf("%s: of two who called each other one was told %s, the other %s", plugin, told[a], told[b])
				continue
			}
			if in := users[b].hear(ctx, "incomingcall"); in.Text("plugindata", "data", "result", "username") != users[a].name {
				t.Errorf("%s: heard %s", plugin, in)
			}
		}
	}
}

// TestCallsAcrossJanus has users call each other whose handles begin on either of two Janus: whoever calls whom, it rings.
func TestCallsAcrossJanus(t *testing.T) {
	cluster := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 2, janus: 2})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	offer := offerOf(t, "videocall-declined")
	var users []*peer
	for i := range 8 {
		u := newUser(ctx, t, cluster.edges[i%2].Ready.WS, "janus.plugin.videocall", fmt.Sprintf("user-%d-%d", os.Getpid(), i))
		u.sdp = offer
		users = append(users, u)
	}
	for i, m := range cluster.media {
		if metric(t, m, "januscloud_media_handles") == 0 {
			t.Fatalf("nobody is on Janus %d", i)
		}
	}
	for i := 0; i < len(users); i += 2 { // no handle is used twice: Janus needs time between calls
		caller, callee := users[i], users[(i+3)%len(users)]
		caller.post(ctx, `{"request":"call","username":"`+callee.name+`"}`, "offer", "calling")
		in := callee.hear(ctx, "incomingcall")
		if in.Text("plugindata", "data", "result", "username") != caller.name || !strings.Contains(in.Text("jsep", "sdp"), "m=audio") {
			t.Errorf("heard %s", in)
		}
		callee.post(ctx, `{"request":"hangup"}`, "", "hangup")
		caller.hear(ctx, "hangup")
	}
	for _, u := range users {
		if v := u.Violations(); len(v) > 0 {
			t.Errorf("%s: %q", u.name, v)
		}
	}
}
