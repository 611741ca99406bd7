// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// NATS's client connects under its connection lock (nats.go: doReconnect), so that whoever
// publishes at the wrong moment waits as long as the attempt takes: a second, again and
// again, in front of a server that is frozen. So connecting is done beside it, up to the
// server's first words, and the client waits only a little for that.
const (
	patience   = 20 * time.Millisecond
	greetingOK = time.Second // how old a greeting may be: a server waits two seconds for the answer
)

// errNotYet tells the client to try the next server, or this one again a little later.
var errNotYet = errors.New("bus: NATS server has not answered yet")

// dialer connects to NATS servers for the client.
type dialer struct {
	next     nats.CustomDialer
	timeout  time.Duration // of an attempt
	greeted  bool          // the server speaks first
	hurried  func() bool   // somebody may be waiting for the client's lock
	newWire  func(c net.Conn, greeting []byte) net.Conn
	mu       sync.Mutex // held for map accesses
	closed   bool
	attempts map[string]*attempt // by address; one at a time
}

// attempt is one try to reach a server. Its fields are set when done is closed.
type attempt struct {
	done     chan struct{}
	conn     net.Conn
	greeting []byte
	err      error
	at       time.Time
}

// serverSpeaksFirst tells whether a connection begins with the server's INFO, as it does
// but for WebSockets and for TLS that does not wait for it.
func serverSpeaksFirst(n *nats.Options) bool {
	for _, u := range n.Servers {
		if strings.HasPrefix(u, "ws") {
			return false
		}
	}
	return !n.TLSHandshakeFirst
}

// Dial connects to one server, or answers errNotYet while the attempt goes on.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	for {
		a, err := d.attempt(network, address)
		if err != nil {
			return nil, err
		}
		wait := d.timeout + time.Second // it ends by itself before
		if d.hurried() {
			wait = patience
		}
		select {
		case <-a.done:
		case <-time.After(wait):
			return nil, fmt.Errorf("%w: %s", errNotYet, address)
		}
		d.forget(address, a)
		if a.err != nil {
			return nil, a.err
		}
		if time.Since(a.at) < greetingOK {
			return d.newWire(a.conn, a.greeting), nil
		}
		_ = a.conn.Close()
	}
}

// attempt answers the one that is under way, or begins one.
func (d *dialer) attempt(network, address string) (*attempt, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	a := d.attempts[address]
	if a == nil {
		a = &attempt{done: make(chan struct{})}
		d.attempts[address] = a
		go d.try(a, network, address)
	}
	return a, nil
}

// try connects and hears what the server says first.
func (d *dialer) try(a *attempt, network, address string) {
	deadline := time.Now().Add(d.timeout)
	a.conn, a.err = d.next.Dial(network, address)
	if a.err == nil && d.greeted {
		buf := make([]byte, 4096)
		_ = a.conn.SetReadDeadline(deadline)
		var n int
		n, a.err = a.conn.Read(buf)
		a.greeting = buf[:n]
		_ = a.conn.SetReadDeadline(time.Time{})
	}
	a.at = time.Now()
	if a.err != nil && a.conn != nil {
		_ = a.conn.Close()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed && a.conn != nil {
		_ = a.conn.Close()
	}
	close(a.done)
}

func (d *dialer) forget(address string, a *attempt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.attempts[address] == a {
		delete(d.attempts, address)
	}
}

// close ends what nobody will fetch any more.
func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, a := range d.attempts {
		select {
		case <-a.done:
			if a.conn != nil {
				_ = a.conn.Close()
			}
		default: // try does it
		}
	}
	clear(d.attempts)
}

// SkipTLSHandshake passes on what the other dialer says: whether it has done that.
func (d *dialer) SkipTLSHandshake() bool {
	s, ok := d.next.(interface{ SkipTLSHandshake() bool })
	return ok && s.SkipTLSHandshake()
}
