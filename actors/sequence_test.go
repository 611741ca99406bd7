// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/januscloud/januscloud/messages"
)

// number is the identity of the n-th request of the client's connection for a session.
func (k *client) number(session, n uint64) string {
	return messages.Identity{Edge: k.member, Connection: 1, Session: session, N: n}.String()
}

// sendAs publishes the n-th request, which is answered with an error when its turn comes.
func (k *client) sendAs(session, n uint64) {
	k.t.Helper()
	k.publish(session, k.number(session, n), fmt.Sprintf(`{"janus":"nothing","transaction":"%d","session_id":%d}`, n, session))
}

// answered waits for so many answers, and returns the numbers of their requests in order.
func (k *client) answered(count int) []string {
	k.t.Helper()
	var order []string
	for len(order) < count {
		d := k.await("answer", func(d delivered) bool { return d.body["janus"] == "error" })
		order = append(order, d.body["transaction"].(string))
	}
	return order
}

// A request that did not arrive is asked for, and those behind it wait.
func TestMissingRequest(t *testing.T) {
	c := newCluster(t)
	c.node("node-1", nil)
	k := c.client()
	s := k.create() // its number is 1
	for _, n := range []uint64{2, 4, 6, 5} {
		k.sendAs(s, n)
	}
	asked := k.await("question for what is missing", func(d delivered) bool { return d.subject == messages.EdgeResend(k.member) })
	var x messages.Resend
	if err := json.Unmarshal(asked.raw, &x); err != nil || x != (messages.Resend{Session: s, Connection: 1, After: 2, Before: 4}) {
		t.Errorf("asked for %+v", x)
	}
	if got := k.answered(1); !slices.Equal(got, []string{"2"}) {
		t.Errorf("before the missing one came: %v", got)
	}
	k.publish(s, k.number(s, 3)+".r", fmt.Sprintf(`{"janus":"nothing","transaction":"3","session_id":%d}`, s))
	if got := k.answered(4); !slices.Equal(got, []string{"3", "4", "5", "6"}) {
		t.Errorf("order %v", got)
	}
}

// What an edge says is not missing is not waited for.
func TestNothingMissing(t *testing.T) {
	c := newCluster(t)
	c.node("node-1", nil)
	k := c.client()
	s := k.create()
	for _, n := range []uint64{4, 5, 7} {
		k.sendAs(s, n)
	}
	for _, before := range []uint64{4, 7} {
		k.await("question", func(d delivered) bool {
			var x messages.Resend
			return d.subject == messages.EdgeResend(k.member) && json.Unmarshal(d.raw, &x) == nil && x.Before == before
		})
		whole := messages.SessionSubject{
			Partition: messages.PartitionOf(s), Session: s, Kind: messages.SessionWhole, Arg: fmt.Sprint(before),
		}
		from := messages.Transport{Edge: k.member, Connection: 1}
		if err := k.p.bus.Publish(whole.String(), from.String(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := k.answered(3); !slices.Equal(got, []string{"4", "5", "7"}) {
		t.Errorf("order %v", got)
	}
}

// Those behind a missing request do not wait for ever, and what another connection sends has nothing to wait for.
func TestMissingForGood(t *testing.T) {
	c := newCluster(t)
	c.node("node-1", nil)
	k := c.client()
	s := k.create()
	k.sendAs(s, 3)
	other := messages.Identity{Edge: k.member, Connection: 2, Session: s, N: 9}.String()
	k.publish(s, other, fmt.Sprintf(`{"janus":"nothing","transaction":"other","session_id":%d}`, s))
	if got := k.answered(2); !slices.Equal(got, []string{"other", "3"}) {
		t.Errorf("order %v", got)
	}
}

// Who claims the session does not wait for what the connection before him sent.
func TestMissingWhenClaimed(t *testing.T) {
	c := newCluster(t)
	c.node("node-1", nil)
	k := c.client()
	s := k.create()
	k.sendAs(s, 3)
	claim := messages.Identity{Edge: k.member, Connection: 2, Session: s, N: 5}
	k.publish(s, claim.String(), fmt.Sprintf(`{"janus":"claim","transaction":"claim","session_id":%d}`, s))
	k.answered(1)
	claim.N = 6
	k.publish(s, claim.String(), fmt.Sprintf(`{"janus":"nothing","transaction":"6","session_id":%d}`, s))
	if got := k.answered(1); !slices.Equal(got, []string{"6"}) {
		t.Errorf("answered %v", got)
	}
	if _, asked := k.take(func(d delivered) bool {
		var x messages.Resend
		return d.subject == messages.EdgeResend(k.member) && json.Unmarshal(d.raw, &x) == nil && x.Connection == 2
	}); asked {
		t.Error("the new connection was asked for what it did not send")
	}
}
