// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/januscloud/januscloud/edge/rest"
	"github.com/januscloud/januscloud/edge/websocket"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/load"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/wheel"
)

// Defaults of Options.
const (
	DefaultDeadline              = 30 * time.Second
	DefaultOrigin                = rest.AnyOrigin
	DefaultHTTPBase              = "/janus"
	DefaultMaxInFlight           = 256 << 20
	DefaultMaxConnectionInFlight = 4 << 20
)

// Options are what an edge needs. The zero value of a field means its default, where one is named.
type Options struct {
	Name     string // unique among the cluster's edges, see messages.ValidName
	Region   string
	Bus      *bus.Bus
	Roster   *roster.Roster
	Wheel    *wheel.Wheel
	Load     *load.Meter
	Log      *slog.Logger
	Registry prometheus.Registerer // nil: no metrics

	// WS is the address of the WebSocket transport (Janus: 8188), WSS that of the same over TLS; port 0 picks a free one,
	// an empty address switches the transport off. WSS needs CertFile and KeyFile, PEM files that are read again when they
	// change.
	WS, WSS           string
	CertFile, KeyFile string

	// HTTP and HTTPS are the addresses of the HTTP transport (Janus: 8088 and 8089), under the same rules as WS and WSS.
	// HTTPBase is the path of the API there (base_path of Janus; DefaultHTTPBase).
	HTTP, HTTPS string
	HTTPBase    string

	// NATSAPI serves clients that publish their requests to NATS: see messages.APISubject.
	NATSAPI bool

	// Origin is what browsers are told may use this edge (Access-Control-Allow-Origin; allow_origin of Janus, "*" by
	// default). With EnforceOrigin a WebSocket from an origin that does not begin with it is hung up on, and a request over
	// HTTP gets 403 (enforce_cors).
	Origin        string
	EnforceOrigin bool

	// APISecret is asked of every request but info and ping (api_secret of Janus; empty: none).
	APISecret string
	// TokenAuth asks for a token instead, or besides: either suffices (token_auth of Janus). Tokens are those that were stored
	// through the admin API, for which NATS must have JetStream; with TokenAuthSecret, those signed with it (token_auth_secret).
	TokenAuth       bool
	TokenAuthSecret string

	// Deadline is how long a request over WebSocket may wait for its answer (DefaultDeadline). One over HTTP waits for 9 s:
	// Janus ends it after 10 s.
	Deadline time.Duration

	// MaxMessage and MaxQueue bound what a client may send at once and leave unread, in bytes (see websocket.Options). A
	// body over HTTP beyond MaxMessage gets 413.
	MaxMessage, MaxQueue int
	// MaxConnections bounds the clients of each transport. By default that is what the limit of open files allows (see
	// websocket.Options.MaxConns), and 20,000 over HTTP, where a client costs more.
	MaxConnections int
	// PingInterval is the silence after which a WebSocket is pinged, and PongTimeout how much longer it lives without a
	// sign (pingpong_trigger and pingpong_timeout of Janus; 0 = never).
	PingInterval, PongTimeout time.Duration
	// MaxInFlight bounds the memory of all unanswered requests in bytes, MaxConnectionInFlight that of one connection's;
	// what exceeds them is refused.
	MaxInFlight, MaxConnectionInFlight int

	// ServerName is told by info; where it is empty a media server's is.
	ServerName string
	// SessionTimeout and ReclaimTimeout are those of the session nodes, told by info.
	SessionTimeout, ReclaimTimeout time.Duration

	// Quirks are the manners of the Janus version that is imitated.
	Quirks janusjson.Quirks
}

// ErrOptions says that an edge cannot be made of its Options.
var ErrOptions = errors.New("edge: bad options")

func (o Options) check() error {
	switch {
	case !messages.ValidName(o.Name):
		return fmt.Errorf("%w: %q is not a valid name", ErrOptions, o.Name)
	case o.WS == "" && o.WSS == "" && o.HTTP == "" && o.HTTPS == "" && !o.NATSAPI:
		return fmt.Errorf("%w: no transport has an address", ErrOptions)
	case (o.WSS != "" || o.HTTPS != "") && (o.CertFile == "" || o.KeyFile == ""):
		return fmt.Errorf("%w: transports over TLS need a certificate and its key", ErrOptions)
	case o.TokenAuthSecret != "" && !o.TokenAuth:
		return fmt.Errorf("%w: a secret for tokens, but no tokens are asked for", ErrOptions)
	}
	if _, err := rest.NewBase(o.withDefaults().HTTPBase); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return nil
}

func (o *Options) maxHTTPClients() int {
	if o.MaxConnections > 0 {
		return o.MaxConnections
	}
	return maxHTTPClients
}

func (o Options) withDefaults() Options {
	def(&o.Origin, DefaultOrigin)
	def(&o.HTTPBase, DefaultHTTPBase)
	def(&o.Deadline, DefaultDeadline)
	def(&o.MaxMessage, websocket.DefaultMaxMessage)
	def(&o.MaxInFlight, DefaultMaxInFlight)
	def(&o.MaxConnectionInFlight, DefaultMaxConnectionInFlight)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
