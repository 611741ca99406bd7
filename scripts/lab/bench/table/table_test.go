// SPDX-License-Identifier: Apache-2.0

package table

import "testing"

func TestTable(t *testing.T) {
	for _, c := range []struct {
		name string
		fill func(*Table)
		want string
	}{
		{"nothing", func(*Table) {}, ""},
		{"no header", func(tb *Table) { tb.Row("a", "b"); tb.Row("cc", "d") }, " a  b\ncc  d\n"},
		{"figures flush right, texts flush left", func(tb *Table) {
			tb.Left = 1
			tb.Header("mode", "µs")
			tb.Row("ping", "9")
			tb.Row()
			tb.Row("message", "1234")
		}, "mode       µs\n─────────────\nping        9\n\nmessage  1234\n"},
		{"short rows end without blanks", func(tb *Table) {
			tb.Left = 2
			tb.Header("a", "b", "c")
			tb.Row("x")
			tb.Row("long", "y", "1")
		}, "a     b  c\n──────────\nx\nlong  y  1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tb Table
			c.fill(&tb)
			if got := tb.String(); got != c.want {
				t.Errorf("\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
