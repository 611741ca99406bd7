// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// heldWait is how long the owner of a handle may take to say whether it has a name: the handle may change hands meanwhile.
const heldWait = 3 * time.Second

// localServed is the answer to a question about a name that no Janus keeps.
type localServed struct {
	job    *roomJob
	answer messages.RoomAnswer
}

// serveLocal answers a question about a name that no Janus keeps: its record tells who has it, and the owner of that handle
// whether he still does.
func (r *room) serveLocal(job *roomJob) {
	r.busy = true
	n, name, epoch := r.node, r.name, r.part.epoch
	r.node.errand(r.self, func(ctx context.Context) any {
		answer, err := n.local(ctx, name, epoch, job.ask)
		if err != nil {
			n.Log.Warn("name neither read nor written", "plugin", name.Plugin, "name", name.Key, "error", err)
			answer = messages.RoomAnswer{Error: messages.Errorf(messages.CodeUnknown, "Names cannot be looked up at the moment")}
		}
		return localServed{job, answer}
	})
}

func (r *room) onLocal(m localServed) {
	r.busy = false
	r.answer(m.job, m.answer)
	r.pump()
}

// local answers one question. It blocks until it has the answer or ctx ends.
func (n *Node) local(ctx context.Context, name messages.RoomName, epoch messages.Epoch, ask messages.RoomAsk) (messages.RoomAnswer, error) {
	there, err := n.store.readRoom(ctx, name)
	if err != nil {
		return messages.RoomAnswer{}, err
	}
	holder := there.record.Member
	own := holder != nil && ask.Member != nil && holder.Session == ask.Member.Session && holder.Handle == ask.Member.Handle
	switch {
	case ask.Claim == messages.ClaimFree && own:
		_, err = n.store.writeRoom(ctx, name, there.revision, nil)
		return messages.RoomAnswer{}, err
	case holder != nil && !own && !n.holds(ctx, *holder, name):
		holder = nil
	}
	if ask.Claim != messages.ClaimNew || ask.Member == nil || holder != nil {
		return messages.RoomAnswer{Member: holder}, nil
	}
	data, err := json.Marshal(messages.RoomRecord{Epoch: epoch, Plugin: name.Plugin, Key: name.Key, Member: ask.Member})
	if err == nil {
		_, err = n.store.writeRoom(ctx, name, there.revision, data)
	}
	return messages.RoomAnswer{Member: ask.Member}, err
}

// holds tells whether a handle has a name still; one whose owner does not answer for heldWait has.
func (n *Node) holds(ctx context.Context, holder messages.RoomMember, name messages.RoomName) bool {
	ctx, cancel := context.WithTimeout(ctx, heldWait)
	defer cancel()
	return !n.askPeer(ctx, messages.PeerMessage{Kind: messages.PeerHeld, To: holder, Name: json.RawMessage(name.Key)}).Gone
}

// askPeer says something to a handle, again and again until its session's owner answers. It blocks until then or until ctx ends;
// what was not answered is not known to be gone.
func (n *Node) askPeer(ctx context.Context, message messages.PeerMessage) messages.PeerAnswer {
	data, err := message.Marshal()
	if err != nil {
		return messages.PeerAnswer{Gone: true}
	}
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, askEvery)
		m, err := n.Bus.Request(try, messages.PeerSubject(message.To), data)
		cancel()
		var answer messages.PeerAnswer
		if err == nil && json.Unmarshal(m.Data, &answer) == nil {
			return answer
		}
		bus.Pause(ctx, askPause)
	}
	return messages.PeerAnswer{}
}

// names are the names of a plugin that no Janus keeps, as JSON. It blocks until it has them or ctx ends.
func (s *store) names(ctx context.Context, plugin string) ([]string, error) {
	var names []string
	for seq := uint64(1); ; {
		ask, err := json.Marshal(map[string]any{"batch": loadBatch, "seq": seq, "next_by_subj": roomSubjects + "*.*." + plugin})
		if err != nil {
			return nil, fmt.Errorf("records: %w", err)
		}
		var failed error
		more := uint64(0)
		err = s.bus.RequestMany(ctx, "$JS.API.DIRECT.GET.KV_"+roomBucket, ask, func(m *bus.Msg) bool {
			status := m.Header.Get("Status")
			if m.NoResponders || status != "" {
				if m.NoResponders || status != "404" && status != "204" {
					failed = bus.ErrNoResponders
				}
				if pending := m.Header.Get("Nats-Num-Pending"); status == "404" || pending == "" || pending == "0" {
					more = 0
				}
				return false
			}
			more = readStored(m).revision
			key, _ := strings.CutPrefix(m.Header.Get(jetstream.SubjectHeader), roomSubjects)
			if name, err := messages.ParseRoomSubject("janus.room." + key); err == nil && m.Header.Get("KV-Operation") == "" {
				names = append(names, name.Key)
			}
			return true
		})
		switch {
		case err != nil:
			return nil, fmt.Errorf("records: %w", err)
		case failed != nil:
			return nil, fmt.Errorf("records: %w", failed)
		case more == 0:
			return names, nil
		}
		seq = more + 1
	}
}
