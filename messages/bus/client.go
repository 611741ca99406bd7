// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"math/rand/v2"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

// How the client is set up. A server that froze is given up after pingsOut unanswered pings
// and one more interval: 1.2 s. Losing a connection leads to one attempt on each known
// server at once, the lost one last; then to rounds of them.
const (
	pingInterval   = 300 * time.Millisecond
	pingsOut       = 3
	connectTimeout = time.Second // per server: dial, TLS, greeting
	retryWait      = 100 * time.Millisecond
)

// options are what the bus wants of NATS's client. What it depends on is set after the
// caller's options, the rest before.
func (b *Bus) options(o Options) (nats.Options, error) {
	n := nats.GetDefaultOptions()
	n.Servers = o.URLs
	n.Name = o.Name
	n.PingInterval = pingInterval
	n.MaxPingsOut = pingsOut
	n.Timeout = connectTimeout
	n.CustomReconnectDelayCB = retryDelay
	for _, option := range o.NATS {
		if err := option(&n); err != nil {
			return n, err
		}
	}
	n.AllowReconnect = true
	n.MaxReconnect = -1
	n.ReconnectBufSize = -1 // nothing is kept for later: what is late is wrong
	n.RetryOnFailedConnect = true
	n.IgnoreAuthErrorAbort = true // a server that is being set up anew refuses for a while
	n.ReconnectOnFlusherError = true
	n.NoEcho = false // we are our own receiver when DirectOff, and of listeners
	n.ConnectedCB = b.link.onConnect
	n.ReconnectedCB = b.link.onConnect
	n.DisconnectedErrCB = b.link.onDisconnect
	n.ReconnectErrCB = b.link.onRefusal
	n.ClosedCB = b.link.onClosed
	n.AsyncErrorCB = b.link.onError
	if o.InProcess != nil {
		n.InProcessServer = pipes{b, o.InProcess}
		return n, nil
	}
	// Names are looked up by the dialer, within its time-out; the client would do it
	// without one, and under its lock.
	n.SkipHostLookup = true
	if n.CustomDialer == nil {
		n.CustomDialer = &net.Dialer{Timeout: n.Timeout}
	}
	b.dialer = &dialer{
		next:     n.CustomDialer,
		timeout:  n.Timeout,
		greeted:  serverSpeaksFirst(&n),
		hurried:  func() bool { return b.link.connects.Load() > 0 },
		newWire:  b.wire,
		attempts: make(map[string]*attempt),
	}
	n.CustomDialer = b.dialer
	return n, nil
}

// retryDelay tells how long to wait before a round of attempts on all known servers. The
// client asks even before the first attempt if it knows only one server.
func retryDelay(round int) time.Duration {
	if round <= 1 {
		return 0
	}
	return retryWait/2 + rand.N(retryWait)
}

// pipes makes wires of the pipes into an embedded server.
type pipes struct {
	bus  *Bus
	next nats.InProcessConnProvider
}

// InProcessConn connects.
func (p pipes) InProcessConn() (net.Conn, error) {
	c, err := p.next.InProcessConn()
	if err != nil {
		return nil, err
	}
	return p.bus.wire(c, nil), nil
}

// wire makes the connection of the present attempt; greeting is what was read of it.
func (b *Bus) wire(c net.Conn, greeting []byte) net.Conn {
	w := newWire(c, b.link.down)
	w.greeting = greeting
	b.link.adopt(w)
	return w
}
