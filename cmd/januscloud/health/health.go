// SPDX-License-Identifier: Apache-2.0

// Package health tells over HTTP how a process is: /healthz, that it lives; /readyz, whether its roles take work, or why
// not; /metrics, its figures for Prometheus. A role that lost NATS is not ready, but healthy: restarting it would not
// help, and would cost its clients their connections.
package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the HTTP server: probes and scrapers are few and quick.
const (
	headerTimeout = 5 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
)

// Health is what a process tells of itself. Its methods may be called from any goroutine.
type Health struct {
	mux *http.ServeMux

	mu       sync.Mutex // for the map and the flag; never held while a check runs
	checks   map[string]func() error
	stopping bool
}

// New makes the Health of a process that is starting. With profiles it serves /debug/pprof as well.
func New(gather prometheus.Gatherer, profiles bool) *Health {
	h := &Health{mux: http.NewServeMux(), checks: map[string]func() error{}}
	h.mux.HandleFunc("GET /healthz", h.healthz)
	h.mux.HandleFunc("GET /readyz", h.readyz)
	h.mux.Handle("GET /metrics", promhttp.HandlerFor(gather, promhttp.HandlerOpts{}))
	if profiles {
		h.mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		h.mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		h.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		h.mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		h.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return h
}

// errStarting is why a role is not ready that was announced and has not started.
var errStarting = errors.New("starting")

// Expect announces a role that is about to start: the process is not ready before it.
func (h *Health) Expect(role string) { h.Watch(role, func() error { return errStarting }) }

// Watch has a role asked whether it is ready; check must not block.
func (h *Health) Watch(role string, check func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[role] = check
}

// Stopping makes the process not ready for the rest of its life.
func (h *Health) Stopping() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopping = true
}

// Reasons are why the process takes no work, by role; empty when it does. A process that expects no role takes none.
func (h *Health) Reasons() map[string]string {
	h.mu.Lock()
	checks := make(map[string]func() error, len(h.checks))
	for role, check := range h.checks {
		checks[role] = check
	}
	stopping := h.stopping
	h.mu.Unlock()
	reasons := map[string]string{}
	for role, check := range checks {
		if err := check(); err != nil {
			reasons[role] = err.Error()
		}
	}
	if stopping {
		reasons["process"] = "stopping"
	} else if len(checks) == 0 {
		reasons["process"] = errStarting.Error()
	}
	return reasons
}

// ServeHTTP answers all paths.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

func (h *Health) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// readiness is the body of /readyz.
type readiness struct {
	Ready   bool              `json:"ready"`
	Reasons map[string]string `json:"reasons,omitempty"` // role to why it is not
}

func (h *Health) readyz(w http.ResponseWriter, _ *http.Request) {
	reasons := h.Reasons()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(readiness{Ready: len(reasons) == 0, Reasons: reasons})
}

// Server is an HTTP server on an address of its own.
type Server struct {
	http     *http.Server
	listener net.Listener
	done     chan struct{}
}

// Serve answers with the handler on an address, until Close.
func Serve(ctx context.Context, address string, handler http.Handler, log *slog.Logger) (*Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return ServeOn(listener, handler, log), nil
}

// ServeOn is Serve on a listener, which is closed with the server.
func ServeOn(listener net.Listener, handler http.Handler, log *slog.Logger) *Server {
	s := &Server{
		http: &http.Server{
			Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
		listener: listener, done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("HTTP server ended", "address", s.Addr().String(), "error", err)
		}
	}()
	return s
}

// Addr is where the server listens.
func (s *Server) Addr() *net.TCPAddr { return s.listener.Addr().(*net.TCPAddr) }

// Close lets answers under way finish until ctx ends, then cuts them off.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.done
	return err
}
