// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"net"
	"net/http"

	"github.com/gobwas/ws"

	"github.com/januscloud/januscloud/edge/websocket"
)

// subprotocol is what clients of the Janus API offer (src/transports/janus_websockets.c).
const subprotocol = "janus-protocol"

// webSocket is the WebSocket transport, plain or over TLS. It is where a request enters.
type webSocket struct {
	edge     *Edge
	name     string // schemeWS or schemeWSS
	listener net.Listener
	server   *websocket.Server
}

// Open implements websocket.Handler.
func (w *webSocket) Open(c *websocket.Conn) {
	c.SetData(w.edge.open(c, c.ID(), w.edge.opts.Deadline))
}

// Message implements websocket.Handler: a client's requests begin here, and serve takes them to their session's owner.
func (w *webSocket) Message(c *websocket.Conn, data []byte) {
	w.edge.serve(c.Data().(*connection), data)
}

// Close implements websocket.Handler.
func (w *webSocket) Close(c *websocket.Conn, _ error) {
	w.edge.close(c.Data().(*connection))
}

// listenWebSocket opens a transport, which serves nobody yet.
func (e *Edge) listenWebSocket(ctx context.Context, scheme, address string) (transport, error) {
	w := &webSocket{edge: e, name: scheme}
	options := websocket.Options{
		Name: scheme, Subprotocols: []string{subprotocol},
		MaxMessage: e.opts.MaxMessage, MaxQueue: e.opts.MaxQueue, MaxConns: e.opts.MaxConnections,
		PingInterval: e.opts.PingInterval, PongTimeout: e.opts.PongTimeout,
		Header: func(r *websocket.Request) (http.Header, bool) { return e.cors.Upgrade(r.Header) }, IDs: &e.numbers, Log: e.log, Registry: e.opts.Registry,
	}
	if scheme == schemeWSS {
		certificate, err := websocket.LoadCertificate(e.opts.CertFile, e.opts.KeyFile, e.log)
		if err != nil {
			return nil, err
		}
		options.TLS = certificate.Config()
	}
	var err error
	if w.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", address); err != nil {
		return nil, err
	}
	w.server = websocket.New(w, options)
	return w, nil
}

func (w *webSocket) serve(ctx context.Context) {
	if err := w.server.Serve(ctx, w.listener); err != nil {
		w.edge.log.Error("transport failed", "transport", w.name, "error", err)
	}
}

// stop tells every client that the edge goes away (1001, RFC 6455 §7.4.1) and waits for them, until ctx ends.
func (w *webSocket) stop(ctx context.Context) error {
	return w.server.Shutdown(ctx, ws.StatusGoingAway, "edge is stopping")
}

func (w *webSocket) disconnect() { w.server.Disconnect(ws.StatusGoingAway, "edge drains") }

func (w *webSocket) clients() int { return w.server.Len() }

func (w *webSocket) scheme() string { return w.name }

func (w *webSocket) url(host string) string { return urlOf(w.name, host, w.listener.Addr()) }

func (w *webSocket) abandon() { _ = w.listener.Close() }
