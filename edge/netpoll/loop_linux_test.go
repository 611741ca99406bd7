// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// run starts a loop for the test.
func run(t *testing.T) *Loop {
	t.Helper()
	l, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	t.Cleanup(func() {
		l.Close()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not return after Close")
		}
	})
	return l
}

// pair is a connected pair of non-blocking sockets.
func pair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

type handlerFunc func(Events) bool

func (f handlerFunc) Ready(ev Events) bool { return f(ev) }

// report passes on each call's events, as far as there is room, and reads what
// made the descriptor readable.
func report(fd int, calls chan<- Events) Handler {
	return handlerFunc(func(ev Events) bool {
		if ev&Readable != 0 {
			var b [16]byte
			_, _ = unix.Read(fd, b[:])
		}
		select {
		case calls <- ev:
		default:
		}
		return false
	})
}

func next(t *testing.T, calls <-chan Events) Events {
	t.Helper()
	select {
	case ev := <-calls:
		return ev
	case <-time.After(patience):
		t.Fatal("no call")
		return 0
	}
}

func write(t *testing.T, fd int, s string) {
	t.Helper()
	if _, err := unix.Write(fd, []byte(s)); err != nil {
		t.Fatal(err)
	}
}

// pass makes sure that all that was reported before has been handled.
func pass(t *testing.T, l *Loop) {
	t.Helper()
	for range 2 { // the first round may have begun
		seen := make(chan Events, 1)
		if !l.Wake(handlerFunc(func(ev Events) bool { seen <- ev; return false })) {
			t.Fatal("the loop has ended")
		}
		if ev := next(t, seen); ev != 0 {
			t.Fatalf("woken with events %b", ev)
		}
	}
}

func TestEvents(t *testing.T) {
	l := run(t)
	ours, theirs := pair(t)
	defer unix.Close(theirs)
	calls := make(chan Events, 100)
	key, err := l.Add(ours, report(ours, calls), Readable)
	if err != nil {
		t.Fatal(err)
	}
	write(t, theirs, "x")
	if ev := next(t, calls); ev != Readable {
		t.Errorf("after a byte: %b", ev)
	}
	if err := l.Modify(ours, key, Writable); err != nil {
		t.Fatal(err)
	}
	if ev := next(t, calls); ev != Writable {
		t.Errorf("with room to write: %b", ev)
	}
	if err := l.Modify(ours, key, 0); err != nil {
		t.Fatal(err)
	}
	pass(t, l)
	for len(calls) > 0 {
		<-calls
	}
	write(t, theirs, "y")
	pass(t, l)
	if len(calls) > 0 {
		t.Errorf("unwatched, but called with %b", <-calls)
	}
	unix.Close(theirs)
	if ev := next(t, calls); ev != Readable|Writable {
		t.Errorf("after a hang-up: %b", ev)
	}
	l.Remove(ours, key)
	l.Remove(ours, key) // twice does no harm
	unix.Close(ours)
}

// What is removed is not called again, and whoever takes its place in the table
// is not taken for it.
func TestRemove(t *testing.T) {
	l := run(t)
	first, firstPeer := pair(t)
	second, secondPeer := pair(t)
	defer unix.Close(firstPeer)
	defer unix.Close(secondPeer)
	old, replacement := make(chan Events, 100), make(chan Events, 100)
	key, err := l.Add(first, report(first, old), Readable)
	if err != nil {
		t.Fatal(err)
	}
	l.Remove(first, key)
	write(t, firstPeer, "x")
	again, err := l.Add(second, report(second, replacement), Readable)
	if err != nil {
		t.Fatal(err)
	}
	if again.slot() != key.slot() || again == key {
		t.Fatalf("keys %x and %x: not the same slot in two generations", key, again)
	}
	if l.lookup(key) != nil {
		t.Error("the old key still finds something")
	}
	l.Remove(first, key) // too late, and not the newcomer's
	write(t, secondPeer, "y")
	if ev := next(t, replacement); ev != Readable {
		t.Errorf("newcomer called with %b", ev)
	}
	pass(t, l)
	if len(old) > 0 {
		t.Errorf("removed, but called with %b", <-old)
	}
	unix.Close(first)
	l.Remove(second, again)
	unix.Close(second)
}

// A handler with work left over is called until it is done, and lets the others
// have their turn in between.
func TestAgain(t *testing.T) {
	l := run(t)
	ours, theirs := pair(t)
	defer unix.Close(theirs)
	var turns atomic.Int64
	busy := handlerFunc(func(Events) bool { return turns.Add(1) < 1000 })
	var served atomic.Int64
	served.Store(-1)
	done := make(chan Events, 1)
	key, err := l.Add(ours, handlerFunc(func(Events) bool {
		var b [1]byte
		_, _ = unix.Read(ours, b[:])
		served.CompareAndSwap(-1, turns.Load())
		done <- 0
		return false
	}), Readable)
	if err != nil {
		t.Fatal(err)
	}
	gate := make(chan struct{})
	l.Wake(handlerFunc(func(Events) bool { <-gate; return false }))
	l.Wake(busy)
	write(t, theirs, "x")
	close(gate)
	next(t, done)
	if n := served.Load(); n > 10 {
		t.Errorf("served after %d turns of another", n)
	}
	pass(t, l)
	deadline := time.Now().Add(patience)
	for turns.Load() != 1000 && time.Now().Before(deadline) {
		pass(t, l)
	}
	if n := turns.Load(); n != 1000 {
		t.Errorf("%d of 1000 turns", n)
	}
	l.Remove(ours, key)
	unix.Close(ours)
}

func TestWakeFromEverywhere(t *testing.T) {
	l := run(t)
	const wakers, each = 8, 1000
	var calls atomic.Int64
	h := handlerFunc(func(ev Events) bool {
		if ev != 0 {
			t.Errorf("woken with %b", ev)
		}
		calls.Add(1)
		return false
	})
	var group sync.WaitGroup
	for range wakers {
		group.Go(func() {
			for range each {
				if !l.Wake(h) {
					t.Error("Wake on a running loop is false")
				}
			}
		})
	}
	group.Wait()
	pass(t, l)
	if n := calls.Load(); n != wakers*each {
		t.Errorf("%d calls after %d wakes", n, wakers*each)
	}
}

// Registrations come and go on many goroutines while events arrive; no event is
// lost and none reaches the wrong handler.
func TestTraffic(t *testing.T) {
	l := run(t)
	var group sync.WaitGroup
	for n := range 16 {
		group.Go(func() {
			for i := range 50 {
				ours, theirs := pair(t)
				calls := make(chan Events, 16)
				key, err := l.Add(ours, report(ours, calls), Readable)
				if err != nil {
					t.Error(err)
					return
				}
				write(t, theirs, fmt.Sprint(n))
				if ev := next(t, calls); ev != Readable {
					t.Errorf("goroutine %d, round %d: %b", n, i, ev)
				}
				l.Remove(ours, key)
				unix.Close(ours)
				unix.Close(theirs)
			}
		})
	}
	group.Wait()
	if len(l.slots) > 32 {
		t.Errorf("the table grew to %d slots for 16 descriptors at a time", len(l.slots))
	}
}

func TestClosed(t *testing.T) {
	before := descriptors(t)
	l, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := pair(t)
	key, err := l.Add(ours, report(ours, make(chan Events, 1)), Readable)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	l.Close()
	if _, err := l.Add(theirs, nil, Readable); !errors.Is(err, ErrClosed) {
		t.Errorf("Add on a closing loop: %v", err)
	}
	if err := l.Run(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if l.Wake(nil) {
		t.Error("Wake on an ended loop is true")
	}
	if err := l.Modify(ours, key, Writable); !errors.Is(err, ErrClosed) {
		t.Errorf("Modify on an ended loop: %v", err)
	}
	l.Remove(ours, key)
	l.Close()
	unix.Close(ours)
	unix.Close(theirs)
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
}

func TestAddFails(t *testing.T) {
	l := run(t)
	if _, err := l.Add(-1, report(-1, nil), Readable); !errors.Is(err, unix.EBADF) {
		t.Errorf("Add of a bad descriptor: %v", err)
	}
	if l.free != 0 {
		t.Error("the slot of a failed Add is lost")
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
