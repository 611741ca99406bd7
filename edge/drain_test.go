// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/scripts/lab"
)

// order has an edge drain, or not, and returns its answer.
func order(t *testing.T, b *bus.Bus, e *Edge, o messages.DrainOrder) messages.DrainAnswer {
	t.Helper()
	m := must[*bus.Msg](t)(b.Request(testContext(t), messages.DrainSubject(messages.RoleEdge, e.Member()), must[[]byte](t)(json.Marshal(o))))
	var answer messages.DrainAnswer
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestDrain is an edge that drains: it says so, and goes on with who is there, until that one is sent elsewhere.
func TestDrain(t *testing.T) {
	ctx := testContext(t)
	e, o, c := startHTTP(t, nil)
	ws := dial(t, e)
	session := must[uint64](t)(ws.Create(ctx))
	_, polling := c.send(get("/janus/{S}"))
	lab.WaitFor(t, patience, func() string { return unless(e.polls.Load() == 1, "the poll has not come") })

	for range 2 { // twice is once
		expect(t, "answer", order(t, o.bus, e, messages.DrainOrder{}), messages.DrainAnswer{State: messages.StateDraining})
	}
	if err := e.Ready(); err == nil || !strings.Contains(err.Error(), "draining") {
		t.Errorf("while it drains it is ready: %v", err)
	}
	if err := ws.Keepalive(ctx, session); err != nil {
		t.Errorf("a client that is there: %v", err)
	}
	_, reader := c.send(post("/janus/{S}", `{"janus":"keepalive","transaction":"k"}`))
	expect(t, "request over HTTP", must[answered](t)(c.read(reader, "POST")).short(), "200 ack")
	if _, err := reader.ReadByte(); err != io.EOF {
		t.Errorf("the connection stays after it: %v", err)
	}
	b := e.beat()
	if b.State != messages.StateDraining || b.Edge.Connections != 1 || b.Drained() {
		t.Errorf("beats %+v %+v", b, b.Edge)
	}

	expect(t, "answer", order(t, o.bus, e, messages.DrainOrder{Off: true}), messages.DrainAnswer{State: messages.StateReady})
	if err := e.Ready(); err != nil {
		t.Error(err)
	}
	if err := ws.Keepalive(ctx, session); err != nil {
		t.Error(err)
	}

	expect(t, "answer", order(t, o.bus, e, messages.DrainOrder{End: true}), messages.DrainAnswer{State: messages.StateDraining})
	<-ws.Closed()
	if err := ws.Err(); !strings.Contains(err.Error(), "close frame 1001") {
		t.Errorf("ended by %v", err)
	}
	lab.WaitFor(t, patience, func() string { b := e.beat(); return unless(b.Drained(), "it is not drained") })
	expect(t, "polls", e.polls.Load(), 1) // which are answered when it stops
	stopped := make(chan error, 1)
	go func() { stopped <- e.Stop(ctx) }()
	expect(t, "poll", must[answered](t)(c.read(polling, "GET")).short(), "200 keepalive")
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if state, err := e.heed(messages.DrainOrder{Off: true}); err == nil {
		t.Errorf("an edge that has stopped is %s", state)
	}
}

// TestDrainWaits is an edge that is drained to be stopped: it waits for its clients, but not longer than it is told to.
func TestDrainWaits(t *testing.T) {
	server := startNATS(t)
	e := startEdge(t, server, nil)
	e.Drain(testContext(t))
	if err := e.Ready(); err != nil && strings.Contains(err.Error(), "draining") {
		t.Error("there is nobody to wait for")
	}
	c := dial(t, e)
	short, cancel := context.WithTimeout(testContext(t), 100*time.Millisecond)
	defer cancel()
	e.Drain(short)
	if short.Err() == nil {
		t.Error("it did not wait for its client")
	}
	_ = c.Close()
	e.Drain(testContext(t))
	if b := e.beat(); !b.Drained() {
		t.Errorf("not drained: %+v", b.Edge)
	}
}
