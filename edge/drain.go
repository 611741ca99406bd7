// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// drainLook is how often it is looked whether clients are left.
const drainLook = 50 * time.Millisecond

// errStopping says that an edge heeds no orders any more.
var errStopping = errors.New("the role is stopping")

// takeOrder takes an order to drain, or to drain no more. An edge that drains says that no client should come (Ready, the
// heartbeat), and ends each HTTP connection with its answer, so that the next request finds another edge. WebSockets stay until
// their clients leave, or are told to. Whoever comes is served all the same: a load balancer may not have looked yet.
func (e *Edge) takeOrder(m *bus.Msg) {
	if m.NoResponders {
		return
	}
	answer := messages.AnswerDrain(m.Data, e.heed)
	if m.Reply != "" && e.bus.Publish(m.Reply, "", answer) != nil {
		e.metrics.drop(dropAsk)
	}
}

func (e *Edge) heed(order messages.DrainOrder) (messages.State, error) {
	if e.stopping.Load() {
		return messages.StateLeaving, errStopping
	}
	if e.draining.Swap(!order.Off) == order.Off {
		e.log.Info("edge told to drain, or not to", "drains", !order.Off, "clients", e.connections.count())
		e.beater.Now()
	}
	if order.End {
		for _, t := range e.transports {
			t.disconnect()
		}
	}
	return e.state(), nil
}

// state is what the edge is to others.
func (e *Edge) state() messages.State {
	if e.stopping.Load() || e.draining.Load() {
		return messages.StateDraining
	}
	return messages.StateReady
}

// clients are the connections that keep the edge from being drained. The client of a long poll has its next one answered by any
// other edge.
func (e *Edge) clients() int {
	if e.draining.Load() {
		return e.connections.count()
	}
	return e.connections.count() + int(e.polls.Load())
}

// Drain drains the edge before it is stopped, which ends what is left. It returns when ctx ends: until then load balancers may
// notice; or when there are no clients, whom nobody has to send elsewhere.
func (e *Edge) Drain(ctx context.Context) {
	idle := func() bool { return e.connections.count() == 0 && e.polls.Load() == 0 }
	if idle() {
		return
	}
	if _, err := e.heed(messages.DrainOrder{}); err != nil {
		return
	}
	for !idle() && bus.Pause(ctx, drainLook) {
		continue
	}
}
