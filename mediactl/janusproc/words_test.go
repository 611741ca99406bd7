// SPDX-License-Identifier: Apache-2.0

package janusproc

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSplitCommand(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
		err  error
	}{
		{"", nil, nil},
		{"janus -F /etc/janus", []string{"janus", "-F", "/etc/janus"}, nil},
		{"  janus\t-F \n x ", []string{"janus", "-F", "x"}, nil},
		{`janus -F '/with a blank' "" ''`, []string{"janus", "-F", "/with a blank", "", ""}, nil},
		{`a"b c"'d e'f`, []string{"ab cd ef"}, nil},
		{`a\ b \\ \"`, []string{"a b", `\`, `"`}, nil},
		{`"\$ \a \" \\"`, []string{`$ \a " \`}, nil},
		{`'\a'`, []string{`\a`}, nil},
		{"a\\\nb", []string{"ab"}, nil},
		{`'$HOME;'`, []string{"$HOME;"}, nil},
		{`sh -c 'ulimit -n 65536; exec janus'`, []string{"sh", "-c", "ulimit -n 65536; exec janus"}, nil},
		{"janus; reboot", nil, ErrShell},
		{"janus -F $HOME", nil, ErrShell},
		{"janus > log", nil, ErrShell},
		{"janus 'x", nil, ErrQuote},
		{`janus "x`, nil, ErrQuote},
		{`janus \`, nil, ErrQuote},
	} {
		got, err := SplitCommand(tt.text)
		if !errors.Is(err, tt.err) || !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, %v; want %q, %v", tt.text, got, err, tt.want, tt.err)
		}
	}
}

// FuzzSplitCommand: what was split and is quoted again splits into the same words.
func FuzzSplitCommand(f *testing.F) {
	for _, seed := range []string{"janus -F x", `a 'b c' "d\"e" f\ g`, `""`, "'", "$", "\\\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := SplitCommand(text)
		if err != nil {
			return
		}
		var quoted strings.Builder
		for _, w := range words {
			quoted.WriteString("'" + strings.ReplaceAll(w, "'", `'\''`) + "' ")
		}
		again, err := SplitCommand(quoted.String())
		if err != nil || !slices.Equal(again, words) {
			t.Fatalf("%q: %q, then %q, %v", text, words, again, err)
		}
	})
}
