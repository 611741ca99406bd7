// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janustest"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/scripts/lab"
)

// adopt asks the media server, whatever its incarnation, to go on with handles of a session.
func (r *rig) adopt(session uint64, handles map[uint64]uint64) {
	r.t.Helper()
	a := messages.Adopt{Epoch: r.epoch, Whole: true, HoldingSession: messages.HoldingSession{Session: session}}
	for id, janus := range handles {
		a.Handles = append(a.Handles, messages.HoldingHandle{Handle: id, Janus: janus, Plugin: echotest})
	}
	if err := r.owner.bus.Publish(messages.MediaAdopt(r.server), "", mustJSON(r.t, a)); err != nil {
		r.t.Fatal(err)
	}
}

// adopted waits for the n-th word that handles of a session are in hand.
func (r *rig) adopted(session uint64, n int) messages.Adopted {
	r.t.Helper()
	m := r.await("adopted", n, func(m message) bool { return m.Kind == messages.SessionAdopted && m.Session == session })
	var a messages.Adopted
	if err := json.Unmarshal(m.Data, &a); err != nil || a.From != r.server {
		r.t.Fatalf("%v: %v", m, err)
	}
	slices.Sort(a.Handles)
	return a
}

// verbs are the requests that a scripted Janus got after the first n, but for what a new connection asks.
func verbs(janus *janustest.Server, n int) string {
	var list []string
	for _, q := range janus.Requests()[n:] {
		if q.Janus != "info" && q.Session != messages.MaxID {
			list = append(list, q.Janus)
		}
	}
	return strings.Join(list, " ")
}

// TestAdopt restarts the role: its successor claims the sessions that it is asked for, with their handles, and destroys nothing.
func TestAdopt(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	held := map[uint64]uint64{2: r.attach(session, 2)}
	for id := range janus.Handles(session) {
		if id != held[2] {
			held[1] = id
		}
	}
	r.stop()
	r.start(janus.URL())
	before := len(janus.Requests())
	for n := range 2 { // the second is a repeat
		r.adopt(session, held)
		if a := r.adopted(session, n+1); !slices.Equal(a.Handles, []uint64{1, 2}) {
			t.Fatalf("adopted %+v", a)
		}
	}
	if got := verbs(janus, before); got != "claim" {
		t.Errorf("Janus got %q", got)
	}
	identity := r.identity(session)
	r.echo(session, 1)
	r.echo(session, 2)
	janus.Say(fmt.Sprintf(`{"janus":"webrtcup","session_id":%d,"sender":%d}`, session, held[2]))
	r.event(session, 2, "webrtcup")
	// A request that the one before may have run is not run again; nor is the answer a guess.
	r.send(session, 1, identity+".r", echoBody(session, "again"))
	wantError(t, r.reply(identity), 490, "Outcome unknown")
	if got := r.metric("handles", ""); got != 2 {
		t.Errorf("%v handles", got)
	}

	old := r.epoch
	r.epoch = messages.Epoch{Number: old.Number + 1, Node: old.Node}
	r.echo(session, 1)
	r.epoch = old
	r.adopt(session, nil)
	r.await("refusal", 1, func(m message) bool { return m.Kind == messages.SessionRefused && m.Session == session })
	if n := len(janus.Handles(session)); n != 2 {
		t.Errorf("%d handles are left after the wish of a deposed owner", n)
	}
}

// TestAdoptLost tells the owner of handles that Janus has lost meanwhile.
func TestAdoptLost(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	r.stop()
	janus.Forget(session)
	r.start(janus.URL())
	r.adopt(session, map[uint64]uint64{1: 1001})
	r.lossOf(session, 1)
	r.attach(session, 1)
	r.echo(session, 1)
	r.adopt(session, map[uint64]uint64{7: 1001}) // of a session that began anew
	r.lossOf(session, 7)
	r.echo(session, 1)
}

// TestAdoptNothing ends what nobody wants of a session.
func TestAdoptNothing(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	r.stop()
	r.start(janus.URL())
	r.adopt(session, nil)
	r.adopted(session, 1)
	lab.WaitFor(t, patience, func() string {
		if left := janus.Sessions(); len(left) > 0 {
			return fmt.Sprintf("Janus still has %v", left)
		}
		return ""
	})
}

// TestAttachBeforeAdopt attaches a handle to a session before its owner has said which of its handles, made by an earlier
// incarnation, are to be kept: they must not die.
func TestAttachBeforeAdopt(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	var first uint64
	for id := range janus.Handles(session) {
		first = id
	}
	r.stop()
	r.start(janus.URL())
	before := len(janus.Requests())
	r.attach(session, 2)
	r.adopt(session, map[uint64]uint64{1: first})
	r.await("adopted", 1, func(m message) bool {
		return m.Kind == messages.SessionAdopted && strings.Contains(string(m.Data), "[1]")
	})
	r.echo(session, 1)
	r.echo(session, 2)
	if got := verbs(janus, before); got != "create claim attach message message" {
		t.Errorf("Janus got %q", got)
	}
}

// TestDestroyedMeanwhile ends a session on Janus that ended for its client while no media role was there.
func TestDestroyedMeanwhile(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	r.stop()
	r.start(janus.URL())
	r.destroy(session)
	lab.WaitFor(t, patience, func() string {
		if left := janus.Sessions(); len(left) > 0 {
			return fmt.Sprintf("Janus still has %v", left)
		}
		return ""
	})
}

// TestWoken keeps the role from running, as far as it knows: it goes on as another incarnation, with all that it remembers, and
// does not run what was sent to the one before. What its owner does not want any more it detaches in silence.
func TestWoken(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	second := r.attach(session, 2)
	r.reply(r.request(session, 1, echoBody(session, "before")))
	known := r.request(session, 1, echoBody(session, "known"))
	first := r.reply(known)

	was := r.server
	long := time.Now().Add(-3 * time.Second)
	r.media.pulse.last.Store(&long)
	lab.WaitFor(t, patience, func() string {
		if r.media.Member() == was {
			return "still the same incarnation"
		}
		return ""
	})
	if now := r.media.Member(); now.Name != was.Name || now.Inc <= was.Inc {
		t.Fatalf("%v after %v", now, was)
	}
	before := len(janus.Requests())
	r.request(session, 1, echoBody(session, "to the one before"))
	r.server = r.media.Member()
	r.net.Settle(t)
	var kept uint64
	for id := range janus.Handles(session) {
		if id != second {
			kept = id
		}
	}
	r.adopt(session, map[uint64]uint64{1: kept})
	if a := r.adopted(session, 1); !slices.Equal(a.Handles, []uint64{1}) {
		t.Fatalf("adopted %+v", a)
	}
	r.send(session, 1, known+".r", echoBody(session, "known"))
	again := r.await("second reply", 2, func(m message) bool { return m.Reply == known })
	if string(again.Data) != string(first.Data) {
		t.Errorf("answered %v and %v", first, again)
	}
	unknown := r.identity(session)
	r.send(session, 1, unknown+".r", echoBody(session, "never came"))
	if m := r.reply(unknown); m.body.Janus != "ack" {
		t.Errorf("a repeat of what cannot have been run: %v", m)
	}
	if got := verbs(janus, before); got != "detach message" {
		t.Errorf("Janus got %q", got)
	}
	if _, there := janus.Handles(session)[second]; there || slices.Contains(r.events(session, 2), "detached") {
		t.Errorf("the handle that nobody wants: there %v, events %q", there, r.events(session, 2))
	}
}

// TestUnsure ends what an earlier incarnation had and no owner asks for.
func TestUnsure(t *testing.T) {
	f, p := upAndServing(t)
	p.bound(1)
	p.bound(2)
	f.receive(woken{})
	f.take()
	now := time.Now().Add(sureTime)
	f.sessions[2].unsure = time.Time{} // asked for
	for _, id := range []uint64{1, 2} {
		f.onKeepaliveDue(f.sessions[id], now)
	}
	p.run()
	if f.sessions[1] != nil || f.sessions[2] == nil {
		t.Errorf("sessions %v", f.sessions)
	}
}

// TestPulse tells a process that was kept from running from one that is a little late.
func TestPulse(t *testing.T) {
	var p pulse
	now := time.Now()
	p.last.Store(&now)
	now = now.Add(pulseEvery + maxLate)
	if _, late := p.beat(now); late || p.asleep(now) {
		t.Error("a second is not too late")
	}
	now = now.Add(pulseEvery + maxLate + time.Millisecond)
	if !p.asleep(now) {
		t.Error("awake before the pulse comes")
	}
	if _, late := p.beat(now); !late || !p.asleep(now) {
		t.Error("the pulse alone wakes the role")
	}
	// While a machine sleeps the monotonic clock may stand still.
	slept := time.Now().Round(0)
	p.last.Store(&slept)
	p.late.Store(false)
	if !p.asleep(slept.Add(time.Hour)) {
		t.Error("a machine that slept")
	}
}

// TestTwin ends a role whose name another process has taken.
func TestTwin(t *testing.T) {
	r, _, session := scripted(t, janustest.Options{})
	beat := r.media.beatNow()
	beat.Member.Inc = "zzzzzzzzzzzz"
	if err := r.net.A.Publish(messages.HeartbeatSubject(beat.Role, beat.Member.Name), "", mustJSON(t, beat)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.media.Deposed():
	case <-time.After(patience):
		t.Fatal("it does not notice")
	}
	identity := r.request(session, 1, echoBody(session, "deposed"))
	r.net.Settle(t)
	if n := r.count(func(m message) bool { return m.Reply == identity }); n != 0 {
		t.Error("it still answers")
	}
}

// A role that was kept from running numbers its events through, under the name that they bore before: their owners tell what comes
// twice by it.
func TestWokenNumbers(t *testing.T) {
	f := newFake(t)
	p := f.connect(polite)
	p.run()
	p.bound(1)
	said := func() string {
		f.take()
		p.say(`{"janus":"event","session_id":1,"sender":%d,"plugindata":{}}`, f.ours[handleKey{1, 1}].janus)
		return f.take()[0].Reply
	}
	first := said()
	f.sleeps = true
	f.receive(woken{})
	if f.sleeps || f.member.String() == f.origin {
		t.Fatal("it has no new incarnation")
	}
	second := said()
	origin, before := messages.CutBefore(second)
	name, seq, _ := messages.CutOrigin(first)
	if want := fmt.Sprintf("%s.%d", name, seq+1); origin != want || before != seq || name != f.origin {
		t.Errorf("numbered %s, then %s", first, second)
	}
	f.receive(&bus.Msg{Subject: messages.MediaAcked(f.origin), Data: messages.Acked{Session: 1, Seq: seq + 1}.Append(nil)})
	if f.undelivered.count != 0 {
		t.Errorf("%d events are kept though they were acknowledged", f.undelivered.count)
	}
}

// A handle that was attached since the role was kept from running stays, though nobody asks for what there was before.
func TestUnsureBesideSure(t *testing.T) {
	f, p := upAndServing(t)
	p.bound(1)
	f.receive(woken{})
	p.answer = func(p *peer, r map[string]any) {
		if r["janus"] == "attach" {
			p.say(`{"janus":"success","session_id":1,"transaction":"%s","data":{"id":22}}`, r["transaction"])
			return
		}
		polite(p, r)
	}
	f.request(1, 2, "own", `{"janus":"attach","transaction":"a","plugin":"janus.plugin.echotest"}`)
	p.run()
	f.onKeepaliveDue(f.sessions[1], time.Now().Add(sureTime))
	var detached []any
	for _, r := range p.sent {
		if r["janus"] == "destroy" {
			t.Fatal("the session ends")
		}
		if r["janus"] == "detach" {
			detached = append(detached, fmt.Sprint(r["handle_id"]))
		}
	}
	p.run()
	if !slices.Equal(detached, []any{"1"}) || f.ours[handleKey{1, 2}] == nil || f.ours[handleKey{1, 1}] != nil {
		t.Errorf("detached %v, handles %v", detached, f.ours)
	}
}

// An owner who sends requests to a handle that is not here is told so.
func TestMissing(t *testing.T) {
	f, p := upAndServing(t)
	p.bound(1)
	for _, tt := range []struct {
		session, handle uint64
		code            int
	}{{1, 9, 459}, {7, 1, 490}} {
		f.request(tt.session, tt.handle, client(tt.session, 1), echo)
		got := f.take()
		if len(got) != 2 {
			t.Fatalf("said %v", got)
		}
		var told messages.Adopted
		if err := json.Unmarshal(got[1].Data, &told); err != nil || told.From != f.member || !slices.Equal(told.Missing, []uint64{tt.handle}) {
			t.Errorf("told %s: %v", got[1].Data, err)
		}
		if !strings.Contains(string(got[0].Data), fmt.Sprintf(`"code":%d,`, tt.code)) {
			t.Errorf("answered %s", got[0].Data)
		}
		f.request(tt.session, tt.handle, "janus.session.own", echo) // of the owner itself
		if got = f.take(); len(got) != 1 {
			t.Errorf("said %v", got)
		}
	}
}

// What an owner says there is of a session on Janus, and Janus does not have, is lost: the owner is told, and who wanted to detach it
// has what he wanted.
func TestHeldIsNotThere(t *testing.T) {
	for _, tt := range []struct {
		body string
		want []string
	}{
		{echo, []string{"error", "hangup", "unbound"}},
		{`{"janus":"detach","transaction":"m"}`, []string{"success", "detached"}},
	} {
		f, p := upAndServing(t)
		p.answer = func(p *peer, r map[string]any) {
			if r["handle_id"] != nil {
				p.say(`{"janus":"error","session_id":1,"transaction":"%s","error":{"code":459,"reason":"No such handle"}}`, r["transaction"])
				return
			}
			polite(p, r)
		}
		a := messages.Adopt{Epoch: messages.Epoch{Number: 1, Node: "n"}, HoldingSession: messages.HoldingSession{
			Session: 1, Handles: []messages.HoldingHandle{{Handle: 1, Janus: 11, Plugin: echotest}},
		}}
		f.receive(&bus.Msg{Subject: messages.MediaAdopt(f.member), Data: mustJSON(t, a)})
		p.run()
		f.take()
		f.request(1, 1, client(1, 1), tt.body)
		p.run()
		var said []string
		for _, m := range f.take() {
			var b struct{ Janus string }
			if err := json.Unmarshal(m.Data, &b); err != nil {
				t.Fatal(err)
			}
			said = append(said, b.Janus)
		}
		if !slices.Equal(said, tt.want) || f.ours[handleKey{1, 1}] != nil {
			t.Errorf("%s: said %q, want %q", tt.body, said, tt.want)
		}
	}
}

// Whether a handle has a PeerConnection is not known any more when Janus was out of reach for a while, until Janus or the owner
// says so.
func TestAssumedLive(t *testing.T) {
	f, p := upAndServing(t)
	for id := range uint64(3) {
		p.bound(id + 1)
	}
	janus := func(verb string, session uint64) {
		p.say(`{"janus":%q,"session_id":%d,"sender":%d}`, verb, session, session)
	}
	janus("webrtcup", 1)
	f.request(2, 1, client(2, 1), `{"janus":"message","transaction":"m","body":{},"jsep":{"type":"offer","sdp":""}}`)
	p.run()
	held := func() (list []string) {
		for id := range uint64(3) {
			h := f.ours[handleKey{id + 1, 1}]
			list = append(list, fmt.Sprint(h.live, " ", h.assumed))
		}
		return list
	}
	want := func(what string, list ...string) {
		t.Helper()
		if got := held(); !slices.Equal(got, list) {
			t.Errorf("%s: live and assumed are %q, not %q", what, got, list)
		}
	}
	want("at first", "true false", "false false", "false false")
	f.receive(closed{p.link, fmt.Errorf("cut")})
	p = f.connect(polite)
	p.run()
	want("after a gap", "true true", "false true", "false false")
	janus("webrtcup", 2)
	want("when Janus speaks", "true true", "true false", "false false")
	for id := range uint64(2) {
		a := messages.Adopt{Epoch: messages.Epoch{Number: 1, Node: "n"}, HoldingSession: messages.HoldingSession{
			Session: id + 1, Handles: []messages.HoldingHandle{{Handle: 1, Janus: id + 1, Plugin: echotest}},
		}}
		f.receive(&bus.Msg{Subject: messages.MediaAdopt(f.member), Data: mustJSON(t, a)})
	}
	want("when the owner has looked", "false false", "true false", "false false")
}
