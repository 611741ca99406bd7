// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"errors"
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 2 3 0 -1 4194560 100 0 0 0 250 50 7 9 20 0 5 0 1234 1000 200"
	for _, name := range []string{"(janus)", "(a b)", "(a) b (c)", "())"} {
		got, err := parseStat("42 " + name + rest + "\n")
		if want := 3 * time.Second; err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
	}
	for _, broken := range []string{"", "42 (janus", "42 (janus) S 1", "42 (janus) S 1 2 3 0 -1 0 0 0 0 0 x 50 7"} {
		if got, err := parseStat(broken); !errors.Is(err, ErrFormat) {
			t.Errorf("%q gave %v, %v", broken, got, err)
		}
	}
}

// TestCPUOfThisProcess: what a process burns is counted, to within the resolution.
func TestCPUOfThisProcess(t *testing.T) {
	before, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		after, err := CPU(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if after-before >= 5*Tick {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("from %v to %v in ten seconds of work", before, after)
		}
	}
}

func TestParseRollup(t *testing.T) {
	m, err := parseRollup("55a5b01ea000-7fffb6250000 ---p 00000000 00:00 0   [rollup]\nRss:    1784 kB\nPss:     286 kB\nPss_Dirty:  112 kB\n")
	if err != nil || m != (Memory{RSS: 1784 << 10, PSS: 286 << 10}) {
		t.Errorf("%+v, %v", m, err)
	}
	for _, broken := range []string{"", "Rss: 1 kB\n", "Rss: 1 kB\nPss: many kB\n", "Rss: 1 kB\nPss: 1 MB\n"} {
		if m, err := parseRollup(broken); !errors.Is(err, ErrFormat) {
			t.Errorf("%q gave %+v, %v", broken, m, err)
		}
	}
}

func TestMemoryOfThisProcess(t *testing.T) {
	m, err := ReadMemory(os.Getpid())
	if err != nil || m.RSS < 1<<20 || m.PSS > m.RSS || m.PSS == 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := ReadMemory(-1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such process: %v", err)
	}
}

func TestParseModel(t *testing.T) {
	if got := parseModel("processor\t: 0\nmodel name\t: AMD EPYC: fast\nmodel name\t: other\n"); got != "AMD EPYC: fast" {
		t.Errorf("%q", got)
	}
	if got := parseModel("processor: 0\n"); got != "unknown" {
		t.Errorf("%q", got)
	}
}
