// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/scripts/lab"
	"github.com/januscloud/januscloud/scripts/lab/bench/drive"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRun measures a whole cluster, briefly: load, memory and profiles, all saved.
func TestRun(t *testing.T) {
	modes := []drive.Mode{drive.Message, drive.CreateAttach}
	o := options{
		Layout: []string{"dev"}, Mode: modes, Clients: []int{1, 9}, Rounds: 1, Duration: 100 * time.Millisecond,
		Size: 200, Workers: 2, Idle: 20, Loops: 2, Profile: true, Out: t.TempDir(),
	}
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	os.Stdout = null
	defer func() { os.Stdout = stdout }()
	if err := lab.Run("bench", func(tb lab.TB) {
		if err := run(t.Context(), tb, o); err != nil {
			tb.Fatalf("%v", err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	found := savedResult(t, o.Out, len(modes)+1)
	if len(found.Layouts) != 1 || len(found.Layouts[0].Comparisons) != 2*len(modes) {
		t.Fatalf("%d layouts", len(found.Layouts))
	}
	l := found.Layouts[0]
	for _, c := range l.Comparisons {
		for name, m := range map[string]measured{"direct": c.Direct, "cluster": c.Cluster} {
			if f := m.Median; f.Requests < 1 || f.P50 <= 0 || f.P99 < f.P50 || len(f.CPU) < 2 {
				t.Errorf("%s with %d clients, %s: %+v", c.Mode, c.Clients, name, f)
			}
		}
	}
	if l.Idle == nil || len(l.Idle.Cluster) != 3 || len(l.Idle.Direct) != 3 || l.Idle.Cluster[0].Memory["dev"].Live == 0 {
		t.Errorf("idle: %+v", l.Idle)
	}
}

// savedResult reads the JSON file in a folder, beside which text and profiles have to be.
func savedResult(t *testing.T, folder string, profiles int) (r result) {
	t.Helper()
	for pattern, want := range map[string]int{"*.json": 1, "*.txt": 1, "*-dev-*.pprof": profiles} {
		files, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil || len(files) != want {
			t.Errorf("%d files %s, %v", len(files), pattern, err)
			continue
		}
		content, err := os.ReadFile(files[0])
		if err != nil || len(content) == 0 {
			t.Errorf("%s: %v", files[0], err)
		}
		if pattern == "*.json" {
			if err := json.Unmarshal(content, &r); err != nil {
				t.Error(err)
			}
		}
	}
	return r
}

// TestFailure: a run that fails is told as far as it came.
func TestFailure(t *testing.T) {
	r := sample()
	r.Failure = "layout dev: wrong answer"
	r.Layouts = append(r.Layouts, layoutResult{Layout: "dev"})
	if text := r.text(); !strings.Contains(text, "Layout node") || strings.Contains(text, "Layout dev") || !strings.Contains(text, "FAILED, and not complete: layout dev: wrong answer") {
		t.Error(text)
	}
}

// TestStopped: a run that is told to end does so with a reason.
func TestStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := &bench{options: options{Rounds: 1}, direct: side{url: "ws://127.0.0.1:1"}, cluster: side{url: "ws://127.0.0.1:1"}}
	if err := b.all(ctx, &layoutResult{}); err == nil {
		t.Error("no reason")
	}
}

func TestValidate(t *testing.T) {
	fine := parse([]string{"--layout", "node,dev", "--clients", "1,64", "--mode", "ping"})
	if err := fine.Validate(); err != nil || len(fine.Layout) != 2 || fine.Clients[1] != 64 || fine.Mode[0] != drive.Ping {
		t.Errorf("%+v, %v", fine, err)
	}
	for name, spoil := range map[string]func(*options){
		"no mode":         func(o *options) { o.Mode = nil },
		"no clients":      func(o *options) { o.Clients = nil },
		"too many":        func(o *options) { o.Clients = []int{1, 5000} },
		"none":            func(o *options) { o.Clients = []int{0} },
		"no rounds":       func(o *options) { o.Rounds = 0 },
		"too short":       func(o *options) { o.Duration = time.Millisecond },
		"too long":        func(o *options) { o.Duration = time.Hour },
		"too large":       func(o *options) { o.Size = 1 << 20 },
		"no workers":      func(o *options) { o.Workers = 0 },
		"negative idle":   func(o *options) { o.Idle = -1 },
		"negative procs":  func(o *options) { o.Procs = -1 },
		"warm for ever":   func(o *options) { o.Warm = time.Hour },
		"negative warmth": func(o *options) { o.Warm = -1 },
	} {
		o := fine
		if spoil(&o); o.Validate() == nil {
			t.Errorf("%s is valid", name)
		}
	}
}

func TestHelpTeaches(t *testing.T) {
	help := options{}.Help()
	for _, word := range []string{"req/s", "p50", "CPU", "Rss", "scripts/bench --", "closed loop"} {
		if !strings.Contains(help, word) {
			t.Errorf("the help does not mention %s", word)
		}
	}
}
