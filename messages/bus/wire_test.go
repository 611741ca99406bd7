// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// tcpPair is a connection over loopback.
func tcpPair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

func pipePair(testing.TB) (near, far net.Conn) { return net.Pipe() }

var pairs = map[string]func(testing.TB) (near, far net.Conn){"tcp": tcpPair, "pipe": pipePair}

// within fails the test if f waits: the bound is what a busy machine may do to any code.
func within(t *testing.T, bound time.Duration, what string, f func()) {
	t.Helper()
	start := time.Now()
	if f(); time.Since(start) > bound {
		t.Fatalf("%s took %v", what, time.Since(start))
	}
}

// Bytes come out as they went in, whatever the reader's pace: through the socket alone, the
// backlog alone, and back.
func TestWireKeepsOrder(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			near, far := pair(t)
			w := newWire(near, func(*wire) {})
			defer w.Close()
			defer far.Close()
			source := rand.NewChaCha8([32]byte{})
			random := rand.New(source)
			for round := range 6 {
				var sent bytes.Buffer
				size := (maxBacklog / 2) * (round % 3) / 2 // sometimes more than the kernel takes
				for chunk := 1; sent.Len() <= size; chunk = 1 + random.IntN(100_000) {
					p := make([]byte, chunk)
					_, _ = source.Read(p)
					sent.Write(p)
					if n, err := w.Write(p); n != len(p) || err != nil {
						t.Fatalf("write of %d: %d, %v", len(p), n, err)
					}
					clear(p) // the caller uses its buffer again
				}
				got := make([]byte, sent.Len())
				if _, err := io.ReadFull(far, got); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, sent.Bytes()) {
					t.Fatalf("round %d: %d bytes came out changed", round, len(got))
				}
			}
		})
	}
}

func TestWireNeverWaitsAndGivesUp(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			near, far := pair(t)
			defer far.Close()
			var downs atomic.Int32
			w := newWire(near, func(*wire) { downs.Add(1) })
			defer w.Close()
			// What NATS's client does must not hurt the goroutine that writes the backlog.
			if err := w.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 64<<10)
			var err error
			total := 0
			within(t, 5*time.Second, "filling up", func() {
				for err == nil && total < 100<<20 {
					_, err = w.Write(p)
					total += len(p)
				}
			})
			if !errors.Is(err, errBacklog) || total < maxBacklog {
				t.Fatalf("after %d bytes: %v", total, err)
			}
			if !w.isClosed() || downs.Load() != 1 {
				t.Fatalf("closed %v, told %d times", w.isClosed(), downs.Load())
			}
			if _, err := w.Write(p); !errors.Is(err, net.ErrClosed) {
				t.Fatalf("write after the end: %v", err)
			}
			if w.Close(); downs.Load() != 1 {
				t.Fatalf("told %d times", downs.Load())
			}
		})
	}
}

// A connection that the other side ended is found by the write, or by the goroutine.
func TestWireEndsWithItsPeer(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			near, far := pair(t)
			down := make(chan struct{})
			w := newWire(near, func(*wire) { close(down) })
			defer w.Close()
			if _, err := w.Write(make([]byte, maxBacklog)); err != nil {
				t.Fatal(err)
			}
			_ = far.Close()
			for deadline := time.After(10 * time.Second); ; {
				_, err := w.Write([]byte("x"))
				select {
				case <-down:
					return
				case <-deadline:
					t.Fatalf("not noticed: %v", err)
				case <-time.After(time.Millisecond):
				}
			}
		})
	}
}

// BenchmarkWireWrite is what the wire adds to a system call.
func BenchmarkWireWrite(b *testing.B) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"wire":   func(c net.Conn) net.Conn { return newWire(c, func(*wire) {}) },
		"socket": func(c net.Conn) net.Conn { return c },
	} {
		b.Run(name, func(b *testing.B) {
			near, far := tcpPair(b)
			w := wrap(near)
			defer w.Close()
			go func() { _, _ = io.Copy(io.Discard, far) }()
			p := make([]byte, 300)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Write(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
