// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/roster"
)

// TestRepeatsUntilDeadline is a request that nobody answers.
func TestRepeatsUntilDeadline(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		c, to := r.connect()
		r.serve(c, keepalive(session, "a"))
		after(31 * time.Second)
		sent := r.bus.take()
		last := sent[len(sent)-1]
		expect(t, "what the owner hears when nobody waits any more", sentTo([]published{last}), "expired.1 from 1.1031.1")
		expect(t, "when", last.at.Round(100*time.Millisecond), 30*time.Second)
		sent = sent[:len(sent)-1]
		var at []string
		for i, p := range sent {
			_, again := messages.CutRepeat(p.reply)
			expect(t, fmt.Sprintf("mark of publication %d", i), again, i > 0)
			at = append(at, p.at.Round(100*time.Millisecond).String())
		}
		expect(t, "times", strings.Join(at, " "), "0s 500ms 1.5s 3.5s 7.5s 11.5s 15.5s 19.5s 23.5s 27.5s")
		expect(t, "answer", strings.Join(to.take(), "\n"),
			`{"janus":"error","session_id":1031,"transaction":"a","error":{"code":490,"reason":"Request timed out (no answer within 30s)"}}`)
		r.answers(sent[0], 1, `{"janus":"ack"}`)
		expect(t, "texts after the deadline", len(to.take()), 0)
		expect(t, "memory in flight", r.Edge.bytes.Load(), 0)
		expect(t, "armed", r.repeater.armed.Load(), false)
	})
}

// TestNobodyReceives is an owner that died: its requests wait for the next one, and keep their order.
func TestNobodyReceives(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		suspected := 0
		r.owner = func(int) (roster.Owner, bool) {
			return roster.Owner{Node: messages.Member{Name: "n1", Inc: "1"}, Epoch: messages.Epoch{Number: 1, Node: "n1"}}, true
		}
		r.suspect = func(messages.Member) { suspected++ }
		c, to := r.connect()
		r.serve(c, keepalive(session, "a"))
		r.nobody(r.bus.take()[0])
		r.serve(c, keepalive(session, "b"))
		r.serve(c, keepalive(session+1024, "c"))
		r.serve(c, keepalive(session+1, "other"))
		synctest.Wait()
		expect(t, "published while nobody receives", bodies(r.bus.take()), "other")
		expect(t, "suspicions", suspected, 1)

		after(sweepInterval)
		probe := r.bus.take()
		expect(t, "published as a probe", bodies(probe), "a")
		r.nobody(probe[0])
		after(sweepInterval)
		expect(t, "published as the next probe", bodies(r.bus.take()[:1]), "a")
		r.nobody(probe[0])

		_, news := r.partitions[messages.PartitionOf(session)].hear(messages.Epoch{Number: 2, Node: "n2"})
		expect(t, "news", news, true)
		r.repeater.repeatOne(messages.PartitionOf(session))
		synctest.Wait()
		// None of them reached anybody before, so none is marked as a repeat.
		sent := r.bus.take()
		expect(t, "published for the new owner", bodies(sent), "a b c")
		r.serve(c, keepalive(session, "d"))
		expect(t, "published at once again", bodies(r.bus.take()), "d")
		for _, p := range sent {
			r.answers(p, 3, p.body)
		}
		expect(t, "answers", len(to.take()), 3)
	})
}

// TestProbeFindsOwner is a moment without responders, as when an owner reconnects: no new epoch tells of its end.
func TestProbeFindsOwner(t *testing.T) {
	for name, answered := range map[string]bool{"by an answer": true, "by silence": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, r *rig) {
				c, _ := r.connect()
				r.serve(c, keepalive(session, "a"))
				r.nobody(r.bus.take()[0])
				r.serve(c, keepalive(session, "b"))
				after(sweepInterval)
				probe := r.bus.take()
				expect(t, "probe", bodies(probe), "a")
				if answered {
					r.answers(probe[0], 1, `{"janus":"ack"}`)
					synctest.Wait()
					expect(t, "after the answer", bodies(r.bus.take()), "b")
					return
				}
				after(sweepInterval)
				expect(t, "after a sweep", bodies(r.bus.take()), "b")
			})
		})
	}
}

// TestBusDown is a connection to NATS that is lost for a while.
func TestBusDown(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		c, _ := r.connect()
		closing, _ := r.connect()
		r.serve(closing, []byte(`{"janus":"create","transaction":"mine"}`))
		r.answers(r.bus.take()[0], 1, `{"janus":"success","transaction":"mine","data":{"id":1031}}`)
		r.serve(c, keepalive(session+1024, "sent"))
		r.bus.take()
		r.bus.answer = func(published) error { return errDown }
		r.serve(c, keepalive(session+1024, "a"))
		r.serve(c, keepalive(session+1024, "b"))
		r.close(closing)
		after(200 * time.Millisecond)
		expect(t, "published while down", bodies(r.bus.take()), "")
		r.bus.answer = nil
		r.busChanged(true)
		synctest.Wait()
		expect(t, "published when back", bodies(r.bus.take()), "gone sent.r a b")
		r.serve(c, keepalive(session, "c"))
		expect(t, "published at once again", bodies(r.bus.take()), "c")
	})
}

// TestLateReplies are replies without a request: a second one, one of a deposed owner, one for nobody.
func TestLateReplies(t *testing.T) {
	reg := prometheus.NewRegistry()
	bubble(t, Options{Registry: reg}, func(t *testing.T, r *rig) {
		c, to := r.connect()
		r.serve(c, keepalive(session, "a"))
		request := r.bus.take()[0]
		r.answers(request, 5, "first")
		r.answers(request, 5, "second")
		r.serve(c, keepalive(session, "b"))
		request = r.bus.take()[0]
		r.answers(request, 4, "of a deposed owner")
		r.receive(&bus.Msg{Subject: "janus.edge.e1~inc.1.event", Reply: delivery(session, 4), Data: []byte("event of a deposed owner")})
		r.receive(&bus.Msg{Subject: "janus.edge.e1~inc.1.event", Reply: delivery(session, 5), Data: []byte("event")})
		r.receive(&bus.Msg{Subject: "janus.edge.e1~inc.99.event", Reply: delivery(session, 5), Data: []byte("event for nobody")})
		r.receive(&bus.Msg{Subject: "janus.edge.e1~inc.1.event", Reply: "nonsense", Data: []byte("event of nobody")})
		r.receive(&bus.Msg{Subject: "janus.edge.e1~inc.1", Reply: delivery(session, 5), Data: []byte("nonsense")})
		r.answers(request, 5, "answer")
		expect(t, "texts", strings.Join(to.take(), ", "), "first, event, answer")
		for why, n := range map[dropped]float64{dropLate: 1, dropEpoch: 2, dropClient: 1, dropMalformed: 2} {
			expect(t, "dropped "+string(why), counted(t, reg, "januscloud_edge_dropped_total", string(why)), n)
		}
	})
}

// counted reads a counter.
func counted(t *testing.T, reg *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if len(m.GetLabel()) == 0 || m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// TestRedraw is a new session whose drawn id is taken.
func TestRedraw(t *testing.T) {
	const conflict = `{"janus":"error","transaction":"x","error":{"code":468,"reason":"Session ID already in use"}}`
	create := []byte(`{"janus":"create","transaction":"x"}`)
	t.Run("until one is free", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			c, to := r.connect()
			r.serve(c, create)
			for range 3 {
				p := r.bus.take()[0]
				expect(t, "body", p.body, string(create))
				r.answers(p, 1, conflict)
			}
			p := r.bus.take()[0]
			expect(t, "subject", p.subject, "janus.session.10.1034")
			r.answers(p, 1, `{"janus":"success","transaction":"x","data":{"id":1034}}`)
			expect(t, "answer", strings.Join(to.take(), " "), `{"janus":"success","transaction":"x","data":{"id":1034}}`)
			expect(t, "requests in flight", r.waiting.Load(), 0)
		})
	})
	t.Run("not for ever", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			c, to := r.connect()
			r.serve(c, create)
			n := 0
			for sent := r.bus.take(); len(sent) > 0; sent = r.bus.take() {
				n++
				r.answers(sent[0], 1, conflict)
			}
			expect(t, "publications", n, 1+maxRedraws)
			expect(t, "answer", strings.Join(to.take(), " "), conflict)
		})
	})
	t.Run("not for an id of the client's", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			c, to := r.connect()
			r.serve(c, []byte(`{"janus":"create","transaction":"x","id":5}`))
			p := r.bus.take()[0]
			expect(t, "subject", p.subject, "janus.session.5.5")
			r.answers(p, 1, conflict)
			expect(t, "answer", strings.Join(to.take(), " "), conflict)
			expect(t, "further publications", len(r.bus.take()), 0)
		})
	})
	t.Run("behind a closed connection", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			c, _ := r.connect()
			r.serve(c, create)
			p := r.bus.take()[0]
			r.close(c)
			expect(t, "after the close", bodies(r.bus.take()), "gone")
			r.answers(p, 1, conflict)
			expect(t, "after the conflict", bodies(r.bus.take()), "")
		})
	})
}

// TestAsk is a new owner that wants to know what the edge holds.
func TestAsk(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		const sessions = 2*maxHolding + 1
		c, _ := r.connect()
		user, _ := r.connect()
		own := func(c *connection, session uint64) {
			r.serve(c, fmt.Appendf(nil, `{"janus":"claim","session_id":%d,"transaction":"t"}`, session))
			r.answers(r.bus.take()[0], 1, `{"janus":"success"}`)
		}
		for i := range uint64(sessions) {
			own(c, 3+i*messages.Partitions)
		}
		own(c, 4) // of another partition
		r.serve(user, keepalive(3, "waits"))
		r.serve(user, keepalive(4, "waits elsewhere"))
		r.bus.take()
		var partitions messages.PartitionSet
		partitions.Add(3)
		asked := messages.Ask{
			Node: messages.Member{Name: "n2", Inc: "2"}, Epoch: messages.Epoch{Number: 9, Node: "n2"}, Partitions: partitions,
		}
		data, _ := json.Marshal(asked)
		r.receive(&bus.Msg{Subject: "janus.edge.e1~inc.ask", Reply: "janus.node.n2~2.answer.1", Data: data})
		expect(t, "fence", r.partitions[3].seen(), asked.Epoch)
		synctest.Wait()
		sent := r.bus.take()
		expect(t, "publications", len(sent), 4)
		seen := map[uint64]messages.HoldingSession{}
		for i, p := range sent[:3] {
			var h messages.Holding
			if err := json.Unmarshal([]byte(p.body), &h); err != nil {
				t.Fatal(err)
			}
			expect(t, "subject", p.subject, "janus.node.n2~2.answer.1")
			expect(t, "from", h.From, r.member)
			expect(t, "last", h.Last, i == 2)
			for _, s := range h.Sessions {
				seen[s.Session] = s
			}
		}
		expect(t, "sessions", len(seen), sessions)
		expect(t, "connections of the first", len(seen[3].Connections), 2)
		for _, x := range seen[3].Connections {
			expect(t, "owned", x.Owner != 0, x.Connection == c.number)
		}
		expect(t, "repeated", bodies(sent[3:]), "waits.r")

		asked.Epoch.Number = 8
		data, _ = json.Marshal(asked)
		r.receive(&bus.Msg{Subject: "janus.edge.e1~inc.ask", Reply: "janus.node.n1~1.answer.1", Data: data})
		synctest.Wait()
		var h messages.Holding
		_ = json.Unmarshal([]byte(r.bus.take()[0].body), &h)
		expect(t, "refused", h.Refused, messages.Epoch{Number: 9, Node: "n2"})
	})
}
