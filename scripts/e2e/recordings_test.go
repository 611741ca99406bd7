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

	"github.com/januscloud/januscloud/scripts/lab"
)

const recordplay = "janus.plugin.recordplay"

// archive is a client of recordplay.
type archive struct {
	*caller
	offer string
}

// ask puts a request to the plugin, on a new handle, and tells the status or the code of the error that its event has.
func (a *archive) ask(ctx context.Context, t *testing.T, body map[string]any, sdp string) (handle uint64, told string) {
	t.Helper()
	handle, err := a.Attach(ctx, a.session, recordplay)
	if err != nil {
		t.Fatal(err)
	}
	request := map[string]any{"janus": "message", "session_id": a.session, "handle_id": handle, "body": body}
	if sdp != "" {
		request["jsep"] = map[string]any{"type": "offer", "sdp": sdp}
	}
	answer, err := a.RequestEvent(ctx, request)
	if err != nil {
		t.Fatalf("%v: %v", body, err)
	}
	if code := answer.Number("plugindata", "data", "error_code"); code != 0 {
		return handle, fmt.Sprint(code)
	}
	return handle, answer.Text("plugindata", "data", "result", "status")
}

func (a *archive) play(ctx context.Context, t *testing.T, id int) string {
	t.Helper()
	_, told := a.ask(ctx, t, map[string]any{"request": "play", "id": id}, "")
	return told
}

func (a *archive) record(ctx context.Context, t *testing.T, id int, private bool) (handle uint64, told string) {
	t.Helper()
	body := map[string]any{"request": "record", "id": id, "name": "mine", "filename": fmt.Sprintf("tape-%d", id), "is_private": private}
	return a.ask(ctx, t, body, a.offer)
}

// store puts the sample under another id into the folder of a Janus, and has all look at theirs.
func (a *archive) store(ctx context.Context, t *testing.T, on *lab.JanusServer, id int) {
	t.Helper()
	text := fmt.Sprintf("[%d]\nname = copied\ndate = 2026-01-01 12:00:00\nprivate = false\naudio = rec-sample-audio.mjr\n", id)
	if err := os.WriteFile(filepath.Join(on.Config.Folder, "recordings", fmt.Sprintf("%d.nfo", id)), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	handle, err := a.Attach(ctx, a.session, recordplay)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := a.Request(ctx, map[string]any{
		"janus": "message", "session_id": a.session, "handle_id": handle, "body": map[string]any{"request": "update"},
	})
	if err != nil || answer.Text("plugindata", "data", "recordplay") != "ok" {
		t.Fatalf("update: %s, %v", answer, err)
	}
}

// TestRecordings has clients find recordings wherever they are, private ones as well, and nobody record under an id that somebody
// else records under, or has.
func TestRecordings(t *testing.T) {
	sdp, err := os.ReadFile(offerFile(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions(t) {
		t.Run(v.number, func(t *testing.T) {
			c := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 2, janus: 2, change: v.change})
			ctx := within(t, time.Minute)
			var people [2]*archive
			for i, k := range c.connect(ctx, t, "somebody", len(people)) {
				people[i] = &archive{caller: k, offer: strings.ReplaceAll(string(sdp), "\n", "\r\n")}
			}
			for i, j := range c.janus {
				people[0].store(ctx, t, j, 4000+i)
			}
			for i := range 6 {
				who := people[i%2]
				for id := 4000; id < 4002; id++ {
					if told := who.play(ctx, t, id); told != "preparing" {
						t.Errorf("play %d: %s", id, told)
					}
					if _, told := who.record(ctx, t, id, false); told != "420" {
						t.Errorf("record %d: %s", id, told)
					}
				}
				id := 5000 + i
				if _, told := who.record(ctx, t, id, i%3 == 0); told != "recording" {
					t.Errorf("record %d: %s", id, told)
				}
				if _, told := people[1-i%2].record(ctx, t, id, false); told != "420" {
					t.Errorf("record %d while somebody does: %s", id, told)
				}
				if told := who.play(ctx, t, id); told != "416" {
					t.Errorf("play %d, which is not whole yet: %s", id, told)
				}
			}
			if v.number != "1.1" {
				people[0].findPrivate(ctx, t, 6000, people[1])
			}
			for _, p := range people {
				if v := p.Violations(); len(v) > 0 {
					t.Errorf("%s: %q", p.name, v)
				}
			}
		})
	}
}

// findPrivate makes private recordings, which are in no list, and has another client find them. Without media nothing can be played,
// which only the Janus that has them tells.
func (a *archive) findPrivate(ctx context.Context, t *testing.T, from int, other *archive) {
	t.Helper()
	const missing, broken = "416", "417"
	for id := from; id < from+6; id++ {
		handle, told := a.record(ctx, t, id, true)
		if told != "recording" {
			t.Fatalf("record %d: %s", id, told)
		}
		if err := a.Detach(ctx, a.session, handle); err != nil {
			t.Fatal(err)
		}
		lab.WaitFor(t, 10*time.Second, func() string {
			if told := other.play(ctx, t, id); told != broken {
				return fmt.Sprintf("play %d: %s", id, told)
			}
			return ""
		})
		if _, told := other.record(ctx, t, id, false); told != "420" {
			t.Errorf("record %d: %s", id, told)
		}
	}
	if told := other.play(ctx, t, from-1); told != missing {
		t.Errorf("play what nobody recorded: %s", told)
	}
}
