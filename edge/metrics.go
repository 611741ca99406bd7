// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// dropped is a reason for which something was given up.
type dropped string

const (
	dropLate      dropped = "late"      // a reply that nobody waits for any more, or a second one
	dropEpoch     dropped = "epoch"     // said by an owner that was deposed
	dropDoubled   dropped = "doubled"   // an event that was written before
	dropEarly     dropped = "early"     // a delivery, since one before it got lost: its owner sends both again
	dropClient    dropped = "client"    // for a connection that is gone or does not read
	dropMalformed dropped = "malformed" // not understood
	dropBusy      dropped = "busy"      // a request: too many in flight
	dropDeadline  dropped = "deadline"  // a request: not answered in time
	dropGone      dropped = "gone"      // the news that a transport closed: too much of it waits
	dropAsk       dropped = "ask"       // an ask: too many wait
	dropClients   dropped = "clients"   // an HTTP client that would be one too many
	dropInbox     dropped = "inbox"     // a request over NATS that names no inbox, or one that must not be written to
)

// verbs is the number of verbs that metrics tell apart.
const verbs = int(janusjson.VerbICEFailed) + 1

type metrics struct {
	requests [verbs]prometheus.Counter
	errors   *prometheus.CounterVec // code
	drops    *prometheus.CounterVec // reason
	answers  *prometheus.CounterVec // status
	events   prometheus.Counter
	repeats  prometheus.Counter
	redraws  prometheus.Counter
	unserved prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, e *Edge) *metrics {
	f := promauto.With(reg)
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "januscloud", Subsystem: "edge", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts(opts(name, help)), []string{label})
	}
	gauge := func(name, help string, read func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts(opts(name, help)), read)
	}
	m := &metrics{
		errors:   vec("errors_total", "Requests that this edge answered with an error itself, by Janus code.", "code"),
		drops:    vec("dropped_total", "What was given up, by reason.", "reason"),
		answers:  vec("http_answers_total", "Answers over HTTP, by status; 0: hung up without one.", "status"),
		events:   counter("events_total", "Events passed on to clients."),
		repeats:  counter("repeats_total", "Requests published again."),
		redraws:  counter("redraws_total", "Session ids drawn again because they were taken."),
		unserved: counter("unserved_total", "Times that a partition was found without anybody to receive its requests."),
	}
	requests := vec("requests_total", "Requests of clients, by verb.", "verb")
	for v := range m.requests {
		m.requests[v] = requests.WithLabelValues(janusjson.Verb(v).String())
	}
	gauge("connections", "Connections of clients over WebSocket.", func() float64 { return float64(e.connections.count()) })
	gauge("pending_requests", "Requests that wait for an answer, long polls among them.", func() float64 { return float64(e.waiting.Load()) })
	gauge("pending_polls", "Long polls that wait for events.", func() float64 { return float64(e.polls.Load()) })
	gauge("pending_bytes", "Memory of the requests that wait for an answer.", func() float64 { return float64(e.bytes.Load()) })
	return m
}

func (m *metrics) answered(status int) { m.answers.WithLabelValues(strconv.Itoa(status)).Inc() }

func (m *metrics) drop(why dropped) { m.drops.WithLabelValues(string(why)).Inc() }

func (m *metrics) refused(code messages.Code) {
	m.errors.WithLabelValues(strconv.Itoa(int(code))).Inc()
}
