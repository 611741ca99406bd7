// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/lab/bench/drive"
	"github.com/januscloud/januscloud/scripts/lab/bench/proc"
)

func TestMiddle(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{7}, 7}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 100, 2}, 3}} {
		if got := middle(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
}

// TestMedian: each figure has a median of its own, and one bad turn does not show.
func TestMedian(t *testing.T) {
	rounds := []figures{
		{PerSecond: 10, P50: 1, P99: 30, CPU: map[string]float64{"edge": 5, janusName: 1}},
		{PerSecond: 30, P50: 2, P99: 10, CPU: map[string]float64{"edge": 4, janusName: 2}},
		{PerSecond: 20, P50: 900, P99: 20, CPU: map[string]float64{"edge": 60, janusName: 3}},
	}
	m := measured{Rounds: rounds, Median: median(rounds)}
	if f := m.Median; f.PerSecond != 20 || f.P50 != 2 || f.P99 != 20 || f.CPU["edge"] != 5 || f.CPU[janusName] != 2 {
		t.Errorf("%+v", f)
	}
	if got := m.spread(); got != 0.5 {
		t.Errorf("spread %v", got)
	}
}

func TestNewFigures(t *testing.T) {
	run := drive.Run{Elapsed: 2 * time.Second, Latency: drive.NewHistogram()}
	for i := range int64(1000) {
		if err := run.Latency.RecordValue((i + 1) * int64(time.Microsecond)); err != nil {
			t.Fatal(err)
		}
	}
	f := newFigures(run,
		map[string]time.Duration{"edge": time.Second, natsName: 0, janusName: 0, clientName: 0},
		map[string]time.Duration{"edge": time.Second + 20*time.Millisecond, natsName: 10 * time.Millisecond, janusName: time.Second, clientName: time.Second})
	near := func(got, want float64) bool { return math.Abs(got-want) <= want/100 }
	if f.Requests != 1000 || f.PerSecond != 500 || !near(f.P50, 500) || !near(f.P99, 990) || !near(f.Max, 1000) {
		t.Errorf("%+v", f)
	}
	if f.CPU["edge"] != 20 || f.CPU[janusName] != 1000 || f.ours() != 30 {
		t.Errorf("CPU %v, ours %v", f.CPU, f.ours())
	}
}

// sample is a result with easy figures.
func sample() result {
	side := func(perSecond, p50, janus, edge, node, nats float64) measured {
		f := figures{PerSecond: perSecond, P50: p50, P99: 2 * p50, CPU: map[string]float64{janusName: janus, clientName: 10}}
		if edge > 0 {
			f.CPU["edge"], f.CPU["node"], f.CPU[natsName] = edge, node, nats
		}
		return measured{Rounds: []figures{f}, Median: f}
	}
	at := func(has string, edge, node, nats int64) level {
		of := func(rss int64) footprint { return footprint{Memory: proc.Memory{RSS: rss}, Live: rss / 2} }
		return level{Has: has, Memory: map[string]footprint{
			"edge": of(edge), "node": of(node), natsName: {Memory: proc.Memory{RSS: nats}}, janusName: {Memory: proc.Memory{RSS: 30e6}},
		}}
	}
	janus := func(has string, rss int64) level {
		return level{Has: has, Memory: map[string]footprint{janusName: {Memory: proc.Memory{RSS: rss}}}}
	}
	return result{
		Started: time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC), Seconds: 12,
		Machine: machine{CPU: "Fast", Cores: 2, Kernel: "6.1", LoadBefore: "0.10", LoadAfter: "2.00", Go: "go1.26", Janus: "1.1.2", NATS: "v2", Commit: "abc"},
		Options: options{Rounds: 1, Duration: time.Second, Size: 387, Loops: 2},
		Layouts: []layoutResult{{
			Layout: "node",
			Comparisons: []comparison{
				{Mode: "message", Clients: 1, Direct: side(10000, 100, 50, 0, 0, 0), Cluster: side(5000, 240, 60, 80, 90, 70)},
				{Mode: "message", Clients: 32, Direct: side(40000, 800, 40, 0, 0, 0), Cluster: side(10000, 3200, 50, 20, 30, 10)},
			},
			Idle: &idleResult{
				Clients: 1000,
				Cluster: []level{at(hasNothing, 20e6, 30e6, 25e6), at(hasConnection, 20.4e6, 30e6, 25e6), at(hasSession, 20.5e6, 31.5e6, 27e6)},
				Direct:  []level{janus(hasNothing, 30e6), janus(hasConnection, 35e6), janus(hasSession, 35.2e6)},
				Busy:    map[string]float64{"edge": 0.01, "node": 0.02, natsName: 0, janusName: 0.005},
			},
		}},
	}
}

// TestText compares the whole text with what people saw last; see it by eye when it changes.
func TestText(t *testing.T) {
	golden := filepath.Join("testdata", "text.golden")
	got := sample().text()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestParseLive(t *testing.T) {
	const text = "heap profile: 1: 2 [3: 4] @ heap/1048576\n\n# runtime.MemStats\n# Alloc = 5\n# HeapAlloc = 1000\n# HeapSys = 9\n# Stack = 300 / 400\n"
	if live, err := parseLive(text); err != nil || live != 1300 {
		t.Errorf("%d, %v", live, err)
	}
	for _, broken := range []string{"", "# HeapAlloc = 1\n", "# HeapAlloc = x\n# Stack = 1 / 2\n"} {
		if live, err := parseLive(broken); !errors.Is(err, errStats) {
			t.Errorf("%q gave %d, %v", broken, live, err)
		}
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0.0", 12.34: "12.3", -3: "-3.0", 99.94: "99.9", 100: "100", 12345.6: "12346"} {
		if got := short(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	if got := signed(5) + signed(-5) + ratio(3, 2) + ratio(1, 0); got != "+5.0−5.01.50×–" {
		t.Error(got)
	}
}
