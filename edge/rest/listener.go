// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net"
	"sync/atomic"
)

// Listener hangs up on who comes when there are too many already, as libmicrohttpd does. Make one with Limit.
type Listener struct {
	*net.TCPListener
	most    int
	refused func()
	open    atomic.Int64
}

// Limit makes a listener that takes so many connections at once; refused is called for each beyond.
func Limit(l net.Listener, most int, refused func()) *Listener {
	return &Listener{TCPListener: l.(*net.TCPListener), most: most, refused: refused}
}

// Open is the number of connections.
func (l *Listener) Open() int { return int(l.open.Load()) }

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= int64(l.most) {
			return &boundedConn{TCPConn: c, listener: l}, nil
		}
		l.open.Add(-1)
		l.refused()
		_ = c.Close()
	}
}

// boundedConn counts itself out when it is closed. It is a TCP connection in all else: net/http half-closes those, so that
// its last words arrive.
type boundedConn struct {
	*net.TCPConn
	listener *Listener
	closed   atomic.Bool
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	if !c.closed.Swap(true) {
		c.listener.open.Add(-1)
	}
	return c.TCPConn.Close()
}
