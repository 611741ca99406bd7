// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/januscloud/januscloud/scripts/lab/chaos/crowd"
	"github.com/januscloud/januscloud/scripts/lab/chaos/ledger"
)

// columns are the figures of a row.
func columns() []string {
	return []string{"fault", "times", "requests", "events", "lost", "doubled", "again", "out of order", "run twice", "wrong", "refused",
		"unknown", "unanswered", "in doubt", "sessions lost", "hangups", "pause ms", "gap ms", "packets lost", "promises"}
}

func (r *row) cells(strict bool) []string {
	verdict := "kept"
	if broken := r.broken(strict); len(broken) > 0 {
		verdict = "BROKEN: " + strings.Join(broken, ", ")
	}
	cells := []string{r.name()}
	for _, n := range []int{r.times, r.Requests, r.Events, r.Lost, r.Doubled, r.Again, r.Disordered, r.RunTwice, r.Wrong} {
		cells = append(cells, strconv.Itoa(n))
	}
	cells = append(cells, refused(r.Refused))
	for _, n := range []int{r.Unknown, r.Unanswered, r.InDoubt, r.Sessions, r.Hangups} {
		cells = append(cells, strconv.Itoa(n))
	}
	return append(cells, milliseconds(r.Pause), milliseconds(r.media.Gap), strconv.Itoa(r.media.Lost), verdict)
}

// refused tells how often each code came: 3×490.
func refused(codes map[string]int) string {
	if len(codes) == 0 {
		return "0"
	}
	var all []string
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		all = append(all, fmt.Sprintf("%d×%s", codes[code], code))
	}
	return strings.Join(all, " ")
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// list is the rows in the order of the catalogue, last the one of the time in which nothing was broken.
func (r *run) list() (rows []*row) {
	for _, f := range catalogue() {
		if of := r.rows[f]; of != nil {
			rows = append(rows, of)
		}
	}
	return append(rows, &r.quiet)
}

// report is the whole result as Markdown.
func (r *run) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "scripts/chaos --seed %d: %d sessions, %d requests/s, %v, %d processors\n\n",
		r.options.Seed, r.options.Sessions, r.options.Rate, r.lasted.Round(time.Second), runtime.NumCPU())
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(columns())
	rule := make([]string, len(columns()))
	for i := range rule {
		rule[i] = "---:"
	}
	rule[0], rule[len(rule)-1] = "---", "---"
	line(rule)
	for _, of := range r.list() {
		line(of.cells(r.options.Strict))
	}
	return b.String()
}

// broken is what is broken, over all faults.
func (r *run) broken() (list []string) {
	for _, of := range r.list() {
		for _, what := range of.broken(r.options.Strict) {
			list = append(list, of.name()+": "+what)
		}
	}
	return list
}

// oneLine is what one fault cost, without what is zero.
func oneLine(c ledger.Counts, m crowd.Media) string {
	parts := []string{fmt.Sprintf("%d requests, %d events, pause %v (%s), gap %v", c.Requests, c.Events,
		c.Pause.Round(time.Millisecond), c.Slowest, m.Gap.Round(time.Millisecond))}
	for _, f := range []struct {
		n    int
		what string
	}{
		{c.Lost, "LOST"}, {c.Doubled, "DOUBLED"}, {c.Again, "again"}, {c.Disordered, "OUT OF ORDER"}, {c.RunTwice, "RUN TWICE"},
		{c.Wrong, "WRONG"}, {c.Unknown, "outcome unknown"}, {c.Unanswered, "UNANSWERED"}, {c.InDoubt, "in doubt"},
		{c.Sessions, "SESSIONS LOST"}, {c.Hangups, "hung up"}, {m.Lost, "PACKETS LOST"},
	} {
		if f.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", f.n, f.what))
		}
	}
	if c.Refusals() > 0 {
		parts = append(parts, "refused "+refused(c.Refused))
	}
	return strings.Join(parts, ", ")
}
