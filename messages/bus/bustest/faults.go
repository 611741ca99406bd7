// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/januscloud/januscloud/messages/bus"
)

func testRequest(t *testing.T, l Layout) {
	n := l.Open(t, nil)
	Own(t, n.B, "janus.node.n1", 0, func(m *bus.Msg) {
		if string(m.Data) != "silence" {
			_ = n.B.Publish(m.Reply, "", append([]byte("re: "), m.Data...))
		}
	})
	n.Settle(t)
	m, err := n.A.Request(t.Context(), "janus.node.n1.ask", []byte("hello"))
	if err != nil || string(m.Data) != "re: hello" {
		t.Fatalf("got %+v, %v", m, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := n.A.Request(ctx, "janus.node.n1.ask", []byte("silence")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("no answer: %v", err)
	}
	if _, err := n.A.Request(t.Context(), "janus.node.n1.", nil); !errors.Is(err, bus.ErrBadSubject) {
		t.Fatalf("bad subject: %v", err)
	}
}

func testRequestMany(t *testing.T, l Layout) {
	const limit = 100
	n := l.Open(t, func(o *bus.Options) { o.LaneSize = limit })
	Own(t, n.B, "janus.node.n1", 0, func(m *bus.Msg) {
		count, _ := strconv.Atoi(string(m.Data))
		for i := range count {
			_ = n.B.Publish(m.Reply, "", []byte(strconv.Itoa(i)))
		}
	})
	n.Settle(t)
	next := 0
	err := n.A.RequestMany(t.Context(), "janus.node.n1.ask", []byte("50"), func(m *bus.Msg) bool {
		if string(m.Data) != strconv.Itoa(next) {
			t.Errorf("reply %d: %s", next, m.Data)
		}
		next++
		return next < 40
	})
	if err != nil || next != 40 {
		t.Fatalf("%d replies, %v", next, err)
	}
	if !n.Direct {
		return // how many replies wait at once is up to NATS, and the lane may drop them first
	}
	err = n.A.RequestMany(t.Context(), "janus.node.n1.ask", []byte(strconv.Itoa(3*limit)), func(*bus.Msg) bool { return true })
	if !errors.Is(err, bus.ErrOverflow) {
		t.Fatalf("too many replies: %v", err)
	}
}

func testDisconnected(t *testing.T, l Layout) {
	n := l.Open(t, nil)
	var mu sync.Mutex
	var got []string
	Own(t, n.B, "janus.session.17", 0, func(m *bus.Msg) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(m.Data))
	})
	n.Settle(t)
	n.Cut(t)
	for range 100 {
		start := time.Now()
		err := n.A.Publish("janus.session.17.1", "", []byte("stale"))
		if n.Direct && err != nil || !n.Direct && !errors.Is(err, bus.ErrDisconnected) {
			t.Fatalf("publish: %v", err)
		}
		if took := time.Since(start); took > time.Second/2 {
			t.Fatalf("publish took %v", took)
		}
	}
	if _, err := n.A.Request(t.Context(), "janus.elsewhere.1.ask", nil); !errors.Is(err, bus.ErrDisconnected) {
		t.Fatalf("request: %v", err)
	}
	if err := n.A.Flush(t.Context()); !errors.Is(err, bus.ErrDisconnected) {
		t.Fatalf("flush: %v", err)
	}
	n.Restore(t)
	n.Settle(t)
	if err := n.A.Publish("janus.session.17.1", "", []byte("fresh")); err != nil {
		t.Fatal(err)
	}
	Until(t, "the fresh message has come", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Contains(got, "fresh")
	})
	mu.Lock()
	defer mu.Unlock()
	if stale := len(got) - 1; n.Direct && stale != 100 || !n.Direct && stale != 0 {
		t.Fatalf("%d stale messages came", stale)
	}
}

func testReconnect(t *testing.T, l Layout) {
	const prefixes = 300
	n := l.Open(t, nil)
	got := make(chan string, prefixes+1)
	for p := range prefixes {
		Own(t, n.B, "janus.session."+strconv.Itoa(p), p, func(m *bus.Msg) { got <- m.Subject })
	}
	if _, err := n.B.Listen("janus.heartbeat.>", 0, func(m *bus.Msg) { got <- m.Subject }); err != nil {
		t.Fatal(err)
	}
	edges := make(chan bool, 10)
	n.B.OnState(func(up bool) { edges <- up })
	for range 3 {
		n.Cut(t)
		n.Restore(t)
	}
	n.Settle(t)
	for i, want := range []bool{true, false, true, false, true, false, true} {
		if up := Receive(t, "a change of state", edges); up != want {
			t.Fatalf("change %d: %v", i, up)
		}
	}
	want := []string{"janus.heartbeat.edge.e1"}
	for p := range prefixes {
		want = append(want, "janus.session."+strconv.Itoa(p)+".5")
	}
	for _, subject := range want {
		if err := n.A.Publish(subject, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	subjects := make([]string, 0, len(want))
	for range want {
		subjects = append(subjects, Receive(t, "a message", got))
	}
	slices.Sort(want)
	if slices.Sort(subjects); !slices.Equal(subjects, want) {
		t.Fatalf("got %v", subjects)
	}
	if re, lost := n.Metric(t, n.B, "reconnects_total", ""), n.Metric(t, n.B, "disconnects_total", ""); re != 3 || lost != 3 {
		t.Fatalf("counted %d reconnects, %d losses", re, lost)
	}
}

func testSlow(t *testing.T, l Layout) {
	const size, messages = 64, 1000
	n := l.Open(t, func(o *bus.Options) { o.LaneSize = size })
	release, entered := make(chan struct{}), make(chan struct{}, messages)
	calls := 0 // of one lane, read after release and settling
	s := Own(t, n.B, "janus.session.17", 0, func(*bus.Msg) {
		calls++
		entered <- struct{}{}
		if !n.Direct {
			<-release
		}
	})
	n.Settle(t)
	for range messages {
		if err := n.A.Publish("janus.session.17.1", "", nil); err != nil {
			t.Fatalf("publish: %v", err)
		}
	}
	if n.Direct {
		if calls != messages {
			t.Fatalf("%d calls", calls)
		}
		return
	}
	Receive(t, "the first message", entered)
	Until(t, "the drops are counted", func() bool {
		return n.Metric(t, n.B, "dropped_total", "lane_full") == messages-1-size
	})
	close(release)
	for range size {
		Receive(t, "a message that had room", entered)
	}
	s.Cancel()
	if dropped := n.Metric(t, n.B, "dropped_total", "lane_full"); dropped != messages-1-size {
		t.Fatalf("after cancel %d are counted", dropped)
	}
}

func testClosed(t *testing.T, l Layout) {
	n := l.Open(t, nil)
	s := Own(t, n.B, "janus.session.17", 0, func(*bus.Msg) { t.Error("called") })
	n.Settle(t)
	n.B.Close()
	n.B.Close()
	s.Cancel()
	if err := n.B.Publish("janus.session.17.1", "", nil); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("publish: %v", err)
	}
	if _, err := n.B.Own("janus.session.18", 0, nil); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("own: %v", err)
	}
	if _, err := n.B.Listen("janus.session.>", 0, nil); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("listen: %v", err)
	}
	if err := n.B.Flush(t.Context()); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("flush: %v", err)
	}
	if n.B.Connected() {
		t.Error("still connected")
	}
}
