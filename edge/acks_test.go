// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/roster"
)

// slow is a client whose texts wait for room.
type slow struct {
	remembering
	queued, taken atomic.Uint64
}

func (s *slow) Send(text []byte) error {
	s.queued.Add(uint64(len(text)))
	return s.remembering.Send(text)
}

func (s *slow) Progress() (queued, taken uint64) { return s.queued.Load(), s.taken.Load() }

// owned has all partitions owned by one node, which falls silent when that is set.
func (r *rig) owned() (silent *atomic.Bool) {
	silent = new(atomic.Bool)
	r.owner = func(int) (roster.Owner, bool) {
		return roster.Owner{Node: messages.Member{Name: "n1", Inc: "i"}, Silent: silent.Load()}, true
	}
	return silent
}

// says delivers an event of an owner with this epoch.
func (r *rig) says(c *connection, epoch, seq, behind uint64, text string) {
	d := messages.Delivery{
		Partition: messages.PartitionOf(session), Session: session, Epoch: messages.Epoch{Number: epoch, Node: "n1"}, Seq: seq, Behind: behind,
	}
	to := messages.Transport{Edge: r.member, Connection: c.number}
	r.receive(&bus.Msg{Subject: to.EventSubject(), Reply: d.String(), Data: []byte(text)})
}

// acknowledged is what was told to owners since the last look, as "<seq received>/<seq written>".
func (r *rig) acknowledged(t *testing.T) string {
	t.Helper()
	var all []string
	for _, p := range r.bus.take() {
		if p.subject != "janus.node.n1~i.written" {
			continue
		}
		if !messages.EachWritten([]byte(p.body), func(w messages.Written) { all = append(all, fmt.Sprintf("%d/%d", w.Received, w.Written)) }) {
			t.Errorf("published %s", p.body)
		}
	}
	return strings.Join(all, " ")
}

// using is a connection that created the session.
func (r *rig) using(to client) *connection {
	c := r.open(to, r.numbers.Add(1), r.opts.Deadline)
	r.serve(c, []byte(`{"janus":"create","transaction":"c"}`))
	r.answers(r.bus.take()[0], 1, `{"janus":"success","transaction":"c","data":{"id":1031}}`)
	return c
}

// TestAcknowledge are deliveries that are acknowledged: together, once, and none that is missing.
func TestAcknowledge(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		r.owned()
		to := new(remembering)
		c := r.using(to)
		to.take()
		r.says(c, 1, 1, 0, "a")
		r.says(c, 1, 2, 1, "b")
		after(2 * ackInterval)
		expect(t, "acknowledged", r.acknowledged(t), "2/2")
		after(time.Second)
		expect(t, "acknowledged again", r.acknowledged(t), "")
		r.says(c, 1, 4, 1, "d") // the third got lost
		after(2 * ackInterval)
		expect(t, "acknowledged early", r.acknowledged(t), "")
		r.says(c, 1, 2, 0, "b") // its owner missed the acknowledgement
		r.says(c, 1, 3, 1, "c")
		r.says(c, 1, 4, 2, "d")
		after(2 * ackInterval)
		expect(t, "acknowledged late", r.acknowledged(t), "4/4")
		r.says(c, 1, 9, 0, "i") // the others were for another transport, or given up
		r.says(c, 2, 1, 0, "of the next owner")
		after(2 * ackInterval)
		expect(t, "acknowledged to the next owner", r.acknowledged(t), "1/1")
		expect(t, "texts", strings.Join(to.take(), " "), "a b c d i of the next owner")
	})
}

// TestAcknowledgeReplies are replies among the events: one that nobody waits for counts as well.
func TestAcknowledgeReplies(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		r.owned()
		c := r.using(new(remembering))
		r.serve(c, keepalive(session, "k"))
		identity := r.bus.take()[0].reply
		for range 2 {
			d := messages.Delivery{Partition: messages.PartitionOf(session), Session: session, Epoch: messages.Epoch{Number: 1, Node: "n1"}, Seq: 1}
			r.receive(&bus.Msg{Subject: identity, Reply: d.String(), Data: []byte(`{"janus":"ack"}`)})
			after(2 * ackInterval)
			expect(t, "acknowledged", r.acknowledged(t), "1/1")
		}
	})
}

// TestAcknowledgeWhenWritten is a client that does not read: what waits for room was received, and is not written.
func TestAcknowledgeWhenWritten(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		r.owned()
		to := new(slow)
		c := r.using(to)
		to.taken.Store(to.queued.Load())
		r.says(c, 1, 1, 0, "first")
		half := to.queued.Load()
		after(2 * ackInterval)
		expect(t, "acknowledged", r.acknowledged(t), "1/0")
		r.says(c, 1, 2, 1, "second")
		after(time.Second)
		expect(t, "acknowledged meanwhile", r.acknowledged(t), "")
		to.taken.Store(half)
		after(2 * ackInterval)
		expect(t, "acknowledged when half was taken", r.acknowledged(t), "1/1 2/0")
		r.close(c)
		sent := r.bus.take()
		expect(t, "told at the end", sent[len(sent)-1].body, "")
		expect(t, "remembered", len(r.history.notes), 0)
		after(time.Second)
		expect(t, "acknowledged at last", r.acknowledged(t), "")
	})
}

// TestAcknowledgeAgain is an owner that is silent, and a bus that takes nothing: it is told later.
func TestAcknowledgeAgain(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		silent := r.owned()
		var down atomic.Bool
		r.bus.answer = func(published) error {
			if down.Load() {
				return errDown
			}
			return nil
		}
		c := r.using(new(remembering))
		silent.Store(true)
		r.says(c, 1, 1, 0, "a")
		after(time.Second)
		expect(t, "told a silent owner", r.acknowledged(t), "")
		down.Store(true)
		silent.Store(false)
		after(time.Second)
		down.Store(false)
		after(2 * ackInterval)
		expect(t, "told in the end", r.acknowledged(t), "1/1")
		r.busChanged(true)
		after(2 * ackInterval)
		expect(t, "told again after a lost connection", r.acknowledged(t), "1/1")
	})
}

// TestWrittenBeforeTheEnd is a connection that closes: its owner hears with that what was written, and the next owner, too.
func TestWrittenBeforeTheEnd(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		r.owned()
		c := r.using(new(remembering))
		d := messages.Delivery{
			Partition: messages.PartitionOf(session), Session: session, Epoch: messages.Epoch{Number: 1, Node: "n1"}, Seq: 1, Origin: "janus-a~1.7",
		}
		to := messages.Transport{Edge: r.member, Connection: c.number}
		r.receive(&bus.Msg{Subject: to.EventSubject(), Reply: d.String(), Data: []byte("a")})
		r.close(c)
		sent := r.bus.take()
		expect(t, "told", sent[0].body, string(messages.Written{Session: session, Epoch: 1, Received: 1, Written: 1}.Append(nil)))
		held := r.holding(messages.AllPartitions())
		if len(held) != 1 || held[0].Session != session || len(held[0].Connections) != 0 || strings.Join(held[0].Written, " ") != "janus-a~1.7" {
			t.Errorf("a new owner hears %+v", held)
		}
		after(historyTime + time.Second)
		expect(t, "heard later", len(r.holding(messages.AllPartitions())), 0)
	})
}

// TestWrittenToPolls are answers to long polls: they are acknowledged when they are written, and a new owner hears of them.
func TestWrittenToPolls(t *testing.T) {
	answer := func(r *rig, p published) {
		d := messages.Delivery{
			Partition: messages.PartitionOf(session), Session: session, Epoch: messages.Epoch{Number: 1, Node: "n1"}, Seq: 5, Origin: "janus-a~1.7,janus-b~1.9",
		}
		r.receive(&bus.Msg{Subject: p.reply, Reply: d.String(), Data: []byte(`{"janus":"event"}`)})
		synctest.Wait()
	}
	written := func(r *rig) string {
		var all []string
		for _, h := range r.holding(messages.AllPartitions()) {
			all = append(all, h.Written...)
		}
		return strings.Join(all, " ")
	}
	t.Run("taken", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			r.owned()
			c := pollAt(r, "?maxev=5")
			answer(r, r.bus.take()[0])
			expect(t, "answer", c.over(), `200 {"janus":"event"}`)
			after(2 * ackInterval)
			expect(t, "acknowledged", r.acknowledged(t), "5/5")
			expect(t, "a new owner hears", written(r), "janus-a~1.7,janus-b~1.9")
		})
	})
	t.Run("not taken", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			r.owned()
			c := r.openPolling(new(remembering), pollPatience)
			r.poll(c, session, 5)
			answer(r, r.bus.take()[0])
			r.polled(c, false)
			expect(t, "published", sentTo(r.bus.take()), "unpoll.1 from h1.1031.1")
			after(time.Second)
			expect(t, "acknowledged", r.acknowledged(t), "")
			expect(t, "a new owner hears", written(r), "")
		})
	})
}

// TestHistoryIsBounded holds what is remembered of what was written.
func TestHistoryIsBounded(t *testing.T) {
	var h history
	for n := range uint64(maxHistory + 10) {
		h.add(n, 1, "janus-a~1.7")
	}
	expect(t, "notes", len(h.notes), maxHistory)
	expect(t, "bytes", h.bytes, maxHistory*len("janus-a~1.7"))
	h.add(1, 1, strings.Repeat("x", maxHistoryBytes))
	expect(t, "notes beside a long one", len(h.notes), 1)
	h.revoke(1, 1)
	expect(t, "bytes in the end", h.bytes, 0)
}
