// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
)

// DrainSubject is where a role is told to drain: DrainOrder; reply = an inbox, for a DrainAnswer.
func DrainSubject(role Role, m Member) string {
	prefix := NodePrefix(m)
	switch role {
	case RoleEdge:
		prefix = EdgePrefix(m)
	case RoleMedia:
		prefix = MediaPrefix(m)
	}
	return prefix + ".drain"
}

// DrainOrder tells a role to drain: to take no new work and give away what it can. Draining twice is draining once. How far it
// is shows in its heartbeats: see Beat.Left.
type DrainOrder struct {
	Off bool `json:"off,omitempty"` // the contrary: take work again
	End bool `json:"end,omitempty"` // drain, and end at once what can only be ended: calls, connections
}

// From is the state that the order makes of a role which is in state now. One that has not begun to serve, or has ceased to,
// heeds no order.
func (o DrainOrder) From(now State) (State, error) {
	switch {
	case now == StateJoining, now == StateLeaving:
		return now, fmt.Errorf("the role is %s", now)
	case o.Off:
		return StateReady, nil
	}
	return StateDraining, nil
}

// Apply heeds the order in a state that others change, too: it holds a State. changed tells whether there was anything to do.
func (o DrainOrder) Apply(state *atomic.Value) (next State, changed bool, err error) {
	now := state.Load().(State)
	next, err = o.From(now)
	switch {
	case err != nil || next == now:
		return next, false, err
	case !state.CompareAndSwap(now, next):
		next, err = o.From(StateLeaving) // it stops at this moment
		return next, false, err
	}
	return next, true, nil
}

// DrainAnswer answers a DrainOrder.
type DrainAnswer struct {
	State State  `json:"state"`           // of the role from now on
	Error string `json:"error,omitempty"` // why the order was not heeded
}

// AnswerDrain has a role heed the order in a message, and returns what to answer.
func AnswerDrain(data []byte, heed func(DrainOrder) (State, error)) []byte {
	var order DrainOrder
	var answer DrainAnswer
	err := json.Unmarshal(data, &order)
	if err == nil {
		answer.State, err = heed(order)
	}
	if err != nil {
		answer.Error = err.Error()
	}
	body, _ := json.Marshal(answer) // two texts always marshal
	return body
}

// Left is what keeps a role from being drained, in its own terms: connections of an edge, partitions of a session node, handles
// of a media server.
func (b *Beat) Left() (n int, what string) {
	switch {
	case b.Edge != nil:
		return b.Edge.Connections, "connections"
	case b.Session != nil:
		for _, r := range b.Session.Owned {
			n += r.Partitions.Len()
		}
		return n, "partitions"
	}
	return b.Media.Handles, "handles"
}

// Drained reports whether the role has been drained: it takes no new work, and nothing is left of the old.
func (b *Beat) Drained() bool {
	n, _ := b.Left()
	return b.State == StateDraining && n == 0
}
