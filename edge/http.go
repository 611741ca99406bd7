// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/januscloud/januscloud/edge/rest"
	"github.com/januscloud/januscloud/edge/websocket"
)

const (
	// httpPatience is how long a request over HTTP waits for its answer: Janus ends it with no answer at all after 10 s.
	httpPatience = 9 * time.Second
	// maxHeader is what libmicrohttpd has room for (the default of MHD_OPTION_CONNECTION_MEMORY_LIMIT).
	maxHeader = 32 << 10
	// idleTimeout ends connections without a request, as in Janus (MHD_OPTION_CONNECTION_TIMEOUT).
	idleTimeout = 120 * time.Second
	// headerTimeout and requestTimeout bound how long a client may take to send its headers, and all of its request.
	headerTimeout  = 20 * time.Second
	requestTimeout = 60 * time.Second
	// responseTimeout bounds how long a request may take, from its headers to the last byte of the answer.
	responseTimeout = 120 * time.Second
	// maxHTTPClients is how many connections there may be where no other bound is configured. One that waits in a long poll
	// costs some 23 KB.
	maxHTTPClients = 20_000
)

// httpTransport is the HTTP transport, plain or over TLS. To the core every request is a connection of its own, and net/http
// has the sockets.
type httpTransport struct {
	edge     *Edge
	name     string // schemeHTTP or schemeHTTPS
	base     rest.Base
	listener net.Listener   // bounded, or that over TLS
	bounded  *rest.Listener // nil: it does not listen
	requests atomic.Int64   // that are served now
	server   *http.Server
	leaving  chan struct{} // closed when long polls are to end
	cut      chan struct{} // closed when nobody waits for anything any more
}

// listenHTTP opens a transport, which serves nobody yet.
func (e *Edge) listenHTTP(ctx context.Context, scheme, address string) (transport, error) {
	h := e.newHTTP(scheme)
	var config *tls.Config
	if scheme == schemeHTTPS {
		certificate, err := websocket.LoadCertificate(e.opts.CertFile, e.opts.KeyFile, e.log)
		if err != nil {
			return nil, err
		}
		config = certificate.Config()
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	h.bounded = rest.Limit(listener, e.opts.maxHTTPClients(), func() { e.metrics.drop(dropClients) })
	h.listener = h.bounded
	if config != nil {
		h.listener = tls.NewListener(h.bounded, config)
	}
	return h, nil
}

// newHTTP makes a transport that does not listen.
func (e *Edge) newHTTP(scheme string) *httpTransport {
	base, _ := rest.NewBase(e.opts.HTTPBase) // was checked
	h := &httpTransport{
		edge: e, name: scheme, base: base,
		leaving: make(chan struct{}), cut: make(chan struct{}),
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	h.server = &http.Server{
		Handler: h, Protocols: &protocols, DisableGeneralOptionsHandler: true, MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: responseTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelDebug), // what clients do wrong
	}
	return h
}

func (h *httpTransport) clients() int { return h.bounded.Open() }

func (h *httpTransport) scheme() string { return h.name }

func (h *httpTransport) url(host string) string {
	return urlOf(h.name, host, h.listener.Addr()) + string(h.base)
}

func (h *httpTransport) serve(context.Context) {
	if err := h.server.Serve(h.listener); !errors.Is(err, http.ErrServerClosed) {
		h.edge.log.Error("transport failed", "transport", h.name, "error", err)
	}
}

// disconnect does nothing: whoever has asked for something gets his answer.
func (h *httpTransport) disconnect() {}

// stop ends long polls as if their time were up, and lets other requests have their answers. Events of those who polled
// stay with their sessions' owners: any edge can fetch them.
func (h *httpTransport) stop(ctx context.Context) error {
	close(h.leaving)
	err := h.server.Shutdown(ctx)
	if err != nil {
		close(h.cut)
		_ = h.server.Close()
	}
	return err
}

func (h *httpTransport) abandon() { _ = h.listener.Close() }
