// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"
)

// throughput is how many messages an actor handles before it lets other goroutines run.
const throughput = 300

// crasher is an actor that can tell a client about a message which made it panic.
type crasher interface {
	// crashed is called with the message whose handling panicked. It answers the requester, where there is one.
	crashed(ctx actor.Context, message any)
}

// propsFor makes the properties of an actor whose state is the given value: a panic costs the message that caused it
// and nothing else. Actors run on the goroutine of whoever sends to them, so they must not block.
func propsFor(a actor.Actor, log *slog.Logger) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return a },
		actor.WithDispatcher(actor.NewSynchronizedDispatcher(throughput)),
		actor.WithGuardian(keepAlive{}), // all our actors are spawned from the root: no actor supervises them
		actor.WithReceiverMiddleware(catchPanics(log)))
}

// catchPanics keeps a panic from reaching the supervisor, which would make the message vanish without a word.
func catchPanics(log *slog.Logger) actor.ReceiverMiddleware {
	return func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(c actor.ReceiverContext, envelope *actor.MessageEnvelope) {
			defer func() {
				cause := recover()
				if cause == nil {
					return
				}
				log.Error("actor panicked", "actor", fmt.Sprintf("%T", c.Actor()), "message", fmt.Sprintf("%T", envelope.Message),
					"panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
				if a, ok := c.Actor().(crasher); ok {
					if ctx, ok := c.(actor.Context); ok {
						a.crashed(ctx, envelope.Message)
					}
				}
			}()
			next(c, envelope)
		}
	}
}

// keepAlive resumes an actor that failed where even catchPanics did not hold. The library's own strategies stop an
// actor, silently, after ten failures in ten seconds.
type keepAlive struct{}

var _ actor.SupervisorStrategy = keepAlive{}

// HandleFailure resumes the child: its state is its own and as good as before.
func (keepAlive) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, _, _ any) {
	supervisor.ResumeChildren(child)
}
