// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/mediactl/janustest"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/scripts/lab"
)

// TestGap tells the owners of sessions that are claimed again that they may have missed something, and nobody else.
func TestGap(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	empty, lost := r.session(), r.session()
	r.attach(empty, 1)
	r.reply(r.request(empty, 1, `{"janus":"detach","transaction":"d"}`))
	r.attach(lost, 1)
	if n := r.count(func(m message) bool { return m.body.Janus == messages.VerbGap }); n != 0 {
		t.Errorf("%d gaps before there was any", n)
	}
	janus.Forget(lost)
	janus.Cut()
	m := r.event(session, 0, messages.VerbGap)
	if !strings.HasPrefix(m.Reply, r.server.String()+".") || m.body.Session != session {
		t.Error(m)
	}
	r.lossOf(lost, 1)
	r.echo(session, 1)
	for _, other := range []uint64{empty, lost} {
		if slices.Contains(r.events(other, 0), messages.VerbGap) {
			t.Errorf("session %d was told of a gap", other)
		}
	}
}

// TestNumbered numbers events so that an owner sees whether it lost one, and asks about the last when nobody acknowledges it.
func TestNumbered(t *testing.T) {
	r, _, session := scripted(t, janustest.Options{})
	r.echo(session, 1)
	r.echo(session, 1)
	first := fmt.Sprintf("%s.1", r.server)
	r.event(session, 1, "event")
	lab.WaitFor(t, patience, func() string {
		last := ""
		r.count(func(m message) bool {
			if m.Kind == messages.SessionEvent && m.Session == session && m.Reply != first {
				last = m.Reply
			}
			return false
		})
		origin, before := messages.CutBefore(last)
		if _, seq, ok := messages.CutOrigin(origin); !ok || before != seq-1 {
			return fmt.Sprintf("the second event is numbered %q", last)
		}
		if r.count(func(m message) bool { return m.Kind == messages.SessionLast && m.Reply == origin }) == 0 {
			return "the owner was not asked whether it has the last event"
		}
		return ""
	})
}

// TestBarrier answers an owner's keepalive for a handle behind all that Janus said before.
func TestBarrier(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	var handle uint64
	for id := range janus.Handles(session) {
		handle = id
	}
	janus.Script(func(c *janustest.Conn, q janustest.Request) bool {
		if q.Janus != "keepalive" || q.Handle == 0 {
			return false
		}
		c.Send(fmt.Sprintf(`{"janus":"event","session_id":%d,"sender":%d,"plugindata":{"plugin":"p","data":{}}}`, session, handle))
		c.Send(q.Ack())
		return true
	})
	identity := r.own(session, 1, 99)
	r.send(session, 1, identity, `{"janus":"keepalive","transaction":"barrier"}`)
	if m := r.reply(identity); m.body.Janus != "ack" || m.Handle() != 1 || *m.body.Transaction != "barrier" {
		t.Error(m)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.received[len(r.received)-2:]
	if last[0].Kind != messages.SessionEvent || last[1].Reply != identity {
		t.Errorf("%v before %v", last[0], last[1])
	}
}

// TestStewardVisit makes a handle for one request, and detaches it when that is answered, whatever the answer.
func TestStewardVisit(t *testing.T) {
	r, janus := stewardRig(t, janustest.Options{})
	r.ask(messages.PluginRequest{Body: body("stays")})
	session := janus.Sessions()[0]
	left := func(n int) {
		t.Helper()
		lab.WaitFor(t, patience, func() string {
			if handles := janus.Handles(session); len(handles) != n {
				return fmt.Sprintf("handles %v", handles)
			}
			return ""
		})
	}
	h := &held{}
	janus.Script(h.script("join"))
	first := r.asks(messages.PluginRequest{ID: "a", Body: body("join"), Visit: true})
	second := r.asks(messages.PluginRequest{ID: "b", Body: body("join"), Visit: true})
	h.await(t, 2) // side by side, and beside all else
	r.ask(messages.PluginRequest{Body: body("stays")})
	left(3)
	h.release()
	wantData(t, <-first, `{"held":true}`)
	wantData(t, <-second, `{"held":true}`)
	left(1)
	wantData(t, r.ask(messages.PluginRequest{ID: "a", Body: body("join"), Visit: true}), `{"held":true}`)
	if n := stewardMessages(janus, "join"); n != 2 {
		t.Errorf("ran %d times", n)
	}
	janus.Script(func(c *janustest.Conn, q janustest.Request) bool {
		if q.Janus == "message" {
			c.Send(q.Error(462, "no"))
		}
		return q.Janus == "message"
	})
	wantFailure(t, r.ask(messages.PluginRequest{ID: "c", Body: body("join"), Visit: true}), 462, "no")
	left(1)
	wantFailure(t, r.ask(messages.PluginRequest{ID: "d", Plugin: "janus.plugin.none", Body: body("join"), Visit: true}), 460, "")
	left(1)
}
