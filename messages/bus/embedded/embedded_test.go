// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/messages/bus/bustest"
	"github.com/januscloud/januscloud/messages/bus/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o embedded.Options) *embedded.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := embedded.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

// bucket connects and opens the bucket of this test.
func bucket(t *testing.T, s *embedded.Server) (jetstream.KeyValue, *nats.Conn) {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.CreateOrUpdateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "b"})
	if err != nil {
		t.Fatal(err)
	}
	return kv, nc
}

func TestStoreDirSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		s := start(t, embedded.Options{Port: -1, JetStream: true, StoreDir: dir})
		kv, nc := bucket(t, s)
		if round == 0 {
			if _, err := kv.PutString(t.Context(), "k", "v"); err != nil {
				t.Fatal(err)
			}
		} else if e, err := kv.Get(t.Context(), "k"); err != nil || string(e.Value()) != "v" {
			t.Fatalf("after the restart: %v", err)
		}
		nc.Close()
		s.Shutdown()
		s.Shutdown()
	}
}

func TestTemporaryStoreIsRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := start(t, embedded.Options{Port: -1, JetStream: true})
	_, nc := bucket(t, s)
	nc.Close()
	found := func() []string {
		paths, err := filepath.Glob(filepath.Join(os.TempDir(), "*"))
		if err != nil {
			t.Fatal(err)
		}
		return paths
	}
	if len(found()) != 1 {
		t.Fatalf("while running: %v", found())
	}
	s.Shutdown()
	if len(found()) != 0 {
		t.Fatalf("left behind: %v", found())
	}
}

func TestPorts(t *testing.T) {
	if u := start(t, embedded.Options{Port: -1}).ClientURL(); u != "" {
		t.Fatalf("a server without a port is at %s", u)
	}
	first := start(t, embedded.Options{})
	u, err := url.Parse(first.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil || u.Hostname() != "127.0.0.1" {
		t.Fatalf("at %s", u)
	}
	if first.RouteURL() != "" {
		t.Fatalf("a server of its own has routes at %s", first.RouteURL())
	}
	_, err = embedded.Start(t.Context(), embedded.Options{Port: port})
	if !errors.Is(err, embedded.ErrNotReady) || !strings.Contains(err.Error(), "address already in use") {
		t.Fatalf("two servers on one port: %v", err)
	}
	first.Shutdown()
	if s := start(t, embedded.Options{Port: port}); s.ClientURL() != u.String() {
		t.Fatalf("at %s, not %s", s.ClientURL(), u)
	}
}

func TestClusterKeepsReplicas(t *testing.T) {
	servers := bustest.Cluster(t, 3, func(o *embedded.Options) { o.JetStream = true })
	nc, err := nats.Connect(servers[2].ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	// The first leader is elected some seconds after the routes stand; what is asked before
	// is not answered.
	for err = errors.New("not tried"); err != nil && ctx.Err() == nil; {
		try, cancel := context.WithTimeout(ctx, time.Second)
		_, err = js.CreateOrUpdateKeyValue(try, jetstream.KeyValueConfig{Bucket: "b", Replicas: 3, Storage: jetstream.MemoryStorage})
		cancel()
	}
	if err != nil {
		t.Fatal(err)
	}
}
