// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are what is counted beside the lanes. They keep the cache lines to themselves:
// every publisher writes here, and reads what lies next to it in Bus.
type counts struct {
	_            [64]byte
	published    atomic.Uint64
	tooLarge     atomic.Uint64
	disconnected atomic.Uint64
	_            [64]byte
}

// metrics are the bus's entries in a registry. All of them are read from counters that the
// bus keeps anyway, when they are asked for.
type metrics struct {
	registry   prometheus.Registerer
	registered []prometheus.Collector
}

func (m *metrics) register(b *Bus, registry prometheus.Registerer) error {
	if registry == nil {
		return nil
	}
	m.registry = registry
	for _, c := range b.collectors() {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("bus: metrics: %w", err)
		}
		m.registered = append(m.registered, c)
	}
	return nil
}

func (m *metrics) unregister() {
	for _, c := range m.registered {
		m.registry.Unregister(c)
	}
	m.registered = nil
}

func (b *Bus) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		counter("published_total", "Messages given to NATS.", nil, b.counts.published.Load),
		counter("direct_total", "Messages handed over within the process.", nil,
			b.sum(func(l *lane) uint64 { return l.direct.Load() })),
		counter("received_total", "Messages received from NATS.", nil,
			b.sum(func(l *lane) uint64 { return l.received.Load() })),
		counter("dropped_total", "Received messages that no handler got.", reason("lane_full"), b.overrun),
		counter("dropped_total", "Received messages that no handler got.", reason("cancelled"),
			b.sum(func(l *lane) uint64 { return l.unowned.Load() })),
		counter("refused_total", "Messages that could not be published.", reason("disconnected"), b.counts.disconnected.Load),
		counter("refused_total", "Messages that could not be published.", reason("too_large"), b.counts.tooLarge.Load),
		counter("reconnects_total", "Connections to NATS after the first.", nil, b.reconnects),
		counter("disconnects_total", "Connections to NATS that were lost.", nil, b.link.losses.Load),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "januscloud", Subsystem: "bus", Name: "connected",
			Help: "Whether there is a connection to NATS: 1 or 0.",
		}, func() float64 {
			if b.Connected() {
				return 1
			}
			return 0
		}),
	}
}

func counter(name, help string, labels prometheus.Labels, value func() uint64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "januscloud", Subsystem: "bus", Name: name, Help: help, ConstLabels: labels,
	}, func() float64 { return float64(value()) })
}

func reason(r string) prometheus.Labels { return prometheus.Labels{"reason": r} }

func (b *Bus) sum(of func(*lane) uint64) func() uint64 {
	return func() uint64 {
		total := uint64(0)
		for _, l := range b.lanes {
			total += of(l)
		}
		return total
	}
}

// overrun counts what NATS's client dropped in front of full lanes. It tells only per
// subscription.
func (b *Bus) overrun() uint64 {
	b.registering.Lock()
	defer b.registering.Unlock()
	total := b.retired
	for s := range b.all {
		if n, err := s.source.Load().Dropped(); err == nil {
			total += uint64(n)
		}
	}
	return total
}

func (b *Bus) reconnects() uint64 {
	if n := b.link.connects.Load(); n > 0 {
		return n - 1
	}
	return 0
}
