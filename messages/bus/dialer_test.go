// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// fakeServers stands for the network: what Dial brings is decided per call.
type fakeServers func(address string) (net.Conn, error)

func (f fakeServers) Dial(_, address string) (net.Conn, error) { return f(address) }

func (fakeServers) SkipTLSHandshake() bool { return true }

// greeted is what dialer hands to newWire.
type greeted struct {
	net.Conn
	greeting string
}

func newDialer(hurried bool, f fakeServers) *dialer {
	return &dialer{
		next: f, timeout: time.Second, greeted: true, hurried: func() bool { return hurried },
		newWire:  func(c net.Conn, greeting []byte) net.Conn { return greeted{c, string(greeting)} },
		attempts: make(map[string]*attempt),
	}
}

// greetAfter is a server that takes its time.
func greetAfter(d time.Duration, ends ...chan error) fakeServers {
	return func(address string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			time.Sleep(d)
			_, _ = io.WriteString(far, "INFO "+address)
			_, err := far.Read(make([]byte, 1))
			for _, end := range ends {
				end <- err
			}
		}()
		return near, nil
	}
}

// Dialing does not hold up the client, which holds up everybody; the attempt goes on, and is
// fetched by a later call.
func TestDialIsPatientForAMomentOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDialer(true, greetAfter(100*time.Millisecond))
		defer d.close()
		start := time.Now()
		for call := 1; ; call++ {
			before := time.Now()
			c, err := d.Dial("tcp", "a")
			if took := time.Since(before); took > patience {
				t.Fatalf("call %d took %v", call, took)
			}
			if err == nil {
				if g := c.(greeted).greeting; g != "INFO a" || time.Since(start) != 100*time.Millisecond {
					t.Fatalf("after %v: %q", time.Since(start), g)
				}
				_ = c.Close()
				return
			}
			if !errors.Is(err, errNotYet) {
				t.Fatal(err)
			}
		}
	})
}

func TestDialWaitsForTheFirstConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDialer(false, greetAfter(900*time.Millisecond))
		defer d.close()
		c, err := d.Dial("tcp", "a")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	})
}

func TestDialGivesUpASilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan error, 1)
		d := newDialer(false, greetAfter(1100*time.Millisecond, end))
		defer d.close()
		start := time.Now()
		if _, err := d.Dial("tcp", "a"); err == nil || time.Since(start) != time.Second {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
		if err := <-end; err == nil {
			t.Fatal("the connection was left open")
		}
	})
}

// A connection that nobody fetched for longer than its server waits is not used any more.
func TestDialLeavesAStaleConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan error, 2)
		d := newDialer(true, greetAfter(30*time.Millisecond, end))
		defer d.close()
		if _, err := d.Dial("tcp", "a"); !errors.Is(err, errNotYet) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if _, err := d.Dial("tcp", "a"); !errors.Is(err, errNotYet) {
			t.Fatalf("a stale connection: %v", err)
		}
		if err := <-end; err == nil {
			t.Fatal("it was left open")
		}
		time.Sleep(10 * time.Millisecond)
		c, err := d.Dial("tcp", "a")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	})
}

func TestDialCloses(t *testing.T) {
	for name, unfetched := range map[string]time.Duration{"a made connection": time.Second / 2, "one under way": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				end := make(chan error, 1)
				d := newDialer(true, greetAfter(100*time.Millisecond, end))
				if _, err := d.Dial("tcp", "a"); !errors.Is(err, errNotYet) {
					t.Fatal(err)
				}
				time.Sleep(unfetched)
				d.close()
				if err := <-end; err == nil {
					t.Fatal("the connection was left open")
				}
				if _, err := d.Dial("tcp", "a"); !errors.Is(err, ErrClosed) {
					t.Fatal(err)
				}
			})
		})
	}
}

func TestDialTellsWhatTheOtherDialerTells(t *testing.T) {
	refused := errors.New("refused")
	d := newDialer(true, func(string) (net.Conn, error) { return nil, refused })
	if _, err := d.Dial("tcp", "a"); !errors.Is(err, refused) {
		t.Error(err)
	}
	if !d.SkipTLSHandshake() {
		t.Error("the other dialer has done the handshake")
	}
	d.next = &net.Dialer{}
	if d.SkipTLSHandshake() {
		t.Error("net.Dialer does no handshake")
	}
}

func TestRetryDelay(t *testing.T) {
	if retryDelay(0) != 0 || retryDelay(1) != 0 {
		t.Error("the first round waits")
	}
	for round := 2; round < 100; round++ {
		if d := retryDelay(round); d < retryWait/2 || d >= 2*retryWait {
			t.Errorf("round %d waits %v", round, d)
		}
	}
}
