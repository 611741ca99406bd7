// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"fmt"
	"testing"

	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/bustest"
	"github.com/januscloud/januscloud/messages/bus/embedded"
)

const (
	benchSubject  = "janus.session.17.8437264512345678"
	benchIdentity = "janus.edge.e1-4f2a.91.8437264512345678.17"
)

// BenchmarkDirect is a message to an owner in the same process, among as many prefixes as
// a node has that owns everything.
func BenchmarkDirect(b *testing.B) {
	s := bustest.Start(b, embedded.Options{Port: -1})
	n := bustest.Connect(b, bus.Options{InProcess: s})
	received := 0
	for p := range 1024 {
		for _, kind := range []string{"session", "room", "user"} {
			bustest.Own(b, n, fmt.Sprintf("janus.%s.%d", kind, p), p, func(*bus.Msg) { received++ })
		}
	}
	data := make([]byte, 400)
	b.ReportAllocs()
	for b.Loop() {
		if err := n.Publish(benchSubject, benchIdentity, data); err != nil {
			b.Fatal(err)
		}
	}
	if received < b.N {
		b.Fatalf("%d of %d", received, b.N)
	}
}

// BenchmarkOwn is one prefix coming and going beside three thousand others.
func BenchmarkOwn(b *testing.B) {
	s := bustest.Start(b, embedded.Options{Port: -1})
	n := bustest.Connect(b, bus.Options{InProcess: s})
	ignore := func(*bus.Msg) {}
	for p := range 3072 {
		bustest.Own(b, n, fmt.Sprintf("janus.session.%d", p), p, ignore)
	}
	b.ReportAllocs()
	for b.Loop() {
		bustest.Own(b, n, "janus.session.x", 0, ignore).Cancel()
	}
}

// twoBuses connects two of them to one server, in both ways.
func twoBuses(b *testing.B, run func(b *testing.B, from, to *bus.Bus)) {
	b.Run("tcp", func(b *testing.B) {
		o := bus.Options{URLs: []string{bustest.Start(b, embedded.Options{}).ClientURL()}}
		run(b, bustest.Connect(b, o), bustest.Connect(b, o))
	})
	b.Run("embedded", func(b *testing.B) {
		o := bus.Options{InProcess: bustest.Start(b, embedded.Options{Port: -1})}
		run(b, bustest.Connect(b, o), bustest.Connect(b, o))
	})
}

// BenchmarkOneWay is messages through NATS with as many under way as a lane takes.
func BenchmarkOneWay(b *testing.B) {
	twoBuses(b, func(b *testing.B, from, to *bus.Bus) {
		const window = 4096
		tokens := make(chan struct{}, window)
		bustest.Own(b, to, "janus.session.17", 0, func(*bus.Msg) { <-tokens })
		if err := to.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		data := make([]byte, 400)
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			tokens <- struct{}{}
			if err := from.Publish(benchSubject, benchIdentity, data); err != nil {
				b.Fatal(err)
			}
		}
		bustest.Until(b, "all have come", func() bool { return len(tokens) == 0 })
	})
}

// BenchmarkRoundTrip is one message through NATS and its answer back, one at a time.
func BenchmarkRoundTrip(b *testing.B) {
	twoBuses(b, func(b *testing.B, from, to *bus.Bus) {
		back := make(chan struct{}, 1)
		bustest.Own(b, from, "janus.edge.e1-4f2a", 0, func(*bus.Msg) { back <- struct{}{} })
		bustest.Own(b, to, "janus.session.17", 0, func(m *bus.Msg) { _ = to.Publish(m.Reply, "", m.Data) })
		for _, n := range []*bus.Bus{from, to} {
			if err := n.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		data := make([]byte, 400)
		b.ReportAllocs()
		for b.Loop() {
			if err := from.Publish(benchSubject, benchIdentity, data); err != nil {
				b.Fatal(err)
			}
			<-back
		}
	})
}
