// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/januscloud/januscloud/edge/auth"
	"github.com/januscloud/januscloud/edge/rest"
	"github.com/januscloud/januscloud/edge/websocket"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/settings"
)

const (
	// patience is how long others may take to answer a request.
	patience = 3 * time.Second
	// longPatience is that of what Janus itself takes its time for: resolving a name, asking a STUN server.
	longPatience = 7 * time.Second
	// spreadTime is how long the other edges are waited for when something was set, and spreadCheck how often is looked.
	spreadTime  = 2 * time.Second
	spreadCheck = 5 * time.Millisecond
	// maxRequests bounds the requests that are under way.
	maxRequests = 64
	// DefaultBase is the path of the HTTP transport (admin_base_path of janus.transport.http.jcfg).
	DefaultBase = "/admin"
)

// ErrOptions says that the Admin API cannot be served so.
var ErrOptions = errors.New("admin: bad options")

// Options say what is served and for whom.
type Options struct {
	// HTTP, HTTPS, WS and WSS are addresses to listen on, host:port; empty: not at all. Those over TLS need CertFile and
	// KeyFile, PEM files that are read again when they change.
	HTTP, HTTPS, WS, WSS string
	CertFile, KeyFile    string
	// Base is the path of the HTTP transport. Empty: DefaultBase.
	Base string
	// Secret is what requests must carry as admin_secret. It may not be empty.
	Secret string
	// Origin is who may use the API from a web page, as Access-Control-Allow-Origin. Empty: "*", as Janus has it: a page
	// can do nothing without the secret. With EnforceOrigin pages from elsewhere are refused, as by the Janus API.
	Origin        string
	EnforceOrigin bool

	// NATS serves those who publish their requests to messages.AdminAPISubject, too.
	NATS bool

	Bus    *bus.Bus
	Roster *roster.Roster
	Log    *slog.Logger
	// Registry gets the metrics; nil keeps them out of sight.
	Registry prometheus.Registerer

	// SessionTimeout and ReclaimTimeout are those of the session nodes' configuration, for get_status.
	SessionTimeout, ReclaimTimeout time.Duration
	// Rules are what administrators set for all sessions, which somebody else keeps up to date. Nil: nothing.
	Rules *settings.Rules
	// Info appends the answer to an info request with this transaction, a JSON string; nil: there is none. Pings reports
	// whether GET /ping is answered, which Janus does since 1.2.2; nil: it is not.
	Info  func(dst, transaction []byte) []byte
	Pings func() bool
	// Clients tells of the transports of the Janus API at this edge, for query_transport; nil: there are none.
	Clients func(each func(scheme string, connections, requests int))
	// TokenAuth tells that clients are asked for tokens (token_auth of Janus), and Tokens are those that are stored; nil when
	// there are none.
	TokenAuth bool
	Tokens    Tokens
}

// Admin serves the Admin API. Make one with Start.
type Admin struct {
	opts    Options
	base    rest.Base
	secret  []byte
	log     *slog.Logger
	metrics *metrics
	slots   chan struct{} // one for each request under way

	background
	cors       rest.CORS
	refusals   *auth.Refusals
	transports []transport
	nats       *bus.Subscription // nil: not served over NATS
}

// clients is what a transport has to do.
type clients struct {
	scheme      string // ws, wss, http or https; with "admin_" before it: of the Admin API
	connections int
	requests    int // under way; over HTTP alone
}

// transport is one way in.
type transport interface {
	serve()
	shutdown(ctx context.Context) error
	url(host string) string
	clients() clients
	abandon()
}

// background is what runs until Stop.
type background struct {
	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup
}

// Start serves the Admin API. ctx bounds the start alone.
func Start(ctx context.Context, o Options) (*Admin, error) {
	a, err := newAdmin(o)
	if err != nil {
		return nil, err
	}
	if err := a.listen(ctx); err != nil {
		for _, t := range a.transports {
			t.abandon()
		}
		a.background.stop()
		return nil, fmt.Errorf("admin: %w", err)
	}
	for _, t := range a.transports {
		a.work.Go(t.serve)
	}
	if err := a.listenNATS(); err != nil {
		return nil, fmt.Errorf("admin: %w", errors.Join(err, a.Stop(ctx)))
	}
	a.log.Info("Admin API is served", "addresses", a.Addresses())
	return a, nil
}

// newAdmin makes one that does not listen.
func newAdmin(o Options) (*Admin, error) {
	if o.Base == "" {
		o.Base = DefaultBase
	}
	if o.Origin == "" {
		o.Origin = rest.AnyOrigin
	}
	if o.Rules == nil {
		o.Rules = new(settings.Rules)
	}
	if stored, ok := o.Tokens.(*auth.Tokens); ok && stored == nil {
		o.Tokens = nil
	}
	switch {
	case o.Secret == "":
		return nil, fmt.Errorf("%w: a secret is needed", ErrOptions)
	case (o.HTTPS != "" || o.WSS != "") && (o.CertFile == "" || o.KeyFile == ""):
		return nil, fmt.Errorf("%w: transports over TLS need a certificate and its key", ErrOptions)
	}
	base, err := rest.NewBase(o.Base)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	a := &Admin{
		opts: o, base: base, secret: []byte(o.Secret), log: o.Log, slots: make(chan struct{}, maxRequests),
		metrics: newMetrics(o.Registry), refusals: auth.NewRefusals(o.Log.With("api", "admin")),
	}
	a.cors = rest.NewCORS(o.Origin, o.EnforceOrigin, a.refusals.Origin)
	a.ctx, a.background.stop = context.WithCancel(context.Background())
	return a, nil
}

// listen opens the transports that have an address. None of them serves before all of them listen.
func (a *Admin) listen(ctx context.Context) error {
	o := &a.opts
	for _, x := range []struct {
		scheme, address string
		open            func(scheme string, l net.Listener, config *tls.Config) transport
	}{{"http", o.HTTP, a.newHTTP}, {"https", o.HTTPS, a.newHTTP}, {"ws", o.WS, a.newWS}, {"wss", o.WSS, a.newWS}} {
		if x.address == "" {
			continue
		}
		var config *tls.Config
		if x.scheme == "https" || x.scheme == "wss" {
			certificate, err := websocket.LoadCertificate(o.CertFile, o.KeyFile, a.log)
			if err != nil {
				return fmt.Errorf("%s: %w", x.scheme, err)
			}
			config = certificate.Config()
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", x.address)
		if err != nil {
			return fmt.Errorf("%s: %w", x.scheme, err)
		}
		a.transports = append(a.transports, x.open(x.scheme, l, config))
	}
	return nil
}

// Addresses are the URLs of the API by scheme ("http", "https", "ws", "wss"); one that listens everywhere is named by the
// loopback address.
func (a *Admin) Addresses() map[string]string {
	at := map[string]string{}
	for _, t := range a.transports {
		at[t.clients().scheme] = t.url("127.0.0.1")
	}
	return at
}

// hostOf is where clients reach a listener: on host where it listens everywhere.
func hostOf(a net.Addr, host string) string {
	address := a.(*net.TCPAddr)
	if !address.IP.IsUnspecified() {
		host = address.IP.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(address.Port))
}

// Stop ends the API: requests under way are answered, until ctx ends.
func (a *Admin) Stop(ctx context.Context) error {
	errs := []error{a.stopNATS(ctx)}
	for _, t := range a.transports {
		errs = append(errs, t.shutdown(ctx))
	}
	a.background.stop()
	a.work.Wait()
	return errors.Join(errs...)
}

// live are the media servers whose Janus can be asked.
func (a *Admin) live() []roster.Peer {
	var all []roster.Peer
	for _, p := range a.opts.Roster.View().Media() {
		if !p.Silent && p.Beat.Media != nil && p.Beat.Media.Serves() && p.Beat.State != messages.StateLeaving {
			all = append(all, p)
		}
	}
	return all
}
