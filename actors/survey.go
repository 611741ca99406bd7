// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
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
// waits for the next: what happened in between is not on the first.
type surveyor struct {
	node    *Node
	self    *actor.PID
	rooms   map[surveyKey]*survey
	waiting int         // asks, of all rooms
	running int         // looks
	queue   []surveyKey // for their turn
}

// surveyKey names a room of one Janus.
type surveyKey struct {
	server       messages.Member
	plugin, room string
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
	case v.running >= maxSurveys:
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
		return surveyDone{key, n.look(ctx, key, asks)}
	})
}

func (v *surveyor) done(m surveyDone) {
	r := v.rooms[m.key]
	for _, a := range r.now {
		v.node.tell(a.session, surveyed{a.handle, a.gap, m.seen})
	}
	v.waiting -= len(r.now)
	r.now = nil
	v.running--
	if len(r.next) > 0 {
		v.schedule(m.key, r)
	} else {
		delete(v.rooms, m.key)
	}
	if len(v.queue) > 0 && v.running < maxSurveys {
		key := v.queue[0]
		v.queue = v.queue[1:]
		v.begin(key, v.rooms[key])
	}
}

// look asks a Janus what there is in a room.
func (n *Node) look(ctx context.Context, key surveyKey, asks []*surveyAsk) plugin.Seen {
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
