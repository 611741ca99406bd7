// SPDX-License-Identifier: Apache-2.0

package roster

import (
	"maps"
	"slices"
	"time"

	"github.com/januscloud/januscloud/messages"
)

// hear takes a beat in and reports whether watchers must know.
func (r *Roster) hear(b messages.Beat, now time.Time) bool {
	key := peerKey{b.Role, b.Member.Name}
	p, known := r.peers[key]
	back := r.cut
	r.heard, r.cut = now, false
	switch {
	case known && b.Member.Inc < p.Beat.Member.Inc:
		return back // the last words of a predecessor
	case b.State == messages.StateLeaving:
		if known {
			r.log.Info("member left", "role", b.Role, "member", b.Member.String())
			r.silence(p.Beat.Member, true)
			if b.Role == messages.RoleMedia { // its Janus goes on, and waits for it
				p.Peer = Peer{Beat: b, Heard: now, Silent: true}
			} else {
				delete(r.peers, key)
			}
		}
		return known || back
	case !known:
		p = &peer{}
		r.peers[key] = p
		r.log.Info("member heard", "role", b.Role, "member", b.Member.String())
	}
	if known && p.Beat.Member != b.Member {
		r.silence(p.Beat.Member, true) // it restarted: what the old incarnation owned is nobody's
	}
	old := p.Peer
	p.Peer, p.missed, p.suspected = Peer{Beat: b, Heard: now}, 0, false
	changed := back || !known || old.Silent || differs(old.Beat, b)
	if b.Session != nil {
		// The highest epoch that was ever announced is the owner. Names of owners are compared by the whole member: a
		// node that restarted owns nothing until it says so.
		changed = r.own(b) || changed
	}
	if !changed {
		r.refresh(key, p.Peer)
	}
	return changed
}

// differs tells whether two beats of one name differ in what watchers care for.
func differs(a, b messages.Beat) bool {
	if a.Member != b.Member || a.State != b.State {
		return true
	}
	if a.Media != nil && b.Media != nil {
		return a.Media.Janus != b.Media.Janus || !maps.Equal(a.Media.Plugins, b.Media.Plugins)
	}
	return false
}

// own notes what a session node announces.
func (r *Roster) own(b messages.Beat) bool {
	var next *[messages.Partitions]Owner // copied on the first change: views share the old one
	for _, range_ := range b.Session.Owned {
		for p := range range_.Partitions.All() {
			have := r.owners[p]
			if range_.Epoch.Less(have.Epoch) || range_.Epoch == have.Epoch && have.Node == b.Member && !have.Silent {
				continue
			}
			if next == nil {
				copied := *r.owners
				next = &copied
			}
			next[p] = Owner{Node: b.Member, Epoch: range_.Epoch}
		}
	}
	if next == nil {
		return false
	}
	r.owners = next
	return true
}

// silence marks what a member owns as owned by somebody silent, or not.
func (r *Roster) silence(m messages.Member, silent bool) {
	copied := *r.owners
	for p := range copied {
		if copied[p].Node == m {
			copied[p].Silent = silent
		}
	}
	r.owners = &copied
}

// refresh puts the newest load into the view without telling the watchers.
func (r *Roster) refresh(key peerKey, now Peer) {
	v := *r.View()
	peers := slices.Clone(v.of(key.role))
	for i := range peers {
		if peers[i].Beat.Member == now.Beat.Member {
			peers[i] = now
		}
	}
	switch key.role {
	case messages.RoleSession:
		v.nodes = peers
		v.sure = v.majority && r.hearsMost()
	case messages.RoleMedia:
		v.media = peers
	case messages.RoleEdge:
		v.edges = peers
	}
	r.view.Store(&v)
}

// listens reports whether everybody who lives has been heard since the last tick, as far as it is up to this process and NATS.
func (r *Roster) listens(now time.Time) bool {
	was := r.deaf.IsZero()
	switch online := r.online(); {
	case !online && was:
		r.deaf = now
	case online && !was:
		if now.Sub(r.deaf) > outageTime {
			r.settled = now.Add(settleTime)
		}
		r.deaf = time.Time{}
	}
	return was && r.deaf.IsZero() && now.After(r.settled)
}

// hearsMost reports whether more than half of the session nodes beat not long ago, and did so before.
func (r *Roster) hearsMost() bool {
	if r.lastTick.Sub(r.lonely) < deafTime {
		return false
	}
	nodes, heard := 0, 0
	for key, p := range r.peers {
		if key.role != messages.RoleSession {
			continue
		}
		nodes++
		if !p.Silent && p.missed < suspectTicks {
			heard++
		}
	}
	return heard*2 > nodes
}

// unheard is for how long nobody at all was heard; 0 where it is not the listener that is to blame.
func (r *Roster) unheard(now time.Time) time.Duration {
	living := 0
	for _, p := range r.peers {
		if !p.Silent {
			living++
		}
	}
	if since := now.Sub(r.heard); living > 1 && since < deafMost {
		return since
	}
	return 0
}

// count counts one tick of silence for everybody and reports whether somebody fell silent or was forgotten.
//
// A tick that comes late, or while the bus is disconnected, counts for nobody: the listener was asleep or deaf, and
// would hold the living for dead. Nor does one while nobody is heard. After a gap everybody gets a fresh start; after an outage of
// NATS, when that has settled.
func (r *Roster) count(now time.Time) bool {
	late := now.Sub(r.lastTick) > 2*tick
	r.lastTick = now
	unheard := r.unheard(now)
	changed := !r.cut && unheard >= silentTicks*tick
	r.cut = r.cut || changed
	if !r.listens(now) || late || unheard >= deafTime {
		for _, p := range r.peers {
			p.missed, p.suspected = 0, false
		}
		return changed
	}
	for key, p := range r.peers {
		p.missed++
		switch {
		case p.missed > forgetTicks:
			r.log.Info("member forgotten", "role", key.role, "member", p.Beat.Member.String())
			delete(r.peers, key)
			changed = true
		case !p.Silent && (p.missed >= silentTicks || p.suspected && p.missed >= suspectTicks):
			r.log.Warn("member silent", "role", key.role, "member", p.Beat.Member.String(), "suspected", p.suspected)
			p.Silent = true
			r.silence(p.Beat.Member, true)
			changed = true
		}
	}
	return changed
}
