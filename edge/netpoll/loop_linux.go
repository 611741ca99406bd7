// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Events tells a handler why it is called; zero means Loop.Wake or the
// handler's own wish for another turn.
type Events uint32

// The conditions a descriptor is watched for. A hang-up or an error counts as
// both, since reading and writing are what brings the error to light.
const (
	Readable Events = 1 << iota
	Writable
)

// A Handler owns one registered descriptor. Ready runs on the loop's goroutine
// and keeps everybody else on this loop waiting, so it must neither block nor
// do more than a bounded piece of work; it returns true when work is left over,
// and is then called again, without events, after the others had their turn.
// A call may still come shortly after Remove.
type Handler interface {
	Ready(ev Events) (again bool)
}

// Key names one registration. Its generation keeps an event that the kernel had
// already reported from reaching a later registration in the same slot.
type Key uint64

func newKey(slot, generation uint32) Key { return Key(generation)<<32 | Key(slot) }

func (k Key) slot() uint32       { return uint32(k) }
func (k Key) generation() uint32 { return uint32(k >> 32) }

// ErrClosed is returned for work offered to a loop that was told to end.
var ErrClosed = errors.New("netpoll: loop closed")

const (
	noSlot    = ^uint32(0)
	batchSize = 128 // events per epoll_wait, hence the longest queue before a newcomer's turn
)

// slot is what a registered descriptor costs: 24 bytes.
type slot struct {
	handler    Handler
	generation uint32
	next       uint32 // next free slot while handler is nil
}

// Loop is one epoll instance. Run must be called exactly once; all other
// methods are safe from any goroutine.
type Loop struct {
	epoll, wake int
	file        *os.File // the epoll descriptor, as Go's own poller sees it
	raw         syscall.RawConn

	// mu guards the table and the wake list for the length of a few memory
	// operations; no handler runs and nothing blocks under it.
	mu       sync.Mutex
	slots    []slot
	free     uint32
	woken    []Handler
	signaled bool
	closing  bool
	ended    bool

	// The rest belongs to the goroutine in Run.
	poll    func(uintptr) bool // pollOnce, made once
	count   int                // of events
	failure error              // of epoll_wait
	events  [batchSize]unix.EpollEvent
	ready   [batchSize]turn
	again   []Handler
	current []Handler
}

type turn struct {
	handler Handler
	events  Events
}

// Open makes a loop. It holds two descriptors until Run has returned.
func Open() (*Loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("netpoll: epoll_create1: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("netpoll: eventfd: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1, Pad: -1}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wake, &ev); err != nil {
		unix.Close(wake)
		unix.Close(epoll)
		return nil, fmt.Errorf("netpoll: epoll_ctl: %w", err)
	}
	l := &Loop{epoll: epoll, wake: wake, free: noSlot}
	l.poll = l.pollOnce
	// Non-blocking, it is taken up by Go's poller, which then wakes Run.
	err = unix.SetNonblock(epoll, true)
	if err == nil {
		l.file = os.NewFile(uintptr(epoll), "epoll")
		l.raw, err = l.file.SyscallConn()
	}
	if err != nil {
		unix.Close(wake)
		unix.Close(epoll)
		return nil, fmt.Errorf("netpoll: %w", err)
	}
	return l, nil
}

// Add watches a non-blocking descriptor for the given events. The descriptor
// stays the caller's, who must Remove it before closing it. Ready may be called
// before Add returns.
func (l *Loop) Add(fd int, h Handler, want Events) (Key, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return 0, ErrClosed
	}
	key := l.take(h)
	ev := epollEvent(key, want)
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		l.release(key)
		return 0, fmt.Errorf("netpoll: epoll_ctl add: %w", err)
	}
	return key, nil
}

// Modify changes what fd is watched for; zero leaves hang-ups and errors only.
func (l *Loop) Modify(fd int, key Key, want Events) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return ErrClosed
	}
	ev := epollEvent(key, want)
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, fd, &ev); err != nil {
		return fmt.Errorf("netpoll: epoll_ctl mod: %w", err)
	}
	return nil
}

// Remove ends the registration. It must come before the descriptor is closed.
func (l *Loop) Remove(fd int, key Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lookup(key) == nil {
		return
	}
	l.release(key)
	if !l.ended {
		// The only failures are a descriptor already closed or never added, and
		// then there is nothing left to remove.
		_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	}
}

// Wake has h called on the loop's goroutine without events, however many Wakes
// came before that at least once after each. It reports false when the loop has
// ended.
func (l *Loop) Wake(h Handler) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.woken = append(l.woken, h)
	l.signal()
	return true
}

// Close tells Run to return after the turns it is in. It does not wait.
func (l *Loop) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.closing = true
	l.signal()
}

// signal interrupts epoll_wait, once per emptied wake list. Called with mu held.
func (l *Loop) signal() {
	if l.signaled {
		return
	}
	l.signaled = true
	one := [8]byte{0: 1}
	// A counter that is already full wakes the loop just as well.
	_, _ = unix.Write(l.wake, one[:])
}

// Run serves events until Close, then releases the loop's own descriptors;
// those registered are left as they are.
func (l *Loop) Run() error {
	defer l.end()
	for {
		n, err := l.wait()
		if err != nil {
			return err
		}
		// Those that asked for another turn get it after those with news, and
		// not twice in one round.
		l.current, l.again = l.again, l.current[:0]
		turns, closing := l.collect(n)
		for i := range l.ready[:turns] {
			t := &l.ready[i]
			l.call(t.handler, t.events)
			t.handler = nil
		}
		for i, h := range l.current {
			l.call(h, 0)
			l.current[i] = nil
		}
		if closing {
			return nil
		}
	}
}

// wait returns the number of events. It does not block in epoll_wait, which
// would keep a processor from the other goroutines until the runtime notices: the
// goroutine parks until Go's poller finds the epoll descriptor readable.
func (l *Loop) wait() (n int, err error) {
	if err := l.raw.Read(l.poll); err != nil {
		return 0, fmt.Errorf("netpoll: %w", err)
	}
	if l.failure != nil {
		return 0, fmt.Errorf("netpoll: epoll_wait: %w", l.failure)
	}
	return l.count, nil
}

// pollOnce fills events and reports whether the goroutine has something to do.
func (l *Loop) pollOnce(uintptr) (done bool) {
	n, err := unix.EpollWait(l.epoll, l.events[:], 0)
	for err == unix.EINTR {
		n, err = unix.EpollWait(l.epoll, l.events[:], 0)
	}
	l.count, l.failure = n, err
	return n > 0 || err != nil || len(l.again) > 0
}

func (l *Loop) call(h Handler, ev Events) {
	if h.Ready(ev) {
		l.again = append(l.again, h)
	}
}

// collect turns the kernel's events into handlers, all under one lock, and adds
// the wake list to this round.
func (l *Loop) collect(n int) (turns int, closing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.events[:n] {
		ev := &l.events[i]
		if ev.Fd == -1 && ev.Pad == -1 {
			var count [8]byte
			_, _ = unix.Read(l.wake, count[:])
			l.signaled = false
			l.current = append(l.current, l.woken...)
			clear(l.woken)
			l.woken = l.woken[:0]
			continue
		}
		if s := l.lookup(newKey(uint32(ev.Fd), uint32(ev.Pad))); s != nil {
			l.ready[turns] = turn{s.handler, eventsOf(ev.Events)}
			turns++
		}
	}
	return turns, l.closing
}

func (l *Loop) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing, l.ended = true, true
	l.woken = nil
	unix.Close(l.wake)
	l.file.Close()
}

// take and release keep the table of slots; called with mu held.
func (l *Loop) take(h Handler) Key {
	i := l.free
	if i == noSlot {
		i = uint32(len(l.slots))
		l.slots = append(l.slots, slot{})
	} else {
		l.free = l.slots[i].next
	}
	l.slots[i].handler = h
	return newKey(i, l.slots[i].generation)
}

func (l *Loop) release(key Key) {
	i := key.slot()
	l.slots[i] = slot{generation: key.generation() + 1, next: l.free}
	l.free = i
}

func (l *Loop) lookup(key Key) *slot {
	if i := key.slot(); int(i) < len(l.slots) {
		if s := &l.slots[i]; s.handler != nil && s.generation == key.generation() {
			return s
		}
	}
	return nil
}

func epollEvent(key Key, want Events) unix.EpollEvent {
	ev := unix.EpollEvent{Fd: int32(key.slot()), Pad: int32(key.generation())}
	if want&Readable != 0 {
		ev.Events |= unix.EPOLLIN
	}
	if want&Writable != 0 {
		ev.Events |= unix.EPOLLOUT
	}
	return ev
}

func eventsOf(bits uint32) Events {
	var ev Events
	if bits&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		ev |= Readable
	}
	if bits&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		ev |= Writable
	}
	return ev
}
