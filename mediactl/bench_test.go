// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/januscloud/januscloud/mediactl/janustest"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/bustest"
	"github.com/januscloud/januscloud/messages/bus/embedded"
	"github.com/januscloud/januscloud/messages/load"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/wheel"
	"github.com/januscloud/januscloud/scripts/lab"
)

// typical is a message of a usual size: 387 bytes, as in the figures that the goals come from.
const typical = `{"janus":"message","session_id":4711,"handle_id":1,"transaction":"Zu3fPqXkT0aB","body":{"audio":true,"video":true,"bitrate":512000,` +
	`"record":false,"filename":"/tmp/echo-recording-of-a-call","restart":false,"substream":2,"temporal":1,"svc":false,"spatial":0,` +
	`"min_delay":100,"max_delay":500,"opaque":"0123456789abcdef0123456789abcdef0123456789abcdef","padding":"0123456789abcdef0123"}}`

// echoPeer is a connection to a Janus that answers in no time: an ack, then an event.
type echoPeer struct {
	f      *fake
	link   *link
	prefix []byte
}

func (p *echoPeer) Send(message []byte) error {
	const key = `"transaction":"`
	for i := 0; i+len(key) < len(message); i++ {
		if string(message[i:i+len(key)]) == key {
			p.prefix = append(p.prefix[:0], message[i+len(key):i+len(key)+16]...)
			for n, c := range p.prefix {
				if c == '|' {
					p.prefix = p.prefix[:n]
					break
				}
			}
			return nil
		}
	}
	return nil
}

func (p *echoPeer) Close() {}

// BenchmarkActor is a request, its ack and its event through the actor alone: no socket, no bus, no actor system.
func BenchmarkActor(b *testing.B) {
	f, p := upAndServing(b)
	p.bound(4711)
	e := &echoPeer{f: f, link: f.link}
	f.link.carrier = e
	identities := make([]string, 1<<16)
	for i := range identities {
		identities[i] = client(4711, uint64(i)+1000)
	}
	subject := f.message(4711, 1, "", "").Subject
	const ack = "{\n   \"janus\": \"ack\",\n   \"session_id\": 4711,\n   \"transaction\": \"%s|Zu3fPqXkT0aB\"\n}"
	const event = "{\n   \"janus\": \"event\",\n   \"session_id\": 4711,\n   \"transaction\": \"%s|Zu3fPqXkT0aB\",\n   \"sender\": 4711,\n" +
		"   \"plugindata\": {\n      \"plugin\": \"janus.plugin.echotest\",\n      \"data\": {\n         \"echotest\": \"event\",\n" +
		"         \"result\": \"ok\"\n      }\n   }\n}"
	body, said := []byte(typical), received{link: f.link}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(identities) == 0 {
			f.memory = newMemory(0, f.now, func(int) {})
		}
		f.receive(&bus.Msg{Subject: subject, Reply: identities[i%len(identities)], Data: body})
		for _, answer := range []string{ack, event} {
			said.raw = fmt.Appendf(said.raw[:0], answer, e.prefix)
			f.receive(&said)
		}
		if len(f.published) != 2 {
			b.Fatalf("published %v", f.published)
		}
		f.published = f.published[:0]
	}
}

// BenchmarkRoundTrip sends echo-test messages through a whole media role, 32 at a time, to a real Janus in its own process
// and to the scripted one in this. cpuµs/op is what this process uses per message: role, bus, socket, and the benchmark's
// own owner; with the scripted Janus that as well.
func BenchmarkRoundTrip(b *testing.B) {
	b.Run("real Janus", func(b *testing.B) { benchmarkRoundTrip(b, lab.Janus(b).WSURL(), 32) })
	b.Run("real Janus, one by one", func(b *testing.B) { benchmarkRoundTrip(b, lab.Janus(b).WSURL(), 1) })
	b.Run("scripted Janus", func(b *testing.B) { benchmarkRoundTrip(b, janustest.Start(b, janustest.Options{}).URL(), 32) })
}

func benchmarkRoundTrip(b *testing.B, url string, inFlight int) {
	session := messages.NewSessionID(7)
	server := messages.Epoch{Number: 1, Node: "n"}
	ended := make(chan struct{}, 1<<16)
	bound := make(chan struct{}, inFlight)
	net := bustest.Start(b, embedded.Options{})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	link, err := bus.Connect(ctx, bus.Options{URLs: []string{net.ClientURL()}})
	if err != nil {
		b.Fatal(err)
	}
	defer link.Close()
	bustest.Own(b, link, messages.SessionPrefix(7), 0, func(m *bus.Msg) {
		at, _ := messages.ParseSessionSubject(m.Subject)
		switch {
		case m.Reply == "own":
			bound <- struct{}{}
		case at.Kind == messages.SessionEvent:
			ended <- struct{}{}
		}
	})
	media := startBench(ctx, b, link, url)
	defer func() { _ = media.Stop(context.Background()) }()
	subjects := make([]string, inFlight)
	for i := range subjects {
		to := messages.MediaSubject{Server: media.Member(), Partition: 7, Epoch: server, Session: session, Handle: uint64(i) + 1}
		subjects[i] = to.String()
		if err := link.Publish(subjects[i], "own", []byte(`{"janus":"attach","transaction":"a","plugin":"janus.plugin.echotest"}`)); err != nil {
			b.Fatal(err)
		}
		<-bound
	}
	send := func(i int) {
		identity := "janus.edge.edge~i.1." + strconv.FormatUint(session, 10) + "." + strconv.Itoa(i)
		if err := link.Publish(subjects[i%inFlight], identity, []byte(typical)); err != nil {
			b.Error(err)
		}
	}
	before := cpuTime(b)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i >= inFlight {
			<-ended
		}
		send(i)
	}
	for range min(b.N, inFlight) {
		<-ended
	}
	b.StopTimer()
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpuµs/op")
}

func startBench(ctx context.Context, b *testing.B, link *bus.Bus, url string) *Media {
	log := slog.New(slog.DiscardHandler)
	r, err := roster.Start(ctx, roster.Options{Bus: link, Log: log})
	if err != nil {
		b.Fatal(err)
	}
	w := wheel.New(0)
	w.Start()
	b.Cleanup(func() {
		w.Stop()
		r.Stop()
	})
	m, err := Start(ctx, Options{
		Name: "bench", Bus: link, Roster: r, Wheel: w, Load: load.Start(ctx), Log: log, Registry: prometheus.NewRegistry(), JanusURL: url,
	})
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
