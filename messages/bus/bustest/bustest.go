// SPDX-License-Identifier: Apache-2.0

// Package bustest holds what every bus has to do, whatever carries its messages: one suite
// (Run) that is run over each way two roles can be connected (Layouts), and the means to
// break the connection under them. Other packages' tests use its servers and gates to try
// their own code over the same layouts.
package bustest

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/embedded"
)

// Wait bounds everything that a test waits for, Connect included. It is long because a
// loaded machine is slow, and costs nothing where the awaited comes.
const Wait = 20 * time.Second

// Net is two roles and what connects them.
type Net struct {
	A, B *bus.Bus // the same one, where both live in one process
	// Direct tells that messages from A to B are handed over directly.
	Direct bool
	gates  []Gate
	regs   map[*bus.Bus]*prometheus.Registry
}

// Gate stands between a bus and its server.
type Gate interface {
	Cut()     // ends all connections and refuses new ones
	Restore() // lets new ones through
}

// Layout is one way to connect two roles.
type Layout struct {
	Name string
	open func(t testing.TB, n *Net, tune func(*bus.Options))
}

// Layouts are all ways to connect two roles.
func Layouts() []Layout {
	return []Layout{
		{"direct", func(t testing.TB, n *Net, tune func(*bus.Options)) {
			n.Direct = true
			n.A = n.bus(t, Start(t, embedded.Options{}), tune)
			n.B = n.A
		}},
		{"one bus, direct off", func(t testing.TB, n *Net, tune func(*bus.Options)) {
			n.A = n.bus(t, Start(t, embedded.Options{}), tune, directOff)
			n.B = n.A
		}},
		{"one bus, embedded server, direct off", func(t testing.TB, n *Net, tune func(*bus.Options)) {
			n.A = n.piped(t, Start(t, embedded.Options{Port: -1}), tune, directOff)
			n.B = n.A
		}},
		{"two buses, one server", func(t testing.TB, n *Net, tune func(*bus.Options)) {
			s := Start(t, embedded.Options{})
			n.A, n.B = n.bus(t, s, tune), n.bus(t, s, tune)
		}},
		{"two buses, two routed servers", func(t testing.TB, n *Net, tune func(*bus.Options)) {
			s := Cluster(t, 2)
			n.A, n.B = n.bus(t, s[0], tune), n.bus(t, s[1], tune)
		}},
	}
}

func directOff(o *bus.Options) { o.DirectOff = true }

// Open sets the layout up; tune may change the options of its buses, and may be nil.
// Everything is taken down when the test ends.
func (l Layout) Open(t testing.TB, tune func(*bus.Options)) *Net {
	t.Helper()
	n := &Net{regs: make(map[*bus.Bus]*prometheus.Registry)}
	if tune == nil {
		tune = func(*bus.Options) {}
	}
	l.open(t, n, tune)
	return n
}

// bus connects to a server over TCP, through a gate.
func (n *Net) bus(t testing.TB, s *embedded.Server, tune ...func(*bus.Options)) *bus.Bus {
	t.Helper()
	p := NewProxy(t, s.ClientURL())
	n.gates = append(n.gates, p)
	return n.connect(t, bus.Options{URLs: []string{p.URL()}}, tune)
}

// piped connects to a server in the process, through a gate.
func (n *Net) piped(t testing.TB, s *embedded.Server, tune ...func(*bus.Options)) *bus.Bus {
	t.Helper()
	p := NewPipes(s)
	n.gates = append(n.gates, p)
	return n.connect(t, bus.Options{InProcess: p}, tune)
}

func (n *Net) connect(t testing.TB, o bus.Options, tune []func(*bus.Options)) *bus.Bus {
	t.Helper()
	// A cluster would tell the client of servers that no gate stands before.
	o.NATS = append(o.NATS, nats.IgnoreDiscoveredServers())
	registry := prometheus.NewRegistry()
	o.Registry = registry
	for _, f := range tune {
		f(&o)
	}
	b := Connect(t, o)
	n.regs[b] = registry
	return b
}

// Cut takes all buses off their servers, and waits until they know.
func (n *Net) Cut(t testing.TB) {
	t.Helper()
	for _, g := range n.gates {
		g.Cut()
	}
	Until(t, "the buses are disconnected", func() bool { return !n.A.Connected() && !n.B.Connected() })
}

// Restore lets the buses connect again, and waits until they have.
func (n *Net) Restore(t testing.TB) {
	t.Helper()
	for _, g := range n.gates {
		g.Restore()
	}
	Until(t, "the buses are connected", func() bool { return n.A.Connected() && n.B.Connected() })
}

// Settle waits until what was published or subscribed before is known everywhere.
func (n *Net) Settle(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Wait)
	defer cancel()
	if err := n.A.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := n.B.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if n.A == n.B {
		return
	}
	// Interest travels between servers in its own time: ask until an answer comes.
	s := Own(t, n.B, "bustest.settle.b", 0, func(m *bus.Msg) { _ = n.B.Publish(m.Reply, "", nil) })
	defer s.Cancel()
	Until(t, "B is known to A", func() bool {
		_, err := n.A.Request(ctx, "bustest.settle.b.ask", nil)
		return err == nil
	})
	r := Own(t, n.A, "bustest.settle.a", 0, func(m *bus.Msg) { _ = n.A.Publish(m.Reply, "", nil) })
	defer r.Cancel()
	Until(t, "A is known to B", func() bool {
		_, err := n.B.Request(ctx, "bustest.settle.a.ask", nil)
		return err == nil
	})
}

// Metric reads one of a bus's metrics, without the prefix januscloud_bus_; reason selects
// among several of one name, if it is not empty.
func (n *Net) Metric(t testing.TB, b *bus.Bus, name, reason string) int {
	t.Helper()
	families, err := n.regs[b].Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "januscloud_bus_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			if labels := m.GetLabel(); reason == "" || len(labels) == 1 && labels[0].GetValue() == reason {
				return int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			}
		}
	}
	t.Fatalf("no metric %s %s", name, reason)
	return 0
}

// Connect makes a bus that is closed when the test ends.
func Connect(t testing.TB, o bus.Options) *bus.Bus {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Wait)
	defer cancel()
	b, err := bus.Connect(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// Own owns a prefix or ends the test.
func Own(t testing.TB, b *bus.Bus, prefix string, lane int, h bus.Handler) *bus.Subscription {
	t.Helper()
	s, err := b.Own(prefix, lane, h)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Until polls until what is named is so, and ends the test if that takes longer than Wait.
func Until(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(Wait); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so after %v: %s", Wait, what)
		}
	}
}

// Receive takes the next value, or ends the test if none comes within Wait.
func Receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(Wait):
		t.Fatalf("nothing came within %v: %s", Wait, what)
		panic("unreachable")
	}
}
