// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/januscloud/januscloud/messages"
)

// order asks the owner of a session as the Admin API does.
func (p *process) order(t *testing.T, session, handle uint64, o messages.AdminOrder) messages.AdminAnswer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	data, _ := json.Marshal(o)
	var answer messages.AdminAnswer
	m, err := p.bus.Request(ctx, messages.AdminSubject(session, handle), data)
	if err == nil {
		err = json.Unmarshal(m.Data, &answer)
	}
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// A time-out that an administrator gave a session lives on with its next owner.
func TestOwnTimeoutSurvives(t *testing.T) {
	c, a, edge, id := oneSession(t)
	if got := edge.p.order(t, id, 0, messages.AdminOrder{Act: messages.AdminTimeout, Timeout: 1234}); got.Error != nil {
		t.Fatal(got.Error)
	}
	if got := edge.p.order(t, id, 0, messages.AdminOrder{}); got.Timeout != 1234 {
		t.Errorf("set to %d s", got.Timeout)
	}
	// What is stored is read back through the same node: then it is there for the next.
	deadline := time.Now().Add(5 * time.Second)
	for !storedTimeout(t, a, id, 1234) {
		if time.Now().After(deadline) {
			t.Fatal("the time-out was not stored")
		}
		<-time.After(10 * time.Millisecond)
	}
	b := c.node("node-b", nil)
	a.Bus.Conn().Opts.AllowReconnect = false
	a.Bus.Close() // as dead as a process can be within another
	if got := edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id); got["janus"] != "ack" {
		t.Fatalf("after the take-over: %v", got)
	}
	if got := edge.p.order(t, id, 0, messages.AdminOrder{}); got.Timeout != 1234 || b.sessions.Load() != 1 {
		t.Errorf("after the take-over %d s, %d sessions", got.Timeout, b.sessions.Load())
	}
}

func storedTimeout(t *testing.T, n *Node, session uint64, want int32) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	m, err := n.Bus.Request(ctx, "$JS.API.DIRECT.GET."+n.store.stream+"."+n.store.prefix+sessionKey(session), nil)
	if err != nil {
		t.Fatal(err)
	}
	var r messages.SessionRecord
	return json.Unmarshal(m.Data, &r) == nil && r.Timeout != nil && *r.Timeout == want
}

// Orders for what is not there are answered as by Janus; handles without a Janus are detached here.
func TestOrders(t *testing.T) {
	c := newCluster(t)
	c.server("janus-a")
	edge := c.client()
	a := c.node("node-a", nil)
	waitServers(t, a, 1)
	id := edge.create()
	h := edge.attach(id)
	for _, x := range []struct {
		session, handle uint64
		act             messages.AdminAct
		code            messages.Code
	}{
		{5, 0, "", 458}, {5, 6, messages.AdminDestroy, 458}, {id, 6, "", 459}, {id, 6, messages.AdminDetach, 459}, {id, 0, "nonsense", 453},
		{id, h, "", 0}, {id, h, messages.AdminDetach, 0}, {id, h, messages.AdminDetach, 459}, {id, 0, messages.AdminDestroy, 0}, {id, 0, "", 458},
	} {
		got := edge.p.order(t, x.session, x.handle, messages.AdminOrder{Act: x.act})
		if code := codeOf(got.Error); code != x.code {
			t.Errorf("%+v: %d", x, code)
		}
	}
}

func codeOf(e *messages.Error) messages.Code {
	if e == nil {
		return 0
	}
	return e.Code
}

// An administrator can have a handle bound before its client uses it, which then is served where it is.
func TestBindForAdmin(t *testing.T) {
	c := newCluster(t)
	server := c.server("janus-a")
	edge := c.client()
	a := c.node("node-a", nil)
	waitServers(t, a, 1)
	id := edge.create()
	h := edge.attach(id)
	bind := messages.AdminOrder{Act: messages.AdminBind}
	first := edge.p.order(t, id, h, bind)
	if first.Error != nil || first.Handle == nil || first.Handle.Server != server.member || first.Handle.Janus == 0 {
		t.Fatalf("bound: %+v", first)
	}
	if again := edge.p.order(t, id, h, bind); again.Handle == nil || again.Handle.Janus != first.Handle.Janus {
		t.Errorf("bound twice: %+v", again)
	}
	edge.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, h)
	if got := edge.p.order(t, id, h, messages.AdminOrder{}); got.Handle == nil || got.Handle.Janus != first.Handle.Janus {
		t.Errorf("used: %+v", got)
	}
	if got := edge.p.order(t, id, 6, bind); codeOf(got.Error) != 459 {
		t.Errorf("a handle that is not there: %+v", got)
	}
}
