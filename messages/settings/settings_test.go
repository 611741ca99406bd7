// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T, s *embedded.Server) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Options{InProcess: s, Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// follower follows the settings until the test ends.
func follower(t *testing.T, b *bus.Bus) <-chan messages.Setting {
	t.Helper()
	heard := make(chan messages.Setting, 100)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Follow(ctx, b, slog.New(slog.DiscardHandler), func(s messages.Setting) { heard <- s })
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return heard
}

func expect(t *testing.T, heard <-chan messages.Setting, verb, fields string, revision uint64) {
	t.Helper()
	select {
	case s := <-heard:
		if s.Verb != verb || string(s.Fields) != fields || s.Revision != revision {
			t.Errorf("heard %s %s at %d, want %s %s at %d", s.Verb, s.Fields, s.Revision, verb, fields, revision)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%s was not heard", verb)
	}
}

// Who follows hears of every change in order; who comes later of the last of each.
func TestFollow(t *testing.T) {
	s, err := embedded.Start(t.Context(), embedded.Options{Port: -1, JetStream: true, StoreDir: t.TempDir(), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	b := connect(t, s)
	put := func(verb, fields string) uint64 {
		t.Helper()
		revision, err := Put(t.Context(), b, messages.Setting{Verb: verb, Fields: json.RawMessage(fields)})
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	first := put("set_log_level", `{"level":3}`)
	early := follower(t, connect(t, s))
	expect(t, early, "set_log_level", `{"level":3}`, first)
	second := put("set_log_level", `{"level":5}`)
	third := put(AcceptNewSessions, `{"accept":false}`)
	if first >= second || second >= third {
		t.Errorf("revisions %d, %d, %d do not grow", first, second, third)
	}
	expect(t, early, "set_log_level", `{"level":5}`, second)
	expect(t, early, AcceptNewSessions, `{"accept":false}`, third)
	late := follower(t, connect(t, s))
	expect(t, late, "set_log_level", `{"level":5}`, second)
	expect(t, late, AcceptNewSessions, `{"accept":false}`, third)
	if _, err := Put(t.Context(), b, messages.Setting{Verb: "large", Fields: []byte(`"` + strings.Repeat("x", maxValue) + `"`)}); err == nil {
		t.Error("a setting without bounds was kept")
	}
}

// Without JetStream nothing is kept, which is said in time.
func TestNoJetStream(t *testing.T) {
	s, err := embedded.Start(t.Context(), embedded.Options{Port: -1, Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := Put(ctx, connect(t, s), messages.Setting{Verb: "set_log_level", Fields: []byte("{}")}); err == nil {
		t.Error("kept by nobody")
	}
	follower(t, connect(t, s))
}

// Only what concerns sessions is for session nodes.
func TestForSessions(t *testing.T) {
	for verb, want := range map[string]bool{SessionTimeout: true, AcceptNewSessions: true, "set_log_level": false, "": false} {
		if ForSessions(verb) != want {
			t.Errorf("%q: %v", verb, !want)
		}
	}
}
