// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	connections   prometheus.Gauge
	handshakes    *prometheus.CounterVec
	closed        *prometheus.CounterVec
	received      prometheus.Counter
	receivedBytes prometheus.Counter
	sent          prometheus.Counter
	sentBytes     prometheus.Counter
	acceptErrors  prometheus.Counter
}

func newMetrics(o Options) *metrics {
	label := prometheus.Labels{"listener": o.Name}
	counter := func(name, help string) prometheus.Counter {
		return register(o, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "januscloud_websocket_" + name, Help: help, ConstLabels: label}))
	}
	vector := func(name, help string, by string) *prometheus.CounterVec {
		return register(o, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "januscloud_websocket_" + name, Help: help, ConstLabels: label}, []string{by}))
	}
	return &metrics{
		connections: register(o, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "januscloud_websocket_connections", Help: "Open WebSocket connections.", ConstLabels: label})),
		handshakes: vector("handshakes_total",
			"WebSocket handshakes: accepted, refused (or not completed in time), full (over the limit of connections).", "result"),
		closed: vector("closed_total",
			"Ended WebSocket connections: peer, server, lost, protocol, too_big, queue_full, stalled, silent, shutdown.", "cause"),
		received:      counter("received_messages_total", "Messages received."),
		receivedBytes: counter("received_bytes_total", "Payload bytes of received messages."),
		sent:          counter("sent_messages_total", "Messages accepted for sending."),
		sentBytes:     counter("sent_bytes_total", "Bytes handed to the network, framing included."),
		acceptErrors:  counter("accept_errors_total", "Failures to accept a connection, mostly for want of descriptors."),
	}
}

// register makes a collector visible; a second server of the same name shares
// the counters of the first.
func register[C prometheus.Collector](o Options, c C) C {
	if o.Registry == nil {
		return c
	}
	err := o.Registry.Register(c)
	var twice prometheus.AlreadyRegisteredError
	if errors.As(err, &twice) {
		if old, ok := twice.ExistingCollector.(C); ok {
			return old
		}
	}
	if err != nil {
		o.Log.Warn("websocket metric not registered", "listener", o.Name, "error", err)
	}
	return c
}

// cause is the label for the reason of an end.
func cause(why error) string {
	var byFrame *CloseError
	var broken *ProtocolError
	switch {
	case errors.As(why, &byFrame):
		if byFrame.Local {
			return "server"
		}
		return "peer"
	case errors.Is(why, ErrTooBig):
		return "too_big"
	case errors.As(why, &broken):
		return "protocol"
	case errors.Is(why, ErrQueueFull):
		return "queue_full"
	case errors.Is(why, ErrStalled):
		return "stalled"
	case errors.Is(why, ErrSilent):
		return "silent"
	case errors.Is(why, ErrShutdown):
		return "shutdown"
	default:
		return "lost"
	}
}
