// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/bustest"
	"github.com/januscloud/januscloud/messages/bus/embedded"
)

func TestMetrics(t *testing.T) {
	s := bustest.Start(t, embedded.Options{Port: -1})
	registry := prometheus.NewRegistry()
	b := bustest.Connect(t, bus.Options{InProcess: s, Registry: registry})
	bustest.Own(t, b, "janus.session.17", 0, func(*bus.Msg) {})
	for _, m := range []struct {
		subject string
		size    int
	}{{"janus.session.17.5", 1}, {"janus.session.17.5", 2 << 20}, {"janus.session.18.5", 1}} {
		_ = b.Publish(m.subject, "", make([]byte, m.size))
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
	want := `
# HELP januscloud_bus_connected Whether there is a connection to NATS: 1 or 0.
# TYPE januscloud_bus_connected gauge
januscloud_bus_connected 1
# HELP januscloud_bus_direct_total Messages handed over within the process.
# TYPE januscloud_bus_direct_total counter
januscloud_bus_direct_total 1
# HELP januscloud_bus_disconnects_total Connections to NATS that were lost.
# TYPE januscloud_bus_disconnects_total counter
januscloud_bus_disconnects_total 0
# HELP januscloud_bus_dropped_total Received messages that no handler got.
# TYPE januscloud_bus_dropped_total counter
januscloud_bus_dropped_total{reason="cancelled"} 0
januscloud_bus_dropped_total{reason="lane_full"} 0
# HELP januscloud_bus_published_total Messages given to NATS.
# TYPE januscloud_bus_published_total counter
januscloud_bus_published_total 1
# HELP januscloud_bus_received_total Messages received from NATS.
# TYPE januscloud_bus_received_total counter
januscloud_bus_received_total 0
# HELP januscloud_bus_reconnects_total Connections to NATS after the first.
# TYPE januscloud_bus_reconnects_total counter
januscloud_bus_reconnects_total 0
# HELP januscloud_bus_refused_total Messages that could not be published.
# TYPE januscloud_bus_refused_total counter
januscloud_bus_refused_total{reason="disconnected"} 0
januscloud_bus_refused_total{reason="too_large"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestMetricsOfTwoBusesCollide(t *testing.T) {
	s := bustest.Start(t, embedded.Options{Port: -1})
	o := bus.Options{InProcess: s, Registry: prometheus.NewRegistry()}
	first := bustest.Connect(t, o)
	if _, err := bus.Connect(t.Context(), o); err == nil {
		t.Fatal("two buses in one registry")
	}
	first.Close()
	bustest.Connect(t, o)
}
