// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRefusals has many refusals told in few lines, and none forgotten.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		r := NewRefusals(slog.New(slog.NewTextHandler(&b, nil)))
		for range 100 {
			r.Note("wrong secret", slog.String("verb", "create"))
		}
		time.Sleep(refusalsWindow)
		r.Origin("https://a\nb")
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		expect(t, "lines", len(lines), refusalsMost+1)
		for i, want := range map[int]string{
			0:            `level=WARN msg="refused: wrong secret" verb=create more_before=0`,
			refusalsMost: `msg="refused: foreign origin" origin="https://a\nb" more_before=90`,
		} {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%s: want %s", lines[i], want)
			}
		}
	})
}
