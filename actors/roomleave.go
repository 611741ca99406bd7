// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"time"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// leaveLook is how often a room on a media server that drains is looked into, at most.
const leaveLook = time.Second

// lookedInto is what was found in a room that may leave its media server.
type lookedInto struct{ empty bool }

// mayLeave reports whether the next who asks for the room may be sent elsewhere: its media server drains, and nobody was sent there
// for so long that he may still be on his way. Whoever is in it stays there, and whoever comes joins them: a room is one.
func (r *room) mayLeave(now time.Time) bool {
	v, ok := r.router.(plugin.Vacating)
	if !ok || r.names != nil || r.configured() || len(r.record.Parts) > 0 || len(r.running) > 0 || v.Guests(r.name.Key) == nil {
		return false
	}
	if next := r.jobs[0]; next.ask.Request != "" || next.ask.Made != nil {
		return false
	}
	if now.Sub(r.part.taken) < r.node.MediaGrace || now.Sub(r.sent) < r.node.MediaGrace || now.Sub(r.looked) < leaveLook {
		return false
	}
	p, known := r.node.Roster.View().Find(messages.RoleMedia, r.home.Name)
	return known && p.Beat.State == messages.StateDraining
}

// lookInto asks who is in the room. All others wait meanwhile.
func (r *room) lookInto() {
	r.busy = true
	v, n, home := r.router.(plugin.Vacating), r.node, r.home
	q := r.request("", v.Guests(r.name.Key))
	r.node.errand(r.self, func(ctx context.Context) any {
		reply, err := n.askSteward(ctx, home, q)
		data, bad := janusjson.ParseObject(reply.Data)
		return lookedInto{empty: err == nil && reply.Error == nil && bad == nil && v.Empty(data)}
	})
}

// onLookedInto moves a room that is empty, if there is a place for it.
func (r *room) onLookedInto(m lookedInto) {
	r.looked = time.Now()
	stay := func() {
		r.busy = false
		r.pump()
	}
	if !m.empty || !r.atHome() {
		stay()
		return
	}
	r.place(func(p placed) {
		if p.err != nil || p.server == r.home || !r.atHome() {
			stay()
			return
		}
		r.moveTo(p.server, p.reason)
	})
}

// moveTo makes the room again on another Janus, and ends it on the one that it leaves.
func (r *room) moveTo(server messages.Member, reason string) {
	made, err := janusjson.ParseObject(r.record.Made[0])
	if err != nil {
		r.onRemade(remade{server: server, err: err})
		return
	}
	n, old := r.node, r.home
	end := r.request("", r.router.(plugin.Vacating).End(r.name.Key, made))
	again := r.remaking(server, "its media server drains; "+reason)
	r.node.errand(r.self, func(ctx context.Context) any {
		out := again(ctx)
		if out.err == nil {
			_, _ = n.askSteward(ctx, old, end) // nobody will be sent there, whether it ends or not
		}
		return out
	})
}
