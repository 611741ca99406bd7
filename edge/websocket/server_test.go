// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func TestShutdown(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		f := serve(t, m, newRecorder(), Options{CloseTimeout: time.Minute})
		var peers []*peer
		for range 20 {
			peers = append(peers, f.dial(t))
		}
		f.conn(t, 19)
		silent := f.connect(t) // has not shaken hands
		waitFor(t, func() string {
			if n := f.server.Len(); n != 21 {
				return fmt.Sprintf("Len is %d, not 21", n)
			}
			return ""
		})
		done := make(chan error, 2)
		for range 2 {
			go func() { done <- f.server.Shutdown(context.Background(), ws.StatusGoingAway, "restart") }()
		}
		for _, p := range peers {
			p.expect("close:1001:restart", "eof")
			p.Close()
		}
		if _, err := io.ReadAll(silent); err != nil && !isReset(err) {
			t.Errorf("without a handshake: %v", err)
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		}
		for n := range peers {
			if why := f.reason(t, n); !errors.Is(why, ErrShutdown) {
				t.Errorf("connection %d: reason %v", n, why)
			}
		}
		if nc, err := net.Dial("tcp", f.addr); err == nil {
			nc.Close()
			t.Error("the listener still accepts")
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.server.Serve(context.Background(), ln); !errors.Is(err, ErrServed) {
			t.Errorf("Serve after Shutdown: %v", err)
		}
	})
}

// Clients that do not answer the close frame cannot hold it up.
func TestShutdownIsBounded(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		t.Run("by CloseTimeout", func(t *testing.T) {
			f := serve(t, m, newRecorder(), Options{CloseTimeout: 20 * time.Millisecond})
			f.dial(t)
			f.conn(t, 0)
			if err := f.server.Shutdown(context.Background(), ws.StatusGoingAway, ""); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
		t.Run("by its context", func(t *testing.T) {
			f := serve(t, m, newRecorder(), Options{CloseTimeout: time.Hour})
			f.dial(t)
			f.conn(t, 0)
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			if err := f.server.Shutdown(ctx, ws.StatusGoingAway, ""); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown: %v", err)
			}
			if n := f.server.Len(); n != 0 {
				t.Errorf("%d connections left", n)
			}
		})
	})
}

func TestShutdownWithoutServe(t *testing.T) {
	s := New(newRecorder(), Options{Log: quiet()})
	if err := s.Shutdown(context.Background(), 1001, ""); err != nil {
		t.Error(err)
	}
}

// The end of Serve's context stops accepting; who is connected stays.
func TestServeContext(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		f := serve(t, m, newRecorder(), Options{})
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		second := *f
		second.addr = ln.Addr().String()
		if m.opaque {
			ln = opaque{ln}
		}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- f.server.Serve(ctx, ln) }()
		p := second.dial(t)
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if nc, err := net.Dial("tcp", second.addr); err == nil {
			nc.Close()
			t.Error("the listener still accepts")
		}
		p.write(text("alive"))
		p.expect("text:alive")
		f.dial(t)
	})
}

func TestServeFailsOnAClosedListener(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		f := serve(t, m, newRecorder(), Options{})
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		if m.opaque {
			ln = opaque{ln}
		}
		if err := f.server.Serve(context.Background(), ln); err == nil {
			t.Error("Serve returned nil")
		}
	})
}

func TestMaxConns(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		f := serve(t, m, newRecorder(), Options{MaxConns: 2})
		first, second := f.dial(t), f.dial(t)
		if !m.tls {
			p := f.connect(t)
			answer, _ := io.ReadAll(p)
			if status, _, _ := strings.Cut(string(answer), "\r\n"); status != "HTTP/1.1 503 Service Unavailable" {
				t.Errorf("one too many was answered %q", answer)
			}
			if got := f.count(t, "handshakes_total", "result", "full"); got != 1 {
				t.Errorf("handshakes_total{full} = %v", got)
			}
		}
		second.Close()
		f.reason(t, 1)
		waitFor(t, func() string {
			if n := f.server.Len(); n != 1 {
				return fmt.Sprintf("Len is %d", n)
			}
			return ""
		})
		f.dial(t)
		first.write(text("x"))
		first.expect("text:x")
	})
}

// Two servers of one process may number their connections together.
func TestSharedIDs(t *testing.T) {
	ids := new(atomic.Uint64)
	a := serve(t, modes[0], newRecorder(), Options{IDs: ids})
	b := serve(t, modes[0], newRecorder(), Options{IDs: ids})
	a.dial(t)
	first := a.conn(t, 0).ID()
	b.dial(t)
	if second := b.conn(t, 0).ID(); first != 1 || second != 2 {
		t.Errorf("ids %d and %d", first, second)
	}
}

func TestUnixListener(t *testing.T) {
	f := serve(t, modes[0], newRecorder(), Options{})
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { served <- f.server.Serve(ctx, ln) }()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, replaced()); err != nil {
		t.Fatal(err)
	}
	if c := f.conn(t, 0); c.RemoteAddr() != "" {
		t.Errorf("RemoteAddr %q", c.RemoteAddr())
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// Every way to end returns its descriptors.
func TestDescriptorsAreReturned(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Fatal("counts descriptors in /proc")
	}
	before := descriptors(t)
	eachMode(t, func(t *testing.T, m mode) {
		f := serve(t, m, newRecorder(), Options{CloseTimeout: 10 * time.Millisecond, HandshakeTimeout: 10 * time.Millisecond, MaxConns: 15})
		for i := range 60 {
			p := f.connect(t)
			switch i % 6 {
			case 0:
				p.Write([]byte(replaced("Sec-WebSocket-Protocol:")))
			case 1:
				p.Write([]byte("GET"))
			case 2:
				p.Write([]byte(replaced()))
				p.Write(byeFrame(1000, ""))
			case 3:
				p.Write([]byte(replaced()))
				p.Write([]byte("nonsense, surely not a frame"))
			case 4:
				p.Write([]byte(replaced()))
				tcp(p.Conn).SetLinger(0)
			}
			if i%2 == 0 {
				p.Close()
			}
		}
	})
	waitFor(t, func() string {
		if after := descriptors(t); after > before {
			return fmt.Sprintf("%d descriptors open, %d before", after, before)
		}
		return ""
	})
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
