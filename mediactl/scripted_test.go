// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janustest"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/scripts/lab"
)

// scripted starts a media role beside a scripted Janus, and binds a handle there.
func scripted(t *testing.T, o janustest.Options, changes ...func(*Options)) (*rig, *janustest.Server, uint64) {
	t.Helper()
	janus := janustest.Start(t, o)
	r := newRig(t, 0)
	r.start(janus.URL(), changes...)
	session := r.session()
	r.attach(session, 1)
	return r, janus, session
}

// wantError wants an error of Janus.
func wantError(t *testing.T, m message, code int, reason string) {
	t.Helper()
	if m.body.Error == nil || m.body.Error.Code != code || !strings.Contains(m.body.Error.Reason, reason) {
		t.Errorf("want error %d %q, got %v", code, reason, m)
	}
}

// TestFragments gets everything in small pieces.
func TestFragments(t *testing.T) {
	r, _, session := scripted(t, janustest.Options{Fragment: 3})
	r.echo(session, 1)
	if m := r.event(session, 1, "event"); m.body.PluginData.Data["result"] != "ok" {
		t.Error(m)
	}
	r.destroy(session)
}

// TestEventBeforeAck keeps both, in the order in which they came.
func TestEventBeforeAck(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	janus.Script(func(c *janustest.Conn, q janustest.Request) bool {
		if q.Janus != "message" {
			return false
		}
		c.Send(q.Echo())
		c.Send(q.Ack())
		return true
	})
	r.echo(session, 1)
	if m := r.event(session, 1, "event"); *m.body.Transaction != "echo" || m.body.Sender != 1 {
		t.Error(m)
	}
}

// TestRepeats never runs a request twice, and answers each repeat.
func TestRepeats(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	var mu sync.Mutex
	var running []func()
	janus.Script(func(c *janustest.Conn, q janustest.Request) bool {
		if q.Janus != "message" {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		running = append(running, func() { c.Send(q.Ack()) })
		return true
	})
	ran := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(running)
	}
	identity := r.request(session, 1, echoBody(session, "once"))
	r.send(session, 1, identity+".r", echoBody(session, "once"))
	r.send(session, 1, identity, echoBody(session, "once"))
	lab.WaitFor(t, patience, func() string {
		if ran() == 0 {
			return "nothing reached Janus"
		}
		return ""
	})
	if m := r.reply(r.request(session, 1, `{"janus":"trickle","transaction":"behind","candidate":{}}`)); m.body.Janus != "ack" {
		t.Error(m)
	}
	mu.Lock()
	running[0]()
	mu.Unlock()
	first := r.reply(identity)
	r.send(session, 1, identity+".r", echoBody(session, "once"))
	again := r.await("second reply", 2, func(m message) bool { return m.Reply == identity })
	if string(first.Data) != string(again.Data) || ran() != 1 {
		t.Errorf("ran %d times, answered %v and %v", ran(), first, again)
	}
	if got := r.metric("repeats_absorbed_total", ""); got != 3 {
		t.Errorf("%v repeats absorbed", got)
	}
}

// TestUnknownRepeat does not run a marked repeat that may have been run before this role started, but for those that do
// no harm.
func TestUnknownRepeat(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	identity := r.identity(session)
	r.send(session, 1, identity+".r", echoBody(session, "first here"))
	if m := r.reply(identity); m.body.Janus != "ack" {
		t.Errorf("a repeat for a session that no earlier role had: %v", m)
	}
	r.stop()
	r.start(janus.URL())
	r.attach(session, 1)
	identity = r.identity(session)
	r.send(session, 1, identity+".r", echoBody(session, "again"))
	m := r.reply(identity)
	wantError(t, m, 490, "Outcome unknown")
	if *m.body.Transaction != "again" {
		t.Error(m)
	}
	for _, verb := range []string{"trickle", "hangup", "detach"} {
		identity := r.identity(session)
		r.send(session, 1, identity+".r", `{"janus":"`+verb+`","transaction":"x","candidate":{}}`)
		if m := r.reply(identity); m.body.Janus == "error" {
			t.Errorf("%s: %v", verb, m)
		}
	}
	for _, q := range janus.Requests() {
		if strings.Contains(string(q.Raw), "again") {
			t.Error("the repeat was run")
		}
	}
}

// TestFence refuses whoever was deposed.
func TestFence(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	old, next := r.epoch, messages.Epoch{Number: r.epoch.Number, Node: "node-2"}
	r.epoch = next
	r.echo(session, 1)
	r.epoch = old
	before := len(janus.Requests())
	identity := r.request(session, 1, echoBody(session, "deposed"))
	m := r.reply(identity)
	var refusal messages.Refusal
	if err := json.Unmarshal(m.Data, &refusal); err != nil || m.Kind != messages.SessionRefused || m.Handle() != 1 || refusal.Epoch != next {
		t.Errorf("%v: %v", m, err)
	}
	other := newOwner(t, r.net.A, r.partition+1)
	other.server, other.epoch = r.server, old
	other.attach(other.session(), 1) // a partition that nobody else owned
	for _, q := range janus.Requests()[before:] {
		if strings.Contains(string(q.Raw), "deposed") {
			t.Errorf("run for a deposed owner: %s", q.Raw)
		}
	}
}

// TestAsk tells a new owner what there is, and refuses its predecessor from then on.
func TestAsk(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	r.attach(session, 2)
	janus.Script(func(c *janustest.Conn, q janustest.Request) bool {
		if q.Janus == "message" {
			c.Send(fmt.Sprintf(`{"janus":"webrtcup","session_id":%d,"sender":%d}`, session, q.Handle))
		}
		return false
	})
	r.echo(session, 2)
	r.event(session, 2, "webrtcup")
	other := newOwner(t, r.net.A, r.partition+1)
	other.server = r.server
	other.attach(other.session(), 1)
	ask := func(epoch messages.Epoch) messages.Holding {
		t.Helper()
		a := messages.Ask{Node: messages.Member{Name: "node-2", Inc: "i"}, Epoch: epoch}
		a.Partitions.Add(r.partition)
		a.Partitions.Add(900)
		reply, err := r.net.A.Request(t.Context(), messages.MediaAsk(r.server), mustJSON(t, a))
		if err != nil {
			t.Fatal(err)
		}
		var h messages.Holding
		if err := json.Unmarshal(reply.Data, &h); err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := ask(messages.Epoch{Number: 6, Node: "node-2"})
	if h.From != r.server || h.Role != messages.RoleMedia || !h.Last || !h.Refused.IsZero() || len(h.Sessions) != 1 ||
		h.Sessions[0].Session != session || len(h.Sessions[0].Handles) != 2 {
		t.Fatalf("holding %s", mustJSON(t, h))
	}
	for _, held := range h.Sessions[0].Handles {
		if held.Janus == 0 || held.Plugin != echotest || !strings.HasPrefix(held.Attach, "janus.session.7.") ||
			held.Live != (held.Handle == 2) {
			t.Errorf("handle %+v", held)
		}
	}
	if m := r.reply(r.request(session, 1, echoBody(session, "deposed"))); m.Kind != messages.SessionRefused {
		t.Error(m)
	}
	if h := ask(r.epoch); h.Refused != (messages.Epoch{Number: 6, Node: "node-2"}) {
		t.Errorf("a deposed owner's ask: %s", mustJSON(t, h))
	}
}

// TestOrder has attaches and requests come while Janus is slow: each waits for what it needs, and none overtakes another
// of its handle or session.
func TestOrder(t *testing.T) {
	r, janus, _ := scripted(t, janustest.Options{})
	begun := len(janus.Requests())
	janus.Hang(true)
	session := r.session()
	const attach = `{"janus":"attach","plugin":"` + echotest + `","transaction":"bind"}`
	for _, handle := range []uint64{21, 22, 21, 23} { // one is a repeat
		r.send(session, handle, r.own(session, handle, 1), attach)
	}
	r.send(session, 0, r.own(session, 0, 0), `{"janus":"destroy","transaction":""}`)
	r.send(session, 24, r.own(session, 24, 1), attach)
	janus.Hang(false)
	for _, handle := range []uint64{21, 22, 23} {
		if m := r.reply(r.own(session, handle, 1)); m.body.Janus != "success" || m.Handle() != handle {
			t.Errorf("attach of %d: %v", handle, m)
		}
	}
	if m := r.reply(r.own(session, 0, 0)); m.body.Janus != "success" {
		t.Errorf("destroy: %v", m)
	}
	if m := r.reply(r.own(session, 24, 1)); m.body.Janus != "success" {
		t.Errorf("attach behind the destroy: %v", m)
	}
	var verbs []string
	for _, q := range janus.Requests()[begun:] {
		verbs = append(verbs, q.Janus)
	}
	if got := strings.Join(verbs, " "); got != "create attach attach attach destroy create attach" {
		t.Errorf("Janus got %q", got)
	}
	if n := len(janus.Handles(session)); n != 1 {
		t.Errorf("%d handles are left", n)
	}
}

// TestGiveUp detaches, in order, what an owner attached and did not wait for.
func TestGiveUp(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	var mu sync.Mutex
	var answer func()
	janus.Script(func(c *janustest.Conn, q janustest.Request) bool {
		if q.Janus != "attach" {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		answer = func() { janus.Say(q.Made(4711)) }
		return true
	})
	r.send(session, 2, r.own(session, 2, 1), `{"janus":"attach","plugin":"`+echotest+`","transaction":"bind"}`)
	r.send(session, 2, r.own(session, 2, 0), `{"janus":"detach","transaction":""}`)
	lab.WaitFor(t, patience, func() string {
		mu.Lock()
		defer mu.Unlock()
		if answer == nil {
			return "no attach came"
		}
		return ""
	})
	answer()
	if m := r.reply(r.own(session, 2, 1)); m.body.Data.ID != 4711 {
		t.Error(m)
	}
	r.reply(r.own(session, 2, 0))
	if last := janus.Requests()[len(janus.Requests())-1]; last.Janus != "detach" || last.Handle != 4711 {
		t.Errorf("last came %s", last.Raw)
	}
	r.echo(session, 1)
}

// TestCap refuses handles beyond the cap, and takes them again when there is room.
func TestCap(t *testing.T) {
	r, _, session := scripted(t, janustest.Options{}, func(o *Options) { o.MaxHandles = 2 })
	r.attach(session, 2)
	wantError(t, r.tryAttach(session, 3, echotest), 461, "full")
	r.reply(r.request(session, 2, `{"janus":"detach","transaction":"d"}`))
	r.attach(session, 3)
}

// TestLostParts finds out about handles and sessions that Janus has lost without a word, or with one.
func TestLostParts(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	var handle uint64
	for id := range janus.Handles(session) {
		handle = id
	}
	janus.Script(func(c *janustest.Conn, q janustest.Request) bool {
		if q.Janus != "trickle" {
			return false
		}
		c.Send(q.Error(459, "No such handle %d in session %d", q.Handle, q.Session))
		return true
	})
	wantError(t, r.reply(r.request(session, 1, `{"janus":"trickle","transaction":"t","candidate":{}}`)), 459, fmt.Sprintf("No such handle 1 in session %d", session))
	before := len(janus.Requests())
	wantError(t, r.reply(r.request(session, 1, echoBody(session, "e"))), 459, "No such handle 1 in")
	if len(janus.Requests()) != before {
		t.Errorf("Janus was asked about handle %d, which it does not have", handle)
	}
	// Whoever detached it, an administrator perhaps: a request may have overtaken the news.
	janus.Say(fmt.Sprintf(`{"janus":"detached","session_id":%d,"sender":%d}`, session, handle))
	r.event(session, 1, "detached")

	janus.Script(nil)
	r.attach(session, 2)
	janus.Say(fmt.Sprintf(`{"janus":"timeout","session_id":%d}`, session))
	r.lossOf(session, 2)
	if n := r.count(func(m message) bool { return m.body.Janus == "timeout" }); n != 0 {
		t.Error("a time-out of one Janus was passed on")
	}

	third := r.session()
	r.attach(third, 3)
	janus.Forget(third)
	wantError(t, r.reply(r.request(third, 3, echoBody(third, "e"))), 490, "Media server lost")
	r.lossOf(third, 3)
}

// TestPartlyClaimed loses one session in a gap, and keeps the others.
func TestPartlyClaimed(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	lost := r.session()
	r.attach(lost, 1)
	janus.Forget(lost)
	janus.Cut()
	r.lossOf(lost, 1)
	r.echo(session, 1)
	if got := r.events(session, 1); slices.Contains(got, "hangup") {
		t.Errorf("events of the session that lives: %q", got)
	}
}

// TestDetachedByPlugin passes on that a plugin ended a handle, and forgets it.
func TestDetachedByPlugin(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	for id := range janus.Handles(session) {
		janus.Say(fmt.Sprintf(`{"janus":"hangup","session_id":%d,"sender":%d,"reason":"done"}`, session, id))
		janus.Say(fmt.Sprintf(`{"janus":"detached","session_id":%d,"sender":%d}`, session, id))
	}
	r.event(session, 1, "detached")
	if got := r.events(session, 1); !slices.Equal(got, []string{"hangup", "detached"}) {
		t.Errorf("events %q", got)
	}
	wantError(t, r.reply(r.request(session, 1, echoBody(session, "e"))), 459, "No such handle 1")
}

// TestConflictAgain gives up on a session that cannot be made.
func TestConflictAgain(t *testing.T) {
	r, janus, _ := scripted(t, janustest.Options{})
	janus.Script(func(c *janustest.Conn, q janustest.Request) bool {
		if q.Janus != "create" {
			return false
		}
		c.Send(q.Error(468, "Session ID already in use"))
		return true
	})
	session := r.session()
	wantError(t, r.tryAttach(session, 1, echotest), 461, "Session ID already in use")
	janus.Script(nil)
	r.attach(session, 1)
}

// TestHang gives up on a Janus that says nothing, while its socket stands.
func TestHang(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	begun := time.Now()
	janus.Hang(true)
	r.lossOf(session, 1)
	if took := time.Since(begun); took > 3*time.Second || took < time.Second {
		t.Errorf("known after %v", took)
	}
	r.wantJanus(messages.JanusDown, patience)
	janus.Hang(false)
	r.wantJanus(messages.JanusUp, patience)
	r.attach(session, 1)
	r.echo(session, 1)
}

// TestGarbage survives whatever Janus says.
func TestGarbage(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	for _, garbage := range []string{
		``, `null`, `[]`, `{}`, `{"janus":"success"}`, `{"janus":"ack","transaction":"|"}`, `{"janus":"ack","transaction":"zzzzzzzzzzzzzzzz|x"}`,
		`{"janus":"event","session_id":"x","sender":{}}`, `{"janus":"error","error":{"code":454,"reason":"?"}}`, `{"janus":`,
		fmt.Sprintf(`{"janus":"event","session_id":%d,"sender":99}`, session), `{"janus":"timeout","session_id":-1}`,
		fmt.Sprintf(`{"janus":"new","session_id":%d,"transaction":"no prefix","odd":true}`, session),
	} {
		janus.Say(garbage)
	}
	r.echo(session, 1)
	if m := r.event(session, 0, "new"); *m.body.Transaction != "no prefix" {
		t.Error(m)
	}
	for reason, least := range map[string]float64{"garbage": 3, "late_reply": 3, "stray_event": 3} {
		if got := r.metric("dropped_total", reason); got < least {
			t.Errorf("%v dropped as %s", got, reason)
		}
	}
}

// TestWrongRequests answers what makes no sense.
func TestWrongRequests(t *testing.T) {
	r, _, session := scripted(t, janustest.Options{})
	wantError(t, r.reply(r.request(session, 1, `{"janus":"dance","transaction":"x"}`)), 453, "")
	wantError(t, r.reply(r.request(session, 1, `{"janus":"message"}`)), 454, "Invalid")
	wantError(t, r.reply(r.request(session, 1, `no JSON`)), 454, "Invalid")
	wantError(t, r.reply(r.request(session, 0, `{"janus":"attach","transaction":"x","plugin":"p"}`)), 457, "attach")
	r.echo(session, 1)
}

// TestMetrics has every series of the role, and none when it is gone.
func TestMetrics(t *testing.T) {
	r, _, session := scripted(t, janustest.Options{})
	r.echo(session, 1)
	if r.metric("handles", "") != 1 || r.metric("sessions", "") != 1 || r.metric("janus_up", "") != 1 || r.metric("replies_total", "") != 2 {
		t.Errorf("handles %v, sessions %v, up %v, replies %v",
			r.metric("handles", ""), r.metric("sessions", ""), r.metric("janus_up", ""), r.metric("replies_total", ""))
	}
	r.stop()
	if families, err := r.registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("left behind: %v, %v", families, err)
	}
}

// TestSecondOfAName refuses the name of a role that lives.
func TestSecondOfAName(t *testing.T) {
	r, janus, _ := scripted(t, janustest.Options{})
	r.wantJanus(messages.JanusUp, patience)
	if m, err := Start(t.Context(), r.options(janus.URL())); err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("%v, %v", m, err)
	}
}
