// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
)

// streamBuffer is the read buffer of a connection that has its own goroutine;
// crypto/tls keeps a whole record besides.
const streamBuffer = 4 << 10

// streamChunk is the most that is written at a time, under one deadline.
const streamChunk = 64 << 10

// stream carries a connection over any net.Conn, TLS foremost: one goroutine
// reads, a second one writes while there is something to write.
type stream struct {
	Conn
	nc      net.Conn
	writing bool // the writer runs; guarded by mu
	flight  int  // bytes the writer holds; guarded by mu
}

func (s *Server) acceptStreams(ctx context.Context, ln net.Listener) error {
	var pause time.Duration
	for {
		nc, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("websocket: accept: %w", err)
			}
			s.metrics.acceptErrors.Inc()
			s.opts.Log.Warn("websocket accept failed", "listener", s.opts.Name, "error", err)
			pause = min(max(2*pause, minAcceptPause), maxAcceptPause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return nil
			}
			continue
		}
		pause = 0
		s.addStream(nc)
	}
}

func (s *Server) addStream(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		// Failure means that the peer is gone already, which reading will tell.
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: s.opts.KeepAlive > 0,
			Idle: s.opts.KeepAlive, Interval: s.opts.KeepAlive / 4, Count: keepAliveProbes})
	}
	remote, _ := netip.ParseAddrPort(nc.RemoteAddr().String())
	if s.opts.TLS != nil {
		nc = tls.Server(nc, s.opts.TLS)
	}
	c := &stream{Conn: Conn{server: s, remote: remote}, nc: nc}
	c.link = c
	if !s.add(&c.Conn) {
		if s.opts.TLS == nil {
			// It fits an empty socket buffer; whatever makes it wait is not worth it.
			_ = nc.SetWriteDeadline(time.Now().Add(time.Millisecond))
			_, _ = io.WriteString(nc, tooManyConns)
		}
		nc.Close()
		return
	}
	c.mu.Lock()
	c.expectEnd(s.opts.HandshakeTimeout)
	c.mu.Unlock()
	s.tasks.Go(c.run)
}

// run is the connection's goroutine.
func (c *stream) run() {
	buf := make([]byte, maxRequest)
	kept := 0
	for {
		n, err := c.nc.Read(buf[kept:])
		rest, again := c.receive(buf[:kept+n])
		for again && !c.settle() {
			rest, again = c.receive(rest)
		}
		if err != nil && !c.recalled(err) {
			c.lost(err)
		}
		if c.settle() {
			c.release()
			return
		}
		if c.state() == open && len(buf) > streamBuffer && len(rest) < streamBuffer/2 {
			buf = append(make([]byte, 0, streamBuffer), rest...)[:streamBuffer]
			kept = len(rest)
			continue
		}
		kept = copy(buf, rest)
	}
}

// recalled reports whether reading was only interrupted by attend.
func (c *stream) recalled(err error) bool {
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state() < aborted {
		_ = c.nc.SetReadDeadline(time.Time{})
	}
	return true
}

func (c *stream) release() {
	c.mu.Lock()
	if c.unsent() > 0 {
		c.reset()
	}
	c.mu.Unlock()
	c.nc.Close()
	c.mu.Lock()
	c.released()
	c.mu.Unlock()
	c.server.remove(&c.Conn)
}

// reset has the system forget what the peer does not take.
func (c *stream) reset() {
	nc := c.nc
	if outer, ok := nc.(*tls.Conn); ok {
		nc = outer.NetConn()
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// attend interrupts the reader.
func (c *stream) attend() { _ = c.nc.SetReadDeadline(time.Unix(1, 0)) }

func (c *stream) unsent() int { return c.out.len() + c.flight }

func (c *stream) flush() {
	if !c.writing && (c.out.len() > 0 || c.state() == closing) {
		c.writing = true
		c.server.tasks.Go(c.write)
	}
}

// write sends until nothing is left. It takes the whole queue at a time, so a
// slow peer gets large writes.
func (c *stream) write() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.out.len() > 0 && c.state() < aborted {
		batch := c.out
		c.out, c.flight = nil, batch.len()
		for batch.len() > 0 && c.state() < aborted {
			c.writeChunk(batch)
		}
		c.flight = 0
		c.dropped += batch.len()
		c.server.putBuffer(batch)
	}
	if c.state() == closing {
		// TLS says goodbye, for which it may have to wait.
		c.mu.Unlock()
		c.closeWrite()
		c.mu.Lock()
	}
	c.writing = false
}

// writeChunk sends the front of a batch, so little that a peer which takes
// anything at all takes it within WriteTimeout. It lets go of mu meanwhile.
func (c *stream) writeChunk(batch *buffer) {
	chunk := batch.rest()
	chunk = chunk[:min(len(chunk), streamChunk)]
	c.mu.Unlock()
	_ = c.nc.SetWriteDeadline(time.Now().Add(c.server.opts.WriteTimeout))
	n, err := c.nc.Write(chunk)
	c.server.metrics.sentBytes.Add(float64(n))
	c.mu.Lock()
	batch.taken += n
	c.flight -= n
	if err == nil || c.state() >= aborted {
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrStalled
	}
	c.abort(fmt.Errorf("websocket: write: %w", err))
	c.attend()
}

// closeWrite tells the peer that no more comes; a connection that cannot be
// closed by halves is closed.
func (c *stream) closeWrite() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	c.nc.Close()
}
