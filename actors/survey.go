// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
)

const (
	// maxSurveys is how many rooms a node looks at at a time; after a gap it may be all of a Janus. Others wait for their turn.
	maxSurveys = 32
	// maxExams is how many handles it looks at at a time. Each takes one of the places that a media server has for administrators,
	// and several nodes look at once.
	maxExams = 4
	// maxSurveyAsks bounds who waits.
	maxSurveyAsks = 100_000
	// surveyTime bounds one look.
	surveyTime = 5 * time.Second
	// surveyPause is the time between two tries.
	surveyPause = 200 * time.Millisecond
	// maxVisits is with how many clients' pins and tokens a visit is tried: one of them may have been shut out meanwhile.
	maxVisits = 3
)

// surveyor looks at rooms for the sessions of its node, once for all who ask at the same time. Who asks while a look is under way
// waits for the next: what happened in between is not on the first. Another one looks at handles.
type surveyor struct {
	node    *Node
	self    *actor.PID
	most    int // looks at a time
	rooms   map[surveyKey]*survey
	waiting int         // asks, of all rooms
	running int         // looks
	queue   []surveyKey // for their turn
}

// surveyKey names a room of one Janus, or a handle.
type surveyKey struct {
	server         messages.Member
	plugin, room   string
	session, janus uint64 // of a handle: its session, and its id there
}

// survey is a room that is looked at.
type survey struct {
	now, next []*surveyAsk
	queued    bool
}

// surveyAsk asks to look at a room. The answer, surveyed, goes to the session.
type surveyAsk struct {
	key     surveyKey
	look    plugin.Look
	session *actor.PID
	handle  uint64
	gap     uint64 // of the handle's, see resync
}

// surveyed is what was seen; nothing when the Janus did not answer.
type surveyed struct {
	handle, gap uint64
	seen        plugin.Seen
}

// surveyDone tells the surveyor that a look is over.
type surveyDone struct {
	key  surveyKey
	seen plugin.Seen
	mute bool // the Admin API does not answer: nothing else need be asked of it
}

// Receive handles one message.
func (v *surveyor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		v.self = ctx.Self()
	case *surveyAsk:
		v.ask(m)
	case surveyDone:
		v.done(m)
	}
}

func (v *surveyor) ask(a *surveyAsk) {
	if v.waiting >= maxSurveyAsks {
		v.node.tell(a.session, surveyed{handle: a.handle, gap: a.gap})
		return
	}
	v.waiting++
	r := v.rooms[a.key]
	if r == nil {
		r = &survey{}
		v.rooms[a.key] = r
	}
	r.next = append(r.next, a)
	v.schedule(a.key, r)
}

// schedule begins a look when it is the room's turn.
func (v *surveyor) schedule(key surveyKey, r *survey) {
	switch {
	case r.now != nil || r.queued:
	case v.running >= v.most:
		r.queued = true
		v.queue = append(v.queue, key)
	default:
		v.begin(key, r)
	}
}

func (v *surveyor) begin(key surveyKey, r *survey) {
	r.now, r.next, r.queued = r.next, nil, false
	v.running++
	n, asks := v.node, r.now
	n.errand(v.self, func(ctx context.Context) any {
		ctx, cancel := context.WithTimeout(ctx, surveyTime)
		defer cancel()
		return n.look(ctx, key, asks)
	})
}

func (v *surveyor) done(m surveyDone) {
	r := v.rooms[m.key]
	v.answer(r.now, m.seen)
	r.now = nil
	v.running--
	if m.mute {
		v.skip(m.key.server)
	}
	if len(r.next) > 0 {
		v.schedule(m.key, r)
	} else {
		delete(v.rooms, m.key)
	}
	if len(v.queue) > 0 && v.running < v.most {
		key := v.queue[0]
		v.queue = v.queue[1:]
		v.begin(key, v.rooms[key])
	}
}

func (v *surveyor) answer(asks []*surveyAsk, seen plugin.Seen) {
	for _, a := range asks {
		v.node.tell(a.session, surveyed{a.handle, a.gap, seen})
	}
	v.waiting -= len(asks)
}

// skip answers those who wait for their turn at a media server that does not answer: each would wait as long, one behind the other.
func (v *surveyor) skip(server messages.Member) {
	v.queue = slices.DeleteFunc(v.queue, func(key surveyKey) bool {
		if key.server != server {
			return false
		}
		v.answer(v.rooms[key].next, plugin.Seen{})
		delete(v.rooms, key)
		return true
	})
}

// look asks a Janus what there is in a room, or what it knows of a handle.
func (n *Node) look(ctx context.Context, key surveyKey, asks []*surveyAsk) surveyDone {
	if key.janus == 0 {
		return surveyDone{key: key, seen: n.lookAtRoom(ctx, key, asks)}
	}
	info, answered := n.handleInfo(ctx, key)
	return surveyDone{key: key, seen: plugin.Seen{Info: info}, mute: !answered}
}

func (n *Node) lookAtRoom(ctx context.Context, key surveyKey, asks []*surveyAsk) plugin.Seen {
	var seen plugin.Seen
	look := asks[0].look
	seen.List = n.lookOnce(ctx, key, messages.PluginRequest{Body: look.List})
	if look.Visit == nil || len(seen.List.Bytes()) == 0 || look.Visit(seen.List) == nil {
		return seen
	}
	var tried []string
	for _, a := range asks {
		if slices.Contains(tried, a.look.Proof) {
			continue
		}
		if tried = append(tried, a.look.Proof); len(tried) > maxVisits {
			break
		}
		body := a.look.Visit(seen.List)
		id := "survey." + n.member.String() + "." + strconv.FormatUint(rand.Uint64(), 36)
		data := n.lookOnce(ctx, key, messages.PluginRequest{ID: id, Body: body, Visit: true})
		if len(data.Bytes()) > 0 && !n.Routers[key.plugin].Failed(data) {
			seen.Visit = data
			break
		}
	}
	return seen
}

// lookOnce puts one request to the Janus, again and again while there is none: it was just lost and found. The object is empty
// when there is no answer.
func (n *Node) lookOnce(ctx context.Context, key surveyKey, q messages.PluginRequest) janusjson.Object {
	q.Plugin = key.plugin
	reply, err := n.askSteward(ctx, key.server, q)
	for (err != nil || reply.Error != nil) && ctx.Err() == nil {
		bus.Pause(ctx, surveyPause)
		reply, err = n.askSteward(ctx, key.server, q)
	}
	if err != nil || reply.Error != nil {
		n.Log.Warn("room not looked at", "server", key.server.Name, "plugin", key.plugin, "room", key.room, "error", err, "answer", reply.Error)
		return janusjson.Object{}
	}
	o, err := janusjson.ParseObject(reply.Data)
	if err != nil {
		n.Log.Warn("answer about a room not understood", "server", key.server.Name, "plugin", key.plugin, "error", err)
	}
	return o
}

// handleInfo asks the Admin API of the Janus about a handle. The object is empty when there is no such handle; answered is false when
// there is no such API, or no answer.
func (n *Node) handleInfo(ctx context.Context, key surveyKey) (info janusjson.Object, answered bool) {
	call, err := json.Marshal(messages.AdminCall{
		Verb: "handle_info", Fields: fmt.Appendf(nil, `{"session_id":%d,"handle_id":%d}`, key.session, key.janus),
	})
	if err != nil {
		return info, false
	}
	result := n.askAdminOnce(ctx, key.server, call)
	for result.Busy && ctx.Err() == nil {
		bus.Pause(ctx, surveyPause)
		result = n.askAdminOnce(ctx, key.server, call)
	}
	if reply, err := janusjson.ParseObject(result.Reply); err == nil {
		info, _ = reply.Get("info").Object()
	}
	return info, len(result.Reply) > 0 || result.Error != nil
}

// askAdminOnce puts one request to the Admin API of a Janus. Of a media server that is not reached it says that it is busy: it was
// just lost and found.
func (n *Node) askAdminOnce(ctx context.Context, server messages.Member, call []byte) messages.AdminResult {
	m, err := n.Bus.Request(ctx, messages.MediaAdmin(server), call)
	if err != nil {
		return messages.AdminResult{Busy: true}
	}
	var result messages.AdminResult
	if err := json.Unmarshal(m.Data, &result); err != nil {
		return messages.AdminResult{Failure: err.Error()}
	}
	return result
}
