// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/roster"
)

// watchEdges tells the sessions which edges are not heard any more: their transports are lost. An edge that is heard again
// was only kept from running; it is asked which connections it still has.
func (k *keeper) watchEdges(v *roster.View) {
	now := map[messages.Member]bool{}
	for _, e := range v.Edges() {
		if !e.Silent {
			now[e.Beat.Member] = true
		}
	}
	var gone []messages.Member
	for m := range k.edges {
		if !now[m] {
			gone = append(gone, m)
			delete(k.owing, m)
			k.askWhetherEnded(m)
		}
	}
	for m := range now {
		if !k.edges[m] {
			k.askBack(m)
		}
	}
	k.edges = now
	if len(gone) == 0 {
		return
	}
	for p := range k.owned {
		k.node.tell(k.parts[p], edgesGone{gone})
	}
}

// endedAnswer, with the edge behind it, names the answer to askWhetherEnded.
const endedAnswer = "ended."

// askWhetherEnded asks an edge that fell silent anything. One that is frozen, or whose NATS server is, may answer later, and nobody
// listens; but when NATS answers that nobody receives the question the edge has no connection any more, and was silent for long enough to
// have made another one.
func (k *keeper) askWhetherEnded(edge messages.Member) {
	owned := *k.node.owned.Load()
	if len(owned) == 0 {
		return
	}
	ask, err := json.Marshal(messages.Ask{Node: k.node.member, Epoch: owned[0].Epoch}) // for no partition
	if err == nil {
		_ = k.node.Bus.Publish(messages.EdgeAsk(edge), messages.NodeAnswer(k.node.member, endedAnswer+edge.String()), ask)
	}
}

// onNoResponders hears from NATS that nobody receives what was asked.
func (k *keeper) onNoResponders(answer string) {
	name, ok := strings.CutPrefix(answer, endedAnswer)
	edge, err := messages.ParseMember(name)
	if !ok || err != nil || k.edges[edge] {
		return // an end that is gone: a take-over does not wait for it longer than for one that does not answer
	}
	for p := range k.owned {
		k.node.tell(k.parts[p], edgeEnded{edge})
	}
}

// backAnswer names the answers to askBack among those of take-overs.
const backAnswer = "back"

// backTime is how long an edge may take to answer askBack.
const backTime = 500 * time.Millisecond

// askOwing asks edges once more that did not answer: the question may have got lost, or the answer.
func (k *keeper) askOwing(now time.Time) {
	for edge, asked := range k.owing {
		if now.Sub(asked) >= backTime {
			k.askBack(edge)
		}
	}
}

// askLate asks the edges later that a take-over could not wait for, or did not know of yet.
func (k *keeper) askLate(t *takeover) {
	for edge := range k.edges {
		if _, told := t.answered[edge]; !told {
			k.askBack(edge)
		}
	}
}

// askBack asks an edge that is heard for the first time, or again, for the transports of our sessions.
func (k *keeper) askBack(edge messages.Member) {
	delete(k.owing, edge)
	for _, r := range *k.node.owned.Load() {
		k.owing[edge] = time.Now()
		ask, err := json.Marshal(messages.Ask{Node: k.node.member, Epoch: r.Epoch, Partitions: r.Partitions})
		if err == nil {
			err = k.node.Bus.Publish(messages.EdgeAsk(edge), messages.NodeAnswer(k.node.member, backAnswer), ask)
		}
		if err != nil {
			k.node.Log.Warn("edge not asked", "edge", edge.String(), "error", err)
		}
	}
}

// onBack tells sessions which transports an edge still has.
func (k *keeper) onBack(h messages.Holding) {
	if h.Last {
		delete(k.owing, h.From)
	}
	for _, s := range h.Sessions {
		p := messages.PartitionOf(s.Session)
		if _, ours := k.owned[p]; !ours {
			continue
		}
		for _, c := range s.Connections {
			if c.Owner > 0 {
				k.node.tell(k.parts[p], edgeBack{s.Session, messages.Transport{Edge: h.From, Connection: c.Connection}})
			}
		}
	}
}
