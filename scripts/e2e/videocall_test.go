// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCallsAcrossJanus has users call each other whose handles begin on either of two Janus: whoever calls whom, it rings.
func TestCallsAcrossJanus(t *testing.T) {
	cluster := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 2, janus: 2})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	text, err := os.ReadFile(filepath.Join(conversationsFolder, "videocall-declined.txtar"))
	_, offer, found := strings.Cut(string(text), "-- offer.sdp --\n")
	if err != nil || !found {
		t.Fatalf("no offer: %v", err)
	}
	var users []*peer
	for i := range 8 {
		u := newUser(ctx, t, cluster.edges[i%2].Ready.WS, "janus.plugin.videocall", fmt.Sprintf("user-%d-%d", os.Getpid(), i))
		u.sdp = strings.ReplaceAll(offer, "\n", "\r\n")
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
