// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/januscloud/januscloud/messages/bus"
)

// Run runs the whole suite over one layout.
func Run(t *testing.T, l Layout) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, l Layout)
	}{
		{"messages of a prefix come in order", testOrder},
		{"an owner gets what is below its prefix, and no more", testBelow},
		{"listeners all get what matches", testListen},
		{"of those that share a pattern one gets each message", testShare},
		{"what waits in a lane when it is drained is handled", testDrain},
		{"a reply finds its asker", testReply},
		{"the asker hears that nobody listens", testNoResponders},
		{"a prefix has one owner in a process", testOwned},
		{"nothing comes after cancel", testCancel},
		{"what waits in a lane when its owner cancels is dropped", testCancelWaiting},
		{"data is the receiver's to keep", testData},
		{"too large is refused and harms nothing", testTooLarge},
		{"bad subjects are refused", testBadSubjects},
		{"requests", testRequest},
		{"many replies to one request", testRequestMany},
		{"headers", testHeader},
		{"what was published while disconnected is gone", testDisconnected},
		{"subscriptions survive a reconnect", testReconnect},
		{"what a slow consumer misses is counted", testSlow},
		{"a closed bus says so", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, l) })
	}
}

func testOrder(t *testing.T, l Layout) {
	const prefixes, each = 20, 500
	n := l.Open(t, nil)
	var got [prefixes]int // each written by its lane alone, read after done
	done := make(chan int, prefixes)
	for p := range prefixes {
		Own(t, n.B, fmt.Sprintf("janus.session.%d", p), p*7, func(m *bus.Msg) {
			if string(m.Data) != strconv.Itoa(got[p]) {
				t.Errorf("prefix %d: got %s, not %d", p, m.Data, got[p])
			}
			if got[p]++; got[p] == each {
				done <- p
			}
		})
	}
	n.Settle(t)
	for p := range prefixes {
		go func() {
			for i := range each {
				subject := fmt.Sprintf("janus.session.%d.%d", p, i%3)
				if err := n.A.Publish(subject, "", []byte(strconv.Itoa(i))); err != nil {
					t.Errorf("publish: %v", err)
				}
			}
		}()
	}
	for range prefixes {
		Receive(t, "all messages of a prefix", done)
	}
}

func testBelow(t *testing.T, l Layout) {
	n := l.Open(t, nil)
	got := make(chan string, 10)
	Own(t, n.B, "janus.session.17", 0, func(m *bus.Msg) { got <- m.Subject })
	n.Settle(t)
	in := []string{"janus.session.17.5", "janus.session.17.5.reply.7", "janus.session.17.5.event.7"}
	for _, subject := range append([]string{
		"janus.session", "janus.session.17", "janus.session.170.5", "janus.session.1.5", "janus.media.17.5", "x.janus.session.17.5",
	}, in...) {
		if err := n.A.Publish(subject, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range in {
		if subject := Receive(t, want, got); subject != want {
			t.Fatalf("got %s, not %s", subject, want)
		}
	}
}

func testListen(t *testing.T, l Layout) {
	n := l.Open(t, nil)
	got := make(chan string, 10)
	for i, b := range []*bus.Bus{n.A, n.B} {
		for _, pattern := range []string{"janus.heartbeat.>", "janus.*.session.*"} {
			if _, err := b.Listen(pattern, i, func(m *bus.Msg) { got <- m.Subject }); err != nil {
				t.Fatal(err)
			}
		}
	}
	n.Settle(t)
	const subject = "janus.heartbeat.session.n1"
	if err := n.A.Publish(subject, "", []byte("beat")); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if s := Receive(t, "the beat, four times", got); s != subject {
			t.Fatalf("got %s", s)
		}
	}
	if _, err := n.A.Listen("janus heartbeat", 0, nil); !errors.Is(err, bus.ErrBadSubject) {
		t.Fatalf("pattern with a blank: %v", err)
	}
}

func testShare(t *testing.T, l Layout) {
	const all = 200
	n := l.Open(t, nil)
	got := make(chan [2]string, 3*all)
	for i, b := range []*bus.Bus{n.A, n.B} {
		for _, group := range []string{"one", "other"} {
			if _, err := b.Share("janus.api", group, i, func(m *bus.Msg) { got <- [2]string{group, string(m.Data)} }); err != nil {
				t.Fatal(err)
			}
		}
	}
	n.Settle(t)
	for i := range all {
		if err := n.A.Publish("janus.api", "inbox", []byte(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[[2]string]bool{}
	for range 2 * all {
		m := Receive(t, "all messages for both groups", got)
		if seen[m] {
			t.Fatalf("%v came twice", m)
		}
		seen[m] = true
	}
}

func testDrain(t *testing.T, l Layout) {
	n := l.Open(t, nil)
	entered, release := make(chan struct{}, 1), make(chan struct{})
	var calls atomic.Int32
	s, err := n.B.Share("janus.api", "edge", 0, func(*bus.Msg) {
		if calls.Add(1) == 1 {
			entered <- struct{}{}
			<-release
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	n.Settle(t)
	for range 5 {
		if err := n.A.Publish("janus.api", "", nil); err != nil {
			t.Fatal(err)
		}
	}
	Receive(t, "the first message", entered)
	arrived(t, n)
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(t.Context()) }()
	close(release)
	if err := Receive(t, "the drain", drained); err != nil || calls.Load() != 5 {
		t.Fatalf("drained: %v, %d calls, not 5", err, calls.Load())
	}
	if err := n.A.Publish("janus.api", "", nil); err != nil {
		t.Fatal(err)
	}
	arrived(t, n)
	if calls.Load() != 5 {
		t.Fatal("a message came after the drain")
	}
	if s, err = n.B.Share("janus.api", "edge", 0, nil); err != nil {
		t.Fatal(err)
	}
	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Drain(hurried); !errors.Is(err, context.Canceled) {
		t.Fatalf("drained in no time: %v", err)
	}
}

func testReply(t *testing.T, l Layout) {
	n := l.Open(t, nil)
	const identity, delivery = "janus.edge.e1-1.5.77.1", "17.5.1-n1.9"
	got := make(chan *bus.Msg, 1)
	Own(t, n.A, "janus.edge.e1-1", 0, func(m *bus.Msg) { got <- m })
	Own(t, n.B, "janus.session.17", 1, func(m *bus.Msg) {
		_ = n.B.Publish(m.Reply, delivery, append([]byte("re: "), m.Data...))
	})
	n.Settle(t)
	if err := n.A.Publish("janus.session.17.77", identity, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	m := Receive(t, "the reply", got)
	if m.Subject != identity || m.Reply != delivery || string(m.Data) != "re: hello" || m.NoResponders || m.Header != nil {
		t.Fatalf("got %+v", m)
	}
}

func testNoResponders(t *testing.T, l Layout) {
	n := l.Open(t, nil)
	got := make(chan *bus.Msg, 1)
	// NATS gives the status to one subscription of the connection: it must not be lost to this one.
	if _, err := n.A.Listen("janus.edge.>", 0, func(*bus.Msg) {}); err != nil {
		t.Fatal(err)
	}
	Own(t, n.A, "janus.edge.e1-1", 0, func(m *bus.Msg) { got <- m })
	n.Settle(t)
	if err := n.A.Publish("janus.session.17.77", "janus.edge.e1-1.5.77.1", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	m := Receive(t, "the status", got)
	if !m.NoResponders || m.Subject != "janus.edge.e1-1.5.77.1" || len(m.Data) != 0 {
		t.Fatalf("got %+v", m)
	}
	if _, err := n.A.Request(t.Context(), "janus.session.17.77", nil); !errors.Is(err, bus.ErrNoResponders) {
		t.Fatalf("request: %v", err)
	}
}

func testOwned(t *testing.T, l Layout) {
	n := l.Open(t, nil)
	ignore := func(*bus.Msg) {}
	s := Own(t, n.B, "janus.session.17", 0, ignore)
	if _, err := n.B.Own("janus.session.17", 1, ignore); !errors.Is(err, bus.ErrOwned) {
		t.Fatalf("second owner: %v", err)
	}
	s.Cancel()
	second := Own(t, n.B, "janus.session.17", 1, ignore)
	s.Cancel() // must not touch the second
	if _, err := n.B.Own("janus.session.17", 1, ignore); !errors.Is(err, bus.ErrOwned) {
		t.Fatalf("after a second cancel of the first: %v", err)
	}
	second.Cancel()
	for _, prefix := range []string{"", "janus", "janus.session", "janus.session.17.5", "janus.session.*", "janus.session.>", "janus..17", "janus.session.1 7", "janus.session."} {
		if _, err := n.B.Own(prefix, 0, ignore); !errors.Is(err, bus.ErrBadSubject) {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
}

func testCancel(t *testing.T, l Layout) {
	n := l.Open(t, nil)
	var calls atomic.Int32
	got := make(chan struct{}, 1)
	s := Own(t, n.B, "janus.session.17", 0, func(*bus.Msg) { calls.Add(1); got <- struct{}{} })
	heard, err := n.B.Listen("janus.session.17.>", 0, func(*bus.Msg) { t.Error("the listener was called") })
	if err != nil {
		t.Fatal(err)
	}
	heard.Cancel()
	heard.Cancel()
	n.Settle(t)
	publish := func() {
		if err := n.A.Publish("janus.session.17.1", "", nil); err != nil {
			t.Fatal(err)
		}
	}
	publish()
	Receive(t, "the message before", got)
	s.Cancel()
	s.Cancel()
	publish()
	n.Settle(t)
	Own(t, n.B, "janus.session.17", 0, func(*bus.Msg) { got <- struct{}{} })
	n.Settle(t)
	publish()
	Receive(t, "the message after", got)
	if calls.Load() != 1 {
		t.Fatalf("%d calls of the cancelled handler", calls.Load())
	}
}

func testCancelWaiting(t *testing.T, l Layout) {
	n := l.Open(t, nil)
	if n.Direct {
		return // nothing waits
	}
	entered, release := make(chan struct{}, 1), make(chan struct{})
	var calls atomic.Int32
	s := Own(t, n.B, "janus.session.17", 0, func(*bus.Msg) {
		calls.Add(1)
		entered <- struct{}{}
		<-release
	})
	n.Settle(t)
	before := n.Metric(t, n.B, "dropped_total", "cancelled") // leftovers of Settle, if any
	for range 5 {
		if err := n.A.Publish("janus.session.17.1", "", nil); err != nil {
			t.Fatal(err)
		}
	}
	Receive(t, "the first message", entered)
	lane := n.Metric(t, n.B, "received_total", "")
	arrived(t, n)
	s.Cancel()
	close(release)
	Until(t, "four waiting messages are dropped", func() bool {
		return n.Metric(t, n.B, "dropped_total", "cancelled") == before+4
	})
	if calls.Load() != 1 {
		t.Fatalf("%d calls (%d received before)", calls.Load(), lane)
	}
}

// arrived waits until everything that A published is in B's lanes: a message on the same
// way, for another lane, has come.
func arrived(t *testing.T, n *Net) {
	t.Helper()
	got := make(chan struct{}, 1)
	s := Own(t, n.B, "bustest.arrived.b", 1, func(*bus.Msg) {
		select {
		case got <- struct{}{}:
		default:
		}
	})
	defer s.Cancel()
	Until(t, "a later message has come", func() bool {
		_ = n.A.Publish("bustest.arrived.b.x", "", nil)
		return len(got) > 0
	})
}

func testData(t *testing.T, l Layout) {
	const messages, size = 300, 3000
	n := l.Open(t, nil)
	kept := make(chan *bus.Msg, messages)
	Own(t, n.B, "janus.session.17", 0, func(m *bus.Msg) { kept <- m })
	n.Settle(t)
	for i := range messages {
		if err := n.A.Publish("janus.session.17."+strconv.Itoa(i), "", bytes.Repeat([]byte{byte(i)}, size)); err != nil {
			t.Fatal(err)
		}
	}
	all := make([]*bus.Msg, 0, messages)
	for range messages {
		all = append(all, Receive(t, "a message", kept))
	}
	for i, m := range all {
		if m.Subject != "janus.session.17."+strconv.Itoa(i) || !bytes.Equal(m.Data, bytes.Repeat([]byte{byte(i)}, size)) {
			t.Fatalf("message %d changed after it was received: %s", i, m.Subject)
		}
	}
}

func testTooLarge(t *testing.T, l Layout) {
	n := l.Open(t, nil)
	const limit = 1 << 20
	got := make(chan int, 1)
	Own(t, n.B, "janus.session.17", 0, func(m *bus.Msg) { got <- len(m.Data) + len(m.Subject) + len(m.Reply) })
	n.Settle(t)
	const subject = "janus.session.17."
	long := strings.Repeat("x", bus.MaxSubject-len(subject)-5)
	for _, m := range []struct {
		subject, reply string
		size           int
	}{{subject + "5", "", limit + 1}, {subject + long, "reply6", 0}, {"nobody." + long, strings.Repeat("r", 100), 0}} {
		if err := n.A.Publish(m.subject, m.reply, make([]byte, m.size)); !errors.Is(err, bus.ErrTooLarge) {
			t.Fatalf("subject of %d, reply of %d, %d bytes: %v", len(m.subject), len(m.reply), m.size, err)
		}
	}
	if got := n.Metric(t, n.A, "refused_total", "too_large"); got != 3 {
		t.Fatalf("%d refusals counted", got)
	}
	if err := n.A.Publish(subject+long, "reply", make([]byte, limit)); err != nil {
		t.Fatalf("the largest: %v", err)
	}
	if size := Receive(t, "the largest message", got); size != limit+bus.MaxSubject {
		t.Fatalf("got %d bytes", size)
	}
}

func testBadSubjects(t *testing.T, l Layout) {
	n := l.Open(t, nil)
	Own(t, n.B, "janus.session.17", 0, func(m *bus.Msg) { t.Errorf("got %q", m.Subject) })
	n.Settle(t)
	for _, subject := range []string{
		"", ".", "janus..17", "janus.session.17.", ".janus.session.17.5", "janus.session.17..5", "janus.session.17.a b",
		"janus.session.17.a\tb", "janus.session.17.a\r\nPUB x 0\r\n", "janus.session.17.*", "janus.session.17.>", "janus.session.17.\x00", "janus.session.17.\x7f",
	} {
		if err := n.A.Publish(subject, "", nil); !errors.Is(err, bus.ErrBadSubject) {
			t.Errorf("subject %q: %v", subject, err)
		}
	}
	for _, reply := range []string{" ", "a b", "a\r\nb", "\n"} {
		if err := n.A.Publish("janus.session.17.5", reply, nil); !errors.Is(err, bus.ErrBadSubject) {
			t.Errorf("reply %q: %v", reply, err)
		}
	}
}

func testHeader(t *testing.T, l Layout) {
	n := l.Open(t, nil)
	got := make(chan *bus.Msg, 2)
	Own(t, n.B, "janus.session.17", 0, func(m *bus.Msg) { got <- m })
	n.Settle(t)
	if err := n.A.PublishHeader("janus.session.17.1", "r", nats.Header{"Nats-Expected": {"5"}}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := n.A.PublishHeader("janus.session.17.1", "r", nil, nil); err != nil {
		t.Fatal(err)
	}
	m := Receive(t, "the message", got)
	if m.Header.Get("Nats-Expected") != "5" || m.Reply != "r" || string(m.Data) != "x" || m.NoResponders {
		t.Fatalf("got %+v", m)
	}
	if m := Receive(t, "the message without one", got); m.Header != nil || m.NoResponders || len(m.Data) != 0 {
		t.Fatalf("got %+v", m)
	}
}
