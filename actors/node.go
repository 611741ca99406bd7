// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/load"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/wheel"
)

// Options are what a session node needs.
type Options struct {
	Name     string // unique among the cluster's session nodes, see messages.ValidName
	Region   string
	Bus      *bus.Bus
	Roster   *roster.Roster
	Wheel    *wheel.Wheel
	Load     *load.Meter
	Log      *slog.Logger
	Registry prometheus.Registerer // nil: no metrics

	// SessionTimeout ends a session that sent nothing for so long (session_timeout of Janus; 0 = never).
	SessionTimeout time.Duration
	// ReclaimTimeout is how long a session outlives its transport, waiting for a claim (reclaim_session_timeout of
	// Janus; 0 = it ends with its transport).
	ReclaimTimeout time.Duration
	// MediaGrace is how long a media server may be silent before the handles on it are given up. 0: ten seconds.
	MediaGrace time.Duration
	// Routers know what the requests of plugins refer to. nil: those of Janus's own plugins.
	Routers plugin.Routers
	// Replicas of the records: 1, 3 or 5; 0 = three where the NATS cluster has as many servers, else one.
	Replicas int
}

// defaultMediaGrace is Options.MediaGrace where nothing else is asked for.
const defaultMediaGrace = 10 * time.Second

// Node is a running session role.
type Node struct {
	Options
	member  messages.Member
	host    string
	system  *actor.ActorSystem
	store   *store
	metrics *metrics
	errands *errands
	beater  *roster.Beater
	started time.Time

	keeper, placer, surveyor, examiner, acknowledger *actor.PID

	// Written by the keeper, read by the beater and Ready.
	owned    atomic.Pointer[[]messages.OwnedRange]
	state    atomic.Value // messages.State
	sessions atomic.Int64
	remains  atomic.Int64 // sessions that are over but for their records

	proven  atomic.Int64 // when JetStream last accepted a write of the keeper's, in Unix nanoseconds; 0: never, or not needed
	waiting atomic.Int64 // when the node last could not act, in Unix nanoseconds

	rules ruling // of administrators, for all sessions

	unwatch  func()
	subs     []*bus.Subscription
	stopOnce sync.Once
}

// Start makes the process a session node. It returns when the node has listened long enough to know the cluster and
// has taken what is its own, or when ctx ends.
func Start(ctx context.Context, o Options) (*Node, error) {
	if !messages.ValidName(o.Name) {
		return nil, fmt.Errorf("session node: %q is not a valid name", o.Name)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("session node: %w", err)
	}
	n := &Node{Options: o, member: messages.NewMember(o.Name), host: host, started: time.Now(), metrics: newMetrics(o.Registry), errands: newErrands()}
	if n.Routers == nil {
		n.Routers = plugin.Standard()
	}
	if n.MediaGrace == 0 {
		n.MediaGrace = defaultMediaGrace
	}
	n.Log = o.Log.With("node", o.Name)
	n.state.Store(messages.StateJoining)
	n.owned.Store(&[]messages.OwnedRange{})
	if n.store, err = openStore(ctx, o.Bus, o.Replicas, n.Log); err != nil {
		return nil, fmt.Errorf("session node: %w", err)
	}
	n.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return n.Log }))
	n.readSettings(ctx)
	n.placer = n.spawn(newPlacer(n))
	n.surveyor = n.spawn(&surveyor{node: n, most: maxSurveys, rooms: map[surveyKey]*survey{}})
	n.examiner = n.spawn(&surveyor{node: n, most: maxExams, rooms: map[surveyKey]*survey{}})
	n.acknowledger = n.spawn(&acknowledger{node: n, reach: map[string]map[uint64]uint64{}})
	joined := make(chan struct{})
	n.keeper = n.spawn(newKeeper(n, joined))
	sub, err := o.Bus.Own(messages.NodePrefix(n.member), 0, func(m *bus.Msg) { n.tell(n.keeper, m) })
	if err != nil {
		return nil, fmt.Errorf("session node: %w", err)
	}
	n.subs = append(n.subs, sub)
	n.beater = roster.NewBeater(o.Bus, n.beat)
	n.unwatch = o.Roster.Watch(func(v *roster.View) { n.tell(n.keeper, viewChanged{v}) })
	o.Bus.OnState(func(connected bool) {
		if connected && n.errands.ctx.Err() == nil {
			n.tell(n.keeper, busBack{})
		}
	})
	n.tell(n.keeper, keeperTick{})
	n.followSettings()
	select {
	case <-joined:
		return n, nil
	case <-ctx.Done():
		_ = n.Stop(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("session node: not joined: %w", ctx.Err())
	}
}

// Member is the node's name and incarnation.
func (n *Node) Member() messages.Member { return n.member }

// Ready reports why the node cannot take work, nil if it can.
func (n *Node) Ready() error {
	switch {
	case !n.Bus.Connected():
		return errors.New("not connected to NATS")
	case n.state.Load() != messages.StateReady:
		return fmt.Errorf("session node is %v", n.state.Load())
	}
	return nil
}

// Stop leaves the cluster: the partitions are given to the others (see Drain), the last heartbeat says that the node leaves, and what
// is left is taken over at once. Sessions live on with the successors. It is idempotent.
func (n *Node) Stop(ctx context.Context) error {
	n.stopOnce.Do(func() {
		n.Drain(ctx)
		n.state.Store(messages.StateLeaving)
		n.unfollowSettings()
		if n.unwatch != nil {
			n.unwatch()
		}
		for _, s := range n.subs {
			s.Cancel()
		}
		left := make(chan struct{})
		n.tell(n.keeper, leave{left})
		select {
		case <-left:
		case <-ctx.Done():
		}
		if n.beater != nil {
			n.beater.Stop()
		}
		n.errands.close()
		n.system.Shutdown()
	})
	return nil
}

func (n *Node) spawn(a actor.Actor) *actor.PID { return n.system.Root.Spawn(propsFor(a, n.Log)) }

func (n *Node) tell(pid *actor.PID, message any) { n.system.Root.Send(pid, message) }

func (n *Node) beat() messages.Beat {
	return messages.Beat{
		Role: messages.RoleSession, Member: n.member, State: n.state.Load().(messages.State),
		Host: n.host, Region: n.Region, Load: n.Load.Value(),
		Session: &messages.SessionBeat{Sessions: int(n.sessions.Load()), Owned: *n.owned.Load(), Plugins: n.localPlugins()},
	}
}

// localPlugins are the plugins that session nodes serve themselves; nil: none.
func (n *Node) localPlugins() map[string]string {
	var list map[string]string
	for pkg, router := range n.Routers {
		if local, ok := router.(plugin.Local); ok {
			if list == nil {
				list = map[string]string{}
			}
			list[pkg] = local.Version()
		}
	}
	return list
}

// stale reports whether others may hold this node for dead: it must then not act as an owner. So it is when it was kept from
// running or beating, and while it is cut off from most of the others.
func (n *Node) stale() bool {
	if n.beater.Awake() && !n.cutOff() {
		return false
	}
	n.waiting.Store(time.Now().UnixNano())
	return true
}

// proofTime is how long an accepted write stands for a majority that is not heard: less than it takes others to hold this node for
// dead and to take its partitions.
const proofTime = 3 * messages.BeatInterval

// cutOff reports whether the node hears no majority of the session nodes, and cannot prove that it is not in the smaller part of
// a cluster that fell apart: the other part has taken its partitions over then.
func (n *Node) cutOff() bool {
	return !n.Roster.View().Majority() && !n.provenLately()
}

func (n *Node) provenLately() bool { return time.Now().UnixNano()-n.proven.Load() <= int64(proofTime) }

// waited is the last moment at which the node could not act: no silence of clients counts that began before.
func (n *Node) waited() time.Time { return time.Unix(0, n.waiting.Load()) }

// alive reports whether a media server is heard.
func (n *Node) alive(server messages.Member) bool { return n.originOf(server) != "" }

// originOf is the name that the events of a media server bear; empty for one that is not heard.
func (n *Node) originOf(server messages.Member) string {
	if p, ok := n.Roster.View().Find(messages.RoleMedia, server.Name); ok && !p.Silent && p.Beat.Member == server {
		return p.Beat.EventOrigin()
	}
	return ""
}

// tells reports whether the media server is heard that numbers events with this name.
func (n *Node) tells(origin string) bool {
	server, err := messages.ParseMember(origin)
	if err != nil {
		return false
	}
	p, ok := n.Roster.View().Find(messages.RoleMedia, server.Name)
	return ok && !p.Silent && p.Beat.EventOrigin() == origin
}

// emit publishes an event for analytics. Events are not on any path that a client waits for; one that NATS does not
// take is lost and counted.
func (n *Node) emit(e messages.Event) {
	e.Time, e.Node = time.Now(), n.Name
	data, err := json.Marshal(e)
	if err == nil {
		err = n.Bus.Publish(e.Subject(), "", data)
	}
	if err != nil {
		n.metrics.eventsLost.Inc()
	}
}
