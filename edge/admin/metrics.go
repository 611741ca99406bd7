// SPDX-License-Identifier: Apache-2.0

package admin

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	requests *prometheus.CounterVec // by outcome
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "januscloud_admin_requests_total", Help: "Requests of the Admin API, by outcome: answered, refused (an error), unauthorized, busy, without inbox (over NATS).",
	}, []string{"outcome"})}
	if r != nil {
		r.MustRegister(m.requests)
	}
	return m
}
