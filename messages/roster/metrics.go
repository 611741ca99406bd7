// SPDX-License-Identifier: Apache-2.0

package roster

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/januscloud/januscloud/messages"
)

type metrics struct {
	members *prometheus.GaugeVec
	dropped prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) metrics {
	f := promauto.With(reg)
	return metrics{
		members: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "januscloud_roster_members", Help: "Members of the cluster that this process knows, by role and by whether they are heard.",
		}, []string{"role", "heard"}),
		dropped: f.NewCounter(prometheus.CounterOpts{
			Name: "januscloud_roster_beats_dropped_total", Help: "Heartbeats dropped because the roster's queue was full.",
		}),
	}
}

func (m metrics) show(v *View) {
	for _, role := range []messages.Role{messages.RoleSession, messages.RoleMedia, messages.RoleEdge} {
		var heard, silent float64
		for _, p := range v.of(role) {
			if p.Silent {
				silent++
			} else {
				heard++
			}
		}
		m.members.WithLabelValues(string(role), "yes").Set(heard)
		m.members.WithLabelValues(string(role), "no").Set(silent)
	}
}
