// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"fmt"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// throughput is how many messages the actor handles before it lets other goroutines run.
const throughput = 300

// propsFor makes the properties of the actor. Its state is s, whatever restarts it: a panic costs the message that caused
// it and nothing else. It runs on the goroutine of whoever sends to it.
func propsFor(s *server, box *mailbox) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return s },
		actor.WithDispatcher(actor.NewSynchronizedDispatcher(throughput)),
		actor.WithGuardian(keepRunning{}),
		actor.WithReceiverMiddleware(leaveMailbox(box), catchPanics(s)))
}

// leaveMailbox counts the messages that the actor is done with. Those of the actor system were never counted in.
func leaveMailbox(box *mailbox) actor.ReceiverMiddleware {
	return func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(c actor.ReceiverContext, envelope *actor.MessageEnvelope) {
			switch envelope.Message.(type) {
			case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting:
			default:
				defer box.leave()
			}
			next(c, envelope)
		}
	}
}

// catchPanics turns a panic into a log entry and an answer for whoever asked.
func catchPanics(s *server) actor.ReceiverMiddleware {
	return func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(c actor.ReceiverContext, envelope *actor.MessageEnvelope) {
			defer func() {
				if cause := recover(); cause != nil {
					s.crashed(envelope.Message, cause)
				}
			}()
			next(c, envelope)
		}
	}
}

// crashed answers the request whose handling panicked. Whether it had been given to Janus is not known, so a repeat must
// not run it.
func (s *server) crashed(message, cause any) {
	s.metrics.panics.Inc()
	s.log.Error("actor panicked", "message", fmt.Sprintf("%T", message), "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
	m, ok := message.(*bus.Msg)
	if !ok {
		return
	}
	to, err := messages.ParseMediaSubject(m.Subject)
	if err != nil {
		return
	}
	reply := messages.Reply{Session: to.Session}
	var in janusjson.Message
	if janusjson.Scan(m.Data, &in) == nil {
		reply.Transaction = in.Bytes(janusjson.KeyTransaction)
	}
	identity, _ := messages.CutRepeat(m.Reply)
	body := reply.AppendError(nil, errInternal)
	if remembered(identity) {
		s.memory.keep(s.memory.keyOf(identity), identity, body, s.now)
	}
	s.reply(to.Session, to.Handle, identity, body)
}

// keepRunning resumes the actor should a failure reach the actor system all the same. The library's own strategies stop
// an actor, silently, after ten failures in ten seconds.
type keepRunning struct{}

var _ actor.SupervisorStrategy = keepRunning{}

// HandleFailure resumes the child: its state is its own and as good as before.
func (keepRunning) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, _, _ any) {
	supervisor.ResumeChildren(child)
}
