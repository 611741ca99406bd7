// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestWaitFor(t *testing.T) {
	asked := 0
	WaitFor(t, time.Minute, func() string {
		if asked++; asked < 3 {
			return "not yet"
		}
		return ""
	})
	got := (&fakeTB{TB: t}).run(func(tb TB) {
		WaitFor(tb, 20*time.Millisecond, func() string { return "the sky is blue" })
		tb.Logf("not reached")
	})
	if !strings.Contains(got, "not within 20ms: the sky is blue") {
		t.Errorf("failed with %q", got)
	}
}

// TestRun: a program gets what a test gets, failures in cleanups included.
func TestRun(t *testing.T) {
	var order []string
	var folder string
	err := Run("bench", func(tb TB) {
		tb.Helper()
		folder = tb.TempDir()
		tb.Cleanup(func() { order = append(order, "first") })
		tb.Cleanup(func() { tb.Fatalf("broken %s", "cleanup") })
		tb.Cleanup(func() { order = append(order, "last") })
		tb.Fatalf("out of %d", 2)
	})
	if err == nil || err.Error() != "bench: out of 2\nbench: broken cleanup" {
		t.Errorf("error %v", err)
	}
	if strings.Join(order, " ") != "last first" {
		t.Errorf("cleanups ran as %v", order)
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("temporary folder: %v", err)
	}
	if err := Run("fine", func(tb TB) { tb.Logf("all %s", "well") }); err != nil {
		t.Error(err)
	}
}
