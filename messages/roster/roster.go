// SPDX-License-Identifier: Apache-2.0

// Package roster knows who is alive in the cluster and who owns which partition. It hears the heartbeats of all roles
// and asks nobody: liveness is heard, and judged only by a listener that was itself awake and connected.
package roster

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

const (
	// tick is the unit in which silence is counted.
	tick = messages.BeatInterval / 2
	// silentTicks of silence (three beats) make a member silent.
	silentTicks = 6
	// suspectTicks of silence (one and a half beats) are enough when somebody's request met no responder.
	suspectTicks = 3
	// deafTime without a beat of anybody, where several did beat, means that it is the listener who does not hear: a process hears its
	// own beats, too. NATS's client takes longer to find out that its server is frozen. Longer than deafMost it does not take: then
	// all others are gone.
	deafTime = 3 * tick
	deafMost = 2 * time.Second
	// forgetTicks of silence (60 s) remove a member.
	forgetTicks = int(60 * time.Second / tick)
	// outageTime without a NATS server is more than the change from one to another takes: NATS itself was away. settleTime is how
	// long its servers may then take to find one another again; until then those at another server are not heard.
	outageTime = time.Second
	settleTime = 2500 * time.Millisecond
	// beatQueue bounds the beats that wait for the loop; beyond it they are dropped, as a later one says the same.
	beatQueue = 1024
)

// Options are what a Roster needs.
type Options struct {
	Bus      *bus.Bus
	Log      *slog.Logger
	Registry prometheus.Registerer // nil: no metrics
}

// Owner is who owns a partition.
type Owner struct {
	Node   messages.Member
	Epoch  messages.Epoch
	Silent bool // the node is not heard any more; somebody will take over
}

// Peer is a member of the cluster as its last heartbeat showed it.
type Peer struct {
	Beat   messages.Beat
	Heard  time.Time // when its last beat came
	Silent bool
}

// Takes reports whether the peer takes new work.
func (p Peer) Takes() bool { return !p.Silent && p.Beat.State == messages.StateReady }

// View is the cluster at one moment. It never changes; Roster.View returns the latest.
type View struct {
	nodes, media, edges []Peer
	owners              *[messages.Partitions]Owner
	majority, sure      bool
}

// Owner tells who owns a partition: the highest epoch that was ever announced. false: nobody yet.
func (v *View) Owner(partition int) (Owner, bool) {
	o := v.owners[partition]
	return o, !o.Epoch.IsZero()
}

// Nodes are the session nodes, by name. The slice is shared: read only. So are Media's and Edges'.
func (v *View) Nodes() []Peer { return v.nodes }

// Media are the media servers, by name.
func (v *View) Media() []Peer { return v.media }

// Local are the plugins that session nodes serve without a Janus, with their versions.
func (v *View) Local() map[string]string {
	local := make(map[string]string)
	for _, p := range v.nodes {
		if !p.Silent {
			maps.Copy(local, p.Beat.Session.Plugins)
		}
	}
	return local
}

// Edges are the edges, by name.
func (v *View) Edges() []Peer { return v.edges }

// EdgesBehind are the names of the edges that are heard and have not seen a revision of what mark tells; those that tell
// nothing do not count.
func (v *View) EdgesBehind(revision uint64, mark func(*messages.EdgeBeat) *uint64) (names []string) {
	for _, p := range v.edges {
		if seen := mark(p.Beat.Edge); !p.Silent && seen != nil && *seen < revision {
			names = append(names, p.Beat.Member.Name)
		}
	}
	return names
}

// Majority reports whether more than half of the known session nodes are heard. Without it the listener may be the
// one that is cut off, and must not take anything over on its own judgement.
func (v *View) Majority() bool { return v.majority }

// Find returns the peer with this role and name.
func (v *View) Find(role messages.Role, name string) (Peer, bool) {
	peers := v.of(role)
	i, ok := slices.BinarySearchFunc(peers, name, func(p Peer, n string) int { return cmp.Compare(p.Beat.Member.Name, n) })
	if !ok {
		return Peer{}, false
	}
	return peers[i], true
}

// Sure reports whether that majority was heard just now, and for longer than a beat. A listener that is cut off from several finds them
// silent one after the other, and has a majority until it comes to the last of them; when it is back it hears them one after the other.
func (v *View) Sure() bool { return v.sure }

func (v *View) of(role messages.Role) []Peer {
	switch role {
	case messages.RoleSession:
		return v.nodes
	case messages.RoleMedia:
		return v.media
	case messages.RoleEdge:
		return v.edges
	}
	return nil
}

type peerKey struct {
	role messages.Role
	name string
}

type peer struct {
	Peer
	missed    int // ticks without a beat, while the listener was awake and connected
	suspected bool
}

// Roster hears heartbeats. Make one with Start.
type Roster struct {
	bus     *bus.Bus
	online  func() bool // whether the bus is connected
	log     *slog.Logger
	view    atomic.Pointer[View]
	beats   chan messages.Beat
	suspect chan messages.Member
	subs    []*bus.Subscription
	stop    context.CancelFunc
	done    chan struct{}

	mu       sync.Mutex // guards watchers: added by roles at start, read by the loop
	watchers map[int]func(*View)
	nextID   int

	// The rest belongs to the loop.
	peers    map[peerKey]*peer
	owners   *[messages.Partitions]Owner
	lastTick time.Time
	heard    time.Time // when anybody beat last
	cut      bool      // that is so long ago that the others may hold this process for dead
	lonely   time.Time // when there was no majority last
	deaf     time.Time // since when the bus is not connected; zero: it is
	settled  time.Time // nobody falls silent before
	metrics  metrics
}

// Start begins to listen. One roster serves all roles of a process.
func Start(ctx context.Context, o Options) (*Roster, error) {
	r := newRoster(o)
	r.bus, r.online = o.Bus, o.Bus.Connected
	for pattern, handle := range map[string]bus.Handler{messages.Heartbeats: r.onBeat, messages.Suspicions: r.onSuspicion} {
		sub, err := o.Bus.Listen(pattern, 0, handle)
		if err != nil {
			r.cancelSubscriptions()
			return nil, fmt.Errorf("roster: %w", err)
		}
		r.subs = append(r.subs, sub)
	}
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	go r.run(ctx)
	return r, nil
}

func newRoster(o Options) *Roster {
	r := &Roster{
		log:      o.Log,
		beats:    make(chan messages.Beat, beatQueue),
		suspect:  make(chan messages.Member, beatQueue),
		done:     make(chan struct{}),
		watchers: map[int]func(*View){},
		peers:    map[peerKey]*peer{},
		owners:   &[messages.Partitions]Owner{},
		metrics:  newMetrics(o.Registry),
	}
	r.view.Store(&View{owners: r.owners})
	return r
}

// Stop ends the roster; its last view stays readable.
func (r *Roster) Stop() {
	r.cancelSubscriptions()
	r.stop()
	<-r.done
}

func (r *Roster) cancelSubscriptions() {
	for _, s := range r.subs {
		s.Cancel()
	}
}

// View is the cluster as it is known now.
func (r *Roster) View() *View { return r.view.Load() }

// Watch calls f, on the roster's goroutine, with every view in which members, their states or owners differ from the
// one before; not for mere changes of load. f must not block. It is called once at once, on the caller's goroutine.
func (r *Roster) Watch(f func(*View)) (cancel func()) {
	r.mu.Lock()
	id := r.nextID
	r.nextID++
	r.watchers[id] = f
	r.mu.Unlock()
	f(r.View())
	return func() {
		r.mu.Lock()
		delete(r.watchers, id)
		r.mu.Unlock()
	}
}

// Suspect tells all rosters that a request for the member met no responder: its silence is believed sooner.
func (r *Roster) Suspect(m messages.Member) {
	// A suspicion that is lost only costs the time that it would have saved.
	_ = r.bus.Publish(messages.SuspicionSubject(m), "", nil)
}

func (r *Roster) onBeat(m *bus.Msg) {
	beat, err := messages.ParseBeat(m.Data)
	if err != nil {
		r.log.Warn("heartbeat not understood", "subject", m.Subject, "error", err)
		return
	}
	select {
	case r.beats <- beat:
	default:
		r.metrics.dropped.Inc()
	}
}

func (r *Roster) onSuspicion(m *bus.Msg) {
	member, err := messages.ParseSuspicion(m.Subject)
	if err != nil {
		return
	}
	select {
	case r.suspect <- member:
	default: // the tick will find out
	}
}

func (r *Roster) run(ctx context.Context) {
	defer close(r.done)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	r.lastTick = time.Now()
	r.listens(r.lastTick)
	for {
		var changed bool
		select {
		case <-ctx.Done():
			return
		case beat := <-r.beats:
			changed = r.hear(beat, time.Now())
		case m := <-r.suspect:
			for _, p := range r.peers {
				p.suspected = p.suspected || p.Beat.Member == m
			}
		case now := <-ticker.C:
			changed = r.count(now)
		}
		if changed {
			r.publish()
		}
	}
}

// publish makes the new view known.
func (r *Roster) publish() {
	v := &View{owners: r.owners}
	keys := slices.SortedFunc(maps.Keys(r.peers), func(a, b peerKey) int { return cmp.Compare(a.name, b.name) })
	heard := 0
	for _, k := range keys {
		p := r.peers[k].Peer
		switch k.role {
		case messages.RoleSession:
			v.nodes = append(v.nodes, p)
			if !p.Silent {
				heard++
			}
		case messages.RoleMedia:
			v.media = append(v.media, p)
		case messages.RoleEdge:
			v.edges = append(v.edges, p)
		}
	}
	v.majority = heard*2 > len(v.nodes) && !r.cut
	if !v.majority {
		r.lonely = r.lastTick
	}
	v.sure = v.majority && r.hearsMost()
	r.metrics.show(v)
	r.view.Store(v)
	r.mu.Lock()
	watchers := slices.Collect(maps.Values(r.watchers))
	r.mu.Unlock()
	for _, f := range watchers {
		f(v)
	}
}
