// SPDX-License-Identifier: Apache-2.0

// Package doctor looks at a running cluster and says what is wrong with it. Gathering the facts (gather.go) and judging
// them (judge.go) are apart: a judgement is a function of facts, and tested as such.
package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/januscloud/januscloud/messages"
)

// Level says how bad a finding is.
type Level string

// The levels.
const (
	OK    Level = "ok"
	Note  Level = "note"  // works, and could be better
	Wrong Level = "wrong" // does not work, or will not when it matters
)

// Finding is one thing that was looked at.
type Finding struct {
	Level  Level  `json:"level"`
	What   string `json:"what"`             // "nats", "partitions", "media alpha-media"
	Text   string `json:"text"`             // how it is
	Advice string `json:"advice,omitempty"` // what to do about it
}

// Member is one living role as its heartbeats show it.
type Member struct {
	Role   messages.Role  `json:"role"`
	Name   string         `json:"name"`
	State  messages.State `json:"state"`
	Host   string         `json:"host,omitempty"`
	Region string         `json:"region,omitempty"`
	Up     time.Duration  `json:"up_ns"` // since its start
	Load   float64        `json:"load"`
	Does   string         `json:"does"` // what it serves, in words
}

// Report is the state of a cluster.
type Report struct {
	Members  []Member  `json:"members"`
	Findings []Finding `json:"findings"`
}

// Healthy reports whether nothing is wrong.
func (r *Report) Healthy() bool {
	for _, f := range r.Findings {
		if f.Level == Wrong {
			return false
		}
	}
	return true
}

func (r *Report) add(level Level, what, advice, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Level: level, What: what, Text: fmt.Sprintf(format, args...), Advice: advice})
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Healthy bool `json:"healthy"`
		*Report
	}{r.Healthy(), r})
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	if len(r.Members) > 0 {
		fmt.Fprintln(t, "ROLE\tNAME\tSTATE\tHOST\tREGION\tUP\tLOAD\tSERVES")
	}
	for _, m := range r.Members {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%v\t%.0f%%\t%s\n",
			m.Role, m.Name, m.State, dash(m.Host), dash(m.Region), m.Up.Round(time.Second), m.Load*100, m.Does)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(r.Members) > 0 {
		fmt.Fprintln(w)
	}
	t = tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	counts := map[Level]int{}
	for _, f := range r.Findings {
		counts[f.Level]++
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Level, f.What, f.Text)
		if f.Advice != "" {
			fmt.Fprintf(t, "\t\t→ %s\n", f.Advice)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d ok, %d to note, %d wrong\n", counts[OK], counts[Note], counts[Wrong])
	return err
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
