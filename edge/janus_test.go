// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/scripts/lab"
)

// TestRefusalsAreJanus asks a real Janus and an edge for everything that the edge refuses by itself.
func TestRefusalsAreJanus(t *testing.T) {
	server := startNATS(t)
	for name, secret := range map[string]string{"without a secret": "", "with a secret": "secret"} {
		t.Run(name, func(t *testing.T) {
			janus := lab.Janus(t, func(c *lab.JanusConfig) { c.APISecret = secret })
			e := startEdge(t, server, func(o *Options) { o.APISecret = secret })
			ctx := testContext(t)
			real := must[*lab.Client](t)(lab.Dial(ctx, janus.WSURL()))
			t.Cleanup(func() { _ = real.Close() })
			ours := dial(t, e)
			for name, x := range refusals() {
				if x.secret != (secret != "") {
					continue
				}
				for _, want := range strings.Split(x.answer, "\n") {
					frame := []byte(x.frame)
					if want != strings.Split(x.answer, "\n")[0] {
						frame = nil
					}
					compare(t, name, frame, want, real, ours)
				}
			}
		})
	}
}

// compare sends a frame, unless it is nil, and holds the next answers of both against each other.
func compare(t *testing.T, name string, frame []byte, want string, real, ours *lab.Client) {
	t.Helper()
	var answers [2]any
	for i, c := range []*lab.Client{real, ours} {
		if frame != nil {
			if err := c.SendRaw(ws.OpText, frame); err != nil {
				t.Fatal(err)
			}
		}
		m, err := c.Next(testContext(t), func(lab.Message) bool { return true })
		if err != nil {
			t.Fatalf("%s: client %d: %v", name, i, err)
		}
		if err := json.Unmarshal(m.Raw, &answers[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(answers[0], answers[1]) {
		t.Errorf("%s:\nJanus says %v\nwe say     %v\nwant       %s", name, answers[0], answers[1], want)
	}
}

// TestInfoIsJanus compares the info of a real Janus with that of a cluster that has it for its one media server.
func TestInfoIsJanus(t *testing.T) {
	ctx := testContext(t)
	janus := lab.Janus(t)
	real := must[*lab.Client](t)(lab.Dial(ctx, janus.WSURL()))
	t.Cleanup(func() { _ = real.Close() })
	said := must[lab.Message](t)(real.Request(ctx, map[string]any{"janus": "info"}))

	server := startNATS(t)
	e := startEdge(t, server, func(o *Options) {
		o.HTTP = "127.0.0.1:0"
		o.SessionTimeout, o.ReclaimTimeout = janus.Config.SessionTimeout, janus.Config.ReclaimSessionTimeout
	})
	b := connect(t, server)
	startOwner(t, b, "n1", messages.AllPartitions(), obliging)
	startMedia(t, b, "m1", said.Raw)
	waitReady(t, e)
	c := dial(t, e)
	lab.WaitFor(t, patience, func() string {
		m, err := c.Request(ctx, map[string]any{"janus": "info"})
		if err != nil {
			t.Fatal(err)
		}
		return differs(said.Raw, m.Raw)
	})
}

// differs tells how the info of a cluster differs from that of its Janus, ids aside.
func differs(janus, ours []byte) string {
	var want, got map[string]any
	if err := json.Unmarshal(janus, &want); err != nil {
		return err.Error()
	}
	if err := json.Unmarshal(ours, &got); err != nil {
		return err.Error()
	}
	for _, m := range []map[string]any{want, got} {
		delete(m, "transaction")
	}
	if !reflect.DeepEqual(want, got) {
		return "got " + string(ours) + "\nwant " + string(janus)
	}
	return ""
}
