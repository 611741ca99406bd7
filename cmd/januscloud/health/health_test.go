// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(h http.Handler, method, path string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code, w.Body.String()
}

func TestReadiness(t *testing.T) {
	h := New(prometheus.NewRegistry(), false)
	expect := func(code int, want readiness) {
		t.Helper()
		status, body := get(h, "GET", "/readyz")
		var got readiness
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if status != code || got.Ready != want.Ready || len(got.Reasons) != len(want.Reasons) {
			t.Fatalf("%d %s, want %d %v", status, body, code, want)
		}
		for role, reason := range want.Reasons {
			if got.Reasons[role] != reason {
				t.Fatalf("%d %s, want %d %v", status, body, code, want)
			}
		}
		if status, body := get(h, "GET", "/healthz"); status != http.StatusOK || body != "ok\n" {
			t.Fatalf("healthz: %d %s: health must not depend on readiness", status, body)
		}
	}
	expect(503, readiness{Reasons: map[string]string{"process": "starting"}})
	h.Expect("session")
	expect(503, readiness{Reasons: map[string]string{"session": "starting"}})
	var lost error
	h.Watch("session", func() error { return lost })
	expect(200, readiness{Ready: true})
	h.Expect("media")
	lost = errors.New("not connected to NATS")
	expect(503, readiness{Reasons: map[string]string{"session": "not connected to NATS", "media": "starting"}})
	h.Watch("media", func() error { return nil })
	lost = nil
	expect(200, readiness{Ready: true})
	h.Stopping()
	expect(503, readiness{Reasons: map[string]string{"process": "stopping"}})
}

func TestPaths(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector())
	plain, profiled := New(registry, false), New(registry, true)
	for _, tt := range []struct {
		handler      http.Handler
		method, path string
		status       int
		contains     string
	}{
		{plain, "GET", "/metrics", 200, "go_goroutines"},
		{plain, "GET", "/debug/pprof/", 404, ""},
		{profiled, "GET", "/debug/pprof/", 200, "goroutine"},
		{profiled, "GET", "/debug/pprof/cmdline", 200, ""},
		{plain, "POST", "/healthz", 405, ""},
		{plain, "GET", "/", 404, ""},
	} {
		status, body := get(tt.handler, tt.method, tt.path)
		if status != tt.status || !strings.Contains(body, tt.contains) {
			t.Errorf("%s %s: %d, want %d with %q", tt.method, tt.path, status, tt.status, tt.contains)
		}
	}
}

func TestServe(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	h := New(prometheus.NewRegistry(), false)
	s, err := Serve(t.Context(), "127.0.0.1:0", h, log)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + s.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || string(body) != "ok\n" {
		t.Errorf("%q, %v", body, err)
	}
	if _, err := Serve(t.Context(), s.Addr().String(), h, log); err == nil {
		t.Error("one address was given twice")
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// An answer that does not end does not hold the process.
func TestCloseIsBounded(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s, err := Serve(t.Context(), "127.0.0.1:0", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(release)
	}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		_, err := client.Get("http://" + s.Addr().String())
		failed <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that time is up", err)
	}
	<-release
	if err := <-failed; err == nil {
		t.Error("the client got an answer")
	}
}
