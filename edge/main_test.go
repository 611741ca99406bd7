// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/wheel"
)

func TestMain(m *testing.M) {
	if order := os.Getenv(loadRole); order != "" {
		if err := runLoad(order); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// published is what a scripted bus got.
type published struct {
	at      time.Duration // since the edge started
	subject string
	reply   string
	body    string
}

// scriptedBus remembers what is published; answer, where set, decides what becomes of it.
type scriptedBus struct {
	edge   *Edge
	answer func(published) error

	mu   sync.Mutex
	sent []published
}

var errDown = errors.New("no connection")

func (b *scriptedBus) Publish(subject, reply string, data []byte) error {
	p := published{b.edge.now(), subject, reply, string(data)}
	var err error
	if b.answer != nil {
		err = b.answer(p)
	}
	if err == nil {
		b.mu.Lock()
		b.sent = append(b.sent, p)
		b.mu.Unlock()
	}
	return err
}

// take returns what was published since the last take.
func (b *scriptedBus) take() []published {
	b.mu.Lock()
	defer b.mu.Unlock()
	sent := b.sent
	b.sent = nil
	return sent
}

// remembering is a client that remembers what it was sent.
type remembering struct {
	mu    sync.Mutex
	texts []string
	err   error
}

func (c *remembering) Send(text []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts = append(c.texts, string(text))
	return c.err
}

func (c *remembering) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	texts := c.texts
	c.texts = nil
	return texts
}

// rig is an edge on a scripted bus, with clients that need no transport.
type rig struct {
	*Edge
	bus  *scriptedBus
	stop func()
}

// session is the id that rigs draw first; the next ones follow.
const session = 1024 + 7

// newRig makes an edge whose repeater runs, for use inside a synctest bubble: it must be stopped there.
func newRig(o Options) *rig {
	o.Name = "e1"
	o.Wheel = wheel.New(0)
	e := newEdge(o)
	e.member = messages.Member{Name: "e1", Inc: "inc"}
	e.controls = controlsOf(e.member)
	b := &scriptedBus{edge: e}
	e.bus = b
	e.owner = func(int) (roster.Owner, bool) { return roster.Owner{}, false }
	e.suspect = func(messages.Member) {}
	next := uint64(session)
	e.draw = func() uint64 { next++; return next - 1 }
	for p := range e.partitions {
		e.partitions[p].hear(messages.Epoch{Number: 1, Node: "n1"})
	}
	e.info = newCluster(&e.opts, nil, e.log)
	ctx, cancel := context.WithCancel(context.Background())
	o.Wheel.Start()
	e.tasks.Go(func() { e.repeater.run(ctx) })
	e.tasks.Go(func() { e.acks.run(ctx) })
	return &rig{Edge: e, bus: b, stop: func() {
		cancel()
		e.tasks.Wait()
		o.Wheel.Stop()
	}}
}

// connect opens a connection.
func (r *rig) connect() (*connection, *remembering) {
	to := new(remembering)
	return r.open(to, r.numbers.Add(1), r.opts.Deadline), to
}

// answers delivers a reply of an owner with this epoch to a request.
func (r *rig) answers(p published, epoch uint64, body string) {
	identity, _ := messages.CutRepeat(p.reply)
	s, _ := messages.ParseSessionSubject(p.subject)
	r.receive(&bus.Msg{Subject: identity, Reply: delivery(s.Session, epoch), Data: []byte(body)})
}

// nobody delivers the news that nobody received a request.
func (r *rig) nobody(p published) { r.receive(&bus.Msg{Subject: p.reply, NoResponders: true}) }

func delivery(session, epoch uint64) string {
	return messages.Delivery{
		Partition: messages.PartitionOf(session), Session: session, Epoch: messages.Epoch{Number: epoch, Node: "n1"},
	}.String()
}

// bubble runs a test on a rig in time that passes when all wait.
func bubble(t *testing.T, o Options, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(o)
		defer r.stop()
		f(t, r)
	})
}

// after lets time pass, and all goroutines come to rest.
func after(d time.Duration) {
	time.Sleep(d) // in a bubble: nobody waits for it
	synctest.Wait()
}

func keepalive(session uint64, transaction string) []byte {
	return fmt.Appendf(nil, `{"janus":"keepalive","session_id":%d,"transaction":"%s"}`, session, transaction)
}

// bodies are the transactions of what was published, with a mark for repeats: "a b.r".
func bodies(sent []published) string {
	var all []string
	for _, p := range sent {
		_, rest, _ := strings.Cut(p.body, `"transaction":"`)
		name, _, _ := strings.Cut(rest, `"`)
		if _, again := messages.CutRepeat(p.reply); again {
			name += ".r"
		}
		if p.body == "" {
			name = "gone"
		}
		all = append(all, name)
	}
	return strings.Join(all, " ")
}

// expect fails unless got is want.
func expect[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
