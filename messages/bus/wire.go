// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxBacklog bounds what waits in front of a server that takes no more, in bytes. Together
// with the kernel's own buffers it has to last for the 1.2 s until the client's pings find
// out that the server is frozen; if it does not, the connection is given up at once.
const maxBacklog = 8 << 20

// maxSpare is the largest buffer that is kept for the next backlog, in bytes.
const maxSpare = 2 << 20

// errBacklog ends a connection whose server takes less than we send.
var errBacklog = errors.New("bus: NATS server does not keep up")

// wire is a connection to NATS whose Write never waits. NATS's client writes under its
// connection lock (nats.go: publish and flusher call natsWriter.flush), which every
// publisher takes: with a plain socket one that is full would stop them all, the ping timer
// included, until the write times out, and a time-out that wrote nothing would lose what
// was buffered without a word.
//
// Here a write goes straight to the socket as long as the kernel takes it, without a
// goroutine in between. What it does not take is kept, in order, and written by a goroutine
// that lives as long as something is kept. A pipe (embedded server) has no buffer of its
// own to take anything, so its writes all go that way.
type wire struct {
	net.Conn
	raw      syscall.RawConn // nil for a pipe
	onDown   func(*wire)     // called once, when the connection ends from our side
	greeting []byte          // read already, for the first reads; used by one reader at a time

	mu       sync.Mutex // held for one non-blocking system call, or a copy
	closed   bool
	draining bool   // the goroutine lives, and everything has to queue behind it
	backlog  []byte // waits for it
	spare    []byte // what it wrote last, to be filled again
	inFlight int    // bytes it is writing

	// The operands of try, kept here because a closure per write would be an allocation.
	p   []byte
	n   int
	err error
	try func(fd uintptr) bool
}

func newWire(c net.Conn, onDown func(*wire)) *wire {
	w := &wire{Conn: c, onDown: onDown}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			w.raw = raw
		}
	}
	w.try = func(fd uintptr) bool {
		w.n, w.err = unix.Write(int(fd), w.p)
		return true // whatever came out: the runtime is not to wait
	}
	return w
}

// Read reads, first of all what had been read before.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.greeting) == 0 {
		return w.Conn.Read(p)
	}
	n := copy(p, w.greeting)
	w.greeting = w.greeting[n:]
	return n, nil
}

// Write takes all of p, at once, or ends the connection.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	n, err := w.write(p)
	w.mu.Unlock()
	if err != nil {
		_ = w.Close()
	}
	return n, err
}

// write is Write under the lock.
func (w *wire) write(p []byte) (int, error) {
	if w.closed {
		return 0, net.ErrClosed
	}
	taken := 0
	if w.raw != nil && !w.draining {
		var err error
		if taken, err = w.writeNow(p); err != nil {
			return taken, err
		}
	}
	if taken == len(p) {
		return len(p), nil
	}
	if len(w.backlog)+w.inFlight+len(p)-taken > maxBacklog {
		return taken, errBacklog
	}
	w.backlog = append(w.backlog, p[taken:]...)
	if !w.draining {
		w.draining = true
		go w.drain()
	}
	return len(p), nil
}

// writeNow writes what the kernel takes without waiting.
func (w *wire) writeNow(p []byte) (int, error) {
	w.p = p
	defer func() { w.p = nil }()
	for {
		if err := w.raw.Write(w.try); err != nil {
			return 0, err
		}
		switch {
		case w.err == nil:
			return w.n, nil
		case errors.Is(w.err, unix.EAGAIN):
			return 0, nil
		case !errors.Is(w.err, unix.EINTR):
			return 0, w.err
		}
	}
}

// drain writes the backlog, waiting where it must, until there is none.
func (w *wire) drain() {
	for {
		w.mu.Lock()
		w.inFlight = 0
		if w.closed || len(w.backlog) == 0 {
			w.draining = false
			w.mu.Unlock()
			return
		}
		chunk := w.backlog
		w.backlog, w.spare = w.spare[:0], chunk
		if cap(chunk) > maxSpare {
			w.spare = nil
		}
		w.inFlight = len(chunk)
		w.mu.Unlock()
		if _, err := w.Conn.Write(chunk); err != nil {
			_ = w.Close()
		}
	}
}

// Close ends the connection; what is still kept is lost, and what the kernel keeps with it
// (a reset instead of an orderly end): a server that was frozen must not, when it wakes,
// deliver what has long been repeated elsewhere. An orderly end flushes first (Bus.Close).
func (w *wire) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed, w.backlog, w.spare = true, nil, nil
	w.mu.Unlock()
	w.onDown(w)
	if l, ok := w.Conn.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0)
	}
	return w.Conn.Close()
}

func (w *wire) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// SetWriteDeadline does nothing: Write does not wait, and the goroutine that does is ended
// by Close.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline bounds reads.
func (w *wire) SetDeadline(t time.Time) error { return w.SetReadDeadline(t) }
