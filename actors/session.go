// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/wheel"
)

// endWait is how long the end of a session waits for its media servers and records before it is answered.
const endWait = 2 * time.Second

// session is the actor that owns one client session: its transport, its handles and its time-outs. It answers what
// concerns the session itself, and passes on what concerns a handle to the media server that the handle is bound to.
type session struct {
	node *Node
	part *partition
	self *actor.PID

	id        uint64
	identity  string // of the create request
	created   time.Time
	claimed   time.Time          // when the transport became the session's
	transport messages.Transport // zero: none
	address   string             // what the subjects of a transport begin with that is a connection; "": it is none
	active    time.Time          // last request, or when the transport was lost
	gone      bool               // the transport was lost and nobody claimed since
	unheard   messages.Transport // the lost one, if its edge only fell silent: it may be there still
	closed    messages.Transport // the last that is known to have closed
	wakes     bool               // requests of that one come nevertheless: its edge was frozen, and takes their answers itself
	last      uint64             // number of the last request of the transport; 0: of none is known
	gap       *gap               // not nil: one before the last is missing
	handles   []*handle          // by id
	servers   []messages.Member  // that have a part of the session
	absent    []*absence         // of those that are not heard, or came back as another incarnation
	unread    bool               // restored before the records could be read: there may be handles that are not known
	removed   []uint64           // handles that ended since, whose records are deleted when they are read; at most maxHandles
	timeout   *int32             // seconds, set by an administrator; nil: that of the cluster
	seq       uint64             // number of the last thing that the session had to say to its client
	out       *outbox            // what the client may not have of that; nil: nothing
	polls     []*poll            // wait for an event
	polled    []polled           // were answered last
	debt      *debt              // answers that are owed; nil: none
	timer     wheel.Timer
	record    record
	lastOp    uint64
	ops       map[uint64]*record // writes in flight, by operation
	heard     []heardServer      // events of media servers that came
	claimID   string             // identity of the last claim, whose answer tells another edge of them
	written   map[string]uint64  // numbers of the events that edges wrote for a former owner, by media server
	overflown bool               // it was said in the log that there was too much for the client
	catching  *catching          // not nil: events that were on their way to a former owner are waited for
	ending    *ending            // not nil: the session is over, what remains is cleaning up
}

// ending is the state of a session that is over.
type ending struct {
	owed  int    // media servers that did not confirm yet
	why   string // for the metrics and the event
	last  []byte // the success of the destroy request; nil: nobody asked
	asked string // identity of the destroy request
	done  bool
	until time.Time // of one that is done: when it is given up to delete its records
	timer wheel.Timer
	next  []*bus.Msg // for the next session of this id
}

// inbound is a message on the session's subject.
type inbound struct {
	subject messages.SessionSubject
	msg     *bus.Msg
	before  uint64 // of an event: see messages.AppendOrigin
	now     time.Time
}

type (
	sessionDue struct{}                          // the session may have timed out
	endDue     struct{}                          // the end has waited long enough
	edgesGone  struct{ edges []messages.Member } // edges that are not heard any more
	edgeEnded  struct{ edge messages.Member }    // one of them has no connection to NATS any more
	edgeBack   struct {                          // an edge that is heard again still has the session's transport
		session   uint64
		transport messages.Transport
	}
)

func newSession(p *partition, id uint64, identity string, now time.Time) *session {
	return &session{
		node: p.node, part: p, id: id, identity: identity, created: now, claimed: now, active: now,
		record: record{key: sessionKey(id)},
		// Above what a session of the same id said before on the same connection, which may have ended a moment ago.
		seq: uint64(now.UnixMicro()), lastOp: uint64(now.UnixMicro()),
	}
}

// Receive handles one message; see the types for who sends them.
func (s *session) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.self = ctx.Self()
		s.node.Wheel.Arm(&s.timer, s.limit(), func() { s.node.tell(s.self, sessionDue{}) })
	case *inbound:
		s.receive(m)
	case placed:
		s.onPlaced(m)
	case errandDone:
		s.onErrandDone(m)
	case surveyed:
		s.onSurveyed(m)
	case peerStep:
		m.then()
	case storeLate:
		s.onStoreLate(m)
	case storeTry:
		if m.record.busy != 0 {
			s.again(m.record)
		}
	case edgesGone:
		s.onEdgesGone(m.edges)
	case edgeEnded:
		s.onEdgeEnded(m.edge)
	case edgeBack:
		s.onBack(m.transport)
	case messages.Written:
		s.onWritten(m)
	case raise:
		s.askAgain()
		s.sendAgain()
	case ruleChanged:
		s.reviewTimeout()
	case serversChanged:
		s.reviewServers()
	case restored:
		s.onRestored()
	case rewrite:
		s.rewrite()
	case lateRecords:
		s.onLateRecords(m)
	case abandoned:
		s.abandon()
	case clearOut:
		s.clearOut(m.found)
	default:
		s.due(m)
	}
}

// due handles what the session had itself told when a time was up.
func (s *session) due(message any) {
	switch m := message.(type) {
	case sessionDue:
		s.onDue(time.Now())
	case bindDue:
		s.onBindDue(m)
	case outcomeDue:
		s.onOutcomeDue(m)
	case barrierDue:
		s.onBarrierDue(m)
	case gapDue:
		s.onGapDue(time.Now())
	case pollDue:
		s.onPollDue(m)
	case debtDue:
		s.onDebtDue(time.Now())
	case endDue:
		s.finish()
	case outDue:
		s.onOutDue()
	case absenceDue:
		s.onAbsenceDue(m)
	case catchDue:
		s.onCatchDue()
	}
}

func (s *session) receive(in *inbound) {
	switch in.subject.Kind {
	case messages.SessionRequest:
		s.inTurn(in)
	case messages.SessionWhole:
		s.whole(in)
	case messages.SessionReply:
		s.reply(in)
	case messages.SessionEvent:
		in.msg.Reply, in.before = messages.CutBefore(in.msg.Reply)
		s.inOrder(in, sourceOf(in.msg.Reply))
	case messages.SessionAdopted:
		s.onAdopted(in)
	case messages.SessionAgain:
		s.eventAgain(in)
	case messages.SessionCaught:
		s.caught(in.msg.Reply)
	case messages.SessionLast:
		s.onLast(in.msg.Reply)
	case messages.SessionGone:
		if t, err := messages.ParseTransport(in.msg.Reply); err == nil {
			_ = messages.EachWritten(in.msg.Data, s.onWritten) // empty where the edge does not know
			s.onClosed(t)
		}
	case messages.SessionPoll:
		s.onPoll(in)
	case messages.SessionExpired:
		s.onExpired(in.msg.Reply)
	case messages.SessionUnpoll:
		s.onUnpoll(in.msg.Reply)
	case messages.SessionStored:
		op, _ := strconv.ParseUint(in.subject.Arg, 10, 64)
		s.onStored(op, readStored(in.msg))
	case messages.SessionAdmin:
		s.admin(in)
	case messages.SessionPeer:
		s.onPeer(in)
	case messages.SessionOwn:
		s.onUnheard(in.subject.Arg)
	}
}

func (s *session) log() *slog.Logger { return s.node.Log.With("session", s.id) }

func (s *session) epoch() messages.Epoch { return s.part.epoch }

func (s *session) opSubject(op uint64) string {
	return messages.SessionSubject{
		Partition: s.part.index, Session: s.id, Kind: messages.SessionStored, Arg: strconv.FormatUint(op, 10),
	}.String()
}

// request is a request as it is handled: scanned, with the handle that it names.
type request struct {
	janusjson.Message
	identity string
	raw      []byte
	handle   *handle // nil: a request for the session
	now      time.Time
}

// request handles what an edge sent, in the order of checks of Janus (janus_process_incoming_request in src/janus.c);
// the edge did those that need no session.
func (s *session) request(in *inbound) {
	r := request{identity: in.msg.Reply, raw: in.msg.Data, now: in.now}
	if err := janusjson.Scan(r.raw, &r.Message); err != nil {
		s.node.metrics.dropped.WithLabelValues("malformed").Inc() // an edge publishes nothing that does not scan
		return
	}
	verb := r.Verb()
	s.node.metrics.countRequest(verb)
	create := isCreate(&r.Message, verb)
	if s.ending != nil && s.leaveToNext(in, create) {
		return
	}
	if create && s.unread && s.identity == "" {
		s.node.tell(s.part.self, notRestored{in.msg}) // it may be what made the session
		return
	}
	if create {
		s.create(&r)
		return
	}
	if s.ending != nil {
		if first, repeat := messages.CutRepeat(r.identity); !repeat || first != s.ending.asked {
			s.refuse(&r, messages.ErrSessionNotFound(s.id))
		}
		return
	}
	s.active = in.now
	if id, ok := r.Uint(janusjson.KeyHandleID); ok && id > 0 {
		if r.handle = s.handle(id); r.handle == nil && s.unread {
			s.node.tell(s.part.self, notRestored{in.msg})
			return
		}
		if r.handle == nil {
			s.refuse(&r, messages.ErrHandleNotFound(id, s.id))
			return
		}
	}
	s.dispatch(&r, verb)
}

func (s *session) dispatch(r *request, verb janusjson.Verb) {
	forHandle := verb == janusjson.VerbMessage || verb == janusjson.VerbTrickle || verb == janusjson.VerbHangup || verb == janusjson.VerbDetach
	forSession := verb == janusjson.VerbAttach || verb == janusjson.VerbDestroy
	text, _ := r.Text(janusjson.KeyJanus)
	switch {
	case forHandle && r.handle == nil, forSession && r.handle != nil:
		s.refuse(r, messages.ErrUnhandled(text))
	case forHandle:
		s.toHandle(r, verb)
	case verb == janusjson.VerbKeepalive:
		s.answer(r, "ack")
	case verb == janusjson.VerbAttach:
		s.attach(r)
	case verb == janusjson.VerbClaim:
		s.claim(r)
	case verb == janusjson.VerbDestroy:
		s.destroy(r)
	default:
		s.refuse(r, messages.ErrUnknownRequest(text))
	}
}

// isCreate tells a create from a request with the verb create that names a session: that one is unknown to Janus.
func isCreate(m *janusjson.Message, verb janusjson.Verb) bool {
	session, _ := m.Uint(janusjson.KeySessionID)
	handle, _ := m.Uint(janusjson.KeyHandleID)
	return verb == janusjson.VerbCreate && session == 0 && handle == 0
}

func (s *session) create(r *request) {
	first, _ := messages.CutRepeat(r.identity)
	switch {
	case s.ending != nil || first != s.identity:
		s.deliver(first, s.taken(r))
	case s.transport.IsZero():
		s.begin(r, first)
	default: // a repeat
		s.settleOwed(r.identity, messages.Reply{Transaction: r.Bytes(janusjson.KeyTransaction)}.AppendID(nil, s.id))
	}
}

// taken is the answer to a create with the id of this session; that nobody gets a new one comes first, as in Janus.
func (s *session) taken(r *request) []byte {
	if !s.node.rules.Accepting() {
		return refuseCreate(&r.Message)
	}
	e := messages.Errorf(messages.CodeSessionConflict, "Session ID already in use")
	s.node.metrics.countError(e.Code)
	return s.replyTo(r).AppendError(nil, e)
}

// begin makes the session known: to the store, then to the client.
func (s *session) begin(r *request, first string) {
	t, err := messages.ParseTransport(first)
	if err != nil {
		s.node.metrics.dropped.WithLabelValues("malformed").Inc()
		return
	}
	s.setTransport(t)
	s.renumber(first)
	success := messages.Reply{Transaction: slices.Clone(r.Bytes(janusjson.KeyTransaction))}.AppendID(nil, s.id)
	s.owe(r)
	identity := r.identity
	s.keep(&s.record, s.stored(), func() { s.settleOwed(identity, success) })
	s.node.emit(messages.Event{Type: messages.EventSessionCreated, Session: s.id, Edge: t.Edge.Name})
}

func (s *session) stored() messages.SessionRecord {
	return messages.SessionRecord{
		Epoch: s.epoch(), Identity: s.identity, Created: s.created.UnixMilli(), Polling: s.transport.Polling, Inbox: s.transport.Inbox,
		Claimed: s.claimed.UnixMilli(), Timeout: s.timeout,
	}
}

// onDue ends the session if nothing came for too long, else waits for the rest of the time.
func (s *session) onDue(now time.Time) {
	if s.ending != nil {
		return
	}
	stale := s.node.stale() // somebody else may own the session
	active := s.active
	if waited := s.node.waited(); active.Before(waited) {
		active = waited // nobody could reach the session until then
	}
	left := s.limit() - now.Sub(active)
	if stale {
		left = max(left, messages.BeatInterval)
	}
	if left > 0 {
		s.node.Wheel.Arm(&s.timer, left, func() { s.node.tell(s.self, sessionDue{}) })
		return
	}
	why := "reclaim timeout"
	if !s.gone {
		why = "timeout"
		s.notify(messages.AppendNotice(nil, "timeout", s.id, 0, ""))
	}
	s.node.emit(messages.Event{Type: messages.EventSessionTimeout, Session: s.id, Reason: why})
	s.end(why, nil, "")
}

// handle finds a handle; nil if the session has no such.
func (s *session) handle(id uint64) *handle {
	if i, ok := s.find(id); ok {
		return s.handles[i]
	}
	return nil
}

func (s *session) find(id uint64) (int, bool) {
	return slices.BinarySearchFunc(s.handles, id, func(h *handle, id uint64) int {
		switch {
		case h.id < id:
			return -1
		case h.id > id:
			return 1
		}
		return 0
	})
}

// crashed answers the request whose handling panicked.
func (s *session) crashed(_ actor.Context, message any) {
	if in, ok := message.(*inbound); ok && in.subject.Kind == messages.SessionRequest {
		r := request{identity: in.msg.Reply}
		if janusjson.Scan(in.msg.Data, &r.Message) == nil {
			s.refuse(&r, messages.Errorf(messages.CodeUnknown, "Internal error"))
		}
	}
}

// answer replies with a verb and nothing else.
func (s *session) answer(r *request, verb string) {
	s.answerInOrder(r.identity, s.replyTo(r).Append(nil, verb))
}

// refuse replies with an error.
func (s *session) refuse(r *request, e *messages.Error) {
	s.node.metrics.countError(e.Code)
	s.answerInOrder(r.identity, s.replyTo(r).AppendError(nil, e))
}

func (s *session) replyTo(r *request) messages.Reply {
	return messages.Reply{Session: s.id, Transaction: r.Bytes(janusjson.KeyTransaction)}
}

// deliver sends the answer to a request to the connection that asked. On the session's own connection it takes its turn among
// the events, and is kept like them: the client may get it elsewhere, if its edge dies. Of another one the edge will repeat the
// request, if the answer gets lost.
func (s *session) deliver(identity string, body []byte) {
	identity, _ = messages.CutRepeat(identity)
	switch {
	case identity == s.claimID: // before everything else that is sent there
		s.publish(identity, messages.Delivery{Origin: s.origins()}, body)
	case s.isOwn(identity):
		s.toClient(outgoing{body: body, identity: identity})
	default:
		s.publish(identity, messages.Delivery{}, body)
	}
}

// isOwn reports whether a request came on the connection that is the session's transport, or was when its edge died.
func (s *session) isOwn(identity string) bool {
	if s.address != "" && strings.HasPrefix(identity, s.address) {
		return true
	}
	if s.wakes || s.closed.IsZero() && s.unheard.IsZero() {
		return false
	}
	t, err := messages.ParseTransport(identity)
	return err == nil && (t == s.closed || t == s.unheard)
}

// notify tells the client what the session itself has to say.
func (s *session) notify(event []byte) { s.toClient(outgoing{body: event}) }

// publish sends something to an edge. It reports false when the bus does not take it.
func (s *session) publish(subject string, d messages.Delivery, body []byte) bool {
	d.Partition, d.Session, d.Epoch = s.part.index, s.id, s.epoch()
	err := s.node.Bus.Publish(subject, d.String(), body)
	if err != nil {
		s.node.metrics.dropped.WithLabelValues("disconnected").Inc()
	}
	return err == nil
}
