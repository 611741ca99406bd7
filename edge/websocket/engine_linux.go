// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/januscloud/januscloud/edge/netpoll"
)

// acceptBatch is how many connections are accepted before the others on the
// poller have their turn.
const acceptBatch = 16

// engine holds the event loops.
type engine struct {
	pollers []*poller
	next    atomic.Uint32
}

// start runs the loops, unless they run already. Called with Server.mu held.
func (e *engine) start(s *Server) error {
	if len(e.pollers) > 0 {
		return nil
	}
	for range s.opts.Pollers {
		loop, err := netpoll.Open()
		if err != nil {
			e.abandon()
			return err
		}
		e.pollers = append(e.pollers, &poller{loop: loop, buf: make([]byte, readBuffer)})
	}
	for _, p := range e.pollers {
		s.tasks.Go(func() {
			if err := p.loop.Run(); err != nil {
				s.opts.Log.Error("websocket event loop failed", "listener", s.opts.Name, "error", err)
			}
		})
	}
	return nil
}

// abandon releases loops that never ran: Run returns at once from a closed one.
func (e *engine) abandon() {
	for _, p := range e.pollers {
		p.loop.Close()
		_ = p.loop.Run()
	}
	e.pollers = nil
}

func (e *engine) stop() {
	for _, p := range e.pollers {
		p.loop.Close()
	}
}

func (e *engine) pick() *poller {
	return e.pollers[int(e.next.Add(1))%len(e.pollers)]
}

// serves reports whether ln is a plain socket; a type that embeds one may have
// an Accept of its own, which must not be passed over.
func (e *engine) serves(ln net.Listener) bool {
	switch ln.(type) {
	case *net.TCPListener, *net.UnixListener:
		return true
	}
	return false
}

// accept has ln's connections accepted by one of the loops, until ctx ends.
func (e *engine) accept(ctx context.Context, s *Server, ln net.Listener) error {
	fd, err := duplicate(ln)
	if err != nil {
		return fmt.Errorf("websocket: listener: %w", err)
	}
	_, tcp := ln.(*net.TCPListener)
	a := &acceptor{server: s, poller: e.pick(), fd: fd, tcp: tcp, ctx: ctx, resting: true, done: make(chan struct{})}
	// At rest until it knows its key, which the loop's goroutine needs.
	if a.key, err = a.poller.loop.Add(fd, a, 0); err != nil {
		unix.Close(fd)
		return fmt.Errorf("websocket: listener: %w", err)
	}
	a.poller.loop.Wake(a)
	<-ctx.Done()
	if a.poller.loop.Wake(a) {
		<-a.done
	} else {
		unix.Close(fd) // the loop has failed
	}
	return nil
}

// duplicate gives the listener's socket a descriptor of our own.
func duplicate(ln net.Listener) (int, error) {
	raw, err := ln.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, dupErr := -1, error(nil)
	if err := raw.Control(func(own uintptr) {
		fd, dupErr = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return -1, err
	}
	return fd, dupErr
}

// tune sets the options of an accepted TCP connection. It cannot be done once on
// the listening socket: a multipath one, as net.Listen makes them, does not know
// all of them and hands down none. A failure means that the peer is gone
// already, which reading will tell.
func tune(fd int, o *Options) {
	set := func(level, option, value int) { _ = unix.SetsockoptInt(fd, level, option, value) }
	set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	set(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(o.WriteTimeout.Milliseconds()))
	if o.KeepAlive < 0 {
		return
	}
	idle := max(int(o.KeepAlive/time.Second), 1)
	set(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, idle)
	set(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, max(idle/4, 1))
	set(unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepAliveProbes)
	set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
}

// acceptor is a listening socket on a loop.
type acceptor struct {
	server *Server
	poller *poller
	fd     int
	tcp    bool
	key    netpoll.Key
	ctx    context.Context // of the Serve call this is part of
	done   chan struct{}

	// Of the loop's goroutine.
	pause   time.Duration // the last one after a failure
	resting bool          // not watched until the pause is over
	closed  bool
}

// Ready implements netpoll.Handler.
func (a *acceptor) Ready(netpoll.Events) (again bool) {
	if a.closed {
		return false
	}
	if a.ctx.Err() != nil {
		a.closed = true
		a.poller.loop.Remove(a.fd, a.key)
		unix.Close(a.fd)
		close(a.done)
		return false
	}
	if a.resting {
		a.resting = false
		_ = a.poller.loop.Modify(a.fd, a.key, netpoll.Readable)
	}
	for range acceptBatch {
		fd, peer, err := unix.Accept4(a.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			a.pause = 0
			if a.tcp {
				tune(fd, &a.server.opts)
			}
			newSocket(a.server, a.server.engine.pick(), fd, addressOf(peer))
		case unix.EAGAIN:
			return false
		case unix.EINTR, unix.ECONNABORTED:
		default:
			a.rest(err)
			return false
		}
	}
	return true
}

// rest keeps a listener that cannot accept, for want of descriptors as a rule,
// from spinning: it is not watched for a while.
func (a *acceptor) rest(err error) {
	a.server.metrics.acceptErrors.Inc()
	a.server.opts.Log.Warn("websocket accept failed", "listener", a.server.opts.Name, "error", err)
	a.pause = min(max(2*a.pause, minAcceptPause), maxAcceptPause)
	a.resting = true
	_ = a.poller.loop.Modify(a.fd, a.key, 0)
	time.AfterFunc(a.pause, func() { a.poller.loop.Wake(a) })
}

func addressOf(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// descriptorBudget is the default of Options.MaxConns.
func descriptorBudget() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fallbackMaxConns
	}
	n := min(limit.Cur, 1<<30)
	return int(n - n/16)
}
