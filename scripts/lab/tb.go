// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

// TB is what the rig needs of a test. *testing.T, *testing.B and *testing.F are one, and so is what Run gives to a program.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	// Fatalf ends the test, its goroutine included.
	Fatalf(format string, args ...any)
	// Cleanup calls f when the test ends, last given first called.
	Cleanup(f func())
	// TempDir is a new folder that goes away with the test.
	TempDir() string
}

// failed tells whether a test that can say so has failed.
func failed(tb TB) bool {
	f, ok := tb.(interface{ Failed() bool })
	return ok && f.Failed()
}

// Run calls f as a test of that name would be called, on a goroutine of its own, and returns its failure. Logs go to standard
// error. It returns after everything f started has ended.
func Run(name string, f func(TB)) error {
	p := &program{name: name}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer p.cleanup()
		f(p)
	}()
	<-done
	return p.failure()
}

// program is the TB of a program.
type program struct {
	name string

	mu       sync.Mutex // guards the rest: cleanups may be added from any goroutine
	cleanups []func()
	failures []error
}

func (p *program) Helper() {}

func (p *program) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, p.name+": "+format+"\n", args...)
}

func (p *program) Fatalf(format string, args ...any) {
	p.mu.Lock()
	p.failures = append(p.failures, fmt.Errorf(p.name+": "+format, args...))
	p.mu.Unlock()
	runtime.Goexit()
}

func (p *program) Failed() bool { return p.failure() != nil }

func (p *program) Cleanup(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, f)
}

func (p *program) TempDir() string {
	dir, err := os.MkdirTemp("", "januscloud-"+p.name+"-")
	if err != nil {
		p.Fatalf("temporary folder: %v", err)
	}
	p.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (p *program) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.failures...)
}

// cleanup runs what was registered. One that fails ends its goroutine, so the next ones run deferred.
func (p *program) cleanup() {
	p.mu.Lock()
	last := len(p.cleanups) - 1
	if last < 0 {
		p.mu.Unlock()
		return
	}
	f := p.cleanups[last]
	p.cleanups = p.cleanups[:last]
	p.mu.Unlock()
	defer p.cleanup()
	f()
}

// WaitFor calls check until it returns "", which means that all is well, and fails with its last reason when that takes longer
// than limit.
func WaitFor(tb TB, limit time.Duration, check func() (reason string)) {
	tb.Helper()
	const step = 5 * time.Millisecond
	deadline := time.Now().Add(limit)
	for {
		reason := check()
		if reason == "" {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("not within %v: %s", limit, reason)
		}
		time.Sleep(step)
	}
}
