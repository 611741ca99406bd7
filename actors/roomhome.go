// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

const (
	// searchPause is the time between two searches for a room, when somebody who may have it does not answer.
	searchPause = 300 * time.Millisecond
	// searchTime is how long it is tried to hear from all who may have the room. Without them it is found nowhere, and is not
	// made anew either: then there could be two.
	searchTime = 6 * time.Second
)

// located is what the search for a room found.
type located struct {
	asked   []messages.Member
	homes   []messages.Member // that have the room, in the order of preference
	missing []messages.Member // that could not be asked
	record  storedRoom
	err     error // of the record
}

// remade is the outcome of making a room again.
type remade struct {
	server messages.Member
	reason string
	err    error
}

// locate asks all Janus for the room, and the store for its record.
func (r *room) locate() {
	servers, n, name, stored := r.node.serving(r.name.Plugin), r.node, r.name, r.names == nil
	r.asked = len(r.jobs)
	_, hidden := r.router.(plugin.Hides)
	probe := r.request("", r.router.Probe(name.Key))
	r.node.errand(r.self, func(ctx context.Context) any {
		l := located{asked: servers}
		answers, missing := n.askAll(ctx, servers, probe)
		l.missing = missing
		for _, a := range answers {
			if data, err := janusjson.ParseObject(a.data); a.err == nil && err == nil && r.router.Has(name.Key, data) {
				l.homes = append(l.homes, a.server)
			}
		}
		if stored {
			l.record, l.err = n.store.readRoom(ctx, name)
		}
		if hidden && l.err == nil && len(l.homes) == 0 {
			l.homes = named(servers, l.record.record.Server.Name)
		}
		return l
	})
}

// named are those of the servers that have a name: one, or none.
func named(servers []messages.Member, name string) []messages.Member {
	return slices.DeleteFunc(slices.Clone(servers), func(m messages.Member) bool { return m.Name != name })
}

// onLocated goes on with what was found: the room is there, or must be made again, or is nowhere.
func (r *room) onLocated(l located) {
	if r.names != nil {
		r.onName(l, time.Now())
		return
	}
	if l.err == nil {
		r.record.adopt(l.record)
	}
	wanted := r.record.Server
	if i := slices.IndexFunc(l.homes, func(m messages.Member) bool { return m.Name == wanted.Name }); i >= 0 {
		wanted = l.homes[i] // its media role may have been restarted
	}
	switch {
	case len(l.homes) > 0 && slices.Contains(l.homes, wanted):
		r.choose(wanted, r.record.Reason)
	case r.mayBeThere(wanted, l):
		r.searchOn()
	case len(l.homes) == 1:
		r.choose(l.homes[0], "found there")
	case len(l.homes) > 1:
		// Each of these Janus has it from its configuration. From now on it is the room of the cluster on one of them.
		home := slices.MaxFunc(l.homes, func(a, b messages.Member) int {
			return cmp.Compare(rendezvous(r.name.Partition(), a.Name), rendezvous(r.name.Partition(), b.Name))
		})
		r.choose(home, "one of "+strconv.Itoa(len(l.homes))+" that have it")
	case !r.configured():
		r.remake()
	default:
		r.busy = false
		if len(r.jobs) > 0 {
			r.serveNowhere(r.next())
		}
		r.pump()
	}
}

// searchOn looks for the room again, or gives up on those who wait for it.
func (r *room) searchOn() {
	if time.Since(r.trying) < searchTime {
		r.node.Wheel.Arm(&r.rest, searchPause, func() { r.node.tell(r.self, roomAgain{}) })
		return
	}
	r.node.Log.Warn("room not found: a media server that may have it does not answer", "plugin", r.name.Plugin, "room", r.name.Key)
	r.busy = false
	for len(r.jobs) > 0 {
		r.answer(r.next(), messages.RoomAnswer{Error: messages.Errorf(messages.CodeUnknown, "The room's media server does not answer")})
	}
	r.pump()
}

// mayBeThere reports whether somebody who may have the room could not be asked, or is heard only since the others were.
func (r *room) mayBeThere(wanted messages.Member, l located) bool {
	came := func(m messages.Member) bool { return !slices.Contains(l.asked, m) }
	if len(l.homes) == 0 && slices.ContainsFunc(r.node.serving(r.name.Plugin), came) {
		return true
	}
	if wanted.IsZero() || len(l.homes) == 0 {
		return len(l.missing) > 0 && len(l.homes) == 0 || r.resting(wanted)
	}
	return slices.Contains(l.missing, wanted) || r.resting(wanted)
}

// resting reports whether the media role of a server is not heard for the moment, or has only begun to speak to its Janus,
// which may be well.
func (r *room) resting(server messages.Member) bool {
	p, known := r.node.Roster.View().Find(messages.RoleMedia, server.Name)
	grace := r.node.MediaGrace
	return known && (p.Silent && time.Since(p.Heard) < grace ||
		p.Beat.State == messages.StateJoining && time.Since(p.Beat.Media.Since) < grace)
}

// choose makes one of those that have the room its home. Where that is the home of many, all that was made of them is made
// again, unless this Janus knows it.
func (r *room) choose(home messages.Member, reason string) {
	since, up := r.node.upSince(home)
	same := home == r.record.Server && since.Equal(r.record.Since)
	switch {
	case up && !same && len(r.record.Parts) > 0:
		r.remakeOn(home, reason)
	case same:
		r.found(home, reason)
	default:
		r.found(home, reason)
		if r.record.revision > 0 || reason != "found there" {
			r.keep(func() {})
		}
	}
}

func (r *room) found(home messages.Member, reason string) {
	r.busy = false
	r.settle(home, reason)
	r.record.Server, r.record.Reason = home, reason
	r.pump()
}

// remake makes the room again, as its record says, on another Janus.
func (r *room) remake() {
	r.place(func(p placed) {
		if p.err != nil {
			r.onRemade(remade{err: p.err})
			return
		}
		r.remakeOn(p.server, p.reason)
	})
}

// remakeOn puts the requests that made the room, or the rooms, to a Janus. What it says to each is its own affair: a room may
// be there already.
func (r *room) remakeOn(server messages.Member, reason string) {
	again := r.remaking(server, "its Janus was lost; "+reason)
	r.node.errand(r.self, func(ctx context.Context) any { return again(ctx) })
}

// remaking is what remakeOn has done for the reason.
func (r *room) remaking(server messages.Member, reason string) func(context.Context) remade {
	n, router, alone := r.node, r.router, len(r.record.Parts) == 0
	var made []messages.PluginRequest
	for _, body := range r.record.all() {
		made = append(made, r.request("", body))
	}
	return func(ctx context.Context) remade {
		out := remade{server: server, reason: reason}
		for i, q := range made {
			reply, err := n.askSteward(ctx, server, q)
			if err == nil && reply.Error != nil {
				err = reply.Error
			}
			if data, bad := janusjson.ParseObject(reply.Data); err == nil && alone && i == 0 && bad == nil && router.Failed(data) {
				err = fmt.Errorf("not created: %s", reply.Data)
			}
			if err != nil {
				out.err = err
				break
			}
		}
		return out
	}
}

func (r *room) onRemade(m remade) {
	if m.err != nil {
		r.node.Log.Error("room not made again", "plugin", r.name.Plugin, "room", r.name.Key, "server", m.server.Name, "error", m.err)
		r.busy = false
		if len(r.jobs) > 0 && !r.atHome() { // one that is, only wanted to leave
			r.answer(r.next(), messages.RoomAnswer{Error: messages.Errorf(messages.CodeUnknown, "The room's media server is lost, and no other could make the room again")})
		}
		r.pump()
		return
	}
	r.node.Log.Info("room made again", "plugin", r.name.Plugin, "room", r.name.Key, "server", m.server.Name, "reason", m.reason)
	r.emit(messages.EventRoomMoved, m.server, m.reason)
	r.found(m.server, m.reason)
	r.keep(func() {})
}

// runner is the errand that puts a request to a Janus.
func (r *room) runner(job *roomJob, server messages.Member, reason string, q messages.PluginRequest) func(context.Context) any {
	n := r.node
	return func(ctx context.Context) any {
		reply, err := n.askSteward(ctx, server, q)
		return roomRan{job: job, server: server, reason: reason, reply: reply, err: err}
	}
}

// tellOwner tells the owner of a room that its Janus made and named, and then the client.
func (r *room) tellOwner(job *roomJob, m roomRan, key string, answer messages.RoomAnswer) {
	name := messages.RoomName{Plugin: r.name.Plugin, Key: key}
	made := &messages.RoomMade{Server: m.server, Reason: m.reason, Body: json.RawMessage(r.router.Named(job.body, key))}
	n := r.node
	r.node.errand(r.self, func(ctx context.Context) any {
		n.askRoom(ctx, name, messages.RoomAsk{ID: job.ask.ID + ".made", Made: made})
		return roomStored{then: func() { r.answer(job, answer) }}
	})
}
