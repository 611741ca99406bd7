// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

const (
	subprotocol = "janus-protocol"
	// readBuffer bounds what is read at once, and so a message.
	readBuffer = 64 << 10
	// headerRoom is kept in front of a request for its frame header: two bytes, a 16-bit length and the mask.
	headerRoom = 8
)

var (
	errPatience = errors.New("drive: the server does not answer")
	errFraming  = errors.New("drive: broken framing")
	errClosed   = errors.New("drive: closed by the server")
)

// socket is a WebSocket on a raw, non-blocking descriptor.
type socket struct {
	fd   int
	rest []byte // received, and not a whole frame yet
}

// dial connects to a Janus. Its handshake is done by a connection of Go's, whose descriptor is then taken over.
func dial(ctx context.Context, url string) (*socket, error) {
	dialer := ws.Dialer{Protocols: []string{subprotocol}}
	conn, early, handshake, err := dialer.Dial(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("drive: dial %s: %w", url, err)
	}
	defer conn.Close()
	if handshake.Protocol != subprotocol || early != nil {
		return nil, fmt.Errorf("drive: dial %s: not a Janus: subprotocol %q", url, handshake.Protocol)
	}
	fd, err := duplicate(conn)
	if err != nil {
		return nil, fmt.Errorf("drive: dial %s: %w", url, err)
	}
	return &socket{fd: fd}, nil
}

// duplicate gives a connection's socket a descriptor that Go's poller does not know.
func duplicate(conn net.Conn) (int, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return -1, errors.New("not a socket")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, failure := -1, error(nil)
	if err := raw.Control(func(own uintptr) { fd, failure = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	return fd, failure
}

func (s *socket) close() { _ = unix.Close(s.fd) }

// frame writes the header of a text frame into the room in front of a request and returns the whole frame. The mask is zero:
// it protects proxies from scripts (RFC 6455 §10.3), and here are neither.
func frame(b []byte) ([]byte, error) {
	const fin, masked = 0x80, 0x80
	n := len(b) - headerRoom
	switch {
	case n <= 125:
		b = b[2:]
		b[0], b[1] = fin|byte(ws.OpText), masked|byte(n)
	case n <= 0xffff:
		b[0], b[1] = fin|byte(ws.OpText), masked|126
		binary.BigEndian.PutUint16(b[2:], uint16(n))
	default:
		return nil, fmt.Errorf("drive: request of %d bytes", n)
	}
	clear(b[len(b)-n-4 : len(b)-n])
	return b, nil
}

// write sends a frame. It waits only where the server does not read.
func (s *socket) write(b []byte, patience time.Duration) error {
	for len(b) > 0 {
		n, err := unix.Write(s.fd, b)
		switch {
		case err == unix.EAGAIN:
			if err := s.wait(unix.POLLOUT, patience); err != nil {
				return err
			}
		case err == unix.EINTR:
		case err != nil:
			return fmt.Errorf("drive: write: %w", err)
		default:
			b = b[n:]
		}
	}
	return nil
}

// read reads once, into buf, behind what was left over; the result may be no more than that.
func (s *socket) read(buf []byte) ([]byte, error) {
	n := copy(buf, s.rest)
	s.rest = s.rest[:0]
	for {
		m, err := unix.Read(s.fd, buf[n:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			m = 0
		case err != nil:
			return nil, fmt.Errorf("drive: read: %w", err)
		case m == 0:
			return nil, fmt.Errorf("drive: read: %w", io.ErrUnexpectedEOF)
		}
		return buf[:n+m], nil
	}
}

// wait waits until the socket can be read or written.
func (s *socket) wait(event int16, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("%w for %v", errPatience, patience)
		}
		fds := []unix.PollFd{{Fd: int32(s.fd), Events: event}}
		n, err := unix.Poll(fds, int(left.Milliseconds())+1)
		if n > 0 {
			return nil
		}
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("drive: poll: %w", err)
		}
	}
}

// cutFrame takes the first frame off what was received; whole is false when there is none yet. Servers do not mask, what is
// measured here is smaller than what any of them fragments, and none of them sends pings unless told to.
func cutFrame(b []byte) (text, rest []byte, whole bool, err error) {
	if len(b) < 2 {
		return nil, b, false, nil
	}
	const fin = 0x80
	header, length := 2, int(b[1])
	switch length {
	case 126:
		if header = 4; len(b) < header {
			return nil, b, false, nil
		}
		length = int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		length = readBuffer // refused below
	}
	if b[0] == fin|byte(ws.OpClose) && len(b) >= header+length {
		code, reason := ws.ParseCloseFrameData(b[header : header+length])
		return nil, nil, false, fmt.Errorf("%w: %d %q", errClosed, code, reason)
	}
	if b[0] != fin|byte(ws.OpText) || b[1] >= 0x80 || header+length > readBuffer {
		return nil, nil, false, fmt.Errorf("%w: frame begins with %#x", errFraming, b[:header])
	}
	if len(b) < header+length {
		return nil, b, false, nil
	}
	return b[header : header+length], b[header+length:], true, nil
}
