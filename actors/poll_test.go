// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/januscloud/januscloud/messages"
)

// post sends a request as an HTTP client does, each on a connection of its own, and returns the reply.
func (k *client) post(session uint64, body string, args ...any) map[string]any {
	k.t.Helper()
	identity := k.polling(session)
	k.publish(session, identity, fmt.Sprintf(body, args...))
	return k.reply(session, identity, fmt.Sprintf(body, args...))
}

func (k *client) polling(session uint64) string {
	k.polls++
	return messages.Identity{Edge: k.member, Connection: 100 + k.polls, Polling: true, Session: session, N: 1}.String()
}

// poll begins a long poll and returns its identity.
func (k *client) poll(session uint64, limit int) string {
	k.t.Helper()
	identity := k.polling(session)
	subject := messages.SessionSubject{Partition: messages.PartitionOf(session), Session: session, Kind: messages.SessionPoll, Arg: fmt.Sprint(limit)}
	if err := k.p.bus.Publish(subject.String(), identity, nil); err != nil {
		k.t.Fatal(err)
	}
	return identity
}

// polled awaits the answer to a poll.
func (k *client) polled(identity string) string {
	k.t.Helper()
	return string(k.await("an answer to the poll", func(d delivered) bool { return d.subject == identity }).raw)
}

func pollCluster(t *testing.T) (*server, *client, *Node) {
	c := newCluster(t)
	media, edge := c.server("janus-a"), c.client()
	n := c.node("node-a", nil)
	waitServers(t, n, 1)
	return media, edge, n
}

// createPolling makes a session over HTTP, with a bound handle, and fetches what that said.
func createPolling(t *testing.T, edge *client) (id, h uint64) {
	t.Helper()
	id = messages.NewSessionID(9)
	if got := edge.post(id, `{"janus":"create","transaction":"c"}`); got["janus"] != "success" {
		t.Fatalf("create: %v", got)
	}
	h = edge.attach(id)
	edge.post(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, h)
	if got := edge.polled(edge.poll(id, 1)); verb(t, got) != "event" {
		t.Fatalf("poll: %s", got)
	}
	return id, h
}

func verb(t *testing.T, body string) string {
	t.Helper()
	var m struct{ Janus string }
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return m.Janus
}

// Events wait for polls, polls wait for events; more than one at a time make an array.
func TestPoll(t *testing.T) {
	media, edge, _ := pollCluster(t)
	id, h := createPolling(t, edge)
	waiting := edge.poll(id, 1)
	edge.attach(id) // answered behind the poll, which so has arrived
	media.say(t, id, h, "webrtcup")
	if got := edge.polled(waiting); verb(t, got) != "webrtcup" {
		t.Errorf("the poll that waited got %s", got)
	}
	media.say(t, id, h, "media")
	media.say(t, id, h, "slowlink")
	media.say(t, id, h, "hangup")
	edge.attach(id) // answered behind the events, which so have arrived
	var list []struct{ Janus string }
	if got := edge.polled(edge.poll(id, 2)); json.Unmarshal([]byte(got), &list) != nil || fmt.Sprint(list) != "[{media} {slowlink}]" {
		t.Errorf("a poll for two events got %s", got)
	}
	if got := edge.polled(edge.poll(id, 5)); json.Unmarshal([]byte(got), &list) != nil || fmt.Sprint(list) != "[{hangup}]" {
		t.Errorf("a poll for five events got %s", got)
	}
}

// Of several polls that wait, the latest gets the event and the others a keepalive, at once; one whose client left gets nothing.
func TestSeveralPolls(t *testing.T) {
	media, edge, _ := pollCluster(t)
	id, h := createPolling(t, edge)
	left := edge.poll(id, 1)
	first, second := edge.poll(id, 3), edge.poll(id, 1)
	gone := messages.SessionSubject{Partition: messages.PartitionOf(id), Session: id, Kind: messages.SessionUnpoll, Arg: "1"}
	if err := edge.p.bus.Publish(gone.String(), left, nil); err != nil {
		t.Fatal(err)
	}
	edge.attach(id) // answered behind the polls, which so have arrived
	media.say(t, id, h, "webrtcup")
	if got := edge.polled(second); verb(t, got) != "webrtcup" {
		t.Errorf("the second poll got %s", got)
	}
	if got := edge.polled(first); got != `[{"janus":"keepalive"}]` {
		t.Errorf("the first poll got %s", got)
	}
	if d, answered := edge.take(func(d delivered) bool { return d.subject == left }); answered {
		t.Errorf("the poll of the client that left got %s", d.raw)
	}
}

// Who does not own the session over HTTP cannot poll; a claim moves it there, and back.
func TestPollAndClaim(t *testing.T) {
	media, edge, _ := pollCluster(t)
	id := edge.create()
	h := edge.attach(id)
	edge.ask(id, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, id, h)
	edge.event("event")
	if got := edge.polled(edge.poll(id, 1)); verb(t, got) != "error" {
		t.Errorf("a poll of a session on a WebSocket got %s", got)
	}
	if got := edge.polled(edge.poll(messages.NewSessionID(3), 1)); verb(t, got) != "error" {
		t.Errorf("a poll of no session got %s", got)
	}
	edge.post(id, `{"janus":"claim","transaction":"k","session_id":%d}`, id)
	media.say(t, id, h, "webrtcup")
	if got := edge.polled(edge.poll(id, 1)); verb(t, got) != "webrtcup" {
		t.Errorf("after the claim over HTTP: %s", got)
	}
	media.say(t, id, h, "slowlink")
	edge.attach(id)
	edge.ask(id, `{"janus":"claim","transaction":"k","session_id":%d}`, id)
	media.say(t, id, h, "media")
	edge.event("media")
	if d, came := edge.take(func(d delivered) bool { return d.body["janus"] == "slowlink" }); came {
		t.Errorf("an event of the lost queue came: %s", d.raw)
	}
}

// A session over HTTP needs no edge: it lives until its time-out, and a take-over keeps it one.
func TestPollAfterTakeover(t *testing.T) {
	c := newCluster(t)
	media, edge := c.server("janus-a"), c.client()
	a := c.node("node-a", nil)
	waitServers(t, a, 1)
	id, h := createPolling(t, edge)
	c.node("node-b", nil)
	a.Bus.Close()
	if got := edge.post(id, `{"janus":"keepalive","transaction":"k","session_id":%d}`, id); got["janus"] != "ack" {
		t.Fatalf("keepalive: %v", got)
	}
	poll := edge.poll(id, 1)
	media.say(t, id, h, "webrtcup")
	if got := edge.polled(poll); verb(t, got) != "webrtcup" {
		t.Errorf("the poll got %s", got)
	}
}

// A poll that meets no event is told to come again when its time is up.
func TestPollDue(t *testing.T) {
	p := &poll{identity: "janus.edge.e~1.h1.5.1", max: 1}
	c := newCluster(t)
	n := c.node("node-a", nil)
	s := newSession(newPartition(n, 5), 5, "", time.Now())
	s.transport, s.polls = messages.Transport{Polling: true}, []*poll{p}
	s.onPollDue(pollDue{p})
	s.onPollDue(pollDue{p}) // too late: it was answered
	if len(s.polls) != 0 || len(s.polled) != 1 {
		t.Errorf("%d polls wait, %d answers", len(s.polls), len(s.polled))
	}
}

// A repeat of a poll is no sign of life and no second poll: one that waits goes on, one that was answered gets that again.
func TestPollRepeats(t *testing.T) {
	media, edge, _ := pollCluster(t)
	id, h := createPolling(t, edge)
	identity := edge.poll(id, 1)
	again := func(mark string) {
		t.Helper()
		subject := messages.SessionSubject{Partition: messages.PartitionOf(id), Session: id, Kind: messages.SessionPoll, Arg: "1"}
		if err := edge.p.bus.Publish(subject.String(), identity+mark, nil); err != nil {
			t.Fatal(err)
		}
	}
	again(".r")
	edge.attach(id) // answered behind the polls, which so have arrived
	media.say(t, id, h, "webrtcup")
	if got := edge.polled(identity); verb(t, got) != "webrtcup" {
		t.Fatalf("the poll got %s", got)
	}
	media.say(t, id, h, "media")
	edge.attach(id)
	for _, mark := range []string{".r", ""} { // the first try may come after the repeat
		again(mark)
		if got := edge.polled(identity); verb(t, got) != "webrtcup" {
			t.Errorf("its repeat got %s", got)
		}
	}
	if got := edge.polled(edge.poll(id, 1)); verb(t, got) != "media" {
		t.Errorf("the next poll got %s", got)
	}
}

// A poll that comes while events are told once more gets as many of them as it takes: they waited for it.
func TestPollCaughtUp(t *testing.T) {
	media, edge, _ := pollCluster(t)
	id, h := createPolling(t, edge)
	poll := edge.polling(id)
	subject := messages.SessionSubject{Partition: messages.PartitionOf(id), Session: id, Kind: messages.SessionPoll, Arg: "5"}
	media.mu.Lock()
	media.retell = func() {
		media.sayNumbered(messages.SessionAgain, id, h, 101)
		_ = media.p.bus.Publish(subject.String(), poll, nil)
		media.sayNumbered(messages.SessionAgain, id, h, 102)
	}
	media.mu.Unlock()
	media.sayBehind(messages.SessionEvent, id, h, 103, 102)
	var got []struct{ Transaction string }
	if answer := edge.polled(poll); json.Unmarshal([]byte(answer), &got) != nil || fmt.Sprint(got) != "[{101} {102}]" {
		t.Errorf("the poll got %s", answer)
	}
	if answer := edge.polled(edge.poll(id, 5)); json.Unmarshal([]byte(answer), &got) != nil || fmt.Sprint(got) != "[{103}]" {
		t.Errorf("the next poll got %s", answer)
	}
}

// lonely is a polling session without a timer that somebody else's goroutine would run, with one event that was given to a poll of an
// edge, and another poll that waits.
func lonely(t *testing.T, n *Node, edge messages.Member) (s *session, waits string) {
	t.Helper()
	s = newSession(newPartition(n, 5), 5, "", time.Now())
	s.self = n.acknowledger // takes no notice
	s.transport = messages.Transport{Polling: true}
	poll := func(edge messages.Member) string {
		identity := messages.Identity{Edge: edge, Connection: 5, Polling: true, Session: s.id, N: 1}.String()
		s.polls = append(s.polls, &poll{identity: identity, max: 1})
		return identity
	}
	poll(edge)
	s.toClient(outgoing{body: []byte(`{"janus":"event"}`)})
	if len(s.polls) != 0 || s.out.sent != 1 {
		t.Fatalf("%d polls wait, %d events are sent", len(s.polls), s.out.sent)
	}
	return s, poll(messages.NewMember("edge-other"))
}

// What was given to a poll of an edge that falls silent may have been written: it is for the next poll only when the edge stays silent,
// or another one has its name.
func TestPollEdgeSilent(t *testing.T) {
	c := newCluster(t)
	n := c.node("node-a", nil)
	gone := messages.NewMember("edge-gone")
	t.Run("and stays so", func(t *testing.T) {
		s, _ := lonely(t, n, gone)
		s.onEdgesGone([]messages.Member{gone})
		for range unheardPeriods {
			if len(s.polls) != 1 || s.out.sent != 1 {
				t.Fatal("the event was given to the next poll")
			}
			s.onOutDue()
		}
		if len(s.polls) != 0 || len(s.polled) != 1 {
			t.Errorf("%d polls wait, %d are answered", len(s.polls), len(s.polled))
		}
	})
	t.Run("and acknowledges", func(t *testing.T) {
		s, _ := lonely(t, n, gone)
		s.onEdgesGone([]messages.Member{gone})
		s.onOutDue()
		s.onWritten(messages.Written{Session: s.id, Epoch: s.epoch().Number, Received: s.seq, Written: s.seq})
		for range 2 * pollPeriods {
			s.onOutDue()
		}
		if len(s.polls) != 1 || s.waits() {
			t.Error("the event was told again")
		}
	})
	t.Run("and has no connection", func(t *testing.T) {
		s, _ := lonely(t, n, gone)
		if s.onEdgeEnded(messages.NewMember("edge-b")); len(s.polls) != 1 {
			t.Error("the next poll was answered for the end of another edge")
		}
		if s.onEdgeEnded(gone); len(s.polls) != 0 {
			t.Error("the next poll waits, though the edge is gone")
		}
	})
	t.Run("and has ended", func(t *testing.T) {
		k := c.clientAt("edge-b")
		waitFor(t, func() string {
			if heard, _ := n.edge(k.member); !heard {
				return "the edge is not heard"
			}
			return ""
		})
		s, _ := lonely(t, n, messages.Member{Name: "edge-b", Inc: "0"})
		s.onOutDue()
		if len(s.polls) != 0 {
			t.Error("the next poll waits, though the edge was started anew")
		}
	})
}

// The answer to a poll that is not acknowledged comes to its edge again. Where the edge never had the poll it says so, and the next
// one gets the event.
func TestPollAnswerAgain(t *testing.T) {
	media, edge, _ := pollCluster(t)
	id, h := createPolling(t, edge)
	edge.hush(true)
	first := edge.poll(id, 1)
	edge.attach(id) // answered behind the poll, which so has arrived
	media.say(t, id, h, "webrtcup")
	for range 2 {
		if got := edge.polled(first); verb(t, got) != "webrtcup" {
			t.Fatalf("the poll got %s", got)
		}
	}
	next := edge.poll(id, 1)
	gone := messages.SessionSubject{Partition: messages.PartitionOf(id), Session: id, Kind: messages.SessionUnpoll, Arg: "1"}
	if err := edge.p.bus.Publish(gone.String(), first, nil); err != nil {
		t.Fatal(err)
	}
	if got := edge.polled(next); verb(t, got) != "webrtcup" {
		t.Errorf("the next poll got %s", got)
	}
}
