// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/settings"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// censusTime is how long partitions may take to tell their sessions. Those that did not are left out.
	censusTime = 2 * time.Second
	// censusChunk is how many session ids one message of an answer holds.
	censusChunk = 20_000
)

// ruling is what administrators set for all sessions of the cluster, and what follows it.
type ruling struct {
	settings.Rules
	stop context.CancelFunc
	work sync.WaitGroup
}

// readSettings takes in what administrators set before. JetStream may not tell: then it is in force a little later.
func (n *Node) readSettings(ctx context.Context) {
	if err := settings.Read(ctx, n.Bus, func(s messages.Setting) { n.rules.Heed(s) }); err != nil {
		n.Log.Warn("starting without what administrators set", "error", err)
	}
}

// followSettings begins to heed what administrators set for the cluster.
func (n *Node) followSettings() {
	ctx, cancel := context.WithCancel(context.Background())
	n.rules.stop = cancel
	n.rules.work.Go(func() { settings.Follow(ctx, n.Bus, n.Log, n.heed) })
}

func (n *Node) unfollowSettings() {
	if n.rules.stop != nil {
		n.rules.stop()
		n.rules.work.Wait()
	}
}

// ruleChanged tells all sessions that their time-out may have changed.
type ruleChanged struct{}

// heed takes a setting in, if it is one for sessions and news.
func (n *Node) heed(s messages.Setting) {
	if n.rules.Heed(s) && s.Verb == settings.SessionTimeout {
		n.tell(n.keeper, ruleChanged{})
	}
}

// admin handles an order of the Admin API to this node.
func (k *keeper) admin(m *bus.Msg) {
	var order messages.NodeOrder
	if m.Reply == "" || json.Unmarshal(m.Data, &order) != nil {
		k.node.metrics.dropped.WithLabelValues("malformed").Inc()
		return
	}
	switch {
	case order.Setting != nil:
		k.node.heed(*order.Setting)
		k.node.tellSessions(m.Reply, nil)
		return
	case order.Message != nil:
		k.node.errand(k.self, func(ctx context.Context) any { return messageDone{m.Reply, k.node.messagePlugin(ctx, order.Message)} })
		return
	}
	c := &census{node: k.node, reply: m.Reply, owed: len(k.owned)}
	pid := k.node.spawn(c)
	for index := range k.owned {
		k.node.tell(k.parts[index], countSessions{to: pid})
	}
}

// tellParts tells all partitions that were ever owned here.
func (k *keeper) tellParts(message any) {
	for _, pid := range k.parts {
		if pid != nil {
			k.node.tell(pid, message)
		}
	}
}

type (
	countSessions struct{ to *actor.PID } // to a partition: tell your sessions
	counted       struct{ sessions []uint64 }
	censusDue     struct{}
)

// census is the actor that gathers the ids of all sessions of this node, for one answer.
type census struct {
	node     *Node
	reply    string
	owed     int // partitions that did not answer yet
	sessions []uint64
	timer    wheel.Timer
	done     bool
}

// Receive handles one message; see the types for who sends them.
func (c *census) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		self := ctx.Self()
		c.node.Wheel.Arm(&c.timer, censusTime, func() { c.node.tell(self, censusDue{}) })
		c.maybeFinish(ctx)
	case counted:
		c.owed--
		c.sessions = append(c.sessions, m.sessions...)
		c.maybeFinish(ctx)
	case censusDue:
		c.owed = 0
		c.maybeFinish(ctx)
	}
}

func (c *census) maybeFinish(ctx actor.Context) {
	if c.owed > 0 || c.done {
		return
	}
	c.done = true
	c.node.Wheel.Disarm(&c.timer)
	c.node.tellSessions(c.reply, c.sessions)
	c.node.system.Root.Poison(ctx.Self())
}

// tellSessions answers an order to the node.
func (n *Node) tellSessions(to string, sessions []uint64) {
	for first := true; first || len(sessions) > 0; first = false {
		size := min(censusChunk, len(sessions))
		n.answerAdmin(to, messages.NodeSessions{Sessions: sessions[:size], Last: size == len(sessions)})
		sessions = sessions[size:]
	}
}

func (n *Node) answerAdmin(to string, answer any) {
	data, err := json.Marshal(answer)
	if err == nil {
		err = n.Bus.Publish(to, "", data)
	}
	if err != nil {
		n.Log.Warn("Admin API not answered", "error", err) // who asked gives up after some seconds
	}
}

// count tells the sessions of the partition.
func (p *partition) count(m countSessions) {
	p.node.tell(m.to, counted{slices.Collect(maps.Keys(p.sessions))})
}

// refuseAdmin answers an order for a session that is not there. While the records could not be read nobody can know.
func (p *partition) refuseAdmin(m *bus.Msg, session uint64) {
	e := messages.ErrSessionNotFound(session)
	if p.unread {
		e = messages.Errorf(messages.CodeUnknown, "The session's records could not be read yet")
	}
	p.node.answerAdmin(m.Reply, messages.AdminAnswer{Error: e})
}

// refuseCreate is Janus's answer to a create while no new sessions are wanted (accept_new_sessions).
func refuseCreate(r *janusjson.Message) []byte {
	e := messages.Errorf(messages.CodeNotAcceptingNewSessions, "Currently not accepting new sessions")
	return messages.Reply{Transaction: r.Bytes(janusjson.KeyTransaction)}.AppendError(nil, e)
}

// admin handles an order of the Admin API. It is no activity of the session.
func (s *session) admin(in *inbound) {
	var order messages.AdminOrder
	if in.msg.Reply == "" || json.Unmarshal(in.msg.Data, &order) != nil {
		s.node.metrics.dropped.WithLabelValues("malformed").Inc()
		return
	}
	answer := s.describe(in.subject.Handle())
	if answer.Error == nil {
		switch order.Act {
		case messages.AdminLook:
		case messages.AdminDestroy:
			s.destroyForAdmin(in.msg.Reply, answer)
			return
		case messages.AdminTimeout:
			s.setTimeout(order.Timeout)
		case messages.AdminDetach:
			answer.Error = s.detachForAdmin(in.subject.Handle())
		case messages.AdminBind:
			if h := s.handle(in.subject.Handle()); h != nil && h.state != bound {
				s.bindForAdmin(h, in.msg.Reply)
				return
			}
		default:
			answer.Error = messages.ErrUnknownRequest(string(order.Act))
		}
	}
	s.node.answerAdmin(in.msg.Reply, answer)
}

// describe is what the session is, with the handle that was asked about (0: none).
func (s *session) describe(handle uint64) messages.AdminAnswer {
	if s.ending != nil {
		return messages.AdminAnswer{Error: messages.ErrSessionNotFound(s.id)}
	}
	a := messages.AdminAnswer{Active: s.active.UnixMilli(), Timeout: int64(s.silence() / time.Second)}
	if handle == 0 {
		for _, h := range s.handles {
			a.Handles = append(a.Handles, h.id)
		}
		return a
	}
	h := s.handle(handle)
	if h == nil {
		return messages.AdminAnswer{Error: messages.ErrHandleNotFound(handle, s.id)}
	}
	a.Handle = &messages.AdminHandle{Plugin: h.plugin, OpaqueID: h.opaqueID, Created: h.created.UnixMilli()}
	if h.state == bound || h.state == recording || h.state == renewing {
		a.Handle.Server, a.Handle.Janus = h.server, h.janus
	}
	return a
}

// destroyForAdmin ends the session, and answers when it is over.
func (s *session) destroyForAdmin(to string, a messages.AdminAnswer) {
	done, err := json.Marshal(a)
	if err != nil {
		s.log().Error("answer does not marshal", "error", err)
		return
	}
	s.log().Info("session destroyed by an administrator")
	s.node.emit(messages.Event{Type: messages.EventSessionDestroyed, Session: s.id, Reason: "admin"})
	s.end("admin", done, to)
}

// detachForAdmin detaches a handle that no Janus knows of. For another one its Janus is asked, and says so by an event.
func (s *session) detachForAdmin(id uint64) *messages.Error {
	h := s.handle(id)
	switch h.state {
	case unbound:
		h.queue, h.queued = nil, 0
		s.remove(h)
		s.notify(messages.AppendNotice(nil, "detached", s.id, h.id, ""))
	case placing, binding:
		return messages.Errorf(messages.CodePluginDetach, "Couldn't detach from plugin: the handle is being attached")
	}
	return nil
}

// bindForAdmin has a handle bound, as its first request would, and answers then.
func (s *session) bindForAdmin(h *handle, to string) {
	if !h.enqueue(queued{admin: to}) {
		s.node.answerAdmin(to, messages.AdminAnswer{Error: errTooMany})
		return
	}
	if h.state == unbound {
		s.bind(h)
	}
}

// setTimeout gives the session a time-out of its own, in seconds: 0 for none, negative for the cluster's.
func (s *session) setTimeout(seconds int32) {
	s.timeout = nil
	if seconds >= 0 {
		s.timeout = &seconds
	}
	s.keep(&s.record, s.stored(), nil)
	s.reviewTimeout()
}

// silence is how long the session may be without a request while it has a transport; 0: for ever.
func (s *session) silence() time.Duration {
	if s.timeout != nil {
		return time.Duration(*s.timeout) * time.Second
	}
	return s.node.rules.SessionTimeout(s.node.SessionTimeout)
}

// reviewTimeout starts the timer anew, for another time-out.
func (s *session) reviewTimeout() {
	if s.ending == nil && !s.gone {
		s.node.Wheel.Arm(&s.timer, s.limit()-time.Since(s.active), func() { s.node.tell(s.self, sessionDue{}) })
	}
}
