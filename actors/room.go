// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// maxRoomJobs bounds what waits for one room.
	maxRoomJobs = 1024
	// maxRoomAnswers and roomMemory bound the answers of a room that are remembered for who asks again.
	maxRoomAnswers = 64
	roomMemory     = 30 * time.Second
	// roomRest is how long a room that nobody asks for is remembered. It is found again when somebody does.
	roomRest = 10 * time.Minute
)

// room is the actor that knows where one room is. All that makes or ends the room goes through it, one after the other,
// so that two clients who create or join it at once cannot split it. It keeps nothing that could not be found again: where
// the room is, the media servers are asked; what it is made of, if the Janus that has it is lost, is in its record.
type room struct {
	node   *Node
	part   *partition
	self   *actor.PID
	name   messages.RoomName
	router plugin.Router
	names  plugin.Names // the same, where keys are names that handles have; nil: they are not
	grant  grant        // of the name
	local  bool         // no Janus keeps the names: session nodes do
	asked  int          // jobs that were there when the search began

	home   messages.Member // zero: not known
	reason string          // why it is the home
	sent   time.Time       // when somebody was told of the home last
	looked time.Time       // when it was looked last whether a home that drains can be left
	since  time.Time       // since when that Janus is up: a later one has forgotten the room
	record roomRecord

	jobs     []*roomJob // wait, in order
	running  []*roomJob // were taken, and are not answered yet
	doubtful bool       // somebody was told that the outcome is unknown: who asks for it again must be told the same
	busy     bool       // a step is under way that all others wait for
	trying   time.Time  // since when the home is looked for
	onPlaced func(placed)
	answers  []roomAnswered
	rest     wheel.Timer
}

// roomJob is a question that is not answered yet.
type roomJob struct {
	ask   messages.RoomAsk
	route plugin.Route
	body  janusjson.Object
	to    string // the inbox of who asked, when it was asked last
}

// roomAnswered is an answer that may be asked for again.
type roomAnswered struct {
	id   string
	data []byte
	at   time.Time
}

type (
	roomAgain struct{} // look for the home again
	roomDue   struct{} // nobody may have asked for a while
	roomIdle  struct{ messages.RoomName }
	roomRan   struct {
		job    *roomJob
		server messages.Member
		reason string
		reply  messages.PluginReply
		err    error
	}
)

func newRoom(p *partition, name messages.RoomName, router plugin.Router) *room {
	r := &room{node: p.node, part: p, name: name, router: router}
	r.names, _ = router.(plugin.Names)
	_, r.local = router.(plugin.Local)
	return r
}

// Receive handles one message; see the types for who sends them.
func (r *room) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		r.self = ctx.Self()
	case *bus.Msg:
		r.ask(m, time.Now())
	case located:
		r.onLocated(m)
	case roomAgain:
		r.locate()
	case placed:
		next := r.onPlaced
		r.onPlaced = nil
		if next != nil {
			next(m)
		}
	case roomRan:
		r.onRan(m)
	case lookedInto:
		r.onLookedInto(m)
	case remade:
		r.onRemade(m)
	case rewrite:
		r.rewrite()
	case roomStored:
		r.onStored(m)
	case localServed:
		r.onLocal(m)
	case roomDue:
		r.retire()
	case abandoned:
		r.node.Wheel.Disarm(&r.rest)
		r.refuseAll()
	}
}

// ask takes a question.
func (r *room) ask(m *bus.Msg, now time.Time) {
	job := &roomJob{to: m.Reply}
	err := json.Unmarshal(m.Data, &job.ask)
	if err == nil && job.ask.Claim == messages.ClaimDone {
		r.given(job.ask.Member)
		return
	}
	if m.Reply == "" || err != nil {
		r.node.metrics.dropped.WithLabelValues("malformed").Inc()
		return
	}
	if r.absorb(job, now) {
		return
	}
	if job.ask.Request != "" {
		body, err := janusjson.ParseObject(job.ask.Body)
		if err != nil {
			r.node.metrics.dropped.WithLabelValues("malformed").Inc()
			return
		}
		job.body, job.route = body, r.router.Route(body)
	}
	if len(r.jobs)+len(r.running) >= maxRoomJobs {
		r.answer(job, messages.RoomAnswer{Error: messages.Errorf(messages.CodeUnknown, "Too many requests wait for this room")})
		return
	}
	r.jobs = append(r.jobs, job)
	r.pump()
}

// absorb deals with a question that came before.
func (r *room) absorb(job *roomJob, now time.Time) bool {
	if job.ask.ID == "" {
		return false
	}
	for _, waiting := range slices.Concat(r.jobs, r.running) {
		if waiting.ask.ID == job.ask.ID {
			waiting.to = job.to // the inbox before is not looked at any more
			return true
		}
	}
	for _, a := range r.answers {
		if a.id == job.ask.ID && now.Sub(a.at) < roomMemory {
			r.publish(job, a.data)
			return true
		}
	}
	return false
}

// pump serves what waits, as far as it can be.
func (r *room) pump() {
	for !r.busy && len(r.jobs) > 0 {
		if r.local {
			r.serveLocal(r.next())
			return
		}
		if !r.atHome() {
			r.busy, r.trying = true, time.Now()
			r.locate()
			return
		}
		if r.mayLeave(time.Now()) {
			r.lookInto()
			return
		}
		r.serve(r.next())
	}
	if len(r.jobs)+len(r.running) == 0 && !r.busy {
		rest := roomRest
		switch {
		case r.names != nil:
			rest = grantTime
		case r.home.IsZero() && r.doubtful:
			rest = roomMemory
		case r.home.IsZero():
			r.retire()
			return
		}
		r.node.Wheel.Arm(&r.rest, rest, func() { r.node.tell(r.self, roomDue{}) })
	}
}

func (r *room) next() *roomJob {
	job := r.jobs[0]
	r.jobs = slices.Delete(r.jobs, 0, 1)
	r.running = append(r.running, job)
	return job
}

// atHome reports whether the home is known, and still what it was.
func (r *room) atHome() bool {
	if r.home.IsZero() {
		return false
	}
	since, up := r.node.upSince(r.home)
	if !up || !since.Equal(r.since) {
		r.home = messages.Member{}
		return false
	}
	return true
}

// settle makes a Janus the room's home.
func (r *room) settle(server messages.Member, reason string) {
	since, up := r.node.upSince(server)
	if !up {
		r.home = messages.Member{}
		return
	}
	r.home, r.since, r.reason = server, since, reason
}

// serve answers one question, the home being known.
func (r *room) serve(job *roomJob) {
	switch {
	case job.ask.Made != nil:
		r.made(job)
	case job.ask.Request == "":
		r.sent = time.Now()
		r.answer(job, messages.RoomAnswer{Server: r.home})
	default:
		r.run(job, r.home, r.reason)
	}
}

// serveNowhere answers one question when no Janus has the room.
func (r *room) serveNowhere(job *roomJob) {
	switch {
	case job.ask.Made != nil:
		r.made(job)
	case job.ask.Request == "" && !job.ask.Makes:
		r.answer(job, messages.RoomAnswer{})
	case (job.route.Creates || job.ask.Makes) && r.node.takes(job.ask.Beside, r.name.Plugin):
		r.begin(job, job.ask.Beside, "beside the handle that asked")
	default: // a Janus knows best what to say
		r.busy = true
		r.place(func(p placed) {
			r.busy = false
			if p.err != nil {
				r.answer(job, messages.RoomAnswer{Error: p.err})
				r.pump()
				return
			}
			r.begin(job, p.server, p.reason)
		})
	}
}

// begin has a request run where the room may be from now on, or sends a handle there that makes it.
func (r *room) begin(job *roomJob, server messages.Member, reason string) {
	if !job.ask.Makes {
		r.run(job, server, reason)
		return
	}
	r.settle(server, reason)
	r.answer(job, messages.RoomAnswer{Server: r.home})
	r.pump()
}

// place asks for a Janus that could have the room.
func (r *room) place(then func(placed)) {
	r.onPlaced = then
	r.node.tell(r.node.placer, place{session: r.self, plugin: r.name.Plugin})
}

// run has a request run on a Janus. What makes, changes or ends the room is waited for by all others.
func (r *room) run(job *roomJob, server messages.Member, reason string) {
	r.busy = r.busy || job.exclusive()
	q := r.request(job.ask.ID, job.ask.Body)
	r.node.errand(r.self, r.runner(job, server, reason, q))
}

func (j *roomJob) exclusive() bool { return j.route.Creates || j.route.Ends || j.route.Keep }

func (r *room) request(id string, body []byte) messages.PluginRequest {
	return messages.PluginRequest{ID: id, Partition: r.part.index, Epoch: r.part.epoch, Plugin: r.name.Plugin, Body: body}
}

// onRan takes a Janus's answer to a request.
func (r *room) onRan(m roomRan) {
	job := m.job
	if job.exclusive() {
		r.busy = false
	}
	switch {
	case errors.Is(m.err, errServerGone): // and with it the room, and whatever the request did to it
		r.home = messages.Member{}
		r.release(job)
		r.jobs = slices.Insert(r.jobs, 0, job)
	case m.err != nil:
		r.node.Log.Warn("request for a room not answered", "plugin", r.name.Plugin, "room", r.name.Key,
			"request", job.route.Request, "server", m.server.Name, "error", m.err)
		r.home, r.doubtful = messages.Member{}, true // it must be looked for
		r.answer(job, messages.RoomAnswer{Error: messages.Errorf(messages.CodeUnknown, "Outcome unknown: the media server did not answer")})
	case !m.reply.Refused.IsZero():
		r.node.tell(r.node.keeper, partitionRefused{r.part.index, m.reply.Refused})
		r.answer(job, messages.RoomAnswer{Retry: true})
	default:
		r.finish(m)
	}
	r.pump()
}

// finish notes what a request did to the room, and answers it.
func (r *room) finish(m roomRan) {
	job := m.job
	answer := messages.RoomAnswer{Server: m.server, Data: m.reply.Data, Error: m.reply.Error}
	data, err := janusjson.ParseObject(m.reply.Data)
	if m.reply.Error != nil || err != nil || r.router.Failed(data) {
		r.answer(job, answer)
		return
	}
	switch {
	case job.route.Shared:
		r.finishPart(job, data, answer)
	case job.route.Creates:
		r.created(job, m, data, answer)
	case job.route.Ends:
		r.ended(job, m.server, answer)
	case job.route.Keep:
		r.edited(job, m.server, answer)
	default:
		r.answer(job, answer)
	}
}

// edited takes note that the room is not what it was made. Where other Janus have it in their configuration they are to show
// the same of it: lists are made of what all tell.
func (r *room) edited(job *roomJob, server messages.Member, answer messages.RoomAnswer) {
	configured := r.configured()
	r.record.Made = append(r.record.Made, job.ask.Body)
	keep := func() { r.keep(func() { r.answer(job, answer) }) }
	if configured {
		r.runElsewhere(job, server, keep)
		return
	}
	keep()
}

// ended takes note that there is no such room any more. One that was not made here may be in the configuration of other Janus
// as well: it ends there, too, or it would be found again.
func (r *room) ended(job *roomJob, server messages.Member, answer messages.RoomAnswer) {
	configured := r.configured()
	r.home = messages.Member{}
	forget := func() { r.forget(func() { r.answer(job, answer) }) }
	if configured {
		r.runElsewhere(job, server, forget)
		return
	}
	forget()
}

// configured reports whether no client is known to have made the room: it may be in the configuration of several Janus.
func (r *room) configured() bool {
	if len(r.record.Made) == 0 {
		return true
	}
	body, err := janusjson.ParseObject(r.record.Made[0])
	return err == nil && !r.router.Route(body).Creates
}

// runElsewhere puts a request that was run to all Janus but the one that ran it. The room waits until they have answered.
func (r *room) runElsewhere(job *roomJob, server messages.Member, then func()) {
	r.busy = true
	n, q := r.node, r.request("", job.ask.Body)
	others := slices.DeleteFunc(n.serving(r.name.Plugin), func(m messages.Member) bool { return m == server })
	r.node.errand(r.self, func(ctx context.Context) any {
		n.askAll(ctx, others, q)
		return roomStored{then: then}
	})
}

// created takes note of a new room. One that its Janus gave an id to belongs to the owner of that id, who is told before the
// client is.
func (r *room) created(job *roomJob, m roomRan, data janusjson.Object, answer messages.RoomAnswer) {
	key, ok := r.router.Made(data)
	switch {
	case !ok:
		r.answer(job, answer)
	case key == r.name.Key:
		r.settle(m.server, m.reason)
		r.record.Made = []json.RawMessage{job.ask.Body}
		r.emit(messages.EventRoomCreated, m.server, m.reason)
		r.keep(func() { r.answer(job, answer) })
	default:
		r.busy = true
		r.tellOwner(job, m, key, answer)
	}
}

// made takes note of a room that was made by a request which named none, or by a handle.
func (r *room) made(job *roomJob) {
	made := job.ask.Made
	r.settle(made.Server, made.Reason)
	if r.record.Made = nil; len(made.Body) > 0 {
		r.record.Made = []json.RawMessage{made.Body}
	}
	r.emit(messages.EventRoomCreated, made.Server, made.Reason)
	r.keep(func() { r.answer(job, messages.RoomAnswer{Server: made.Server}) })
}

// emit tells analytics of the room.
func (r *room) emit(what string, server messages.Member, reason string) {
	r.node.emit(messages.Event{Type: what, Plugin: r.name.Plugin, Room: r.name.Key, Server: server.Name, Reason: reason})
}

// release takes a job off those that are under way.
func (r *room) release(job *roomJob) {
	r.running = slices.DeleteFunc(r.running, func(j *roomJob) bool { return j == job })
}

// answer answers a question, and remembers the answer for who asks again.
func (r *room) answer(job *roomJob, a messages.RoomAnswer) {
	r.release(job)
	data, err := json.Marshal(a)
	if err != nil {
		data = []byte(`{"error":{"code":490,"reason":"Answer not understood"}}`)
	}
	if (job.ask.Request != "" || job.ask.Claim != "") && job.ask.ID != "" && !a.Retry {
		if len(r.answers) == maxRoomAnswers {
			r.answers = slices.Delete(r.answers, 0, 1)
		}
		r.answers = append(r.answers, roomAnswered{job.ask.ID, data, time.Now()})
	}
	r.publish(job, data)
}

func (r *room) publish(job *roomJob, data []byte) {
	if r.node.Bus.Publish(job.to, "", data) != nil {
		r.node.metrics.dropped.WithLabelValues("disconnected").Inc() // it is asked again
	}
}

// retire forgets the room, if nobody waits for it.
func (r *room) retire() {
	if len(r.jobs)+len(r.running) == 0 && !r.busy {
		r.node.Wheel.Disarm(&r.rest)
		r.node.tell(r.part.self, roomIdle{r.name})
	}
}

// refuseAll sends everybody who waits to the next owner.
func (r *room) refuseAll() {
	for _, job := range slices.Concat(r.jobs, r.running) {
		r.answer(job, messages.RoomAnswer{Retry: true})
	}
	r.jobs, r.running = nil, nil
}
