// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// receive takes in what is published for this edge: replies and events of owners, the answer that nobody received a
// request, and the question of a new owner. It runs on the bus's goroutine, or on an owner's in this process.
func (e *Edge) receive(m *bus.Msg) {
	switch m.Subject {
	case e.controls.ask:
		e.asked(m)
		return
	case e.controls.resend:
		e.askedAgain(m)
		return
	case e.controls.drain:
		e.takeOrder(m)
		return
	}
	s, err := messages.ParseEdgeSubject(m.Subject)
	if m.NoResponders {
		if err == nil && !s.Event { // else nobody received that a transport closed: whoever owns the session next will ask
			e.unserved(s)
		}
		return
	}
	if err != nil {
		e.malformed(m, err)
		return
	}
	d, err := messages.ParseDelivery(m.Reply)
	if err != nil {
		e.malformed(m, err)
		return
	}
	stale, news := e.partitions[d.Partition].hear(d.Epoch)
	switch {
	case stale:
		e.metrics.drop(dropEpoch)
	case s.Event:
		e.event(s.Connection, &d, m.Data)
	default:
		e.answer(s, &d, m.Data)
	}
	if news {
		e.repeater.repeatOne(d.Partition)
	}
}

func (e *Edge) malformed(m *bus.Msg, err error) {
	e.metrics.drop(dropMalformed)
	e.log.Warn("message not understood", "subject", m.Subject, "error", err)
}

// answer passes the reply to a request on to the client that asked. A second reply, or one that comes too late, finds no
// request.
func (e *Edge) answer(s messages.EdgeSubject, d *messages.Delivery, data []byte) {
	partition := messages.PartitionOf(s.Session)
	r, held := e.partitions[partition].take(s.Connection, s.Session, s.N)
	if held {
		// Somebody takes requests again.
		e.repeater.repeatOne(partition)
	}
	if r == nil {
		e.metrics.drop(dropLate)
		e.late(s, d)
		return
	}
	r.conn.receives(d)
	if r.isPoll() && endedSession(data) && e.keepWaiting(r) {
		return
	}
	if r.refusal != nil && !faulty(data) {
		e.release(r)
		e.fail(r, r.refusal)
		return
	}
	var conflict bool
	switch r.verb {
	case janusjson.VerbCreate, janusjson.VerbClaim, janusjson.VerbDestroy:
		conflict = e.settle(r, data)
	}
	if r.isPoll() {
		e.history.answering(r.conn.number, d)
	} else { // to a claim: what was written already, by the edge before
		for origin := range messages.Origins(d.Origin) {
			r.conn.hears(r.session, origin)
		}
	}
	e.release(r)
	if conflict && r.drawn && e.redraw(r) {
		return
	}
	if e.write(r.conn, data) && !r.isPoll() {
		e.wrote(r.conn, d)
	}
	e.passOn(r)
}

// late tells the owner what became of an answer that nobody waits for. A poll's comes again where the owner does not hear that it was
// written; and for a poll that NATS kept back until its client had left, it comes though nobody is there to take it.
func (e *Edge) late(s messages.EdgeSubject, d *messages.Delivery) {
	if c := e.connections.find(s.Connection); c != nil {
		c.receives(d)
		e.wrote(c, d)
		return
	}
	if !s.Polling || d.Seq == 0 {
		return
	}
	switch reach, known := e.history.reachOf(s.Session, s.Connection); {
	case !known, reach.Received < d.Seq: // it had another answer
		e.repeater.gone(gone{session: s.Session, connection: s.Connection, poll: s.N})
	case reach.Written > 0:
		e.acks.tellAgain(reach)
	}
}

// settle notes what the answer to a request makes of the connection's ownership of the session. It reports whether the
// session id was taken.
func (e *Edge) settle(r *request, data []byte) (conflict bool) {
	var m janusjson.Message
	if janusjson.Scan(data, &m) != nil {
		return false
	}
	if m.Verb() != janusjson.VerbSuccess {
		return codeOf(&m) == messages.CodeSessionConflict
	}
	var since int64
	if r.opens() {
		since = time.Now().UnixMilli()
	}
	if closed := r.conn.own(r.session, since); closed && r.opens() && !r.conn.polling {
		e.repeater.gone(gone{session: r.session, connection: r.conn.number})
	}
	return false
}

// codeOf is the code of an answer that is an error, 0 of any other.
func codeOf(m *janusjson.Message) messages.Code {
	failure, _ := m.Object(janusjson.KeyError)
	code, _ := failure.Get("code").Int()
	return messages.Code(code)
}

// maxRedraws bounds how often another id is drawn for a new session whose id was taken.
const maxRedraws = 5

// redraw sends a create again, for another session id.
func (e *Edge) redraw(taken *request) bool {
	if taken.redraws == maxRedraws {
		return false
	}
	e.metrics.redraws.Inc()
	return e.send(&request{
		conn: taken.conn, session: e.draw(), verb: taken.verb, body: taken.body,
		drawn: true, redraws: taken.redraws + 1, turn: taken.turn,
	})
}

// event passes on what a session has to say of its own accord.
func (e *Edge) event(connection uint64, d *messages.Delivery, data []byte) {
	c := e.connections.find(connection)
	if c == nil {
		e.metrics.drop(dropClient)
		return
	}
	session := d.Session
	switch came := c.receives(d); {
	case came == early:
		e.metrics.drop(dropEarly)
		return
	case came == doubled, d.Origin != "" && !c.hears(session, d.Origin):
		e.metrics.drop(dropDoubled)
		e.wrote(c, d)
		return
	}
	if bytes.HasPrefix(data, []byte(`{"janus":"timeout"`)) { // as messages.AppendNotice writes it: the session is over
		c.own(session, 0)
	}
	e.metrics.events.Inc()
	if e.write(c, data) {
		e.wrote(c, d)
	}
}

// unserved notes that nobody received a request.
func (e *Edge) unserved(s messages.EdgeSubject) {
	partition := messages.PartitionOf(s.Session)
	if e.partitions[partition].unserved(s.Connection, s.Session, s.N) {
		e.metrics.unserved.Inc()
		e.repeater.unserved(partition)
	}
}

// asked installs the fence of a new owner; the repeater answers it.
func (e *Edge) asked(m *bus.Msg) {
	if m.NoResponders {
		return
	}
	a := ask{reply: m.Reply}
	if err := json.Unmarshal(m.Data, &a.Ask); err != nil {
		e.malformed(m, err)
		return
	}
	for p := range a.Partitions.All() {
		if stale, _ := e.partitions[p].hear(a.Epoch); stale {
			if seen := e.partitions[p].seen(); a.refused.Less(seen) {
				a.refused = seen
			}
			continue
		}
		e.partitions[p].lose()
	}
	if !e.repeater.ask(a) {
		e.metrics.drop(dropAsk)
		e.log.Warn("ask not answered: too many at once", "node", a.Node.String())
	}
}
