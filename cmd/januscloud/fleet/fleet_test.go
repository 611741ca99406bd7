// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/mediactl/janusproc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Two real Janus run side by side, and are gone when Stop returns.
func TestFleet(t *testing.T) {
	f, err := Start(t.Context(), 2, 1, t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	members := f.Members()
	if len(members) != 2 || members[0].Name != "janus-1" || members[1].Name != "janus-2" || members[0].URL == members[1].URL {
		t.Errorf("%+v", members)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, m := range members {
		info, err := janusproc.Probe(ctx, m.URL)
		if err != nil || info.ServerName != m.Name || info.ReclaimSessionTimeout < 60 {
			t.Errorf("%s: %+v, %v", m.Name, info, err)
		}
		if !strings.HasPrefix(m.AdminURL, "ws://") {
			t.Errorf("%s: admin %q", m.Name, m.AdminURL)
		}
	}
	if err := f.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	for _, m := range members {
		if _, err := janusproc.Probe(ctx, m.URL); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s still answers: %v", m.Name, err)
		}
	}
}

func TestNotInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Start(t.Context(), 1, 0, t.TempDir(), slog.New(slog.DiscardHandler))
	if !errors.Is(err, ErrNotInstalled) {
		t.Error(err)
	}
}

// What does not boot is tried with other ports, then given up, and leaves nothing behind.
func TestDoesNotBoot(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(bin+"/janus", []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	_, err := Start(t.Context(), 1, 0, t.TempDir(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "ended while starting") {
		t.Error(err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, 1, 0, t.TempDir(), slog.New(slog.DiscardHandler)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
