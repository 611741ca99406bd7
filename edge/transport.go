// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"fmt"
	"net"
	"os"
)

// The schemes of clients' URLs, which are also the names of the transports.
const (
	schemeWS    = "ws"
	schemeWSS   = "wss"
	schemeHTTP  = "http"
	schemeHTTPS = "https"
)

// transport is a way in for clients. It listens from the start, and serves until it is stopped.
type transport interface {
	// scheme is the scheme of its URL.
	scheme() string
	// url is the address for clients on host, where it listens on all.
	url(host string) string
	// clients is the number of connections.
	clients() int
	// serve accepts clients until ctx ends or the transport is stopped.
	serve(ctx context.Context)
	// disconnect sends the clients that are there elsewhere, and does not wait for them. The transport serves on.
	disconnect()
	// stop sends the clients that are there elsewhere and waits for them, until ctx ends.
	stop(ctx context.Context) error
	// abandon ends a transport that never served.
	abandon()
}

// listen opens the transports that have an address, which serve nobody yet.
func (e *Edge) listen(ctx context.Context) error {
	o := &e.opts
	for _, x := range []struct {
		scheme, address string
		open            func(ctx context.Context, scheme, address string) (transport, error)
	}{
		{schemeWS, o.WS, e.listenWebSocket},
		{schemeWSS, o.WSS, e.listenWebSocket},
		{schemeHTTP, o.HTTP, e.listenHTTP},
		{schemeHTTPS, o.HTTPS, e.listenHTTP},
	} {
		if x.address == "" {
			continue
		}
		t, err := x.open(ctx, x.scheme, x.address)
		if err != nil {
			return fmt.Errorf("transport %s: %w", x.scheme, err)
		}
		e.transports = append(e.transports, t)
		e.undone(t.abandon)
	}
	return nil
}

// addresses are the URLs for clients by scheme, those of transports that listen everywhere with this host.
func (e *Edge) addresses(host string) map[string]string {
	addresses := make(map[string]string, len(e.transports))
	for _, t := range e.transports {
		addresses[t.scheme()] = t.url(host)
	}
	return addresses
}

// urlOf is the URL of a listener, on host where it listens on all addresses.
func urlOf(scheme, host string, at net.Addr) string {
	address := at.(*net.TCPAddr)
	if !address.IP.IsUnspecified() {
		host = address.IP.String()
	}
	return fmt.Sprintf("%s://%s", scheme, net.JoinHostPort(host, fmt.Sprint(address.Port)))
}

// hostName is how other machines may reach this one; loopback where that is not known.
func hostName() string {
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "127.0.0.1"
}
