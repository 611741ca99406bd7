// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/settings"
)

func code(reply map[string]any) int {
	e, _ := reply["error"].(map[string]any)
	n, _ := e["code"].(float64)
	return int(n)
}

func waitServers(t *testing.T, n *Node, want int) {
	t.Helper()
	waitFor(t, func() string {
		if got := len(n.Roster.View().Media()); got != want {
			return fmt.Sprintf("%d media servers heard, want %d", got, want)
		}
		return ""
	})
}

// A conversation from create to destroy: nothing remains.
func TestConversation(t *testing.T) {
	c := newCluster(t)
	media, edge := c.server("janus-a"), c.client()
	n := c.node("node-a", nil)
	waitServers(t, n, 1)

	id := edge.create()
	h := edge.attach(id)
	got := edge.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, h)
	if got["janus"] != "ack" || got["transaction"] != "m" {
		t.Fatalf("message: %v", got)
	}
	if e := edge.event("event"); uint64(e["sender"].(float64)) != h {
		t.Fatalf("event: %v", e)
	}
	if got := edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id); got["janus"] != "ack" {
		t.Fatalf("keepalive: %v", got)
	}
	if got := edge.ask(id, `{"janus":"detach","transaction":"d","session_id":%d,"handle_id":%d}`, id, h); got["janus"] != "success" {
		t.Fatalf("detach: %v", got)
	}
	if got := edge.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, h); code(got) != 459 {
		t.Fatalf("message to a detached handle: %v", got)
	}
	if got := edge.ask(id, `{"janus":"destroy","transaction":"x","session_id":%d}`, id); got["janus"] != "success" {
		t.Fatalf("destroy: %v", got)
	}
	if got := edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id); code(got) != 458 {
		t.Fatalf("keepalive of a destroyed session: %v", got)
	}
	if media.handles() != 0 || n.sessions.Load() != 0 {
		t.Errorf("left over: %d handles, %d sessions", media.handles(), n.sessions.Load())
	}
	records, err := n.store.load(t.Context(), messages.AllPartitions())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if !r.deleted {
			t.Errorf("record left over: %+v", r)
		}
	}
}

// A create with an id that is in use is refused in Janus's words: with the id, and not before all new sessions are.
func TestCreateTaken(t *testing.T) {
	_, n, edge, id := oneSession(t)
	got := edge.ask(id, `{"janus":"create","transaction":"t","id":%d}`, id)
	if session, _ := got["session_id"].(float64); code(got) != 468 || uint64(session) != id {
		t.Errorf("id in use: %v", got)
	}
	n.rules.Heed(messages.Setting{Verb: settings.AcceptNewSessions, Fields: []byte(`{"accept":false}`), Revision: 1})
	got = edge.ask(id, `{"janus":"create","transaction":"t","id":%d}`, id)
	if _, told := got["session_id"]; code(got) != 472 || told {
		t.Errorf("id in use while no new sessions are taken: %v", got)
	}
}

// Errors are Janus's, in its order of checks.
func TestErrors(t *testing.T) {
	c := newCluster(t)
	c.server("janus-a")
	edge := c.client()
	waitServers(t, c.node("node-a", nil), 1)
	id := edge.create()
	h := edge.attach(id)
	for _, test := range []struct {
		body string
		code int
	}{
		{`{"janus":"attach","transaction":"t","session_id":S}`, 456},
		{`{"janus":"attach","transaction":"t","session_id":S,"plugin":7}`, 467},
		{`{"janus":"attach","transaction":"t","session_id":S,"plugin":"janus.plugin.none"}`, 460},
		{`{"janus":"attach","transaction":"t","session_id":S,"handle_id":H,"plugin":"janus.plugin.echotest"}`, 457},
		{`{"janus":"attach","transaction":"t","session_id":S,"plugin":"janus.plugin.echotest","loop_index":-1}`, 467},
		{`{"janus":"message","transaction":"t","session_id":S,"body":{}}`, 457},
		{`{"janus":"message","transaction":"t","session_id":S,"handle_id":77,"body":{}}`, 459},
		{`{"janus":"message","transaction":"t","session_id":S,"handle_id":H}`, 456},
		{`{"janus":"message","transaction":"t","session_id":S,"handle_id":H,"body":[]}`, 467},
		{`{"janus":"trickle","transaction":"t","session_id":S,"handle_id":H}`, 456},
		{`{"janus":"trickle","transaction":"t","session_id":S,"handle_id":H,"candidate":null,"candidates":[]}`, 454},
		{`{"janus":"destroy","transaction":"t","session_id":S,"handle_id":H}`, 457},
		{`{"janus":"create","transaction":"t","session_id":S}`, 453},
		{`{"janus":"create","transaction":"t"}`, 468},
		{`{"janus":"what","transaction":"t","session_id":S}`, 453},
		{`{"janus":"hangup","transaction":"t","session_id":S}`, 457},
	} {
		body := replaceIDs(test.body, id, h)
		if got := edge.ask(id, "%s", body); code(got) != test.code {
			t.Errorf("%s: %v, want code %d", body, got, test.code)
		}
	}
}

func replaceIDs(body string, session, handle uint64) string {
	out := ""
	for i := 0; i < len(body); i++ {
		switch {
		case body[i] == 'S' && body[i-1] == ':':
			out += fmt.Sprint(session)
		case body[i] == 'H' && body[i-1] == ':':
			out += fmt.Sprint(handle)
		default:
			out += body[i : i+1]
		}
	}
	return out
}

// A repeat of a structural request is answered like the first one, and done once.
func TestRepeats(t *testing.T) {
	c := newCluster(t)
	c.server("janus-a")
	edge := c.client()
	n := c.node("node-a", nil)
	waitServers(t, n, 1)
	id := messages.NewSessionID(5)
	again := func(body string) (first, second map[string]any) {
		identity := edge.send(id, "%s", body)
		first = edge.reply(id, identity, body)
		edge.publish(id, identity+".r", body)
		return first, edge.reply(id, identity, body)
	}
	for _, body := range []string{
		`{"janus":"create","transaction":"c"}`,
		fmt.Sprintf(`{"janus":"attach","transaction":"a","session_id":%d,"plugin":%q}`, id, echotest),
		fmt.Sprintf(`{"janus":"destroy","transaction":"d","session_id":%d}`, id),
	} {
		if a, b := again(body); fmt.Sprint(a) != fmt.Sprint(b) || a["janus"] != "success" {
			t.Errorf("%s: first %v, then %v", body, a, b)
		}
	}
	if n.sessions.Load() != 0 {
		t.Errorf("%d sessions left", n.sessions.Load())
	}
}

// A session without a transport keeps its events for the claim, and ends when nobody claims it.
func TestReclaim(t *testing.T) {
	c := newCluster(t)
	media, edge := c.server("janus-a"), c.client()
	n := c.node("node-a", func(o *Options) { o.ReclaimTimeout = 400 * time.Millisecond })
	waitServers(t, n, 1)
	id := edge.create()
	h := edge.attach(id)
	edge.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, h)
	edge.event("event")

	gone := messages.SessionSubject{Partition: messages.PartitionOf(id), Session: id, Kind: messages.SessionGone, Arg: "1"}
	lose := func() {
		t.Helper()
		if err := edge.p.bus.Publish(gone.String(), messages.Transport{Edge: edge.member, Connection: 1}.String(), nil); err != nil {
			t.Fatal(err)
		}
	}
	lose()
	media.say(t, id, h, "webrtcup")
	if got := edge.ask(id, `{"janus":"claim","transaction":"k","session_id":%d}`, id); got["janus"] != "success" {
		t.Fatalf("claim: %v", got)
	}
	edge.event("webrtcup")
	lose()
	waitFor(t, func() string {
		if n.sessions.Load() == 0 {
			return ""
		}
		return "session lives"
	})
	if media.handles() != 0 {
		t.Errorf("%d handles left on the media server", media.handles())
	}
}

// A silent session times out, and its client is told.
func TestTimeout(t *testing.T) {
	c := newCluster(t)
	edge := c.client()
	c.node("node-a", func(o *Options) { o.SessionTimeout = 300 * time.Millisecond })
	id := edge.create()
	if e := edge.event("timeout"); uint64(e["session_id"].(float64)) != id || e["sender"] != nil {
		t.Fatalf("timeout: %v", e)
	}
}

// A handle whose Janus is lost is bound again, elsewhere, by its next message.
func TestRebind(t *testing.T) {
	c := newCluster(t)
	a, b, edge := c.server("janus-a"), c.server("janus-b"), c.client()
	waitServers(t, c.node("node-a", nil), 2)
	id := edge.create()
	h := edge.attach(id)
	message := func() {
		t.Helper()
		if got := edge.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, h); got["janus"] != "ack" {
			t.Fatalf("message: %v", got)
		}
		edge.event("event")
	}
	message()
	first, second := a, b
	if a.handles() == 0 {
		first, second = b, a
	}
	first.mu.Lock()
	first.mute = true // placed on again, it does not answer: the other one is tried
	first.mu.Unlock()
	first.say(t, id, h, messages.VerbUnbound)
	first.say(t, id, h, "webrtcup")
	edge.event("webrtcup") // so that the loss is known
	message()
	if second.handles() != 1 {
		t.Errorf("the handle is not on the other server")
	}
}

// Trickles before the first message are acknowledged, and reach Janus before it.
func TestEarlyTrickle(t *testing.T) {
	c := newCluster(t)
	media, edge := c.server("janus-a"), c.client()
	waitServers(t, c.node("node-a", nil), 1)
	id := edge.create()
	h := edge.attach(id)
	if got := edge.ask(id, `{"janus":"trickle","transaction":"t","session_id":%d,"handle_id":%d,"candidate":{"completed":true}}`, id, h); got["janus"] != "ack" {
		t.Fatalf("trickle: %v", got)
	}
	edge.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, h)
	media.mu.Lock()
	defer media.mu.Unlock()
	var verbs []string
	for _, g := range media.got {
		var verb, identity string
		_, _ = fmt.Sscan(g, &verb, &identity)
		verbs = append(verbs, verb)
	}
	if fmt.Sprint(verbs) != "[attach trickle message]" {
		t.Errorf("the media server got %v", verbs)
	}
}

// When a node dies, another serves its sessions with their handles and transports.
func TestTakeover(t *testing.T) {
	c := newCluster(t)
	c.server("janus-a")
	edge := c.client()
	a := c.node("node-a", nil)
	waitServers(t, a, 1)
	type call struct{ session, bound, unbound uint64 }
	var calls []call
	for range 20 {
		id := edge.create()
		calls = append(calls, call{id, edge.attach(id), edge.attach(id)})
		edge.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, calls[len(calls)-1].bound)
		edge.event("event")
	}
	b := c.node("node-b", nil)
	a.Bus.Conn().Opts.AllowReconnect = false
	a.Bus.Close() // as dead as a process can be within another
	for _, k := range calls {
		for _, h := range []uint64{k.bound, k.unbound} {
			got := edge.ask(k.session, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, k.session, h)
			if got["janus"] != "ack" {
				t.Fatalf("after the take-over: %v", got)
			}
			edge.event("event")
		}
	}
	if got := b.sessions.Load(); got != int64(len(calls)) {
		t.Errorf("%d sessions on the successor, want %d", got, len(calls))
	}
}

// A newcomer gets its share of the empty partitions; sessions stay where they are.
func TestNewcomer(t *testing.T) {
	c := newCluster(t)
	edge := c.client()
	a := c.node("node-a", nil)
	var ids []uint64
	for range 50 {
		ids = append(ids, edge.create())
	}
	b := c.node("node-b", nil)
	waitFor(t, func() string {
		n := 0
		for _, r := range *b.owned.Load() {
			n += r.Partitions.Len()
		}
		if n < messages.Partitions/3 {
			return fmt.Sprintf("the newcomer has %d partitions", n)
		}
		return ""
	})
	for _, id := range ids {
		if got := edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id); got["janus"] != "ack" {
			t.Fatalf("keepalive: %v", got)
		}
	}
	if a.sessions.Load() != 50 || b.sessions.Load() != 0 {
		t.Errorf("sessions: %d and %d", a.sessions.Load(), b.sessions.Load())
	}
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if got := edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id); got["janus"] != "ack" {
			t.Fatalf("keepalive after a leave: %v", got)
		}
	}
}

// A burst of attaches spreads over the servers, though their heartbeats have not counted any of them yet.
func TestBurstSpreads(t *testing.T) {
	c := newCluster(t)
	a, b, edge := c.server("janus-a"), c.server("janus-b"), c.client()
	waitServers(t, c.node("node-a", nil), 2)
	id := edge.create()
	for range 40 {
		h := edge.attach(id)
		edge.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, h)
	}
	if a.handles() < 12 || b.handles() < 12 {
		t.Errorf("%d and %d handles", a.handles(), b.handles())
	}
}

// An owner whose epoch a media server refuses, though nobody else owns the partition, goes on with a greater one.
func TestRefusedEpoch(t *testing.T) {
	c := newCluster(t)
	media, edge := c.server("janus-a"), c.client()
	n := c.node("node-a", nil)
	waitServers(t, n, 1)
	id := edge.create()
	h := edge.attach(id)
	media.mu.Lock()
	media.refuse = messages.Epoch{Number: uint64(time.Now().Add(time.Hour).UnixMilli()), Node: "node-z"}
	media.mu.Unlock()
	body := fmt.Sprintf(`{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, h)
	if got := edge.ask(id, "%s", body); got["janus"] != "ack" {
		t.Fatalf("message: %v", got)
	}
}

// Answers come in the order of the requests, though an attach waits for the store and a keepalive for nothing.
func TestAnswersInOrder(t *testing.T) {
	c := newCluster(t)
	c.server("janus-a")
	edge := c.client()
	waitServers(t, c.node("node-a", nil), 1)
	id := edge.create()
	h := edge.attach(id)
	edge.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, h)
	edge.event("event")
	for _, body := range []string{
		`{"janus":"attach","transaction":"0","session_id":S,"plugin":"janus.plugin.echotest"}`,
		`{"janus":"keepalive","transaction":"1","session_id":S}`,
		`{"janus":"trickle","transaction":"2","session_id":S,"handle_id":H,"candidate":null}`,
		`{"janus":"hangup","transaction":"3","session_id":S,"handle_id":H}`,
		`{"janus":"what","transaction":"4","session_id":S}`,
		`{"janus":"detach","transaction":"5","session_id":S,"handle_id":H}`,
		`{"janus":"destroy","transaction":"6","session_id":S}`,
		`{"janus":"keepalive","transaction":"7","session_id":S}`,
	} {
		edge.send(id, "%s", replaceIDs(body, id, h))
	}
	for i := range 8 {
		d := edge.await("an answer", func(d delivered) bool { return d.body["transaction"] != nil })
		if d.body["transaction"] != fmt.Sprint(i) {
			t.Fatalf("answer %d is %v", i, d.body)
		}
	}
}

// An answer that does not come holds up the others for a while only.
func TestAnswerOverdue(t *testing.T) {
	c := newCluster(t)
	media, edge := c.server("janus-a"), c.client()
	waitServers(t, c.node("node-a", nil), 1)
	id := edge.create()
	h := edge.attach(id)
	edge.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, h)
	media.mu.Lock()
	media.mute = true
	media.mu.Unlock()
	edge.send(id, `{"janus":"trickle","transaction":"t","session_id":%d,"handle_id":%d,"candidate":null}`, id, h)
	if got := edge.ask(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id); got["janus"] != "ack" {
		t.Errorf("keepalive: %v", got)
	}
}
