// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"strings"
	"testing"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// busy is an actor with something of everything: a bound handle, one that is being attached, one that is gone, a session that
// is being made, one that ends, and requests under way.
func busy(t testing.TB) (*fake, *peer) {
	f, p := upAndServing(t)
	for id := uint64(1); id <= 3; id++ {
		p.bound(id)
	}
	f.request(1, 2, "own", `{"janus":"attach","transaction":"a","plugin":"p"}`)
	f.request(1, 1, client(1, 1), echo)
	f.request(2, 1, client(2, 1), `{"janus":"detach","transaction":"d"}`)
	f.request(3, 0, "own", `{"janus":"destroy","transaction":""}`)
	f.request(4, 1, "own", `{"janus":"attach","transaction":"a","plugin":"p"}`)
	f.take()
	return f, p
}

// FuzzJanus lets Janus say anything: the actor survives it, and what it passes on is still in plain form.
func FuzzJanus(f *testing.F) {
	for _, seed := range []string{ // prefixes as busy draws them
		`{"janus":"ack","session_id":1,"transaction":"a|m"}`,
		`{"janus":"success","session_id":1,"transaction":"9|a","data":{"id":77}}`,
		`{"janus":"error","session_id":1,"transaction":"9|a","error":{"code":458}}`,
		`{"janus":"success","transaction":"d|create","data":{"id":4}}`,
		`{"janus":"error","session_id":4,"transaction":"d|create","error":{"code":468}}`,
		`{"janus":"error","session_id":2,"transaction":"b|d","error":{"code":459,"reason":"No such handle"}}`,
		`{"janus":"success","session_id":2,"transaction":"b|d"}`,
		`{"janus":"error","session_id":1,"transaction":"a|m","error":{"code":458}}`,
		`{"janus":"event","session_id":1,"sender":1,"transaction":"a|m","plugindata":{}}`,
		`{"janus":"timeout","session_id":1}`, `{"janus":"detached","session_id":1,"sender":1}`,
		`{"janus":"server_info","transaction":"1|info","plugins":3}`, `{"janus":"success","session_id":3,"transaction":"c|"}`,
		`{"janus":"webrtcup","session_id":1}`, `{"janus":"error"}`, `[`, "{\"janus\":\"ack\",\"transaction\":\"a|\\u0000\"}",
	} {
		f.Add(seed, "")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		a, p := busy(t)
		for _, text := range []string{first, second} {
			a.receive(&received{p.link, []byte(text)})
		}
		wantPlain(t, a.take())
		wantSound(t, a)
	})
}

// FuzzBus lets owners send anything.
func FuzzBus(f *testing.F) {
	at := func(session, handle uint64) string {
		return messages.MediaSubject{
			Server: messages.Member{Name: "media-1", Inc: "inc1"}, Partition: messages.PartitionOf(session),
			Epoch: messages.Epoch{Number: 2, Node: "n"}, Session: session, Handle: handle,
		}.String()
	}
	for _, seed := range []struct{ subject, reply, body string }{
		{at(1, 1), client(1, 9), echo},
		{at(1, 1), client(1, 1) + ".r", echo},
		{at(1, 1), client(1, 8) + ".r", echo},
		{at(1, 2), "own", `{"janus":"message","transaction":"\u00e9","body":{},"jsep":{},"handle_id":-1,"session_id":"x"}`},
		{at(1, 3), "own", `{"janus":"attach","transaction":"|","plugin":"p","token":{},"handle_id":3}`},
		{at(1, 0), "own", `{"janus":"DESTROY","transaction":""}`},
		{at(2, 1), "", `{"janus":"detach","transaction":"d"}`},
		{at(9, 1), "own", `{"janus":"attach","transaction":"a"}`},
		{at(0, 0), "", `{}`},
		{"janus.media.media-1~inc1.ask", "to", `{"node":"n~i","epoch":"9-n","partitions":"0-1023"}`},
		{"janus.media.media-1~inc1.ask", "to", `{"partitions":"5-4"}`},
		{"janus.media.media-1~inc1.info", "to", ``},
		{"janus.media.media-1~inc1.5", "", ``},
	} {
		f.Add(seed.subject, seed.reply, []byte(seed.body), true)
		f.Add(seed.subject, seed.reply, []byte(seed.body), false)
	}
	f.Fuzz(func(t *testing.T, subject, reply string, body []byte, answered bool) {
		a, p := busy(t)
		for range 2 {
			a.receive(&bus.Msg{Subject: subject, Reply: reply, Data: body})
		}
		if answered {
			p.run()
		}
		a.receive(closed{p.link, errHangs})
		a.receive(&bus.Msg{Subject: subject, Reply: reply, Data: body})
		a.lose(errHangs)
		var handed []bus.Msg
		for _, m := range a.take() {
			if !strings.HasPrefix(m.Subject, "janus.event.") && m.Subject != "to" && m.Subject != reply {
				handed = append(handed, m)
			}
		}
		wantPlain(t, handed)
		wantSound(t, a)
		if len(a.ours)+len(a.sessions)+len(a.held)+len(a.memory.running)+len(a.flight.byPrefix) != 0 {
			t.Errorf("a lost Janus left %d handles, %d sessions, %d held, %d running, %d in flight",
				len(a.ours), len(a.sessions), len(a.held), len(a.memory.running), len(a.flight.byPrefix))
		}
	})
}

// wantPlain wants what was published for owners to be Janus JSON in plain form.
func wantPlain(t *testing.T, published []bus.Msg) {
	t.Helper()
	for _, m := range published {
		subject, err := messages.ParseSessionSubject(m.Subject)
		if err != nil {
			t.Errorf("published to %q: %v", m.Subject, err)
		}
		var in janusjson.Message
		if err := janusjson.Scan(m.Data, &in); err != nil && subject.Kind != messages.SessionRefused {
			t.Errorf("published %q: %v", m.Data, err)
		}
	}
}

// wantSound wants the tables of the actor to agree with each other.
func wantSound(t *testing.T, f *fake) {
	t.Helper()
	count := 0
	for id, x := range f.sessions {
		n := 0
		for h := x.handles; h != nil; h = h.next {
			n++
			if f.ours[handleKey{id, h.id}] != h || h.session != x || h.janus != 0 && f.janus[handleKey{id, h.janus}] != h {
				t.Errorf("handle %d of session %d is not where it should be", h.id, id)
			}
		}
		if n != x.count || x.id != id || (n == 0) == x.empty.IsZero() {
			t.Errorf("session %d: %d handles, counted %d, empty %v", id, n, x.count, x.empty)
		}
		count += n
	}
	if count != len(f.ours) {
		t.Errorf("%d handles in sessions, %d in all", count, len(f.ours))
	}
	aged := 0
	for r := f.flight.oldest; r != nil; r = r.newer {
		aged++
		if f.flight.byPrefix[r.prefix] != r {
			t.Errorf("request %d is not where it should be", r.prefix)
		}
	}
	if aged != len(f.flight.byPrefix) {
		t.Errorf("%d requests by age, %d by prefix", aged, len(f.flight.byPrefix))
	}
}

// TestBusyPrefixes keeps the seeds of FuzzJanus honest.
func TestBusyPrefixes(t *testing.T) {
	f, _ := busy(t)
	want := map[uint64]janusjson.Verb{
		9: janusjson.VerbAttach, 10: janusjson.VerbMessage, 11: janusjson.VerbDetach, 12: janusjson.VerbDestroy, 13: janusjson.VerbCreate,
	}
	for prefix, verb := range want {
		if r := f.flight.byPrefix[prefix]; r == nil || r.verb != verb {
			t.Errorf("request %d is %+v, want %v", prefix, r, verb)
		}
	}
}
