// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/januscloud/januscloud/mediactl/janustest"
	"github.com/januscloud/januscloud/scripts/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const short = 40 * time.Millisecond

func open(t *testing.T, o Options) (*Load, error) {
	t.Helper()
	l, err := Open(t.Context(), o)
	if err == nil {
		t.Cleanup(func() { _ = l.Close(context.Background()) })
	}
	return l, err
}

// TestModes drives the scripted Janus and a real one: every mode gets right answers only, and leaves no session behind.
func TestModes(t *testing.T) {
	fake := janustest.Start(t, janustest.Options{})
	for name, url := range map[string]string{"scripted": fake.URL(), "real": lab.Janus(t).WSURL()} {
		for _, mode := range Modes() {
			for _, clients := range []int{1, 5} {
				t.Run(fmt.Sprint(name, "/", mode, "/", clients), func(t *testing.T) {
					run(t, Options{URL: url, Mode: mode, Clients: clients, Workers: min(clients, 2), Size: 300})
				})
			}
		}
	}
	if left := fake.Sessions(); len(left) > 0 {
		t.Errorf("%d sessions were left", len(left))
	}
}

func run(t *testing.T, o Options) {
	t.Helper()
	l, err := open(t, o)
	if err != nil {
		t.Fatal(err)
	}
	begun, ended := 0, 0
	for range 2 {
		r, err := l.Run(t.Context(), Window{Warm: short / 4, Measure: short, Begin: func() { begun++ }, End: func() { ended++ }})
		if err != nil {
			t.Fatal(err)
		}
		if r.Rounds() < 2 || r.Elapsed < short || r.Latency.Max() > int64(2*short+r.Elapsed) {
			t.Errorf("%d rounds in %v, the longest took %v", r.Rounds(), r.Elapsed, time.Duration(r.Latency.Max()))
		}
	}
	if begun != 2 || ended != 2 {
		t.Errorf("windows began %d times and ended %d times", begun, ended)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// echoing answers messages to the echo test with some texts, after a few that are answered as they should be.
func echoing(answers func(r janustest.Request) []string) janustest.Script {
	seen := 0
	return func(c *janustest.Conn, r janustest.Request) bool {
		if r.Janus != "message" {
			return false
		}
		if seen++; seen < 10 {
			return false
		}
		for _, text := range answers(r) {
			c.Send(text)
		}
		return true
	}
}

// TestWrongAnswers: whatever is not exactly the answer ends the run.
func TestWrongAnswers(t *testing.T) {
	replace := func(old, by string) janustest.Script {
		return echoing(func(r janustest.Request) []string { return []string{r.Ack(), strings.Replace(r.Echo(), old, by, 1)} })
	}
	for name, script := range map[string]janustest.Script{
		"another transaction":    replace(`"transaction":"`, `"transaction":"x`),
		"another session":        replace(`"session_id":`, `"session_id":1`),
		"no session":             replace(`"session_id":`, `"other":`),
		"another handle":         replace(`"sender":`, `"sender":1`),
		"another plugin":         replace(janustest.Plugin, "janus.plugin.other"),
		"an error of the plugin": replace(`"result":"ok"`, `"error_code":412`),
		"no event":               replace(`"janus":"event"`, `"janus":"media"`),
		"garbage":                echoing(func(janustest.Request) []string { return []string{`{"janus":`} }),
		"an error":               echoing(func(r janustest.Request) []string { return []string{r.Error(459, "No such handle")} }),
		"twice the ack":          echoing(func(r janustest.Request) []string { return []string{r.Ack(), r.Ack(), r.Echo()} }),
		"twice the event":        echoing(func(r janustest.Request) []string { return []string{r.Echo(), r.Ack(), r.Echo()} }),
	} {
		t.Run(name, func(t *testing.T) {
			fake := janustest.Start(t, janustest.Options{})
			fake.Script(script)
			l, err := open(t, Options{URL: fake.URL(), Mode: Message, Clients: 2})
			if err == nil {
				_, err = l.Run(t.Context(), Window{Measure: 5 * time.Second})
			}
			if !errors.Is(err, errWrong) {
				t.Errorf("%v, want %v", err, errWrong)
			}
		})
	}
}

// TestNoAnswer: a server that falls silent, or leaves, ends the run, and so does the caller.
func TestNoAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(fake *janustest.Server, cancel func())
		want []error // one of them
	}{
		"silence":   {func(fake *janustest.Server, _ func()) { fake.Hang(true) }, []error{errPatience}},
		"hang-up":   {func(fake *janustest.Server, _ func()) { fake.Cut() }, []error{io.ErrUnexpectedEOF, unix.ECONNRESET, unix.EPIPE}},
		"cancelled": {func(_ *janustest.Server, cancel func()) { cancel() }, []error{context.Canceled}},
	} {
		t.Run(name, func(t *testing.T) {
			fake := janustest.Start(t, janustest.Options{})
			l, err := open(t, Options{URL: fake.URL(), Mode: Keepalive, Clients: 2})
			if err != nil {
				t.Fatal(err)
			}
			l.crowd.patience = 200 * time.Millisecond
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err = l.Run(ctx, Window{Measure: 20 * time.Second, Begin: func() { c.harm(fake, cancel) }})
			if !slices.ContainsFunc(c.want, func(want error) bool { return errors.Is(err, want) }) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// TestMaxSessions: sessions do not pile up, however long the window.
func TestMaxSessions(t *testing.T) {
	fake := janustest.Start(t, janustest.Options{})
	l, err := open(t, Options{URL: fake.URL(), Mode: CreateAttach, Clients: 3, MaxSessions: 30})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Run(t.Context(), Window{Measure: time.Minute})
	if err != nil || r.Rounds() > 30 || r.Rounds() < 8 || len(fake.Sessions()) > 0 {
		t.Errorf("%d rounds in %v, %d sessions left, %v", r.Rounds(), r.Elapsed, len(fake.Sessions()), err)
	}
}

func TestIdle(t *testing.T) {
	fake := janustest.Start(t, janustest.Options{})
	idle, err := OpenIdle(t.Context(), fake.URL(), 9)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(idle.Sessions(t.Context()), idle.Handles(t.Context())); err != nil {
		t.Fatal(err)
	}
	sessions := fake.Sessions()
	if len(sessions) != 9 || len(fake.Handles(sessions[0])) != 1 {
		t.Errorf("%d sessions, %d handles in the first", len(sessions), len(fake.Handles(sessions[0])))
	}
	if err := idle.Close(t.Context()); err != nil || len(fake.Sessions()) > 0 {
		t.Errorf("%d sessions left, %v", len(fake.Sessions()), err)
	}
	if _, err := OpenIdle(t.Context(), "ws://127.0.0.1:1", 9); err == nil {
		t.Error("connected to nobody")
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, o := range []Options{{Mode: Ping}, {Mode: "dance", Clients: 1}} {
		if _, err := Open(t.Context(), o); err == nil {
			t.Errorf("%+v opened", o)
		}
	}
}

// TestMerge: what workers counted apart is counted together.
func TestMerge(t *testing.T) {
	a, b := NewHistogram(), NewHistogram()
	for i := range int64(100) {
		h := a
		if i%2 == 0 {
			h = b
		}
		if err := h.RecordValue((i + 1) * int64(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	a.Merge(b)
	near := func(got int64, want time.Duration) bool {
		return time.Duration(got) > want-want/100 && time.Duration(got) < want+want/100
	}
	if p50, p99 := a.ValueAtPercentile(50), a.ValueAtPercentile(99); a.TotalCount() != 100 ||
		!near(p50, 50*time.Millisecond) || !near(p99, 99*time.Millisecond) {
		t.Errorf("%d values, p50 %v, p99 %v", a.TotalCount(), time.Duration(p50), time.Duration(p99))
	}
}
