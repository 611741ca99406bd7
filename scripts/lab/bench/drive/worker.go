// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"fmt"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

const (
	// batch is how many descriptors are served per wait.
	batch = 64
	// glance is how often a worker without events looks whether it is to stop.
	glance = 20 * time.Millisecond
)

// worker is a thread that serves some of the clients.
type worker struct {
	load    *Load
	round   []step
	clients []*client
	epoll   int
	desk    desk
	events  [batch]unix.EpollEvent
	latency *hdrhistogram.Histogram
	limit   int // of sessions, each client's share
	flying  int // clients with a request in flight
	err     error
}

// newWorker makes the n-th worker, for its share of the clients.
func newWorker(l *Load, n int) (*worker, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("drive: epoll: %w", err)
	}
	w := &worker{
		load: l, round: l.options.Mode.round(), epoll: epoll, desk: desk{buf: make([]byte, readBuffer)},
		latency: NewHistogram(), limit: max(l.options.MaxSessions/l.options.Clients, 1),
	}
	for i := n; i < len(l.crowd.clients); i += max(l.options.Workers, 1) {
		c := l.crowd.clients[i]
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(len(w.clients))}
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, c.fd, &event); err != nil {
			w.close()
			return nil, fmt.Errorf("drive: epoll: %w", err)
		}
		w.clients = append(w.clients, c)
	}
	return w, nil
}

func (w *worker) close() { _ = unix.Close(w.epoll) }

// run asks until the load is stopping and everything is answered, or something is wrong.
func (w *worker) run() {
	// The thread is this goroutine's alone: it comes back from its waits without looking for work elsewhere first.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w.latency.Reset()
	w.flying, w.err = 0, nil
	for _, c := range w.clients {
		if w.err = w.begin(c); w.err != nil {
			return
		}
	}
	looked := time.Now()
	for w.err == nil && w.flying > 0 {
		n, err := unix.EpollWait(w.epoll, w.events[:], int(glance/time.Millisecond))
		if err != nil && err != unix.EINTR {
			w.err = fmt.Errorf("drive: epoll: %w", err)
		}
		for i := 0; i < n && w.err == nil; i++ {
			w.err = w.serve(w.clients[w.events[i].Fd])
		}
		if now := time.Now(); w.err == nil && now.Sub(looked) > w.load.crowd.patience/8 {
			looked = now
			w.err = w.overdue(now)
		}
	}
}

// begin sends the first request of a client's round.
func (w *worker) begin(c *client) error {
	c.at = 0
	if err := c.ask(&w.round[0], w.load.crowd.patience); err != nil {
		return err
	}
	c.begun = c.sent
	w.flying++
	return nil
}

// serve reads what a client was sent; once its request is answered it makes the next.
func (w *worker) serve(c *client) error {
	received, err := c.read(w.desk.buf)
	if err != nil {
		return err
	}
	now := time.Now()
	done, err := c.takeAll(received, &w.desk.said)
	if err != nil || !done {
		return err
	}
	if c.at++; c.at < len(w.round) {
		return c.ask(&w.round[c.at], w.load.crowd.patience)
	}
	w.flying--
	switch w.load.phase.Load() {
	case stopping:
		return nil
	case measuring:
		if err := w.latency.RecordValue(int64(now.Sub(c.begun))); err != nil {
			return fmt.Errorf("drive: %w", err)
		}
	}
	if w.load.options.Mode == CreateAttach && len(c.made) >= w.limit {
		// Its share is used up; the others still use theirs while the load is told.
		w.load.once.Do(func() { close(w.load.full) })
		return nil
	}
	return w.begin(c)
}

// overdue looks for a request that waits for too long.
func (w *worker) overdue(now time.Time) error {
	for _, c := range w.clients {
		if c.waiting != 0 && now.Sub(c.sent) > w.load.crowd.patience {
			return c.unanswered(w.load.crowd.patience)
		}
	}
	return nil
}
