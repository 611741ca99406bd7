// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"fmt"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/messages"
)

// talk is a session on a WebSocket at edge-a, whose events are numbered.
type talk struct {
	t       *testing.T
	c       *cluster
	media   *server
	edge    *client
	first   *Node
	session uint64
	handle  uint64
}

func newTalk(t *testing.T) *talk {
	t.Helper()
	c := newCluster(t)
	k := &talk{t: t, c: c, media: c.server("media-a"), edge: c.client()}
	waitServers(t, c.node("node-1", nil), 1)
	k.session = k.edge.create()
	k.handle = k.edge.attach(k.session)
	k.edge.ask(k.session, `{"janus":"message","transaction":"0","session_id":%d,"handle_id":%d,"body":{}}`, k.session, k.handle)
	k.expect(k.edge, "0")
	return k
}

// say has the media server say events of these numbers.
func (k *talk) say(numbers ...int) {
	for _, n := range numbers {
		k.media.sayNumbered(messages.SessionEvent, k.session, k.handle, n)
	}
}

// expect waits for events with these transactions, and for no others before them.
func (k *talk) expect(edge *client, transactions string) []messages.Delivery {
	k.t.Helper()
	var got []string
	var deliveries []messages.Delivery
	waitFor(k.t, func() string {
		for {
			d, ok := edge.take(func(d delivered) bool { return strings.HasSuffix(d.subject, ".event") })
			if !ok {
				break
			}
			delivery, err := messages.ParseDelivery(d.delivery)
			if err != nil {
				k.t.Error(err)
			}
			got, deliveries = append(got, fmt.Sprint(d.body["transaction"])), append(deliveries, delivery)
		}
		if strings.Join(got, " ") != transactions {
			return fmt.Sprintf("the client heard %v, not %s", got, transactions)
		}
		return ""
	})
	return deliveries
}

// claimAt claims the session through an edge.
func (k *talk) claimAt(edge *client) {
	k.t.Helper()
	if got := edge.ask(k.session, `{"janus":"claim","transaction":"k","session_id":%d}`, k.session); got["janus"] != "success" {
		k.t.Fatalf("claim: %v", got)
	}
}

// What an edge had in hand when it died comes through the next one, once and in order, before what comes then; what it
// acknowledged does not come again. The reply to a request that it had not written is among it.
func TestEdgeDies(t *testing.T) {
	k := newTalk(t)
	k.say(101, 102)
	k.expect(k.edge, "101 102")
	k.edge.hush(true)
	k.edge.ask(k.session, `{"janus":"keepalive","transaction":"owed","session_id":%d}`, k.session)
	k.say(103, 104)
	k.expect(k.edge, "103 104")
	other := k.c.clientAt("edge-b")
	k.edge.die()
	k.claimAt(other)
	k.say(105)
	k.expect(other, "owed 103 104 105")
}

// A claim away from an edge that lives brings nothing again that was acknowledged just then, and does not overtake it.
func TestClaimInDoubt(t *testing.T) {
	k := newTalk(t)
	k.edge.hush(true)
	k.say(101, 102)
	last := k.expect(k.edge, "101 102")[1]
	other := k.c.clientAt("edge-b")
	k.claimAt(other)
	k.say(103)
	k.edge.acknowledge(last)
	k.expect(other, "103")
}

// The answer to a claim names the events that were written, and no others: those come again.
func TestClaimTellsWhatWasWritten(t *testing.T) {
	k := newTalk(t)
	k.say(101)
	k.expect(k.edge, "101")
	k.edge.hush(true)
	k.say(103)
	k.expect(k.edge, "103")
	other := k.c.clientAt("edge-b")
	identity := other.send(k.session, `{"janus":"claim","transaction":"k","session_id":%d}`, k.session)
	d := other.await("an answer to the claim", func(d delivered) bool { return d.subject == identity })
	got, err := messages.ParseDelivery(d.delivery)
	if want := fmt.Sprintf("%v.102", k.media.member); err != nil || got.Origin != want { // up to just before what is not
		t.Errorf("delivered as %s, want the origin %s (%v)", d.delivery, want, err)
	}
}

// What got lost on the way to an edge is sent again, as what it was.
func TestSentAgain(t *testing.T) {
	k := newTalk(t)
	k.edge.hush(true)
	k.say(101, 102)
	first := k.expect(k.edge, "101 102")
	again := k.expect(k.edge, "101 102")
	if first[0] != again[0] || first[1] != again[1] || first[1].Seq != first[0].Seq+1 || first[1].Behind != 1 {
		t.Errorf("sent as %v, then as %v", first, again)
	}
	k.edge.hush(false)
	k.edge.acknowledge(again[1])
	k.say(103)
	k.expect(k.edge, "103")
}

// What an edge has but cannot write, since its client does not read, is not sent again; it is when the connection closes.
func TestStalledClient(t *testing.T) {
	k := newTalk(t)
	k.edge.hush(true)
	k.say(101)
	d := k.expect(k.edge, "101")[0]
	received := messages.Written{Session: k.session, Epoch: d.Epoch.Number, Received: d.Seq}
	owner, _ := k.edge.p.roster.View().Owner(d.Partition)
	if err := k.edge.p.bus.Publish(messages.NodeWritten(owner.Node), "", received.Append(nil)); err != nil {
		t.Fatal(err)
	}
	k.edge.hush(false)
	transport := messages.Transport{Edge: k.edge.member, Connection: 1}
	gone := messages.SessionSubject{Partition: d.Partition, Session: k.session, Kind: messages.SessionGone, Arg: "1"}
	if err := k.edge.p.bus.Publish(gone.String(), transport.String(), nil); err != nil {
		t.Fatal(err)
	}
	other := k.c.clientAt("edge-b")
	k.claimAt(other)
	k.say(102)
	k.expect(other, "101 102")
}

// An edge tells with the news that a connection closed what was written there until then.
func TestClosedAfterWriting(t *testing.T) {
	k := newTalk(t)
	k.edge.hush(true)
	k.say(101, 102)
	d := k.expect(k.edge, "101 102")[0]
	written := messages.Written{Session: k.session, Epoch: d.Epoch.Number, Received: d.Seq + 1, Written: d.Seq}
	transport := messages.Transport{Edge: k.edge.member, Connection: 1}
	gone := messages.SessionSubject{Partition: d.Partition, Session: k.session, Kind: messages.SessionGone, Arg: "1"}
	if err := k.edge.p.bus.Publish(gone.String(), transport.String(), written.Append(nil)); err != nil {
		t.Fatal(err)
	}
	other := k.c.clientAt("edge-b")
	k.claimAt(other)
	k.expect(other, "102")
}

// Media servers hear of what was written, and of nothing else.
func TestMediaServersHearWhatWasWritten(t *testing.T) {
	k := newTalk(t)
	k.say(101, 102)
	k.expect(k.edge, "101 102")
	waitAcked := func(want uint64) {
		t.Helper()
		waitFor(t, func() string {
			if got := k.media.ackedOf(k.session); got != want {
				return fmt.Sprintf("acknowledged up to %d, not %d", got, want)
			}
			return ""
		})
	}
	waitAcked(102)
	k.edge.hush(true)
	k.say(104)
	d := k.expect(k.edge, "104")[0]
	k.say(105)
	k.expect(k.edge, "105")
	k.edge.acknowledge(d)
	waitAcked(104)
}

// The queue of a client has bounds: the oldest go.
func TestOutboxOverflow(t *testing.T) {
	fill := func(n, size int) *outbox {
		out := &outbox{sent: 2}
		for range n {
			out.queue = append(out.queue, outgoing{body: make([]byte, size)})
			out.bytes += size
		}
		return out
	}
	for _, c := range []struct{ n, size, excess int }{
		{1, 10, 0}, {maxKept, 1, 0}, {maxKept + 3, 1, 3}, {4, maxKeptBytes / 4, 0}, {5, maxKeptBytes / 4, 1}, {3, 2 * maxKeptBytes, 2}, {1, 2 * maxKeptBytes, 0},
	} {
		out := fill(c.n, c.size)
		n := out.excess()
		if n != c.excess {
			t.Errorf("%d of %d bytes: %d are too many, want %d", c.n, c.size, n, c.excess)
		}
		if out.drop(n); len(out.queue) != c.n-n || out.bytes != (c.n-n)*c.size || out.sent != max(0, 2-n) {
			t.Errorf("%d are left, %d bytes, %d sent", len(out.queue), out.bytes, out.sent)
		}
	}
}

// pollTalk is a session that polls.
func pollTalk(t *testing.T) *talk {
	t.Helper()
	c := newCluster(t)
	k := &talk{t: t, c: c, media: c.server("media-a"), edge: c.client()}
	k.first = c.node("node-1", nil)
	waitServers(t, k.first, 1)
	k.session, k.handle = createPolling(t, k.edge)
	return k
}

// fetch polls once and compares the transactions of what comes.
func (k *talk) fetch(transactions ...string) {
	k.t.Helper()
	got := k.edge.polled(k.edge.poll(k.session, 10))
	n := strings.Count(got, `"janus":"event"`)
	at := 0
	for _, x := range transactions {
		i := strings.Index(got[at:], fmt.Sprintf(`"transaction":%q`, x))
		if i < 0 {
			k.t.Fatalf("the poll got %s, want %v", got, transactions)
		}
		at += i
	}
	if n != len(transactions) {
		k.t.Fatalf("the poll got %s, want %v", got, transactions)
	}
}

// An answer to a poll that the client did not take, or that died with its edge, is for the next poll; one that was acknowledged
// is not.
func TestPollAnswerReturns(t *testing.T) {
	for name, gone := range map[string]func(k *talk, identity string){
		"client left": func(k *talk, identity string) {
			subject := messages.SessionSubject{Partition: messages.PartitionOf(k.session), Session: k.session, Kind: messages.SessionUnpoll, Arg: "1"}
			if err := k.edge.p.bus.Publish(subject.String(), identity, nil); err != nil {
				k.t.Fatal(err)
			}
		},
		"edge died": func(k *talk, _ string) {
			k.edge.die()
			polls := k.edge.polls
			k.edge = k.c.clientAt("edge-b")
			k.edge.polls = polls
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := pollTalk(t)
			k.say(101)
			k.fetch("101")
			k.edge.hush(true)
			identity := k.edge.poll(k.session, 10)
			k.say(102, 103)
			if got := k.edge.polled(identity); !strings.Contains(got, `"102"`) {
				t.Fatalf("the poll got %s", got)
			}
			gone(k, identity)
			k.edge.hush(false)
			k.fetch("102", "103")
			k.say(104)
			k.fetch("104")
		})
	}
}

// A new owner gives a client that polls what waited with its predecessor, and not what an edge has written.
func TestPollsOfFormerOwner(t *testing.T) {
	k := pollTalk(t)
	waitServers(t, k.c.node("node-2", nil), 1)
	k.media.mu.Lock()
	k.media.recent = []int{101, 102, 103, 104} // and 105 happens meanwhile
	k.media.mu.Unlock()
	k.edge.mu.Lock()
	k.edge.wrote = map[uint64]string{k.session: fmt.Sprintf("%v.102,media-x~1.7", k.media.member)}
	k.edge.mu.Unlock()
	k.first.Bus.Close()
	if got := k.edge.post(k.session, `{"janus":"keepalive","transaction":"k","session_id":%d}`, k.session); got["janus"] != "ack" {
		t.Fatalf("keepalive: %v", got)
	}
	var got string
	for range 3 {
		body := k.edge.polled(k.edge.poll(k.session, 1))
		_, x, _ := strings.Cut(body, `"transaction":"`)
		got += x[:3] + " "
	}
	if got != "103 104 105 " {
		t.Errorf("the polls got %s", got)
	}
}

// A session that ends and is made again on the same connection goes on counting: its edge would take what it says for what it has
// written already.
func TestDeliveriesOfNextSession(t *testing.T) {
	c := newCluster(t)
	c.node("node-1", nil)
	k := c.client()
	id := messages.NewSessionID(3)
	last := uint64(0)
	for range 2 {
		k.createAs(id)
		success := k.send(id, `{"janus":"nothing","transaction":"n","session_id":%d}`, id)
		d := k.await("answer", func(d delivered) bool { return d.subject == success })
		delivery, err := messages.ParseDelivery(d.delivery)
		if err != nil || delivery.Seq <= last {
			t.Fatalf("delivery %q after number %d, %v", d.delivery, last, err)
		}
		last = delivery.Seq
		if got := k.ask(id, `{"janus":"destroy","transaction":"d","session_id":%d}`, id); got["janus"] != "success" {
			t.Fatalf("destroy: %v", got)
		}
	}
}
