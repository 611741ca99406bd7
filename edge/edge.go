// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/januscloud/januscloud/edge/auth"
	"github.com/januscloud/januscloud/edge/rest"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/settings"
)

// lane is the bus's lane that brings replies and events.
const lane = 1

// publisher is what requests need of the bus.
type publisher interface {
	Publish(subject, reply string, data []byte) error
}

// Edge is a running edge role. Make one with Start.
type Edge struct {
	opts     Options
	member   messages.Member
	host     string
	controls controls
	start    time.Time
	log      *slog.Logger
	metrics  *metrics
	guard    auth.Guard
	cors     rest.CORS
	refusals *auth.Refusals
	tokens   *auth.Tokens // nil: none are stored

	bus     publisher
	owner   func(partition int) (roster.Owner, bool)
	suspect func(messages.Member)
	draw    func() (session uint64)

	numbers     atomic.Uint64 // of connections
	connections table
	partitions  [messages.Partitions]partition
	waiting     atomic.Int64 // requests in flight, long polls among them
	polls       atomic.Int64 // long polls that wait
	bytes       atomic.Int64 // of memory that they hold
	repeater    *repeater
	acks        *acks
	history     history
	chooser     *chooser
	info        *cluster

	stopping   atomic.Bool
	draining   atomic.Bool
	transports []transport
	nats       *natsAPI // nil: not served
	beater     *roster.Beater
	undo       []func() // of Start, the last first
	tasks      sync.WaitGroup
	stopOnce   sync.Once
	stopped    error
}

// controls are subjects that are compared with over and over.
type controls struct{ ask, resend, drain string }

func controlsOf(m messages.Member) controls {
	return controls{messages.EdgeAsk(m), messages.EdgeResend(m), messages.DrainSubject(messages.RoleEdge, m)}
}

// newEdge makes an edge that does nothing yet.
func newEdge(o Options) *Edge {
	o = o.withDefaults()
	e := &Edge{
		opts: o, member: messages.NewMember(o.Name), host: hostName(), start: time.Now(),
		log: o.Log.With("node", o.Name), guard: auth.NewGuard(o.APISecret),
	}
	e.refusals = auth.NewRefusals(e.log)
	e.cors = rest.NewCORS(o.Origin, o.EnforceOrigin, e.refusals.Origin)
	e.controls = controlsOf(e.member)
	e.metrics = newMetrics(o.Registry, e)
	e.repeater = newRepeater(e)
	e.acks = newAcks(e)
	return e
}

// Start makes the process an edge. It returns when clients can connect. ctx bounds the start alone.
func Start(ctx context.Context, o Options) (*Edge, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	e := newEdge(o)
	if err := e.begin(ctx); err != nil {
		for _, undo := range e.undo {
			undo()
		}
		e.tasks.Wait()
		return nil, fmt.Errorf("edge: %w", err)
	}
	e.log.Info("edge serves", "member", e.member.String(), "addresses", e.Addresses())
	return e, nil
}

func (e *Edge) begin(ctx context.Context) error {
	o := &e.opts
	if p, ok := o.Roster.View().Find(messages.RoleEdge, o.Name); ok && !p.Silent {
		return fmt.Errorf("%w: an edge of the name %s is alive", ErrOptions, o.Name)
	}
	e.bus, e.suspect = o.Bus, o.Roster.Suspect
	e.owner = func(partition int) (roster.Owner, bool) { return o.Roster.View().Owner(partition) }
	e.chooser = newChooser(o.Roster.View)
	e.draw = e.chooser.draw
	e.info = newCluster(o, e.fetchInfo, e.log)
	if err := settings.Read(ctx, o.Bus, e.info.heed); err != nil {
		e.log.Info("starting without what administrators set", "error", err)
	}
	e.info.build(o.Roster.View())
	if err := e.admitTokens(ctx); err != nil {
		return err
	}
	if err := e.listen(ctx); err != nil {
		return err
	}
	sub, err := o.Bus.Own(messages.EdgePrefix(e.member), lane, e.receive)
	if err != nil {
		return err
	}
	e.undone(sub.Cancel)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.undone(stop)
	e.tasks.Go(func() { e.repeater.run(background) })
	e.tasks.Go(func() { e.acks.run(background) })
	e.undone(o.Roster.Watch(e.viewChanged))
	o.Bus.OnState(e.busChanged)
	for _, t := range e.transports {
		e.tasks.Go(func() { t.serve(background) })
	}
	if err := e.serveNATS(ctx); err != nil {
		return err
	}
	e.beater = roster.NewBeater(o.Bus, e.beat)
	e.info.spoke = e.beater.Now
	e.tasks.Go(func() { e.info.run(background, o.Roster.View) })
	e.tasks.Go(func() { settings.Follow(background, o.Bus, e.log, e.info.heed) })
	if e.tokens != nil {
		e.tasks.Go(func() { e.tokens.Run(background) })
		e.tasks.Go(func() { e.announceTokens(background) })
	}
	return nil
}

// undone notes what takes a step of the start back.
func (e *Edge) undone(step func()) { e.undo = append([]func(){step}, e.undo...) }

// Member is the edge's name and incarnation.
func (e *Edge) Member() messages.Member { return e.member }

// Addresses are the URLs for clients, by transport ("ws", "wss", "http", "https"); a transport that listens everywhere is
// named by the loopback address.
func (e *Edge) Addresses() map[string]string { return e.addresses("127.0.0.1") }

// Ready reports why the edge cannot serve requests now, nil if it can.
func (e *Edge) Ready() error {
	switch {
	case e.stopping.Load():
		return errors.New("edge is stopping")
	case e.draining.Load():
		return errors.New("edge is draining")
	case !e.opts.Bus.Connected():
		return errors.New("not connected to NATS")
	}
	for _, p := range e.opts.Roster.View().Nodes() {
		if p.Takes() {
			return nil
		}
	}
	return errors.New("no session node is ready")
}

// Stop ends the edge: no client is accepted any more, those that are there are told to go elsewhere, the owners of their
// sessions hear of it. It returns when all that is done or ctx has ended, with the error of ctx. It is idempotent.
func (e *Edge) Stop(ctx context.Context) error {
	e.stopOnce.Do(func() {
		e.stopping.Store(true)
		e.beater.Now()
		var errs []error
		if e.nats != nil && e.opts.Bus.Connected() {
			errs = append(errs, e.nats.stop(ctx))
		}
		for _, t := range e.transports {
			errs = append(errs, t.stop(ctx))
		}
		if e.opts.Bus.Connected() {
			errs = append(errs, e.opts.Bus.Flush(ctx))
		}
		e.beater.Stop()
		for _, undo := range e.undo {
			undo()
		}
		e.tasks.Wait()
		if e.stopped = errors.Join(errs...); e.stopped != nil {
			e.stopped = fmt.Errorf("edge: stop: %w", e.stopped)
		}
		e.log.Info("edge stopped", "unanswered", e.waiting.Load(), "error", e.stopped)
	})
	return e.stopped
}

func (e *Edge) beat() messages.Beat {
	b := messages.Beat{
		Role: messages.RoleEdge, Member: e.member, State: e.state(),
		Host: e.host, Region: e.opts.Region, Load: e.opts.Load.Value(),
		Edge: &messages.EdgeBeat{Connections: e.clients()},
	}
	if e.tokens != nil {
		seen := e.tokens.Revision()
		b.Edge.Tokens = &seen
	}
	told := e.info.told.Load()
	b.Edge.Settings = &told
	at := e.addresses(e.host)
	b.Edge.WS = cmp.Or(at[schemeWS], at[schemeWSS])
	b.Edge.HTTP = cmp.Or(at[schemeHTTP], at[schemeHTTPS])
	return b
}

// viewChanged takes note of new owners, whose partitions' requests it has repeated.
func (e *Edge) viewChanged(v *roster.View) {
	var taken messages.PartitionSet
	for p := range messages.Partitions {
		if o, ok := v.Owner(p); ok {
			if _, news := e.partitions[p].hear(o.Epoch); news {
				taken.Add(p)
			}
		}
	}
	e.repeater.repeat(taken)
	e.chooser.update(v)
	e.info.update()
}

// busChanged has everything repeated that may have been lost with the connection to NATS.
func (e *Edge) busChanged(connected bool) {
	if connected {
		for p := range e.partitions {
			e.partitions[p].lose()
		}
		e.repeater.repeat(messages.AllPartitions())
		e.acks.all()
		if e.tokens != nil {
			e.tokens.Refresh()
		}
	}
}

func (e *Edge) fetchInfo(ctx context.Context, server messages.Member) ([]byte, error) {
	m, err := e.opts.Bus.Request(ctx, messages.MediaInfo(server), nil)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

// open begins a connection of a client that listens for events.
func (e *Edge) open(to client, number uint64, patience time.Duration) *connection {
	c := &connection{client: to, number: number, patience: patience}
	e.connections.add(c)
	return c
}

// openPolling begins a connection that is one request over HTTP or NATS. Nobody looks for it by its number: answers find it by what it
// asked.
func (e *Edge) openPolling(to client, patience time.Duration) *connection {
	return &connection{client: to, number: e.numbers.Add(1), patience: patience, polling: true}
}

// close ends a connection: nobody waits for its answers any more, and the owners of the sessions that it created or
// claimed, or was about to, hear that their transport is gone. Of an HTTP request that ends they hear only where it was a
// long poll that waits.
func (e *Edge) close(c *connection) {
	if !c.polling {
		e.connections.remove(c)
	}
	for _, u := range c.close() {
		owned := u.owner != 0
		for _, r := range e.partitions[messages.PartitionOf(u.session)].drop(c, u.session) {
			owned = owned || r.opens()
			if r.isPoll() {
				e.repeater.gone(gone{session: u.session, connection: c.number, poll: r.n})
			}
			e.release(r)
		}
		if owned && !c.polling {
			e.left(c, &u)
		}
	}
}

// left tells the owner of a session that its transport closed, and what of its deliveries was written before.
func (e *Edge) left(c *connection, u *use) {
	g := gone{session: u.session, connection: c.number}
	if u.epoch != 0 && c.allWritten() {
		g.reach = u.reach()
		e.history.add(u.session, c.number, c.heardOf(u.session))
	}
	e.repeater.gone(g)
}

// publishGone tells the owner of a session what gone is about. It reports false when the bus does not take it.
func (e *Edge) publishGone(g gone) bool {
	subject := messages.SessionSubject{
		Partition: messages.PartitionOf(g.session), Session: g.session,
		Kind: messages.SessionGone, Arg: strconv.FormatUint(g.connection, 10),
	}
	reply := messages.Transport{Edge: e.member, Connection: g.connection}.String()
	switch {
	case g.expired != "":
		subject.Kind, reply = messages.SessionExpired, g.expired
	case g.poll != 0:
		subject.Kind = messages.SessionUnpoll
		reply = messages.Identity{Edge: e.member, Connection: g.connection, Polling: true, Session: g.session, N: g.poll}.String()
	}
	var body []byte
	if g.reach.Epoch != 0 {
		body = g.reach.Append(nil)
	}
	return e.bus.Publish(subject.String(), reply, body) == nil
}

func (e *Edge) now() time.Duration { return time.Since(e.start) }
