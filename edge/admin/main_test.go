// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/embedded"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testSecret = "the-secret"

// logbook keeps what is logged.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// options are those of an Admin API in a cluster that has nobody else.
func options(t testing.TB) (Options, *logbook) {
	t.Helper()
	book := &logbook{}
	log := slog.New(slog.NewTextHandler(book, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := embedded.Start(t.Context(), embedded.Options{Port: -1, JetStream: true, StoreDir: t.TempDir(), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	b, err := bus.Connect(t.Context(), bus.Options{InProcess: s, Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	// The bucket is made here, so that it is never in the making when the server ends.
	if _, err := settings.Put(t.Context(), b, messages.Setting{Verb: "made", Fields: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	r, err := roster.Start(t.Context(), roster.Options{Bus: b, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return Options{
		HTTP: "127.0.0.1:0", WS: "127.0.0.1:0", Secret: testSecret, Bus: b, Roster: r, Log: log,
		SessionTimeout: time.Minute, ReclaimTimeout: 30 * time.Second,
		Info: func(dst, transaction []byte) []byte {
			return append(append(append(dst, `{"janus":"server_info","transaction":`...), transaction...), '}')
		},
	}, book
}

func start(t testing.TB, change func(*Options)) (*Admin, *logbook) {
	t.Helper()
	o, book := options(t)
	if change != nil {
		change(&o)
	}
	a, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return a, book
}
