// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
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

// httpServer is the HTTP transport (janus_http_admin_handler of src/transports/janus_http.c).
type httpServer struct {
	admin    *Admin
	listener net.Listener
	server   *http.Server
}

func (a *Admin) newHTTP(l net.Listener) *httpServer {
	h := &httpServer{admin: a, listener: l}
	h.server = &http.Server{
		Handler: h, MaxHeaderBytes: 32 << 10, DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 60 * time.Second,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug), // what clients do wrong
	}
	return h
}

func (h *httpServer) serve() {
	bounded := &boundedListener{Listener: h.listener, slots: make(chan struct{}, maxClients)}
	if err := h.server.Serve(bounded); !errors.Is(err, http.ErrServerClosed) {
		h.admin.log.Error("Admin API over HTTP failed", "error", err)
	}
}

func (h *httpServer) shutdown(ctx context.Context) error {
	err := h.server.Shutdown(ctx)
	if err != nil {
		_ = h.server.Close()
	}
	return err
}

// ServeHTTP answers one request.
func (h *httpServer) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	h.crossOrigin(w.Header(), q.Header)
	method := strings.ToUpper(q.Method)
	if method != http.MethodGet && method != http.MethodPost && method != http.MethodOptions {
		if q.ContentLength != 0 {
			panic(http.ErrAbortHandler) // Janus answers before it has read the body, and so hangs up
		}
		answer(w, refusal(messages.CodeTransportSpecific, "Unsupported method "+q.Method))
		return
	}
	if method == http.MethodOptions {
		return
	}
	target, ok := h.admin.base.Parse(q.RequestURI)
	switch {
	case target.More && q.ContentLength != 0:
		panic(http.ErrAbortHandler) // as above
	case !ok || target.More:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	var body []byte
	if method == http.MethodPost {
		var err error
		body, err = io.ReadAll(http.MaxBytesReader(w, q.Body, maxBody))
		if err != nil || len(body) == 0 {
			panic(http.ErrAbortHandler) // Janus hangs up on a request without a body
		}
	}
	answer(w, h.run(q.Context(), method, target, body))
}

// run answers what a request asks, once its target is known to exist.
func (h *httpServer) run(ctx context.Context, method string, target rest.Target, body []byte) []byte {
	switch {
	case target.Session == "info" && method != http.MethodGet:
		return refusal(messages.CodeTransportSpecific, "Use GET for the info endpoint")
	case target.Session == "info":
		return h.admin.info(janusjson.AppendQuoted(nil, messages.NewIncarnation(time.Now())[:11]))
	case body == nil:
		return refusal(messages.CodeInvalidJSON, "Request payload missing")
	}
	var m janusjson.Message
	if e := rest.Request(body, target, &m); e != nil {
		return messages.Reply{}.AppendError(nil, e)
	}
	return h.admin.run(ctx, m.Raw())
}

func refusal(code messages.Code, reason string) []byte {
	return messages.Reply{}.AppendError(nil, &messages.Error{Code: code, Reason: reason})
}

func answer(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // who left does not read it
}

// crossOrigin tells browsers who may use the API: whoever knows the secret.
func (h *httpServer) crossOrigin(header, asked http.Header) {
	header.Set("Access-Control-Allow-Origin", h.admin.opts.Origin)
	header.Set("Access-Control-Max-Age", "86400")
	for _, x := range [...]struct{ asked, allowed string }{
		{"Access-Control-Request-Method", "Access-Control-Allow-Methods"},
		{"Access-Control-Request-Headers", "Access-Control-Allow-Headers"},
	} {
		if value := asked.Get(x.asked); value != "" {
			header.Set(x.allowed, value)
		}
	}
}

// boundedListener hangs up on who comes when there are too many already.
type boundedListener struct {
	net.Listener
	slots chan struct{}
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	select {
	case l.slots <- struct{}{}:
		return &boundedConn{Conn: c, slots: l.slots, open: make(chan struct{}, 1)}, nil
	default:
		_ = c.Close()
		return &boundedConn{Conn: c}, nil // the server finds it closed
	}
}

// boundedConn gives its slot back when it is closed.
type boundedConn struct {
	net.Conn
	slots chan struct{} // nil: it has none
	open  chan struct{} // takes one token, of the first Close
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	if c.slots != nil {
		select {
		case c.open <- struct{}{}:
			<-c.slots
		default:
		}
	}
	return c.Conn.Close()
}
