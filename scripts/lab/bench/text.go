// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/januscloud/januscloud/scripts/lab/bench/table"
)

// text is the result as people read it.
func (r result) text() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "januscloud bench, %s, %.0f s\n", r.Started.Format("2006-01-02 15:04:05 MST"), r.Seconds)
	fmt.Fprintf(&b, "%d × %s, Linux %s, load %s before and %s after\n", m.Cores, m.CPU, m.Kernel, m.LoadBefore, m.LoadAfter)
	fmt.Fprintf(&b, "commit %s, %s, Janus %s (event_loops %d), nats-server %s\n", m.Commit, m.Go, m.Janus, r.Options.Loops, m.NATS)
	fmt.Fprintf(&b, "medians of %d rounds of %v each, direct and cluster in turns, messages of %d bytes", r.Options.Rounds, r.Options.Duration, r.Options.Size)
	if r.Options.Procs > 0 {
		fmt.Fprintf(&b, ", GOMAXPROCS %d", r.Options.Procs)
	}
	b.WriteByte('\n')
	for _, l := range r.Layouts {
		if len(l.Comparisons) > 0 {
			fmt.Fprintf(&b, "\nLayout %s: CPU in µs per round of the mode\n\n%s", l.Layout, l.speed())
		}
		if l.Idle != nil {
			fmt.Fprintf(&b, "\nLayout %s: memory with %d idle clients\n\n%s", l.Layout, l.Idle.Clients, l.Idle.text())
		}
		if kept := l.promises(); kept != "" {
			fmt.Fprintf(&b, "\nPromises (DESIGN.md, 6)\n\n%s", kept)
		}
	}
	if r.Failure != "" {
		fmt.Fprintf(&b, "\nFAILED, and not complete: %s\n", r.Failure)
	}
	return b.String()
}

// speed is the table of rates, times and costs.
func (l layoutResult) speed() string {
	t := table.Table{Left: 3}
	ours := slices.DeleteFunc(sortedKeys(l.Comparisons[0].Cluster.Median.CPU), func(name string) bool {
		return name == janusName || name == clientName
	})
	parts := ours
	if len(ours) == 1 {
		parts = nil // it is the sum
	}
	t.Header(append(append([]string{"mode", "clients", "", "req/s", "±", "p50 µs", "p99 µs", "CPU janus", "CPU ours"}, parts...), clientName)...)
	for i, c := range l.Comparisons {
		if i > 0 {
			t.Row()
		}
		d, cl := c.Direct.Median, c.Cluster.Median
		t.Row(append([]string{c.Mode, strconv.Itoa(c.Clients)}, c.Direct.row("direct", parts)...)...)
		t.Row(append([]string{"", ""}, c.Cluster.row("cluster", parts)...)...)
		t.Row("", "", "ratio", ratio(cl.PerSecond, d.PerSecond), "", ratio(cl.P50, d.P50), ratio(cl.P99, d.P99),
			ratio(cl.CPU[janusName], d.CPU[janusName]), ratio(cl.ours(), d.CPU[janusName]))
		t.Row("", "", "added", "", "", signed(cl.P50-d.P50), signed(cl.P99-d.P99), signed(cl.CPU[janusName]-d.CPU[janusName]))
	}
	return t.String()
}

// row is one side's line, behind mode and clients.
func (m measured) row(name string, parts []string) []string {
	f := m.Median
	row := []string{name, fmt.Sprintf("%.0f", f.PerSecond), fmt.Sprintf("%.0f %%", 100*m.spread()), short(f.P50), short(f.P99), short(f.CPU[janusName])}
	if name == "direct" {
		row = append(row, slices.Repeat([]string{""}, 1+len(parts))...)
	} else {
		row = append(row, short(f.ours()))
		for _, p := range parts {
			row = append(row, short(f.CPU[p]))
		}
	}
	return append(row, short(f.CPU[clientName]))
}

// text is the table of memory.
func (r idleResult) text() string {
	t := table.Table{Left: 2}
	names := sortedKeys(r.Cluster[0].Memory)
	t.Header(append([]string{"bytes", ""}, names...)...)
	for _, s := range []struct {
		name   string
		levels []level
	}{{"cluster", r.Cluster}, {"direct", r.Direct}} {
		t.Row(append([]string{s.name, "resident before, MB"}, cells(names, func(name string) (float64, bool) {
			f, ok := s.levels[0].Memory[name]
			return float64(f.RSS) / 1e6, ok
		})...)...)
		for i := range s.levels[1:] {
			t.Row(append([]string{"", "per " + s.levels[i+1].Has}, cells(names, func(name string) (float64, bool) { return r.each(s.levels, i+1, name) })...)...)
			live := cells(names, func(name string) (float64, bool) { return r.eachLive(s.levels, i+1, name) })
			if strings.Join(live, "") != "" {
				t.Row(append([]string{"", "  live on the heap"}, live...)...)
			}
		}
	}
	t.Row(append([]string{"cluster", "% of a processor, idle"}, cells(names, func(name string) (float64, bool) {
		b, ok := r.Busy[name]
		return 100 * b, ok
	})...)...)
	return t.String()
}

func cells(names []string, get func(string) (float64, bool)) []string {
	row := make([]string, len(names))
	for i, name := range names {
		if v, ok := get(name); ok {
			row[i] = short(v)
		}
	}
	return row
}

// each is by how much the resident memory of a process grew towards a level, in bytes per client.
func (r idleResult) each(levels []level, to int, name string) (float64, bool) {
	f, ok := levels[to].Memory[name]
	return float64(f.RSS-levels[to-1].Memory[name].RSS) / float64(r.Clients), ok
}

// eachLive is the same of what its heap and stacks hold, where that is known.
func (r idleResult) eachLive(levels []level, to int, name string) (float64, bool) {
	f := levels[to].Memory[name]
	return float64(f.Live-levels[to-1].Memory[name].Live) / float64(r.Clients), f.Live > 0
}

func ratio(a, b float64) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f×", a/b)
}

func signed(v float64) string {
	if v < 0 {
		return "−" + short(-v)
	}
	return "+" + short(v)
}

// short is a figure with as many digits as it deserves.
func short(v float64) string {
	if v > -100 && v < 100 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
