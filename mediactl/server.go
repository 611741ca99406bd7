// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/januscloud/januscloud/mediactl/janusapi"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/wheel"
)

// world is what the actor acts upon, besides its Janus. Nothing in it blocks.
type world interface {
	// publish sends to a subject of the bus. The data is the bus's from then on.
	publish(subject, reply string, data []byte) error
	// tell sends a message to the actor itself.
	tell(message any)
	// dial asks for a new connection to Janus. Any number of dialFailed may follow, then one dialled.
	dial()
	// beat makes the next heartbeat go out at once.
	beat()
	// restart ends and starts Janus, if that is ours to do.
	restart()
	// asleep reports whether the process was kept from running and has not taken a new incarnation since.
	asleep() bool
	// renewed is the new incarnation after that, which messages are received for from now on; ok is false when another process has
	// the name.
	renewed() (m messages.Member, ok bool)
}

// server is the actor beside one Janus.
type server struct {
	world
	wheel   *wheel.Wheel
	log     *slog.Logger
	metrics *metrics
	status  *status
	member  messages.Member
	names   names
	origin  string // the first incarnation, which numbers the events
	secret  []byte // towards Janus, as a JSON string; nil: none
	cap     int    // on handles, as configured; see maxHandles

	mapping
	connection
	fence       fence
	flight      inFlight
	memory      *memory
	undelivered undelivered
	now         time.Time // of the last tick
	seq         uint64    // of the last event
	stopped     bool
	idle        chan<- struct{} // closed when nothing is in flight, for who wants to stop
	answered    time.Time       // when nothing was in flight any more
	idleTimer   wheel.Timer

	// Scratch, valid while one message is handled.
	in   janusjson.Message // of the bus
	said janusjson.Message // of Janus
	text []byte            // to Janus
	own  []byte            // the transaction of said, without our prefix
}

// names are texts that are made of the member over and over.
type names struct{ ask, adopt, info string }

func namesOf(m messages.Member) names {
	return names{
		ask: messages.MediaAsk(m), adopt: messages.MediaAdopt(m), info: messages.MediaInfo(m),
	}
}

// query is a request of an owner. It points into the server's scratch.
type query struct {
	*janusjson.Message
	msg      *bus.Msg
	verb     janusjson.Verb
	session  uint64
	handle   uint64
	identity string // in its first form
	repeat   bool
}

// The errors that the media server makes itself. Their code is Janus's for "unknown error"; an owner that is refused an
// attach chooses another server.
var (
	errLost     = messages.Errorf(messages.CodeUnknown, "Media server lost")
	errOutcome  = messages.Errorf(messages.CodeUnknown, "Outcome unknown: the media server was restarted or has forgotten")
	errBroken   = messages.Errorf(messages.CodeUnknown, "Outcome unknown: the connection to Janus broke")
	errLate     = messages.Errorf(messages.CodeUnknown, "Media server did not answer in time")
	errBusy     = messages.Errorf(messages.CodeUnknown, "Media server is busy")
	errTooLarge = messages.Errorf(messages.CodeUnknown, "Reply is too large")
	errInternal = messages.Errorf(messages.CodeUnknown, "Internal error of the media server")
	errNoJanus  = messages.Errorf(messages.CodePluginAttach, "Couldn't attach to plugin: media server has lost its Janus")
	errFull     = messages.Errorf(messages.CodePluginAttach, "Couldn't attach to plugin: media server is full")
)

// Receive handles one message; janus.go and mailbox.go tell who sends what.
func (s *server) Receive(ctx actor.Context) { s.receive(ctx.Message()) }

func (s *server) receive(message any) {
	if s.stopped {
		return
	}
	switch m := message.(type) {
	case *bus.Msg:
		if s.asleep() {
			s.metrics.drop("asleep") // whoever asked may have been told long ago that nobody answers
			return
		}
		s.fromBus(m)
	case woken:
		s.renew(time.Now())
	case *received:
		s.fromJanus(m)
	case begin:
		s.start(time.Now())
	case dialled:
		s.onDialled(m.link)
	case dialFailed:
		s.onDialFailed(m.err)
	case closed:
		s.onClosed(m.link, m.err)
	case tick:
		s.onTick(time.Now())
	case busBack:
		s.undelivered.hurry(s.now)
		s.tellLasts(s.now)
	case hopeOver:
		s.onHopeOver()
	case keepaliveDue:
		s.onKeepaliveDue(m.session, time.Now())
	case evict:
		s.evict()
	case quiesce:
		s.idle = m.done
		s.checkIdle()
	case idleDue:
		s.checkIdle()
	case stop:
		s.stop()
		close(m.done)
	}
}

// fromBus takes a message to this media server.
func (s *server) fromBus(m *bus.Msg) {
	switch {
	case m.NoResponders:
		s.metrics.drop("no_responders")
	case m.Subject == s.names.ask:
		s.ask(m)
	case m.Subject == s.names.adopt:
		s.adopt(m)
	case m.Subject == s.names.info:
		s.askInfo(m)
	case messages.IsMediaReplay(m.Subject):
		s.replay(m)
	case messages.IsMediaAcked(m.Subject):
		s.acked(m)
	default:
		s.request(m)
	}
}

// request handles a request of an owner: who may not send any more is refused, what cannot be run now waits, and the rest
// goes by its verb.
func (s *server) request(m *bus.Msg) {
	to, err := messages.ParseMediaSubject(m.Subject)
	if err != nil || to.Server != s.member || to.Session == 0 || to.Partition != messages.PartitionOf(to.Session) {
		s.metrics.drop("malformed")
		return
	}
	identity, repeat := messages.CutRepeat(m.Reply)
	if highest, ok := s.fence.admit(to.Partition, to.Epoch); !ok {
		s.refuse(to, identity, highest)
		return
	}
	if s.mayReturn() {
		s.hold(m)
		return
	}
	q := query{Message: &s.in, msg: m, session: to.Session, handle: to.Handle, identity: identity, repeat: repeat}
	if janusjson.Scan(m.Data, &s.in) != nil || s.in.Kind(janusjson.KeyTransaction) != janusjson.KindString {
		s.answer(&q, messages.Errorf(messages.CodeInvalidJSON, "Invalid Janus API request"), "malformed")
		return
	}
	switch q.verb = s.in.Verb(); q.verb {
	case janusjson.VerbMessage, janusjson.VerbTrickle, janusjson.VerbHangup, janusjson.VerbDetach, janusjson.VerbKeepalive:
		s.pass(&q)
	case janusjson.VerbAttach:
		s.attach(&q)
	case janusjson.VerbDestroy:
		s.destroy(&q)
	default:
		s.answer(&q, messages.ErrUnknownRequest(q.verb.String()), "verb")
	}
}

// pass runs a request for a handle, unless it ran already.
func (s *server) pass(q *query) {
	var key uint64
	h := s.ours[handleKey{q.session, q.handle}]
	if remembered(q.identity) {
		key = s.memory.keyOf(q.identity)
		if s.absorb(q, h, key) {
			return
		}
	}
	switch {
	case h == nil:
		s.missing(q)
	case h.janus == 0:
		s.wait(&h.waiting, q)
	default:
		s.send(q, h, key)
	}
}

// missing answers a request for a handle that is not here. Its owner may not have heard of that yet; should nobody have told him, he
// is told now, or he would send requests here for ever.
func (s *server) missing(q *query) {
	e := messages.ErrHandleNotFound(q.handle, q.session)
	if s.sessions[q.session] == nil {
		e = errLost // to the client the handle lives on
	}
	s.answer(q, e, "handle")
	if remembered(q.identity) {
		s.tellOwner(q.session, messages.Adopted{From: s.member, Missing: []uint64{q.handle}})
	}
}

// remembered tells whether an identity stands for one request for ever: those that edges draw do. What an owner asks of
// its own accord (attach, detach, destroy, kept candidates) may come again under the same identity and mean it.
func remembered(identity string) bool { return strings.HasPrefix(identity, "janus.edge.") }

// absorb deals with a request that came before: it reports true when nothing is left to be done.
func (s *server) absorb(q *query, h *handle, key uint64) bool {
	if s.memory.runs(key, q.identity) {
		s.metrics.absorbed.Inc()
		return true
	}
	if reply := s.memory.reply(key, q.identity); reply != nil {
		s.metrics.absorbed.Inc()
		s.reply(q.session, q.handle, q.identity, reply)
		return true
	}
	if q.verb != janusjson.VerbMessage {
		return false // all others may be run twice without harm
	}
	x := s.sessions[q.session]
	switch {
	case h != nil && !q.repeat && s.memory.young(s.now):
		h.heard.note(s.memory, q.identity)
	case q.repeat && s.memory.blind(s.now, x != nil && x.first || h != nil && h.heard.before(s.memory, q.identity)):
		// Nor is it run later: its first try may still be on the way.
		s.memory.keep(key, q.identity, s.answer(q, errOutcome, "outcome"), s.now)
		return true
	}
	return false
}

// send gives a request to Janus: the client's bytes with other ids, another transaction, and our secret instead of its own.
func (s *server) send(q *query, h *handle, key uint64) {
	r := s.open(q)
	if r == nil {
		return
	}
	var ids [2][24]byte
	var prefixed [64]byte
	s.text = q.AppendSplice(s.text[:0],
		janusjson.Edit{Key: janusjson.KeySessionID, Value: janusjson.AppendUint(ids[0][:0], q.session)},
		janusjson.Edit{Key: janusjson.KeyHandleID, Value: janusjson.AppendUint(ids[1][:0], h.janus)},
		janusjson.Edit{Key: janusjson.KeyTransaction, Value: r.appendTransaction(prefixed[:0])},
		janusjson.Edit{Key: janusjson.KeyAPISecret, Value: s.secret},
		janusjson.Edit{Key: janusjson.KeyToken},
	)
	if s.sent(q, r) {
		h.session.active = s.now
		h.negotiated = h.negotiated || q.Has(janusjson.KeyJsep)
		if key != 0 {
			s.memory.start(key, r)
		}
	}
}

// open makes the request that goes to Janus for q; nil, and q is answered, when too many are under way.
func (s *server) open(q *query) *request {
	r := s.flight.open(q.verb, s.now)
	if r == nil {
		s.answer(q, errBusy, "busy")
		return nil
	}
	r.session, r.handle, r.identity = q.session, q.handle, q.identity
	r.transaction = append(r.transaction[:0], q.Bytes(janusjson.KeyTransaction)...)
	return r
}

// sent writes s.text, the text of r, to Janus. When it was not taken r is gone and q answered, or held until there is a
// connection again.
func (s *server) sent(q *query, r *request) bool {
	err := s.write()
	if err == nil {
		return true
	}
	s.flight.free(s.flight.take(r.prefix))
	if errors.Is(err, janusapi.ErrClosed) {
		s.hold(q.msg) // word of the end is on its way
		return false
	}
	s.answer(q, errBusy, "busy")
	return false
}

// answer answers a request that was not run, and returns what it said.
func (s *server) answer(q *query, e *messages.Error, reason string) (reply []byte) {
	s.metrics.refuse(reason)
	reply = messages.Reply{Session: q.session, Transaction: q.Bytes(janusjson.KeyTransaction)}.AppendError(nil, e)
	s.reply(q.session, q.handle, q.identity, reply)
	return reply
}

// reply publishes the answer to a request. When NATS does not take it whoever asked asks again, and gets it from the
// memory; but what is too large for it never will arrive.
func (s *server) reply(session, handle uint64, identity string, body []byte) (tooLarge bool) {
	if identity == "" {
		return false
	}
	s.metrics.replies.Inc()
	err := s.publish(messages.HandleSubject(session, messages.SessionReply, handle), identity, body)
	switch {
	case errors.Is(err, bus.ErrTooLarge):
		s.metrics.drop("too_large")
		return true
	case err != nil:
		s.metrics.drop("disconnected")
	}
	return false
}

// maxWaiting bounds what waits for one session or handle to be made.
const maxWaiting = 256

// wait queues a request until Janus has answered what it depends on.
func (s *server) wait(queue *[]*bus.Msg, q *query) {
	if len(*queue) >= maxWaiting {
		s.answer(q, errBusy, "busy")
		return
	}
	*queue = append(*queue, q.msg)
}

// again handles requests that waited, in order.
func (s *server) again(queue []*bus.Msg) {
	for _, m := range queue {
		s.fromBus(m)
	}
}
