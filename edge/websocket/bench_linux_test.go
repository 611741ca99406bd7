// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// BenchmarkEcho is a closed loop: each client has one message under way. The
// load generator runs in the same process; server-µs/op subtracts nothing.
func BenchmarkEcho(b *testing.B) {
	for _, m := range modes {
		for _, clients := range []int{1, 32} {
			for _, size := range []int{400, 4000} {
				b.Run(fmt.Sprintf("%s/clients=%d/size=%d", m.name, clients, size), func(b *testing.B) {
					benchmarkEcho(b, m, clients, size)
				})
			}
		}
	}
}

func benchmarkEcho(b *testing.B, m mode, clients, size int) {
	f := serve(b, m, newRecorder(), Options{})
	message := text(strings.Repeat("m", size))
	peers := make([]*peer, clients)
	for i := range peers {
		peers[i] = f.dial(b)
		peers[i].SetDeadline(time.Time{})
	}
	reply := make([][]byte, clients)
	var left atomic.Int64
	left.Store(int64(b.N))
	b.SetBytes(int64(size))
	before := cpuTime(b)
	b.ResetTimer()
	done := make(chan error, clients)
	for i, p := range peers {
		reply[i] = make([]byte, frameSize(size))
		go func() {
			var err error
			for err == nil && left.Add(-1) >= 0 {
				if _, err = p.Write(message); err == nil {
					_, err = io.ReadFull(p.Conn, reply[i])
				}
			}
			done <- err
		}()
	}
	for range peers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-µs/op")
}

// BenchmarkHandshake is connecting, upgrading and hanging up.
func BenchmarkHandshake(b *testing.B) {
	for _, m := range modes {
		b.Run(m.name, func(b *testing.B) {
			f := serve(b, m, newRecorder(), Options{})
			request := []byte(request(upgradeLines...))
			before := cpuTime(b)
			for b.Loop() {
				p := f.connect(b)
				p.write(request)
				p.head()
				tcp(p.Conn).SetLinger(0) // no TIME_WAIT: ports would run out
				tcp(p.Conn).Close()
			}
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-µs/op")
		})
	}
}

// BenchmarkIdle reports what an idle client costs the heap and the stacks of the
// server. The clients are bare descriptors, which cost the kernel alone.
func BenchmarkIdle(b *testing.B) {
	for _, m := range []mode{modes[0], modes[1]} {
		b.Run(m.name, func(b *testing.B) {
			for b.Loop() {
				benchmarkIdle(b, m)
			}
		})
	}
}

type silent struct{ open, closed atomic.Int64 }

func (s *silent) Open(*Conn)            { s.open.Add(1) }
func (s *silent) Message(*Conn, []byte) {}
func (s *silent) Close(*Conn, error)    { s.closed.Add(1) }

func benchmarkIdle(b *testing.B, m mode) {
	h := new(silent)
	s := New(h, Options{Log: quiet(), Subprotocols: []string{"janus-protocol"}})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := ln.Addr().(*net.TCPAddr)
	if m.opaque {
		ln = opaque{ln}
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), ln) }()

	const clients = 9000 // with the servers' ends, within common descriptor limits
	fds := make([]int, 0, clients)
	before := memory()
	for range clients {
		fds = append(fds, rawDial(b, addr.Port))
	}
	waitFor(b, func() string {
		if n := h.open.Load(); n != clients {
			return fmt.Sprintf("%d of %d connections open", n, clients)
		}
		return ""
	})
	b.ReportMetric(float64(memory()-before)/clients, "B/conn")
	for _, fd := range fds {
		syscall.Close(fd)
	}
	if err := s.Shutdown(context.Background(), ws.StatusGoingAway, ""); err != nil {
		b.Error(err)
	}
	if err := <-served; err != nil {
		b.Error(err)
	}
}

// rawDial shakes hands without the cost of a net.Conn in this process.
func rawDial(b *testing.B, port int) int {
	b.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		_, err = syscall.Write(fd, []byte(request(upgradeLines...)))
	}
	var answer [512]byte
	n := 0
	if err == nil {
		n, err = syscall.Read(fd, answer[:])
	}
	if err == nil && !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 101 ") {
		err = errors.New(string(answer[:n]))
	}
	if err != nil {
		b.Fatal(err)
	}
	return fd
}

// memory is what the process holds in live heap and stacks.
func memory() int64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// cpuTime is what the process has used, in microseconds.
func cpuTime(b *testing.B) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano()/1000 + u.Stime.Nano()/1000
}
