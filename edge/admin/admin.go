// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/januscloud/januscloud/edge/auth"
	"github.com/januscloud/januscloud/edge/rest"
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
	// HTTP and WS are addresses to listen on, host:port; empty: not at all.
	HTTP, WS string
	// Base is the path of the HTTP transport. Empty: DefaultBase.
	Base string
	// Secret is what requests must carry as admin_secret. It may not be empty.
	Secret string
	// Origin is who may use the API from a web page, as Access-Control-Allow-Origin. Empty: "*", as Janus has it: a page
	// can do nothing without the secret.
	Origin string

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
	http *httpServer // nil: none
	ws   *wsServer   // nil: none
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
		_ = a.Stop(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("admin: %w", err)
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
		o.Origin = "*"
	}
	if o.Rules == nil {
		o.Rules = new(settings.Rules)
	}
	if stored, ok := o.Tokens.(*auth.Tokens); ok && stored == nil {
		o.Tokens = nil
	}
	if o.Secret == "" {
		return nil, fmt.Errorf("%w: a secret is needed", ErrOptions)
	}
	base, err := rest.NewBase(o.Base)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	a := &Admin{
		opts: o, base: base, secret: []byte(o.Secret), log: o.Log, slots: make(chan struct{}, maxRequests),
		metrics: newMetrics(o.Registry),
	}
	a.ctx, a.background.stop = context.WithCancel(context.Background())
	return a, nil
}

func (a *Admin) listen(ctx context.Context) error {
	listen := func(address string) (net.Listener, error) {
		return new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	if a.opts.HTTP != "" {
		l, err := listen(a.opts.HTTP)
		if err != nil {
			return err
		}
		a.http = a.newHTTP(l)
		a.work.Go(a.http.serve)
	}
	if a.opts.WS != "" {
		l, err := listen(a.opts.WS)
		if err != nil {
			return err
		}
		a.ws = a.newWS(l)
		a.work.Go(a.ws.serve)
	}
	return nil
}

// Addresses are the URLs of the API by transport ("http", "ws"); one that listens everywhere is named by the loopback
// address.
func (a *Admin) Addresses() map[string]string {
	at := map[string]string{}
	if a.http != nil {
		at["http"] = "http://" + reachable(a.http.listener.Addr()) + string(a.base)
	}
	if a.ws != nil {
		at["ws"] = "ws://" + reachable(a.ws.listener.Addr())
	}
	return at
}

func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// Stop ends the API: requests under way are answered, until ctx ends.
func (a *Admin) Stop(ctx context.Context) error {
	var errs []error
	if a.http != nil {
		errs = append(errs, a.http.shutdown(ctx))
	}
	if a.ws != nil {
		errs = append(errs, a.ws.shutdown(ctx))
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
