// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/januscloud/januscloud/edge/rest"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

const (
	// maxBody bounds the body of a request, and a message over WebSocket: what one NATS message can carry.
	maxBody = 512 << 10
	// maxClients bounds the connections of each transport.
	maxClients = 256
)

// httpServer is the HTTP transport (janus_http_admin_handler of src/transports/janus_http.c), plain or over TLS.
type httpServer struct {
	admin    *Admin
	scheme   string
	listener *rest.Listener
	config   *tls.Config // nil: plain
	server   *http.Server
	requests atomic.Int64 // under way
}

func (a *Admin) newHTTP(scheme string, l net.Listener, config *tls.Config) transport {
	refused := func() { a.metrics.requests.WithLabelValues("busy").Inc() }
	h := &httpServer{admin: a, scheme: scheme, listener: rest.Limit(l, maxClients, refused), config: config}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	h.server = &http.Server{
		Handler: h, Protocols: &protocols, MaxHeaderBytes: 32 << 10, DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 60 * time.Second,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug), // what clients do wrong
	}
	return h
}

func (h *httpServer) serve() {
	var l net.Listener = h.listener
	if h.config != nil {
		l = tls.NewListener(l, h.config)
	}
	if err := h.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		h.admin.log.Error("Admin API failed", "transport", h.scheme, "error", err)
	}
}

func (h *httpServer) shutdown(ctx context.Context) error {
	err := h.server.Shutdown(ctx)
	if err != nil {
		_ = h.server.Close()
	}
	return err
}

func (h *httpServer) abandon() { _ = h.listener.Close() }

func (h *httpServer) url(host string) string {
	return h.scheme + "://" + hostOf(h.listener.Addr(), host) + string(h.admin.base)
}

func (h *httpServer) clients() clients {
	return clients{scheme: h.scheme, connections: h.listener.Open(), requests: int(h.requests.Load())}
}

// ServeHTTP answers one request, in the order of Janus's checks.
func (h *httpServer) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	h.requests.Add(1)
	defer h.requests.Add(-1)
	h.admin.cors.Tell(w.Header(), q.Header)
	method := strings.ToUpper(q.Method)
	target, known := h.admin.base.Parse(q.RequestURI)
	switch {
	case method != http.MethodGet && method != http.MethodPost && method != http.MethodOptions:
		needNoBody(q) // Janus answers before it has read the body, and so hangs up
		answer(w, refusal(messages.CodeTransportSpecific, "Unsupported method "+q.Method))
	case !h.admin.cors.Admits(q.Header):
		hangUp(w, http.StatusForbidden)
	case method == http.MethodOptions && !known:
		panic(http.ErrAbortHandler) // Janus answers twice, which libmicrohttpd does not take
	case method == http.MethodOptions:
	case !known:
		hangUp(w, http.StatusNotFound)
	case target.More:
		needNoBody(q)
		w.WriteHeader(http.StatusNotFound)
	default:
		h.serveRequest(w, q, method, target)
	}
}

// serveRequest reads the body of a POST, and answers.
func (h *httpServer) serveRequest(w http.ResponseWriter, q *http.Request, method string, target rest.Target) {
	var body []byte
	if method == http.MethodPost {
		var err error
		body, err = io.ReadAll(http.MaxBytesReader(w, q.Body, maxBody))
		if err != nil || len(body) == 0 {
			panic(http.ErrAbortHandler) // Janus hangs up on a request without a body
		}
	}
	if target.Session == "ping" && h.admin.pings() && method != http.MethodGet {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	answer(w, h.run(q.Context(), method, target, body))
}

// needNoBody hangs up on a request that has a body and should not.
func needNoBody(q *http.Request) {
	if q.ContentLength != 0 {
		panic(http.ErrAbortHandler)
	}
}

// hangUp answers without a body and closes the connection, whatever else the client was about to send.
func hangUp(w http.ResponseWriter, status int) {
	w.Header().Set("Connection", "close")
	w.WriteHeader(status)
}

// run answers what a request asks, once its target is known to exist.
func (h *httpServer) run(ctx context.Context, method string, target rest.Target, body []byte) []byte {
	switch {
	case target.Session == "info" && method != http.MethodGet:
		return refusal(messages.CodeTransportSpecific, "Use GET for the info endpoint")
	case target.Session == "info", target.Session == "ping" && h.admin.pings():
		return h.admin.run(ctx, fmt.Appendf(nil, `{"janus":"%s","transaction":"%s"}`, target.Session, rest.Transaction()))
	case body == nil:
		return refusal(messages.CodeInvalidJSON, "Request payload missing")
	}
	var m janusjson.Message
	if e := rest.Request(body, target, &m); e != nil {
		return rest.Refusal(e)
	}
	return h.admin.run(ctx, m.Raw())
}

func (a *Admin) pings() bool { return a.opts.Pings != nil && a.opts.Pings() }

func refusal(code messages.Code, reason string) []byte {
	return rest.Refusal(&messages.Error{Code: code, Reason: reason})
}

func answer(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // who left does not read it
}
