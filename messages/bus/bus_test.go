// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/bustest"
	"github.com/januscloud/januscloud/messages/bus/embedded"
)

func TestConnectNeedsAServer(t *testing.T) {
	if _, err := bus.Connect(t.Context(), bus.Options{}); !errors.Is(err, bus.ErrNoServers) {
		t.Fatal(err)
	}
	bad := errors.New("bad option")
	_, err := bus.Connect(t.Context(), bus.Options{
		URLs: []string{"nats://127.0.0.1:1"},
		NATS: []nats.Option{func(*nats.Options) error { return bad }},
	})
	if !errors.Is(err, bad) {
		t.Fatal(err)
	}
}

// silent accepts connections and says nothing, as a frozen server does.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return "nats://" + l.Addr().String()
}

func TestConnectGivesUpWithItsContext(t *testing.T) {
	for name, url := range map[string]string{"refused": "nats://127.0.0.1:1", "frozen": silent(t)} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err := bus.Connect(ctx, bus.Options{URLs: []string{url}})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Fatalf("took %v", took)
			}
		})
	}
}

func TestConnectWaitsForTheServer(t *testing.T) {
	s := bustest.Start(t, embedded.Options{})
	p := bustest.NewProxy(t, s.ClientURL())
	p.Cut()
	connected := make(chan error, 1)
	go func() {
		b, err := bus.Connect(t.Context(), bus.Options{URLs: []string{p.URL()}})
		if err == nil {
			b.Close()
		}
		connected <- err
	}()
	select {
	case err := <-connected:
		t.Fatalf("connected through a cut: %v", err)
	case <-time.After(100 * time.Millisecond): // it has tried at least once
	}
	p.Restore()
	if err := bustest.Receive(t, "a connection", connected); err != nil {
		t.Fatal(err)
	}
}

func TestConnectFirstOfSeveral(t *testing.T) {
	s := bustest.Start(t, embedded.Options{})
	b := bustest.Connect(t, bus.Options{URLs: []string{silent(t), "nats://127.0.0.1:1", s.ClientURL()}})
	if !b.Connected() {
		t.Fatal("not connected")
	}
}

// A server that stops in the middle of heavy traffic holds nobody up: every publish comes
// back at once, with or without an error; and it is found out.
func TestFrozenServerBlocksNobody(t *testing.T) {
	s := bustest.Start(t, embedded.Options{})
	p := bustest.NewProxy(t, s.ClientURL())
	b := bustest.Connect(t, bus.Options{URLs: []string{p.URL()}})
	p.Freeze()
	frozen := time.Now()
	var longest time.Duration
	var mu sync.Mutex
	var publishers sync.WaitGroup
	for range 4 {
		publishers.Go(func() {
			data := make([]byte, 4<<10)
			pace := time.NewTicker(time.Millisecond) // once there is no connection
			defer pace.Stop()
			for time.Since(frozen) < 4*time.Second { // detection, and reconnecting to a frozen server
				start := time.Now()
				_ = b.Publish("janus.session.17.5", "", data)
				took := time.Since(start)
				mu.Lock()
				longest = max(longest, took)
				mu.Unlock()
				if !b.Connected() {
					<-pace.C
				}
			}
		})
	}
	bustest.Until(t, "the loss is noticed", func() bool { return !b.Connected() })
	t.Logf("noticed after %v", time.Since(frozen))
	publishers.Wait()
	t.Logf("the longest publish took %v", longest)
	if longest > time.Second/2 {
		t.Errorf("a publish took %v", longest)
	}
	p.Restore()
	bustest.Until(t, "there is a connection again", b.Connected)
}

// A quiet connection to a server that froze is given up after a bit more than a second.
func TestFrozenServerIsNoticed(t *testing.T) {
	s := bustest.Start(t, embedded.Options{})
	p := bustest.NewProxy(t, s.ClientURL())
	b := bustest.Connect(t, bus.Options{URLs: []string{p.URL()}})
	p.Freeze()
	start := time.Now()
	bustest.Until(t, "the loss is noticed", func() bool { return !b.Connected() })
	if took := time.Since(start); took < 900*time.Millisecond {
		t.Errorf("given up after %v already", took)
	}
	p.Restore()
	bustest.Until(t, "there is a connection again", b.Connected)
}

// One of three servers dies: its client finds another by itself.
func TestServerOfAClusterDies(t *testing.T) {
	servers := bustest.Cluster(t, 3)
	a := bustest.Connect(t, bus.Options{URLs: []string{servers[0].ClientURL()}})
	b := bustest.Connect(t, bus.Options{URLs: []string{servers[1].ClientURL()}})
	got := make(chan struct{}, 1)
	bustest.Own(t, b, "janus.session.17", 0, func(*bus.Msg) {
		select {
		case got <- struct{}{}:
		default:
		}
	})
	reach := func() bool {
		_ = a.Publish("janus.session.17.5", "", nil)
		return len(got) > 0
	}
	bustest.Until(t, "b is reached", reach)
	<-got
	edges := make(chan bool, 10)
	b.OnState(func(up bool) { edges <- up })
	servers[1].Shutdown()
	for _, want := range []bool{true, false, true} {
		if up := bustest.Receive(t, "a change of state", edges); up != want {
			t.Fatalf("state %v, not %v", up, want)
		}
	}
	bustest.Until(t, "b is reached again", reach)
}

// A server that refuses us for a while, as one does that is being set up anew, is tried again.
func TestRefusedForAWhile(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	refusals := make(chan struct{}, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "INFO {\"server_id\":\"x\",\"version\":\"2.15.2\",\"headers\":true,\"max_payload\":1048576,\"proto\":1}\r\n")
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "-ERR 'Authorization Violation'\r\n")
			_ = c.Close()
			refusals <- struct{}{}
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := bus.Connect(ctx, bus.Options{URLs: []string{"nats://" + l.Addr().String()}})
		result <- err
	}()
	for range 5 {
		bustest.Receive(t, "another attempt", refusals)
	}
	cancel()
	err = bustest.Receive(t, "the end", result)
	if !errors.Is(err, context.Canceled) || !strings.Contains(strings.ToLower(err.Error()), "authorization") {
		t.Fatalf("the reason is not told: %v", err)
	}
}

// Key-value writes of JetStream through the bus: conditional on a revision, answered on an
// owned prefix, and read back many at once.
func TestJetStream(t *testing.T) {
	s := bustest.Start(t, embedded.Options{Port: -1, JetStream: true})
	b := bustest.Connect(t, bus.Options{InProcess: s})
	js, err := jetstream.New(b.Conn())
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "sessions", Storage: jetstream.MemoryStorage})
	if err != nil {
		t.Fatal(err)
	}
	acks := make(chan *bus.Msg, 10)
	bustest.Own(t, b, "janus.session.17", 0, func(m *bus.Msg) { acks <- m })
	put := func(key, revision string) *bus.Msg {
		header := nats.Header{"Nats-Expected-Last-Subject-Sequence": {revision}}
		if err := b.PublishHeader("$KV.sessions."+key, "janus.session.17.5.stored.1", header, []byte("record "+key)); err != nil {
			t.Fatal(err)
		}
		return bustest.Receive(t, "the acknowledgement", acks)
	}
	if m := put("17.5", "0"); !strings.Contains(string(m.Data), `"seq":1`) {
		t.Fatalf("first write: %s", m.Data)
	}
	if m := put("17.5", "0"); !strings.Contains(string(m.Data), "wrong last sequence") {
		t.Fatalf("write to a stale revision: %s", m.Data)
	}
	put("17.6", "0")
	if e, err := kv.Get(t.Context(), "17.5"); err != nil || string(e.Value()) != "record 17.5" {
		t.Fatalf("read back: %v %v", e, err)
	}
	var records []string
	err = b.RequestMany(t.Context(), "$JS.API.DIRECT.GET.KV_sessions", []byte(`{"multi_last":["$KV.sessions.17.>"]}`), func(m *bus.Msg) bool {
		if m.Header.Get("Status") == "204" {
			return false
		}
		records = append(records, string(m.Data))
		return true
	})
	if err != nil || strings.Join(records, ",") != "record 17.5,record 17.6" {
		t.Fatalf("batched get: %v %v", records, err)
	}
}

// Owners come and go while others publish to them, in all ways at once.
func TestOwnAndCancelUnderTraffic(t *testing.T) {
	s := bustest.Start(t, embedded.Options{})
	a := bustest.Connect(t, bus.Options{URLs: []string{s.ClientURL()}})
	b := bustest.Connect(t, bus.Options{URLs: []string{s.ClientURL()}})
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for _, publisher := range []*bus.Bus{a, b} {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = publisher.Publish("janus.session.17.5", "", nil)
					runtime.Gosched()
				}
			}
		})
	}
	calls := make(chan struct{}, 1)
	for range 30 {
		sub := bustest.Own(t, b, "janus.session.17", 3, func(*bus.Msg) {
			select {
			case calls <- struct{}{}:
			default:
			}
		})
		bustest.Receive(t, "a message", calls)
		sub.Cancel()
		select { // of a call that had begun
		case <-calls:
		default:
		}
	}
	close(stop)
	busy.Wait()
}

// Whoever hears of a change of state may use the bus right there: an edge repeats what is
// unanswered as soon as it can.
func TestWatcherUsesTheBus(t *testing.T) {
	p := bustest.NewProxy(t, bustest.Start(t, embedded.Options{}).ClientURL())
	b := bustest.Connect(t, bus.Options{URLs: []string{p.URL()}, DirectOff: true})
	got := make(chan string, 10)
	bustest.Own(t, b, "janus.session.17", 0, func(m *bus.Msg) { got <- string(m.Data) })
	results := make(chan error, 10)
	b.OnState(func(up bool) {
		results <- b.Publish("janus.session.17.5", "", []byte("repeated"))
		s, err := b.Own("janus.room.17", 0, func(*bus.Msg) {})
		if err != nil {
			t.Errorf("own while up is %v: %v", up, err)
			return
		}
		s.Cancel()
	})
	if err := bustest.Receive(t, "the first result", results); err != nil {
		t.Fatal(err)
	}
	bustest.Receive(t, "what was published at first", got)
	p.Cut()
	if err := bustest.Receive(t, "the result while disconnected", results); !errors.Is(err, bus.ErrDisconnected) {
		t.Fatal(err)
	}
	p.Restore()
	if err := bustest.Receive(t, "the result after the reconnect", results); err != nil {
		t.Fatal(err)
	}
	bustest.Receive(t, "what was repeated", got)
}
