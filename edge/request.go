// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// serve takes in one message of a client: the JSON texts in it, in order, as Janus does. frame is the caller's again on
// return.
func (e *Edge) serve(c *connection, frame []byte) {
	var m janusjson.Message
	err := e.scan(frame, &m)
	if err == nil {
		e.request(c, &m)
		return
	}
	var texts [][]byte
	if errors.Is(err, janusjson.ErrOdd) {
		texts, err = janusjson.Decode(frame, e.opts.Quirks)
	}
	if err != nil {
		e.refuseFrame(c, err)
		return
	}
	for _, text := range texts {
		if err := janusjson.Scan(text, &m); err != nil {
			e.refuseFrame(c, err)
			return
		}
		e.request(c, &m)
	}
}

// scan is janusjson.Scan, but sends what the configured quirks may forbid to Decode.
func (e *Edge) scan(frame []byte, m *janusjson.Message) error {
	if n := len(frame); e.opts.Quirks.TrailingSpaceBroken && n > 0 && frame[n-1] <= ' ' {
		return janusjson.ErrOdd
	}
	return janusjson.Scan(frame, m)
}

// request judges one request in the order of janus_process_incoming_request (src/janus.c), up to where the session is
// looked up: that and all behind it is its owner's business.
func (e *Edge) request(c *connection, m *janusjson.Message) {
	session, _ := m.Uint(janusjson.KeySessionID)
	handle, _ := m.Uint(janusjson.KeyHandleID)
	reply := messages.Reply{Session: session}
	if err := malformed(m); err != nil {
		e.refuse(c, reply, err)
		return
	}
	reply.Transaction = m.Bytes(janusjson.KeyTransaction)
	verb := m.Verb()
	e.metrics.requests[verb].Inc()
	switch kind := m.Kind(janusjson.KeyHandleID); {
	case session == 0 && handle == 0:
		e.sessionless(c, verb, reply, m)
	case session == 0:
		e.refuse(c, reply, messages.Errorf(messages.CodeSessionNotFound, "Session not found"))
	case handle == 0 && kind != janusjson.KindAbsent && kind != janusjson.KindNull:
		e.refuse(c, reply, messages.Errorf(messages.CodeHandleNotFound, "Handle not found"))
	case !e.guard.Admits(m):
		e.turnAway(c, reply, m)
	case verb == janusjson.VerbAttach && !e.guard.MayAttach(m):
		e.forward(e.deniedAttach(c, session, m), reply)
	default:
		e.forward(newRequest(c, session, verb, m), reply)
	}
}

// malformed checks what every request must have (incoming_request_parameters of src/janus.c).
func malformed(m *janusjson.Message) *messages.Error {
	for _, key := range [...]janusjson.Key{janusjson.KeyTransaction, janusjson.KeyJanus} {
		switch m.Kind(key) {
		case janusjson.KindString:
		case janusjson.KindAbsent:
			return messages.ErrMissing(key.String())
		default:
			return messages.ErrElementType(key.String(), "a string")
		}
	}
	if id, ok := m.Int(janusjson.KeyID); m.Has(janusjson.KeyID) && (!ok || id < 0) {
		return messages.ErrElementType("id", "a positive integer")
	}
	return nil
}

// sessionless serves a request that names neither session nor handle.
func (e *Edge) sessionless(c *connection, verb janusjson.Verb, reply messages.Reply, m *janusjson.Message) {
	switch verb {
	case janusjson.VerbInfo:
		e.say(c, e.info.append(nil, reply.Transaction))
	case janusjson.VerbPing:
		e.say(c, reply.Append(nil, "pong"))
	case janusjson.VerbCreate:
		if !e.guard.Admits(m) {
			e.turnAway(c, reply, m)
			return
		}
		session, _ := m.Uint(janusjson.KeyID)
		drawn := session == 0
		if drawn {
			session = e.draw()
		}
		r := newRequest(c, session, verb, m)
		r.drawn = drawn
		e.forward(r, reply)
	default:
		text, _ := m.Text(janusjson.KeyJanus)
		e.refuse(c, reply, messages.ErrUnhandled(text))
	}
}

// newRequest keeps a request: it is the one copy made of it.
func newRequest(c *connection, session uint64, verb janusjson.Verb, m *janusjson.Message) *request {
	return &request{conn: c, session: session, verb: verb, body: bytes.Clone(m.Raw())}
}

// forward sends a request to the owner of its session, or refuses it.
func (e *Edge) forward(r *request, reply messages.Reply) {
	if !e.send(r) {
		// At once: an answer that waits takes memory, too.
		e.metrics.refused(messages.CodeUnknown)
		e.write(r.conn, reply.AppendError(nil, messages.Errorf(messages.CodeUnknown, "Too many requests in flight")))
	}
}

// send numbers a request, keeps it and publishes it, unless it has to wait behind others. It reports false when the
// connection, or all together, have too much in flight.
func (e *Edge) send(r *request) bool {
	if !e.admit(r) {
		e.metrics.drop(dropBusy)
		return false
	}
	e.waiting.Add(1)
	if r.isPoll() {
		e.polls.Add(1)
	}
	p := &e.partitions[messages.PartitionOf(r.session)]
	publish := p.add(r, e.now())
	e.repeater.watch()
	if publish {
		e.publish(p, repeat{request: r})
	}
	return true
}

// admit counts a request in, unless there is too much in flight; release counts it out.
func (e *Edge) admit(r *request) bool {
	size := int64(r.size())
	if e.bytes.Add(size) > int64(e.opts.MaxInFlight) {
		e.bytes.Add(-size)
		return false
	}
	i := r.conn.inbox()
	if i != nil && !i.api.admit(r) {
		e.bytes.Add(-size)
		return false
	}
	if !r.conn.admit(r, e.opts.MaxConnectionInFlight) {
		e.bytes.Add(-size)
		if i != nil {
			i.api.release(r)
		}
		return false
	}
	return true
}

// identity is what a request is known by, as it is published first.
func (e *Edge) identity(r *request) messages.Identity {
	identity := messages.Identity{
		Edge: e.member, Connection: r.conn.number, Polling: r.conn.polling, Session: r.session, N: r.n,
	}
	if i := r.conn.inbox(); i != nil && r.opens() {
		identity.Inbox = i.subject
	}
	return identity
}

// publish hands a request to the bus, under its identity. It reports false when the bus does not take it, which leaves it
// to the repeater.
func (e *Edge) publish(p *partition, x repeat) bool {
	identity := e.identity(x.request)
	identity.Repeat = x.again
	err := e.bus.Publish(x.subject(), identity.String(), x.body)
	switch {
	case errors.Is(err, bus.ErrTooLarge):
		e.tooLarge(p, x.request)
		return true
	case err != nil:
		p.unpublished(x.request)
		return false
	}
	if x.again {
		e.metrics.repeats.Inc()
	}
	e.follow(x.request)
	return true
}

// follow tells the owner that a connection closed while its request was on the way there: the owner must hear of that
// after the request.
func (e *Edge) follow(r *request) {
	switch {
	case !r.isPoll() && (r.conn.polling || !r.opens()):
	case !r.conn.isClosed():
	case r.isPoll():
		e.repeater.gone(gone{session: r.session, connection: r.conn.number, poll: r.n})
	default:
		e.repeater.gone(gone{session: r.session, connection: r.conn.number})
	}
}

// tooLarge answers a request that NATS does not take.
func (e *Edge) tooLarge(p *partition, r *request) {
	if r, _ := p.take(r.conn.number, r.session, r.n); r != nil {
		e.release(r)
		e.fail(r, messages.Errorf(messages.CodeUnknown, "Request too large (%d bytes)", len(r.body)))
	}
}

// expire answers a request whose time is up: a long poll as its owner should have. What is answered to it later is dropped.
func (e *Edge) expire(r *request) {
	e.release(r)
	if r.isPoll() {
		e.repeater.gone(gone{session: r.session, connection: r.conn.number, poll: r.n}) // an owner that got it late still has it
		e.write(r.conn, keepaliveOf(r.poll))
		return
	}
	e.repeater.gone(gone{session: r.session, connection: r.conn.number, expired: e.identity(r).String()}) // nobody is to run it now
	e.metrics.drop(dropDeadline)
	e.log.Debug("request timed out", "session", r.session, "verb", r.verb.String(), "published", r.published)
	e.fail(r, messages.Errorf(messages.CodeUnknown, "Request timed out (no answer within %v)", r.conn.patience))
}

func (e *Edge) release(r *request) {
	r.conn.release(r)
	if i := r.conn.inbox(); i != nil {
		i.api.release(r)
	}
	e.bytes.Add(-int64(r.size()))
	e.waiting.Add(-1)
	if r.isPoll() {
		e.polls.Add(-1)
	}
}

// refuse answers a request that goes nowhere with an error.
func (e *Edge) refuse(c *connection, reply messages.Reply, err *messages.Error) {
	e.metrics.refused(err.Code)
	e.say(c, reply.AppendError(nil, err))
}

// fail answers a request that was on its way with an error.
func (e *Edge) fail(r *request, err *messages.Error) {
	e.metrics.refused(err.Code)
	e.write(r.conn, r.reply().AppendError(nil, err))
	e.passOn(r)
}

// refuseFrame answers a message that is not JSON. Where jansson broke a character while quoting the message, Janus has no
// reason to give, and neither have we.
func (e *Edge) refuseFrame(c *connection, err error) {
	var syntax *janusjson.SyntaxError
	if errors.As(err, &syntax) {
		reason, ok := syntax.Reason()
		if ok {
			e.refuse(c, messages.Reply{}, &messages.Error{Code: messages.CodeInvalidJSON, Reason: reason})
			return
		}
		e.metrics.refused(messages.CodeInvalidJSON)
		e.say(c, fmt.Appendf(nil, `{"janus":"error","error":{"code":%d}}`, messages.CodeInvalidJSON))
		return
	}
	e.refuse(c, messages.Reply{}, messages.Errorf(messages.CodeInvalidJSON, "Invalid Janus API request - more than %d JSON texts", janusjson.MaxTexts))
}

func errUnauthorized() *messages.Error {
	return messages.Errorf(messages.CodeUnauthorized, "Unauthorized request (wrong or missing secret/token)")
}

// write sends a text to a client. It reports false, and counts, what a client misses that closed or does not read.
func (e *Edge) write(c *connection, text []byte) bool {
	err := c.client.Send(text)
	if err != nil {
		e.metrics.drop(dropClient)
	}
	return err == nil
}
