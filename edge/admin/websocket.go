// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"

	"github.com/gobwas/ws"

	"github.com/januscloud/januscloud/edge/websocket"
	"github.com/januscloud/januscloud/messages/janusjson"
)

const (
	// subprotocol is what clients of the Admin API offer (src/transports/janus_websockets.c).
	subprotocol = "janus-admin-protocol"
	// maxPipelined bounds the messages of one connection that wait to be answered.
	maxPipelined = 64
)

// wsServer is the WebSocket transport, plain or over TLS.
type wsServer struct {
	admin    *Admin
	scheme   string
	listener net.Listener
	server   *websocket.Server
}

func (a *Admin) newWS(scheme string, l net.Listener, config *tls.Config) transport {
	w := &wsServer{admin: a, scheme: scheme, listener: l}
	w.server = websocket.New(w, websocket.Options{
		Name: "admin-" + scheme, Subprotocols: []string{subprotocol}, MaxMessage: maxBody, MaxConns: maxClients, Pollers: 1, TLS: config,
		Header: func(r *websocket.Request) (http.Header, bool) { return a.cors.Upgrade(r.Header) },
		Log:    a.log, Registry: a.opts.Registry,
	})
	return w
}

func (w *wsServer) serve() {
	if err := w.server.Serve(w.admin.ctx, w.listener); err != nil && !errors.Is(err, context.Canceled) {
		w.admin.log.Error("Admin API failed", "transport", w.scheme, "error", err)
	}
}

// shutdown tells every client that the edge goes away (1001, RFC 6455 §7.4.1).
func (w *wsServer) shutdown(ctx context.Context) error {
	return w.server.Shutdown(ctx, ws.StatusGoingAway, "edge is stopping")
}

func (w *wsServer) abandon() { _ = w.listener.Close() }

func (w *wsServer) url(host string) string { return w.scheme + "://" + hostOf(w.listener.Addr(), host) }

func (w *wsServer) clients() clients { return clients{scheme: w.scheme, connections: w.server.Len()} }

// client is one connection: a goroutine answers its messages in order.
type client struct {
	queue chan []byte
}

// Open implements websocket.Handler.
func (w *wsServer) Open(c *websocket.Conn) {
	k := &client{queue: make(chan []byte, maxPipelined)}
	c.SetData(k)
	w.admin.work.Go(func() { w.admin.converse(c, k) })
}

// converse answers the messages of one connection until it closes.
func (a *Admin) converse(c *websocket.Conn, k *client) {
	for {
		select {
		case <-a.ctx.Done():
			return
		case frame, ok := <-k.queue:
			if !ok {
				return
			}
			for _, text := range requests(frame) {
				if c.Send(a.run(a.ctx, text)) != nil {
					break // the connection ends: Close follows
				}
			}
		}
	}
}

// Message implements websocket.Handler.
func (w *wsServer) Message(c *websocket.Conn, data []byte) {
	select {
	case c.Data().(*client).queue <- append([]byte{}, data...):
	default:
		c.Close(ws.StatusPolicyViolation, "too many requests wait")
	}
}

// Close implements websocket.Handler.
func (w *wsServer) Close(c *websocket.Conn, _ error) { close(c.Data().(*client).queue) }

// requests are the JSON texts of a message, in plain form. A message that is none is to Janus one request that says
// nothing.
func requests(frame []byte) [][]byte {
	var m janusjson.Message
	if janusjson.Scan(frame, &m) == nil {
		return [][]byte{m.Raw()}
	}
	texts, err := janusjson.Decode(frame, janusjson.Quirks{})
	if err != nil {
		return [][]byte{[]byte("{}")}
	}
	return texts
}
