// SPDX-License-Identifier: Apache-2.0

// Package embedded runs a NATS server inside the process: for januscloud dev, and for
// tests. A real cluster has NATS servers of its own.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Options say what kind of server to run. The zero value is one without JetStream on a
// free port of the loopback interface.
type Options struct {
	Name string // of the server; needed and unique in a cluster
	Host string // to listen on; default 127.0.0.1
	Port int    // 0 picks a free one, -1 listens on none: connections are in-process only
	// JetStream turns streams and key-value buckets on. Their files live in StoreDir; if
	// that is empty, in a temporary directory that Shutdown removes.
	JetStream bool
	StoreDir  string
	Cluster   *Cluster // nil for a server of its own
	// Log gets the server's warnings and errors, and at debug level what it notices; nil
	// discards them.
	Log *slog.Logger
}

// Cluster makes a server one of several.
type Cluster struct {
	Name   string   // the same on all servers
	Port   int      // for the other servers; 0 picks a free one
	Routes []string // route URLs of others: one that knows the rest is enough, but all with JetStream
}

// readyWait bounds the start for a context without a deadline.
const readyWait = 10 * time.Second

// ErrNotReady says that the server does not accept connections.
var ErrNotReady = errors.New("embedded NATS server is not ready")

// Server is a running NATS server.
type Server struct {
	server    *server.Server
	temporary string // directory to remove, if any
}

// Start runs a server and waits until it accepts connections, or ctx is done (ten seconds
// if that has no deadline). The server leaves signals alone.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{}
	opts, err := s.options(o)
	if err != nil {
		return nil, err
	}
	if s.server, err = server.NewServer(opts); err != nil {
		s.removeTemporary()
		return nil, fmt.Errorf("embedded NATS server: %w", err)
	}
	log := newLogger(o.Log)
	s.server.SetLoggerV2(log, false, false, false)
	s.server.Start()
	if err := s.ready(ctx, log); err != nil {
		s.Shutdown()
		return nil, err
	}
	return s, nil
}

// ready waits until the server is, in steps: so that it notices when ctx is cancelled, or
// the server gave up.
func (s *Server) ready(ctx context.Context, log *logger) error {
	const step = 100 * time.Millisecond
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, readyWait)
		defer cancel()
	}
	for {
		if reason := log.fatal(); reason != "" {
			return fmt.Errorf("%w: %s", ErrNotReady, reason)
		}
		if s.server.ReadyForConnections(step) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrNotReady, context.Cause(ctx))
		}
	}
}

func (s *Server) options(o Options) (*server.Options, error) {
	opts := &server.Options{
		ServerName: o.Name,
		Host:       o.Host,
		Port:       port(o.Port),
		DontListen: o.Port < 0,
		NoSigs:     true,
		NoLog:      true,
		JetStream:  o.JetStream,
		StoreDir:   o.StoreDir,
	}
	if opts.Host == "" {
		opts.Host = "127.0.0.1"
	}
	if c := o.Cluster; c != nil {
		opts.Cluster = server.ClusterOpts{Name: c.Name, Host: opts.Host, Port: port(c.Port)}
		for _, r := range c.Routes {
			u, err := url.Parse(r)
			if err != nil {
				return nil, fmt.Errorf("embedded NATS server: route: %w", err)
			}
			opts.Routes = append(opts.Routes, u)
		}
	}
	if o.JetStream && o.StoreDir == "" {
		dir, err := os.MkdirTemp("", "januscloud-nats-")
		if err != nil {
			return nil, fmt.Errorf("embedded NATS server: %w", err)
		}
		s.temporary, opts.StoreDir = dir, dir
	}
	return opts, nil
}

// port puts ours into NATS's terms: there 0 means 4222, and -1 a free one.
func port(p int) int {
	if p <= 0 {
		return server.RANDOM_PORT
	}
	return p
}

// ClientURL is where clients connect, empty for a server without a port.
func (s *Server) ClientURL() string {
	if addr, ok := s.server.Addr().(*net.TCPAddr); ok {
		return "nats://" + net.JoinHostPort(addr.IP.String(), strconv.Itoa(addr.Port))
	}
	return ""
}

// RouteURL is where other servers of the cluster connect, empty outside of a cluster.
func (s *Server) RouteURL() string {
	if addr := s.server.ClusterAddr(); addr != nil {
		return "nats://" + addr.String()
	}
	return ""
}

// InProcessConn connects to the server without a socket (nats.InProcessConnProvider).
func (s *Server) InProcessConn() (net.Conn, error) { return s.server.InProcessConn() }

// Routes tells how many other servers this one is connected to. Each pair keeps several
// connections, which count as one here.
func (s *Server) Routes() int { return s.server.NumRemotes() }

// Shutdown closes all connections, stops the server and waits for it. A second one does
// nothing.
func (s *Server) Shutdown() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
	s.removeTemporary()
}

func (s *Server) removeTemporary() {
	if s.temporary != "" {
		_ = os.RemoveAll(s.temporary)
	}
}
