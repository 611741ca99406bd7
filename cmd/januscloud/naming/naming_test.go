// SPDX-License-Identifier: Apache-2.0

package naming

import (
	"errors"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/messages"
)

func TestDefault(t *testing.T) {
	for _, tt := range []struct{ host, role, want string }{
		{"alpha", "edge", "alpha-edge"},
		{"alpha.example.org", "session", "alpha-session"},
		{"Größe 7", "media", "Gr--e-7-media"},
		{"", "node", "host-node"},
		{"...", "node", "host-node"},
		{"日本", "node", "host-node"},
		{strings.Repeat("a", 100), "session", strings.Repeat("a", 52) + "-session"},
	} {
		got := Default(tt.host, tt.role)
		if got != tt.want {
			t.Errorf("%q: %q, want %q", tt.host, got, tt.want)
		}
		if !messages.ValidName(got + "-999") {
			t.Errorf("%q leaves no room for a number", got)
		}
	}
}

func TestChoose(t *testing.T) {
	live := map[string]bool{"a-edge": true, "a-edge-2": true, "b": true}
	taken := func(name string) bool { return live[name] }
	for _, tt := range []struct {
		given, fallback, want string
		err                   error
	}{
		{"", "c-edge", "c-edge", nil},
		{"", "a-edge", "a-edge-3", nil},
		{"mine", "a-edge", "mine", nil},
		{"b", "a-edge", "", ErrTaken},
	} {
		got, err := Choose(tt.given, tt.fallback, taken)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%q, %q: %q, %v", tt.given, tt.fallback, got, err)
		}
	}
	if _, err := Choose("", "a", func(string) bool { return true }); !errors.Is(err, ErrTaken) {
		t.Errorf("all names taken: %v", err)
	}
}
