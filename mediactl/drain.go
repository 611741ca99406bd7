// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"context"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// drainLook is how often it is looked whether handles are left.
const drainLook = 50 * time.Millisecond

// evict tells the actor to end what is left on its Janus.
type evict struct{}

// takeOrder carries an order to drain out. A media server that drains serves as before: it is the session nodes that place no
// more handles on it (roster.Peer.Takes), but for rooms that are here and cannot be elsewhere. It reports whether the message is
// one.
func (m *Media) takeOrder(msg *bus.Msg) bool {
	if msg.NoResponders || msg.Subject != messages.DrainSubject(messages.RoleMedia, m.Member()) {
		return false
	}
	answer := messages.AnswerDrain(msg.Data, m.heed)
	if msg.Reply != "" && m.publish(msg.Reply, "", answer) != nil {
		m.metrics.drop("disconnected")
	}
	return true
}

func (m *Media) heed(order messages.DrainOrder) (messages.State, error) {
	next, changed, err := order.Apply(&m.state)
	if err != nil {
		return next, err
	}
	if changed {
		m.log.Info("media server told to drain, or not to", "state", next, "handles", m.status.handles.Load())
		m.beater.Now()
	}
	if order.End {
		m.tell(evict{})
	}
	return next, nil
}

// Drain drains the role before it is stopped. It returns when no handles are left, or when ctx ends: what is left is for the
// next incarnation, as if there had been no order.
func (m *Media) Drain(ctx context.Context) {
	if _, err := m.heed(messages.DrainOrder{}); err != nil {
		return
	}
	for m.status.handles.Load() > 0 {
		if !bus.Pause(ctx, drainLook) {
			m.log.Info("media server not drained in time", "handles", m.status.handles.Load())
			return
		}
	}
}

// evict hangs up what is left on Janus and unbinds its handles, whose next messages bind them elsewhere. Sessions that Janus is
// too busy to destroy end there by themselves, without their keepalives.
func (s *server) evict() {
	for _, x := range s.sessions {
		id := x.id
		s.loseSession(x, "drained")
		s.destroyOwn(id)
	}
}
