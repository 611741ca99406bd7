// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"encoding/json"
	"strings"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// fence knows the highest epoch of every partition: who comes with a lower one was deposed, and may not even know.
type fence struct {
	highest [messages.Partitions]messages.Epoch
}

// admit reports whether an owner with this epoch may act on the partition; if not, it tells the epoch that may. Whoever
// is admitted closes the fence for all before it.
func (f *fence) admit(partition int, e messages.Epoch) (messages.Epoch, bool) {
	highest := &f.highest[partition]
	switch e.Compare(*highest) {
	case -1:
		return *highest, false
	case 1:
		*highest = messages.Epoch{Number: e.Number, Node: strings.Clone(e.Node)} // it was part of a longer text
	}
	return *highest, true
}

// refuse tells a deposed owner which epoch is honoured here. Its request was not run.
func (s *server) refuse(to messages.MediaSubject, identity string, highest messages.Epoch) {
	s.metrics.refuse("epoch")
	body, err := json.Marshal(messages.Refusal{Epoch: highest})
	if err == nil {
		err = s.publish(messages.HandleSubject(to.Session, messages.SessionRefused, to.Handle), identity, body)
	}
	if err != nil {
		s.metrics.drop("disconnected")
	}
}

// An answer to an ask is cut into messages of so many sessions or handles, which keeps them well under NATS's limit of
// 1 MiB. The handles of one session may go on in the next message.
const (
	holdingSessions = 1000
	holdingHandles  = 2000
)

// ask answers a new owner of partitions with all that is held here for them. From now on lower epochs are refused.
func (s *server) ask(m *bus.Msg) {
	var ask messages.Ask
	if err := json.Unmarshal(m.Data, &ask); err != nil || m.Reply == "" {
		s.metrics.drop("malformed")
		return
	}
	a := answer{server: s, to: m.Reply}
	for p := range ask.Partitions.All() {
		if highest, ok := s.fence.admit(p, ask.Epoch); !ok && a.refused.Less(highest) {
			a.refused = highest
		}
	}
	for id, x := range s.sessions {
		if ask.Partitions.Has(messages.PartitionOf(id)) && x.phase != ending {
			a.add(x)
		}
	}
	a.send(true)
}

// answer is an answer to an ask under way.
type answer struct {
	server  *server
	to      string
	refused messages.Epoch
	part    []messages.HoldingSession
	handles int // in part
}

// add adds a session with its bound handles.
func (a *answer) add(x *session) {
	held := messages.HoldingSession{Session: x.id}
	for h := x.handles; h != nil; h = h.next {
		if h.janus == 0 {
			continue
		}
		if a.handles == holdingHandles {
			a.part = append(a.part, held)
			a.send(false)
			held.Handles = nil
		}
		held.Handles = append(held.Handles, messages.HoldingHandle{
			Handle: h.id, Janus: h.janus, Plugin: h.plugin, Attach: h.attach, Live: h.live, Assumed: h.assumed,
		})
		a.handles++
	}
	if a.part = append(a.part, held); len(a.part) == holdingSessions {
		a.send(false)
	}
}

// send publishes what has gathered.
func (a *answer) send(last bool) {
	body, err := json.Marshal(messages.Holding{
		From: a.server.member, Role: messages.RoleMedia, Last: last, Refused: a.refused, Sessions: a.part,
	})
	if err == nil {
		err = a.server.publish(a.to, "", body)
	}
	if err != nil {
		a.server.metrics.drop("disconnected")
	}
	a.part, a.handles = nil, 0
}
