// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

type metrics struct {
	requests    map[janusjson.Verb]prometheus.Counter
	errors      *prometheus.CounterVec // code
	sessions    prometheus.Gauge
	remains     prometheus.Gauge
	handles     prometheus.Gauge
	partitions  prometheus.Gauge
	takeovers   prometheus.Counter
	takeover    prometheus.Histogram // seconds
	placements  *prometheus.CounterVec
	held        prometheus.Gauge
	gaps        prometheus.Counter
	dropped     *prometheus.CounterVec // why
	adopted     prometheus.Counter
	writes      *prometheus.CounterVec // result
	eventsKept  prometheus.Counter
	eventsLost  prometheus.Counter
	holes       prometheus.Counter
	resends     prometheus.Counter
	sessionEnds *prometheus.CounterVec // why
	resyncs     *prometheus.CounterVec // result
	missed      prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "januscloud", Subsystem: "session", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts(opts(name, help)), []string{label})
	}
	gauge := func(name, help string) prometheus.Gauge { return f.NewGauge(prometheus.GaugeOpts(opts(name, help))) }
	requests := vec("requests_total", "Requests that reached a session owner, by verb.", "verb")
	m := &metrics{
		requests:   map[janusjson.Verb]prometheus.Counter{},
		errors:     vec("errors_total", "Errors answered by session owners, by Janus code.", "code"),
		sessions:   gauge("sessions", "Sessions owned by this node."),
		remains:    gauge("remains", "Sessions that are over, whose records are still to be deleted."),
		handles:    gauge("handles", "Handles of the sessions owned by this node."),
		partitions: gauge("partitions", "Partitions owned by this node."),
		takeovers:  counter("takeovers_total", "Partitions taken over by this node."),
		takeover: f.NewHistogram(prometheus.HistogramOpts{
			Namespace: "januscloud", Subsystem: "session", Name: "takeover_seconds",
			Help: "Time from the decision to take partitions over until they were served.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 12),
		}),
		placements:  vec("placements_total", "Handles bound, by media server.", "server"),
		held:        gauge("held_messages", "Messages held for partitions that are being taken or given over."),
		gaps:        counter("request_gaps_total", "Requests that had to wait because one before them had not arrived."),
		dropped:     vec("dropped_total", "Messages not handled, by reason.", "reason"),
		adopted:     counter("handles_adopted_total", "Handles that go on with a media server which was restarted."),
		writes:      vec("record_writes_total", "Writes of records, by result.", "result"),
		eventsKept:  counter("events_kept_total", "Events kept for sessions without a transport."),
		holes:       counter("event_holes_total", "Times that an event of a media server was missing and asked for."),
		eventsLost:  counter("events_lost_total", "Events that were dropped: too many for a client that does not take them, or for analytics and not published."),
		resends:     counter("resends_total", "Times that what an edge did not receive was sent to it again."),
		sessionEnds: vec("session_ends_total", "Sessions ended, by reason.", "reason"),
		resyncs:     vec("resyncs_total", "Handles in rooms whose Janus was out of reach for a while, by what was found out: whole, partial, failed.", "result"),
		missed:      counter("missed_events_total", "Events that clients missed in such a while, and were told."),
	}
	for _, verb := range []janusjson.Verb{
		janusjson.VerbUnknown, janusjson.VerbCreate, janusjson.VerbAttach, janusjson.VerbMessage, janusjson.VerbTrickle,
		janusjson.VerbHangup, janusjson.VerbDetach, janusjson.VerbKeepalive, janusjson.VerbClaim, janusjson.VerbDestroy,
	} {
		m.requests[verb] = requests.WithLabelValues(verb.String())
	}
	return m
}

// countRequest counts a request; what no Janus API has is counted together.
func (m *metrics) countRequest(verb janusjson.Verb) {
	c, ok := m.requests[verb]
	if !ok {
		c = m.requests[janusjson.VerbUnknown]
	}
	c.Inc()
}

func (m *metrics) countError(code messages.Code) {
	m.errors.WithLabelValues(strconv.Itoa(int(code))).Inc()
}
