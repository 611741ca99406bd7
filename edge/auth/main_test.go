// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/embedded"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/scripts/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// expect fails unless got is want.
func expect[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// startNATS runs a server with JetStream that keeps its files in folder.
func startNATS(t testing.TB, folder string, port int) *embedded.Server {
	t.Helper()
	s := must[*embedded.Server](t)(embedded.Start(testContext(t), embedded.Options{JetStream: true, StoreDir: folder, Port: port}))
	t.Cleanup(s.Shutdown)
	return s
}

// member is an edge's part of the stored tokens, on a connection of its own.
type member struct {
	*Tokens
	bus    *bus.Bus
	roster *roster.Roster
	log    *lockedBuffer
	beater *roster.Beater
}

// lockedBuffer keeps a log.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// connect makes a member that does not know the tokens yet.
func connect(t testing.TB, nats string) *member {
	t.Helper()
	m := &member{log: new(lockedBuffer)}
	m.bus = must[*bus.Bus](t)(bus.Connect(testContext(t), bus.Options{URLs: strings.Split(nats, ",")}))
	t.Cleanup(m.bus.Close)
	quiet := slog.New(slog.DiscardHandler)
	m.roster = must[*roster.Roster](t)(roster.Start(testContext(t), roster.Options{Bus: m.bus, Log: quiet, Registry: prometheus.NewRegistry()}))
	t.Cleanup(m.roster.Stop)
	return m
}

// join makes a member that knows the tokens, keeps them up to date and beats as the edge of that name.
func join(t testing.TB, nats, name string) *member {
	t.Helper()
	m := connect(t, nats)
	log := slog.New(slog.NewTextHandler(m.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	m.Tokens = must[*Tokens](t)(Open(testContext(t), Options{Bus: m.bus, Roster: m.roster, Log: log}))
	m.run(t, name)
	return m
}

func (m *member) run(t testing.TB, name string) {
	ctx, stop := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { m.Run(ctx) })
	m.beat(name)
	tasks.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-m.Changed():
				m.beater.Now()
			}
		}
	})
	t.Cleanup(func() {
		stop()
		tasks.Wait()
		m.beater.Stop()
	})
}

// beat has the member beat as the edge of that name.
func (m *member) beat(name string) {
	self := messages.NewMember(name)
	m.beater = roster.NewBeater(m.bus, func() messages.Beat {
		seen := m.Revision()
		return messages.Beat{Role: messages.RoleEdge, Member: self, State: messages.StateReady, Edge: &messages.EdgeBeat{Tokens: &seen}}
	})
}

// serve has a media server with these plugins beat, and waits until the members know it.
func serve(t testing.TB, members []*member, plugins ...string) {
	t.Helper()
	versions := make(map[string]string)
	for _, p := range plugins {
		versions[p] = "1"
	}
	self := messages.NewMember("m1")
	beater := roster.NewBeater(members[0].bus, func() messages.Beat {
		return messages.Beat{
			Role: messages.RoleMedia, Member: self, State: messages.StateReady,
			Media: &messages.MediaBeat{Janus: messages.JanusUp, Plugins: versions},
		}
	})
	t.Cleanup(beater.Stop)
	for _, m := range members {
		lab.WaitFor(t, patience, func() string {
			if len(m.roster.View().Media()) == 0 {
				return "media server not heard"
			}
			return ""
		})
	}
}

// meet waits until the members have heard each other.
func meet(t testing.TB, members ...*member) {
	t.Helper()
	for _, m := range members {
		lab.WaitFor(t, patience, func() string {
			if len(m.roster.View().Edges()) < len(members) {
				return "edges not heard"
			}
			return ""
		})
	}
}
