// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"

	"github.com/januscloud/januscloud/scripts/lab/bench/drive"
	"github.com/januscloud/januscloud/scripts/lab/bench/proc"
)

// result is what a run found: the content of the JSON file.
type result struct {
	Started time.Time      `json:"started"`
	Seconds float64        `json:"seconds"`
	Machine machine        `json:"machine"`
	Options options        `json:"options"`
	Layouts []layoutResult `json:"layouts"`
	// Failure is why the run ended early; "" when it did not.
	Failure string `json:"failure,omitempty"`
}

// layoutResult is what was found about one layout.
type layoutResult struct {
	Layout      string       `json:"layout"`
	Comparisons []comparison `json:"comparisons"`
	Idle        *idleResult  `json:"idle,omitempty"`
}

// comparison is one mode with one number of clients, on both sides.
type comparison struct {
	Mode    string   `json:"mode"`
	Clients int      `json:"clients"`
	Direct  measured `json:"direct"`
	Cluster measured `json:"cluster"`
}

// measured is one side of a comparison.
type measured struct {
	Rounds []figures `json:"rounds"`
	Median figures   `json:"median"` // of each figure by itself
}

// figures are what one turn, or the median of several, shows.
type figures struct {
	Requests  float64 `json:"requests"` // rounds of the mode
	PerSecond float64 `json:"per_second"`
	// Times of a round, in µs.
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`
	// CPU is processor time per round by process, in µs; "client" is the load generator.
	CPU map[string]float64 `json:"cpu_us"`
}

func newFigures(run drive.Run, before, after map[string]time.Duration) figures {
	n := float64(run.Rounds())
	at := func(percentile float64) float64 { return float64(run.Latency.ValueAtPercentile(percentile)) / 1e3 }
	f := figures{
		Requests: n, PerSecond: n / run.Elapsed.Seconds(),
		P50: at(50), P99: at(99), P999: at(99.9), Max: float64(run.Latency.Max()) / 1e3,
		CPU: make(map[string]float64, len(after)),
	}
	for name := range after {
		f.CPU[name] = float64((after[name] - before[name]).Nanoseconds()) / 1e3 / n
	}
	return f
}

// ours is the processor time of all that stands between client and Janus.
func (f figures) ours() float64 {
	sum := 0.0
	for name, cpu := range f.CPU {
		if name != janusName && name != clientName {
			sum += cpu
		}
	}
	return sum
}

// median takes the median of each figure over several turns.
func median(rounds []figures) figures {
	of := func(get func(figures) float64) float64 {
		values := make([]float64, len(rounds))
		for i, f := range rounds {
			values[i] = get(f)
		}
		return middle(values)
	}
	m := figures{
		Requests:  of(func(f figures) float64 { return f.Requests }),
		PerSecond: of(func(f figures) float64 { return f.PerSecond }),
		P50:       of(func(f figures) float64 { return f.P50 }),
		P99:       of(func(f figures) float64 { return f.P99 }),
		P999:      of(func(f figures) float64 { return f.P999 }),
		Max:       of(func(f figures) float64 { return f.Max }),
		CPU:       make(map[string]float64),
	}
	for name := range rounds[0].CPU {
		m.CPU[name] = of(func(f figures) float64 { return f.CPU[name] })
	}
	return m
}

// middle is the median of some values, of which there is one at least; the mean of the two in the middle of an even number.
func middle(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// spread is half the distance of the extremes of the rates, as part of their median.
func (m measured) spread() float64 {
	lowest, highest := m.Rounds[0].PerSecond, m.Rounds[0].PerSecond
	for _, f := range m.Rounds {
		lowest, highest = min(lowest, f.PerSecond), max(highest, f.PerSecond)
	}
	return (highest - lowest) / 2 / m.Median.PerSecond
}

// idleResult is what clients cost that do nothing.
type idleResult struct {
	Clients int     `json:"clients"`
	Cluster []level `json:"cluster"`
	Direct  []level `json:"direct"`
	// Busy is the part of one processor that each process of the cluster uses while all the sessions are there and idle.
	Busy map[string]float64 `json:"busy"`
}

// level is the memory of a side at one point.
type level struct {
	// Has is what each of the clients has by then: nothing (they are not there), connection, session, handle.
	Has    string               `json:"has"`
	Memory map[string]footprint `json:"memory"`
}

// footprint is what one process occupies.
type footprint struct {
	proc.Memory
	// Live is what its Go heap and stacks hold after a collection, in bytes; 0 where that is not known.
	Live int64 `json:"live,omitempty"`
}
