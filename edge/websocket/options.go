// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of Options.
const (
	// DefaultMaxMessage leaves room for subject and headers below the 1 MiB
	// max_payload of a NATS server.
	DefaultMaxMessage       = 1<<20 - 4096
	DefaultMaxQueue         = 4 << 20
	DefaultHandshakeTimeout = 5 * time.Second
	DefaultCloseTimeout     = 5 * time.Second
	DefaultWriteTimeout     = 30 * time.Second
	DefaultKeepAlive        = 60 * time.Second

	keepAliveProbes  = 4
	fallbackMaxConns = 10_000 // where the system does not tell its limit
)

// Options configure a Server. The zero value of a field means its default.
type Options struct {
	// Name tells several servers of one process apart in logs and metrics
	// (label "listener"), "ws" by default.
	Name string

	// Subprotocols are those this server speaks. The first one offered by the
	// client that is among them is agreed on; a client that offers none of them
	// is refused as Janus does: closed without an answer. Empty: everybody is
	// accepted and none is agreed on.
	Subprotocols []string

	// MaxMessage is the largest message in bytes, fragments joined; a larger one
	// closes the connection with 1009.
	MaxMessage int

	// MaxQueue bounds the bytes kept for a client that does not read. What does
	// not fit closes the connection with 1008.
	MaxQueue int

	// MaxConns bounds the connections, those in their handshake included; more
	// are answered 503. By default the process's descriptor limit less a reserve
	// of a sixteenth for everything else.
	MaxConns int

	// HandshakeTimeout is how long a client may take for its upgrade request
	// (and the TLS handshake before it).
	HandshakeTimeout time.Duration

	// CloseTimeout is how long a closing connection waits for the peer to take
	// the close frame and hang up.
	CloseTimeout time.Duration

	// PingInterval is the silence after which a client is pinged, PongTimeout
	// the further silence after which it is dropped; anything received counts as
	// life. Zero turns it off, as Janus does (pingpong_trigger,
	// pingpong_timeout). PongTimeout defaults to PingInterval.
	PingInterval, PongTimeout time.Duration

	// KeepAlive is the silence after which TCP itself probes the peer; the
	// connection is lost after up to four unanswered probes a quarter of it apart.
	// It finds dead peers without a byte visible to clients; negative is off.
	KeepAlive time.Duration

	// WriteTimeout is how long a peer may take no byte at all of what waits for
	// it, be it in our queue or in the kernel's (TCP_USER_TIMEOUT).
	WriteTimeout time.Duration

	// Header is asked before a connection is upgraded: it returns headers for
	// the response, or false to hang up without an answer (a foreign origin, as
	// Janus with enforce_cors). It runs on a poller's goroutine and must not
	// block.
	Header func(r *Request) (headers http.Header, allowed bool)

	// TLS makes this a wss server; see Certificate for files that are renewed.
	TLS *tls.Config

	// Pollers is the number of event loops, GOMAXPROCS by default.
	Pollers int

	// IDs numbers the connections. Servers of one process that share it have
	// distinct Conn.IDs; nil gives this server a counter of its own.
	IDs *atomic.Uint64

	// Log gets one line per refused or failed connection at debug level, and
	// warnings about the server itself. slog.Default by default.
	Log *slog.Logger

	// Registry gets the metrics; nil keeps them out of sight.
	Registry prometheus.Registerer
}

// Request is what Options.Header decides on. It is valid during that call only.
type Request struct {
	RemoteAddr string
	URI        string
	Host       string
	// Subprotocol is the one agreed on.
	Subprotocol string
	// Header holds the request's headers except those of the WebSocket
	// handshake itself and Host.
	Header http.Header
}

func (o Options) withDefaults() Options {
	def(&o.Name, "ws")
	def(&o.MaxMessage, DefaultMaxMessage)
	def(&o.MaxQueue, DefaultMaxQueue)
	def(&o.MaxConns, descriptorBudget())
	def(&o.HandshakeTimeout, DefaultHandshakeTimeout)
	def(&o.CloseTimeout, DefaultCloseTimeout)
	def(&o.PongTimeout, o.PingInterval)
	def(&o.KeepAlive, DefaultKeepAlive)
	def(&o.WriteTimeout, DefaultWriteTimeout)
	def(&o.Pollers, runtime.GOMAXPROCS(0))
	if o.IDs == nil {
		o.IDs = new(atomic.Uint64)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
