// SPDX-License-Identifier: Apache-2.0

// Package table writes figures in aligned columns, for a terminal with a fixed-width font.
package table

import (
	"strings"
	"unicode/utf8"
)

// gap stands between columns.
const gap = "  "

// Table is a header and rows. The zero Table has none. Columns are as wide as their widest cell; the first Left of them are
// flush left, the others, which hold figures, flush right.
type Table struct {
	Left int
	rows [][]string
	rule int // of the header: a line is drawn behind so many rows
}

// Header begins the table; call it first. It may be left out.
func (t *Table) Header(cells ...string) {
	t.rows = append(t.rows, cells)
	t.rule = len(t.rows)
}

// Row adds a row; it may have fewer cells than others. A row without cells is an empty line.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

// String is the table, each line ended by a newline and free of blanks at its end.
func (t *Table) String() string {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range t.rows {
		if n == t.rule && n > 0 {
			b.WriteString(rule(widths))
		}
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString(gap)
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < t.Left {
				line.WriteString(cell + pad)
			} else {
				line.WriteString(pad + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

func rule(widths []int) string {
	total := 0
	for i, w := range widths {
		if i > 0 {
			total += len(gap)
		}
		total += w
	}
	return strings.Repeat("─", total) + "\n"
}
