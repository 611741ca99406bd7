// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
)

// Problem is something wrong with a file or the environment.
type Problem struct {
	Source string // name of the file, or "environment"
	Line   int    // in the file; 0 where there is none
	Key    string // or variable; empty where the problem is none of one key
	Reason string
	Meant  string // the known name that is nearest to an unknown one; empty if none is near
}

// Error is the problem in one line.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Source)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Key != "" {
		b.WriteString(": " + p.Key)
	}
	b.WriteString(": " + p.Reason)
	if p.Meant != "" {
		fmt.Fprintf(&b, " (did you mean %s?)", p.Meant)
	}
	return b.String()
}

// nearest is the known name most like an unknown one; empty if none is like it.
func nearest(unknown string, known []string) string {
	best, name := len(unknown)/3+1, ""
	for _, k := range known {
		if d := distance(unknown, k); d <= best && (name == "" || d < best) {
			best, name = d, k
		}
	}
	return name
}

// distance counts the insertions, deletions and replacements of bytes that make b of a (V. Levenshtein, 1965).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
