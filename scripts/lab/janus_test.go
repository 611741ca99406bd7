// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/mediactl/janusproc"
)

func TestFromFolder(t *testing.T) {
	root := t.TempDir()
	for _, file := range []string{"lib64/ld-linux-x86-64.so.2", "usr/bin/janus", "usr/lib/x86_64-linux-gnu/janus/plugins/x.so"} {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var c janusproc.Config
	FromFolder(t, root)(&c)
	got := strings.ReplaceAll(strings.Join(c.Command, " ")+" "+c.LibFolder, root, "R")
	if want := "R/lib64/ld-linux-x86-64.so.2 --library-path R/usr/lib/x86_64-linux-gnu:R/usr/lib/x86_64-linux-gnu/janus " +
		"R/usr/bin/janus R/usr/lib/x86_64-linux-gnu/janus"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := (&fakeTB{TB: t}).run(func(tb TB) { FromFolder(tb, t.TempDir()) }); !strings.Contains(got, "is missing") {
		t.Errorf("an empty folder: %q", got)
	}
}

// TestForky: without its folder it tells how to get one.
func TestForky(t *testing.T) {
	t.Setenv(forkyVariable, t.TempDir())
	if got := (&fakeTB{TB: t}).run(func(tb TB) { Forky(tb) }); !strings.Contains(got, "scripts/test install") {
		t.Errorf("an empty folder: %q", got)
	}
}

// TestJanusFails: a Janus that does not start is tried again, then reported with what it said.
func TestJanusFails(t *testing.T) {
	f := &fakeTB{TB: t}
	got := f.run(func(tb TB) {
		Janus(tb, func(c *janusproc.Config) { c.Command = []string{"sh", "-c", "echo no such plugin; exit 1"} })
	})
	if !strings.Contains(got, "no such plugin") || strings.Count(strings.Join(f.logs, "\n"), "starting again") != 2 {
		t.Errorf("failed with %q, logs %q", got, f.logs)
	}
}
