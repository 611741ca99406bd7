// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
)

// silent is a bus on which nothing is answered.
type silent struct{}

func (silent) Publish(string, string, []byte) error { return nil }

// serveRig has a rig serve HTTP, on a bus that takes everything.
func serveRig(b *testing.B, bus publisher) (r *rig, address string) {
	r = newRig(Options{})
	r.Edge.bus = bus
	if a, ok := bus.(*answering); ok {
		a.edge = r.Edge
	}
	h := r.newHTTP(schemeHTTP)
	h.listener = must[net.Listener](b)(net.Listen("tcp", "127.0.0.1:0"))
	ctx, cancel := context.WithCancel(context.Background())
	r.tasks.Go(func() { h.serve(ctx) })
	b.Cleanup(func() {
		if err := h.stop(testContext(b)); err != nil {
			b.Error(err)
		}
		cancel()
		r.stop()
	})
	return r, h.listener.Addr().String()
}

// BenchmarkIdlePolls reports what a long poll that waits costs an edge: memory, the client's end of the socket included, and
// processor time per second of waiting, repeats included.
func BenchmarkIdlePolls(b *testing.B) {
	const clients = 4000
	r, address := serveRig(b, silent{})
	before := memory()
	for i := range clients {
		c := must[net.Conn](b)(net.Dial("tcp", address))
		b.Cleanup(func() { _ = c.Close() })
		if _, err := io.WriteString(c, get(fmt.Sprintf("/janus/%d?maxev=10&rid=1790000000000", session+i))); err != nil {
			b.Fatal(err)
		}
	}
	lab.WaitFor(b, patience, func() string { return unless(r.polls.Load() == clients, "polls are missing") })
	held := memory() - before
	busy, start := processorTime(), time.Now()
	timer := time.NewTimer(5 * time.Second)
	<-timer.C
	used := processorTime() - busy
	waited := time.Since(start).Seconds()
	for b.Loop() {
	}
	b.ReportMetric(float64(held)/clients, "B/poll")
	b.ReportMetric(float64(used.Nanoseconds())/1000/clients/waited, "cpu-µs/poll/s")
}

// BenchmarkHTTPRequest is a request over a connection that stays, and its answer: processor time of both ends.
func BenchmarkHTTPRequest(b *testing.B) {
	_, address := serveRig(b, new(answering))
	c := must[net.Conn](b)(net.Dial("tcp", address))
	defer c.Close()
	in := bufio.NewReader(c)
	request := post(fmt.Sprintf("/janus/%d/4857203984572039", session), `{"janus":"message","transaction":"Tb8Yx0q1WkLm","body":{"audio":true,"video":true,"bitrate":128000,"record":false}}`)
	before := processorTime()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.WriteString(c, request); err != nil {
			b.Fatal(err)
		}
		answer, err := http.ReadResponse(in, nil)
		if err != nil || answer.StatusCode != http.StatusOK {
			b.Fatal(answer, err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
	}
	b.ReportMetric(float64((processorTime()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
}
