// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/embedded"
	"github.com/januscloud/januscloud/scripts/lab"
)

// echotest is a request as a client of the echotest plugin sends it: 190 bytes.
const echotest = `{"janus":"message","transaction":"Tb8Yx0q1WkLm","apisecret":"januscloud","session_id":%d,"handle_id":4857203984572039,` +
	`"body":{"audio":true,"video":true,"bitrate":128000,"record":false}}`

// answering is a bus on which everything is answered at once.
type answering struct{ edge *Edge }

func (b *answering) Publish(_, reply string, _ []byte) error {
	b.edge.receive(&bus.Msg{Subject: reply, Reply: "7.1031.1-n1.1", Data: []byte(`{"janus":"ack","session_id":1031,"transaction":"Tb8Yx0q1WkLm"}`)})
	return nil
}

type discarding struct{}

func (discarding) Send([]byte) error { return nil }

// BenchmarkRequest is what a request and its answer cost between transport and bus.
func BenchmarkRequest(b *testing.B) {
	r := newRig(Options{})
	defer r.stop()
	r.Edge.bus = &answering{r.Edge}
	c := r.open(discarding{}, 1, time.Second)
	frame := fmt.Appendf(nil, echotest, session)
	b.ReportAllocs()
	for b.Loop() {
		r.serve(c, frame)
	}
}

// The load that drives an edge from outside runs in a process of its own, with NATS and the owner, so that the processor
// time of this one is the edge's alone.
const (
	loadRole  = "JANUSCLOUD_EDGE_BENCH"
	benchConn = 50
)

// BenchmarkOverNATS is an edge between real sockets and a NATS server, busy all the time. It reports the edge's processor
// time per request.
func BenchmarkOverNATS(b *testing.B) {
	for _, window := range []int{1, 4} {
		b.Run(fmt.Sprintf("inflight=%d", benchConn*window), func(b *testing.B) {
			drive(b, fmt.Sprintf("%d %d %d", benchConn, window, b.N))
		})
	}
}

// loader is the other process, once it has connected its clients.
type loader struct {
	b    *testing.B
	in   io.WriteCloser
	out  *bufio.Reader
	edge *Edge
	idle int64 // the edge's memory before the clients came
}

func startLoader(b *testing.B, order string) *loader {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), loadRole+"="+order)
	child.Stderr = os.Stderr
	l := &loader{b: b}
	l.in = must[io.WriteCloser](b)(child.StdinPipe())
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	l.out = bufio.NewReader(out)
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	l.edge = startEdgeAt(b, l.line(), func(o *Options) { o.APISecret = "januscloud" })
	b.Cleanup(func() { // before the edge, which would wait for its clients to go
		l.in.Close()
		_ = child.Wait()
	})
	waitReady(b, l.edge)
	l.idle = memory()
	fmt.Fprintln(l.in, strings.TrimPrefix(l.edge.Addresses()["ws"], "ws://"))
	l.expect("ready")
	return l
}

func (l *loader) line() string {
	return strings.TrimSpace(must[string](l.b)(l.out.ReadString('\n')))
}

func (l *loader) expect(want string) {
	if got := l.line(); got != want {
		l.b.Fatalf("load says %q instead of %q", got, want)
	}
}

func drive(b *testing.B, order string) {
	l := startLoader(b, order)
	before := processorTime()
	b.ResetTimer()
	fmt.Fprintln(l.in, "go")
	l.expect("done")
	b.StopTimer()
	b.ReportMetric(float64((processorTime()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
}

// BenchmarkIdleClients reports the memory that an idle client costs an edge: each has used a session once.
func BenchmarkIdleClients(b *testing.B) {
	const clients = 5000
	l := startLoader(b, fmt.Sprintf("%d 1 %d", clients, clients))
	fmt.Fprintln(l.in, "go")
	l.expect("done")
	for b.Loop() {
	}
	b.ReportMetric(float64(memory()-l.idle)/clients, "B/client")
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// runLoad is the other process. It tells the address of its NATS server, hears that of the edge, and works when told to.
func runLoad(order string) error {
	fields := strings.Fields(order)
	ctx := context.Background()
	server, err := embedded.Start(ctx, embedded.Options{})
	if err != nil {
		return err
	}
	defer server.Shutdown()
	err = lab.Run("load", func(tb lab.TB) {
		b, err := bus.Connect(ctx, bus.Options{URLs: []string{server.ClientURL()}})
		if err != nil {
			tb.Fatalf("%v", err)
		}
		o := newOwner(b, "n1", messages.AllPartitions(), obliging)
		if err := o.begin(); err != nil {
			tb.Fatalf("%v", err)
		}
		o.forget = true
		in := bufio.NewReader(os.Stdin)
		fmt.Println(server.ClientURL())
		address, _ := in.ReadString('\n')
		if err := put(strings.TrimSpace(address), fields, in); err != nil {
			tb.Fatalf("%v", err)
		}
	})
	return err
}

// put opens connections and sends requests over them.
func put(address string, order []string, in *bufio.Reader) error {
	clients, _ := strconv.Atoi(order[0])
	window, _ := strconv.Atoi(order[1])
	n, _ := strconv.Atoi(order[2])
	var conns []net.Conn
	for range clients {
		c, _, _, err := ws.Dialer{Protocols: []string{subprotocol}}.Dial(context.Background(), "ws://"+address)
		if err != nil {
			return err
		}
		conns = append(conns, c)
	}
	fmt.Println("ready")
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	var sent atomic.Int64
	results := make(chan error, len(conns))
	for i, c := range conns {
		go func() { results <- converseFast(c, uint64(session+i), window, &sent, int64(n)) }()
	}
	for range conns {
		if err := <-results; err != nil {
			return err
		}
	}
	fmt.Println("done")
	_, _ = in.ReadString('\n')
	return nil
}

// converseFast keeps window requests in flight until all connections together have sent n.
func converseFast(c net.Conn, session uint64, window int, sent *atomic.Int64, n int64) error {
	frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(fmt.Appendf(nil, echotest, session))))
	reader := bufio.NewReader(c)
	waiting := 0
	for {
		for waiting < window && sent.Add(1) <= n {
			if _, err := c.Write(frame); err != nil {
				return err
			}
			waiting++
		}
		if waiting == 0 {
			return nil
		}
		header, err := ws.ReadHeader(reader)
		if err != nil {
			return err
		}
		if header.OpCode != ws.OpText {
			return errors.New("no text: " + fmt.Sprint(header))
		}
		if _, err := reader.Discard(int(header.Length)); err != nil {
			return err
		}
		waiting--
	}
}

func memory() int64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
