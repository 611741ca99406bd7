// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/januscloud/januscloud/messages"
)

// metrics are the role's entries in a registry. Each has the label server, so that the roles of several Janus can share a
// process.
type metrics struct {
	pending    prometheus.Gauge
	ping       prometheus.Histogram
	replies    prometheus.Counter
	events     prometheus.Counter
	absorbed   prometheus.Counter
	forgotten  prometheus.Counter
	keepalives prometheus.Counter
	lost       prometheus.Counter
	adopted    prometheus.Counter
	replayed   prometheus.Counter
	overflow   prometheus.Counter
	panics     prometheus.Counter
	refused    *prometheus.CounterVec
	dropped    *prometheus.CounterVec

	pluginRequests prometheus.Counter
	pluginErrors   *prometheus.CounterVec
	pluginSeconds  prometheus.Histogram

	registry   prometheus.Registerer
	registered []prometheus.Collector
}

func opts(name, help string) prometheus.Opts {
	return prometheus.Opts{Namespace: "januscloud", Subsystem: "media", Name: name, Help: help}
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	vec := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), []string{"reason"})
	}
	return &metrics{
		pending: prometheus.NewGauge(prometheus.GaugeOpts(opts("pending_requests", "Requests that Janus has not answered, as of the last half second."))),
		ping: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "januscloud", Subsystem: "media", Name: "ping_seconds", Help: "Time until Janus answers a ping.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2, 16),
		}),
		replies:    counter("replies_total", "Replies to owners, errors and repeats included."),
		events:     counter("events_total", "Events passed to owners."),
		absorbed:   counter("repeats_absorbed_total", "Repeated requests that were not run again."),
		forgotten:  counter("replies_forgotten_total", "Replies forgotten before their time, for want of memory."),
		keepalives: counter("keepalives_total", "Keepalives sent to Janus."),
		overflow:   counter("events_overflow_total", "Events that were not kept for the next owner of their session: too many were not acknowledged."),
		replayed:   counter("events_replayed_total", "Events published once more for the next owner of their session."),
		lost:       counter("handles_lost_total", "Handles that were lost with Janus or its session."),
		adopted:    counter("handles_adopted_total", "Handles that were found again on Janus after a restart of this role."),
		panics:     counter("panics_total", "Messages whose handling panicked."),
		refused:    vec("refused_total", "Requests that were not run, by reason."),
		dropped:    vec("dropped_total", "Messages that were dropped, by reason."),

		pluginRequests: counter("plugin_requests_total", "Requests to plugins that belong to no client's handle."),
		pluginErrors:   vec("plugin_errors_total", "Requests to plugins that belong to no client's handle and failed, by reason."),
		pluginSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "januscloud", Subsystem: "media", Name: "plugin_seconds", Help: "Time until a plugin has answered a request that belongs to no client's handle.",
			Buckets: prometheus.ExponentialBuckets(250e-6, 2, 16),
		}),
	}
}

func (m *metrics) refuse(reason string) { m.refused.WithLabelValues(reason).Inc() }

func (m *metrics) drop(reason string) { m.dropped.WithLabelValues(reason).Inc() }

// register enters everything into a registry; nil keeps nothing.
func (m *metrics) register(registry prometheus.Registerer, server string, s *status) error {
	if registry == nil {
		return nil
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts(name, help)), value)
	}
	m.registry = prometheus.WrapRegistererWith(prometheus.Labels{"server": server}, registry)
	for _, c := range []prometheus.Collector{
		m.pending, m.ping, m.replies, m.events, m.absorbed, m.forgotten, m.keepalives, m.lost, m.adopted, m.replayed, m.overflow, m.panics, m.refused, m.dropped,
		m.pluginRequests, m.pluginErrors, m.pluginSeconds,
		gauge("handles", "Handles mapped on this Janus.", func() float64 { return float64(s.handles.Load()) }),
		gauge("sessions", "Sessions mapped on this Janus.", func() float64 { return float64(s.sessions.Load()) }),
		gauge("janus_up", "Whether Janus is up: 1 or 0.", func() float64 {
			if s.media.Load().Janus == messages.JanusDown {
				return 0
			}
			return 1
		}),
	} {
		if err := m.registry.Register(c); err != nil {
			m.unregister()
			return fmt.Errorf("media server: metrics: %w", err)
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
