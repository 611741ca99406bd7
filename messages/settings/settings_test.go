// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
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
	var read []string
	if err := Read(t.Context(), b, func(s messages.Setting) { read = append(read, s.Verb+string(s.Fields)) }); err != nil {
		t.Error(err)
	}
	if want := []string{`set_log_level{"level":5}`, AcceptNewSessions + `{"accept":false}`}; !slices.Equal(read, want) {
		t.Errorf("read %q, want %q", read, want)
	}
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
	if err := Read(t.Context(), connect(t, s), func(messages.Setting) {}); err == nil {
		t.Error("read from nowhere")
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

// Of two revisions of a setting the later one counts, in whatever order they come; what is no setting for sessions changes
// nothing.
func TestRules(t *testing.T) {
	var r Rules
	for _, x := range []struct {
		verb, fields string
		revision     uint64
		news         bool
		timeout      time.Duration
		accepting    bool
	}{
		{"set_log_level", `{"level":1}`, 9, false, time.Minute, true},
		{SessionTimeout, `{"timeout":30}`, 3, true, 30 * time.Second, true},
		{SessionTimeout, `{"timeout":20}`, 2, false, 30 * time.Second, true},
		{SessionTimeout, `{"timeout":30}`, 3, false, 30 * time.Second, true},
		{AcceptNewSessions, `{"accept":false}`, 1, true, 30 * time.Second, false},
		{SessionTimeout, `{"timeout":0}`, 4, true, 0, false},
		{SessionTimeout, `{"timeout":-1}`, 5, false, 0, false},
		{SessionTimeout, `{"timeout":"x"}`, 5, false, 0, false},
		{AcceptNewSessions, `{}`, 5, false, 0, false},
		{AcceptNewSessions, `{"accept":true}`, 6, true, 0, true},
	} {
		news := r.Heed(messages.Setting{Verb: x.verb, Fields: []byte(x.fields), Revision: x.revision})
		if news != x.news || r.SessionTimeout(time.Minute) != x.timeout || r.Accepting() != x.accepting {
			t.Errorf("%+v: news %v, time-out %v, accepting %v", x, news, r.SessionTimeout(time.Minute), r.Accepting())
		}
	}
}
