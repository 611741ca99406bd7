// SPDX-License-Identifier: Apache-2.0

package janusproc

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"
)

// logged gives what text becomes in the log, as "LEVEL line" each, when it comes in pieces of n bytes.
func logged(text string, n int) []string {
	var b bytes.Buffer
	o := &output{server: "j1", logger: slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.MessageKey || a.Key == "server" {
				return slog.Attr{}
			}
			return a
		},
	}))}
	for len(text) > 0 {
		k := min(n, len(text))
		_, _ = o.Write([]byte(text[:k]))
		text = text[k:]
	}
	o.flush()
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

func TestOutput(t *testing.T) {
	text := "Starting\n\n\x1b[33m[WARN]\x1b[0m disabled \n\x1b[31m[ERR]\x1b[0m [janus.c:1] broken\r\n" +
		"[ERR] bad line a=candidate:1\n[FATAL] out of\tdescriptors\nan end without a newline"
	want := []string{
		"level=DEBUG line=Starting", `level=DEBUG line="[WARN] disabled"`, `level=INFO line="[ERR] [janus.c:1] broken"`,
		`level=DEBUG line="[ERR] bad line a=candidate:1"`, `level=INFO line="[FATAL] out of descriptors"`,
		`level=DEBUG line="an end without a newline"`,
	}
	for _, n := range []int{1, 7, 1000} {
		if got := logged(text, n); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("in pieces of %d:\n%s", n, strings.Join(got, "\n"))
		}
	}
}

func TestOutputLongLine(t *testing.T) {
	lines := logged(strings.Repeat("x", 3*maxLine)+"\nshort\n", 1000)
	if len(lines) != 4 || !strings.HasSuffix(lines[3], "short") {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

// FuzzClean: no control character and no broken text reaches the log.
func FuzzClean(f *testing.F) {
	f.Add([]byte("\x1b[1;31mred\x1b[0m"))
	f.Add([]byte("\x1b["))
	f.Add([]byte("\xff\x00\t"))
	f.Fuzz(func(t *testing.T, line []byte) {
		got := clean(line)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("%q became %q", line, got)
		}
	})
}
