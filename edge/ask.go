// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"encoding/json"

	"github.com/januscloud/januscloud/messages"
)

// maxHolding is how many sessions one message of an answer tells of.
const maxHolding = 1000

// answerAsk tells a new owner which connections use the sessions of its partitions.
func (e *Edge) answerAsk(a ask) {
	held := e.holding(a.Partitions)
	for {
		h := messages.Holding{From: e.member, Role: messages.RoleEdge, Refused: a.refused}
		h.Sessions = held[:min(len(held), maxHolding)]
		held = held[len(h.Sessions):]
		h.Last = len(held) == 0
		data, err := json.Marshal(h)
		if err == nil {
			err = e.bus.Publish(a.reply, "", data)
		}
		if err != nil {
			// The asker gives up waiting, and asks again if it still wants to know.
			e.log.Warn("ask not answered", "node", a.Node.String(), "error", err)
			return
		}
		if h.Last {
			return
		}
	}
}

// holding lists the sessions of some partitions that connections of this edge use, or used a moment ago.
func (e *Edge) holding(partitions messages.PartitionSet) []messages.HoldingSession {
	var held []messages.HoldingSession
	at := make(map[uint64]int)
	of := func(session uint64) *messages.HoldingSession {
		i, known := at[session]
		if !known {
			i = len(held)
			at[session] = i
			held = append(held, messages.HoldingSession{Session: session})
		}
		return &held[i]
	}
	for _, c := range e.connections.all() {
		for _, u := range c.sessions() {
			if partitions.Has(messages.PartitionOf(u.session)) {
				h := of(u.session)
				h.Connections = append(h.Connections, messages.HoldingConnection{Connection: c.number, Owner: u.owner})
			}
		}
	}
	e.history.of(partitions, func(session uint64, origins string) {
		h := of(session)
		h.Written = append(h.Written, origins)
	})
	return held
}
