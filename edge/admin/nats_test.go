// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ask publishes a request over NATS and returns the answer.
func (a *Admin) ask(t *testing.T, body string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m, err := a.opts.Bus.Request(ctx, "janus.admin", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return string(m.Data)
}

// Over NATS an administrator needs the secret, as elsewhere.
func TestNATS(t *testing.T) {
	a, _ := start(t, func(o *Options) { o.HTTP, o.WS, o.NATS = "", "", true })
	for body, want := range map[string]string{
		`{"janus":"ping","transaction":"p"}`:                                              `"pong"`,
		`{"janus":"get_status","transaction":"s"}`:                                        `"code":403`,
		`{"janus":"list_sessions","transaction":"s","admin_secret":"wrong"}`:              `"code":403`,
		`{"janus":"list_sessions","transaction":"s","admin_secret":"` + testSecret + `"}`: `"sessions":[]`,
		`no JSON`: `"janus":"error"`,
		`{"janus":"ping","transaction":"` + strings.Repeat("x", maxBody) + `"}`: `too large`,
	} {
		if got := a.ask(t, body); !strings.Contains(got, want) {
			t.Errorf("%.80s: %s", body, got)
		}
	}
}

// Nobody is answered where no client listens, and an API that stopped answers nobody.
func TestNATSInbox(t *testing.T) {
	registry := prometheus.NewRegistry()
	a, _ := start(t, func(o *Options) { o.NATS, o.Registry = true, registry })
	for _, inbox := range []string{"", "janus.admin", "$JS.API.INFO"} {
		if err := a.opts.Bus.Publish("janus.admin", inbox, []byte(`{"janus":"ping","transaction":"p"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.ask(t, `{"janus":"ping","transaction":"last"}`); !strings.Contains(got, "last") {
		t.Errorf("got %s", got)
	}
	if got := outcomes(t, registry)["without inbox"]; got != 3 {
		t.Errorf("%v requests without an inbox, not 3", got)
	}
	if err := a.stopNATS(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m, err := a.opts.Bus.Request(t.Context(), "janus.admin", []byte("{}")); err == nil {
		t.Errorf("answered %s", m.Data)
	}
}

// outcomes counts requests by outcome.
func outcomes(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "januscloud_admin_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			all[m.GetLabel()[0].GetValue()] += m.GetCounter().GetValue()
		}
	}
	return all
}
