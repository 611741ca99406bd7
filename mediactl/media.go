// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/januscloud/januscloud/mediactl/janusapi"
	"github.com/januscloud/januscloud/mediactl/janusproc"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/load"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/wheel"
)

// Options are what a media role needs.
type Options struct {
	Name     string // unique among the cluster's media servers, see messages.ValidName
	Region   string
	Bus      *bus.Bus
	Roster   *roster.Roster
	Wheel    *wheel.Wheel // running
	Load     *load.Meter
	Log      *slog.Logger
	Registry prometheus.Registerer // nil: no metrics

	// JanusURL is the address of Janus's WebSocket API, such as ws://127.0.0.1:8188.
	JanusURL string
	// APISecret is Janus's api_secret; empty where it has none.
	APISecret string
	// AdminURL is the address of Janus's admin API, http or ws, and AdminSecret its admin_secret. Empty: there is none.
	AdminURL, AdminSecret string
	// Exec is the command line of a Janus to keep running (see janusproc.SplitCommand); empty: somebody else does. A Janus
	// that answers at JanusURL already is adopted instead. It is left running when the role stops.
	Exec string
	// MaxHandles is the cap on handles. 0: none. AutoHandles: from what Janus tells of itself.
	MaxHandles int
	// MemoryBytes bounds the replies that are remembered for repeats. 0: 16 MiB.
	MemoryBytes int
}

// Media is a running media role.
type Media struct {
	options Options
	member  atomic.Pointer[messages.Member]
	host    string
	log     *slog.Logger
	status  *status
	metrics *metrics
	state   atomic.Value // messages.State
	admin   *janusapi.Admin

	administrator *administrator
	steward       *steward

	system *actor.ActorSystem
	server *actor.PID
	box    *mailbox
	dialer *dialer
	beater *roster.Beater

	sub      atomic.Pointer[bus.Subscription] // of member
	origin   string                           // the first incarnation, which events bear the name of
	kept     *bus.Subscription                // of what concerns those
	pulse    pulse
	slept    atomic.Pointer[time.Time] // since when the process did not run, for the actor to conclude from
	deposed  chan struct{}             // closed when another process has the name
	depose   sync.Once
	unwatch  func()
	cancel   context.CancelFunc    // of the background work
	work     sync.WaitGroup        // supervisor
	keeper   *janusproc.Supervisor // nil: Janus is not ours to keep running
	stopOnce sync.Once
}

// Start makes the process a media server. It returns when Janus is up for the first time and the cluster can use it; if ctx
// ends before, everything that was started is stopped again. Heartbeats go out from the beginning.
func Start(ctx context.Context, o Options) (*Media, error) {
	m, err := newMedia(o)
	if err != nil {
		return nil, fmt.Errorf("media server: %w", err)
	}
	if err := alone(ctx, o.Roster, o.Name); err != nil {
		return nil, fmt.Errorf("media server: %w", err)
	}
	if err := m.start(); err != nil {
		_ = m.Stop(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("media server: %w", err)
	}
	select {
	case <-m.status.serves:
		m.state.Store(messages.StateReady)
		m.beater.Now()
		return m, nil
	case <-ctx.Done():
		err := fmt.Errorf("media server: Janus is not up: %w (%w)", context.Cause(ctx), m.status.problemNow())
		_ = m.Stop(context.WithoutCancel(ctx))
		return nil, err
	}
}

// ErrNameTaken says that a live media server of the cluster has the name.
var ErrNameTaken = errors.New("name is taken")

// nameTime is how long a predecessor of the same name may take to be known for dead.
const nameTime = 2 * time.Second

// alone waits until no other media server of that name is heard.
func alone(ctx context.Context, r *roster.Roster, name string) error {
	taken := func() bool {
		p, ok := r.View().Find(messages.RoleMedia, name)
		return ok && !p.Silent
	}
	changed := make(chan struct{}, 1)
	unwatch := r.Watch(func(*roster.View) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer unwatch()
	ctx, cancel := context.WithTimeout(ctx, nameTime)
	defer cancel()
	for taken() {
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%q: %w", name, ErrNameTaken)
		}
	}
	return nil
}

func newMedia(o Options) (*Media, error) {
	if !messages.ValidName(o.Name) {
		return nil, fmt.Errorf("%q is not a valid name", o.Name)
	}
	if u, err := url.Parse(o.JanusURL); err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return nil, fmt.Errorf("Janus's address %q: want ws://host:port", o.JanusURL)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	m := &Media{
		options: o, host: host, log: o.Log.With("node", o.Name),
		status: newStatus(time.Now()), metrics: newMetrics(), box: newMailbox(maxMailbox), deposed: make(chan struct{}),
	}
	now, member := time.Now(), messages.NewMember(o.Name)
	m.member.Store(&member)
	m.origin = member.String()
	m.pulse.last.Store(&now)
	m.administrator = newAdministrator(m)
	m.steward = newSteward(m)
	m.state.Store(messages.StateJoining)
	m.dialer = &dialer{url: o.JanusURL, tell: m.tell, ask: make(chan struct{}, 1)}
	if o.AdminURL != "" {
		if m.admin, err = janusapi.NewAdmin(o.AdminURL, o.AdminSecret); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// start starts everything. What it started before an error is for Stop to end.
func (m *Media) start() error {
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	if err := m.metrics.register(m.options.Registry, m.options.Name, m.status); err != nil {
		return err
	}
	if err := m.startJanus(ctx); err != nil {
		return err
	}
	m.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return m.log }))
	m.server = m.system.Root.Spawn(propsFor(m.newServer(time.Now()), m.box))
	m.beater = roster.NewBeater(m.options.Bus, m.beatNow)
	m.dialer.work.Go(func() { m.dialer.run(ctx) })
	m.tell(begin{})
	err := m.listen(m.Member())
	if err == nil {
		m.kept, err = m.options.Bus.Own(messages.KeptPrefix(m.origin), 0, func(msg *bus.Msg) { m.tell(msg) })
	}
	m.options.Bus.OnState(func(connected bool) {
		if connected {
			m.tell(busBack{}) // what was said last may have got lost with the connection
		}
	})
	m.startPulse()
	m.unwatch = m.options.Roster.Watch(m.lookForTwin)
	m.steward.start()
	m.administrator.start()
	return err
}

// listen receives what is sent to an incarnation of the role, and no more what is sent to the one before.
func (m *Media) listen(as messages.Member) error {
	sub, err := m.options.Bus.Own(messages.MediaPrefix(as), 0, func(msg *bus.Msg) {
		switch {
		case m.asleep() || m.Member() != as || m.isDeposed():
			m.metrics.drop("asleep")
		case !m.administrator.take(msg) && !m.steward.take(msg) && !m.takeOrder(msg):
			m.tell(msg)
		}
	})
	if err != nil {
		return err
	}
	m.member.Store(&as)
	if old := m.sub.Swap(sub); old != nil {
		old.Cancel()
	}
	return nil
}

// lookForTwin ends the role when another process has taken its name, and with it its Janus.
func (m *Media) lookForTwin(v *roster.View) {
	if p, ok := v.Find(messages.RoleMedia, m.options.Name); ok && p.Beat.Member.Inc > m.Member().Inc {
		m.depose.Do(func() {
			m.log.Error("another process has taken over", "member", p.Beat.Member.String())
			close(m.deposed)
		})
	}
}

// Deposed is closed when another process has taken the name: this one must be stopped, and does nothing any more.
func (m *Media) Deposed() <-chan struct{} { return m.deposed }

func (m *Media) isDeposed() bool {
	select {
	case <-m.deposed:
		return true
	default:
		return false
	}
}

// startJanus keeps Janus running, if that is ours to do.
func (m *Media) startJanus(ctx context.Context) error {
	if m.options.Exec == "" {
		return nil
	}
	args, err := janusproc.SplitCommand(m.options.Exec)
	if err != nil {
		return err
	}
	m.keeper = janusproc.NewSupervisor(janusproc.SupervisorOptions{
		Command: janusproc.Command{Args: args, Outlive: true}, URL: m.options.JanusURL, Logger: m.log,
	})
	m.work.Go(func() {
		if err := m.keeper.Run(ctx); err != nil {
			m.log.Error("Janus not supervised any more", "error", err)
		}
	})
	return nil
}

func (m *Media) newServer(now time.Time) *server {
	member := m.Member()
	s := &server{
		world: m, wheel: m.options.Wheel, log: m.log, metrics: m.metrics, status: m.status, member: member,
		names: namesOf(member), origin: m.origin, cap: m.options.MaxHandles, mapping: newMapping(), flight: newInFlight(), undelivered: newUndelivered(),
	}
	s.memory = newMemory(m.options.MemoryBytes, now, func(n int) { m.metrics.forgotten.Add(float64(n)) })
	if m.options.APISecret != "" {
		s.secret = janusjson.AppendQuoted(nil, m.options.APISecret)
	}
	return s
}

// Member is the role's name and incarnation, which changes when the process was kept from running.
func (m *Media) Member() messages.Member { return *m.member.Load() }

// Admin is the client of Janus's admin API; nil when there is none.
func (m *Media) Admin() *janusapi.Admin { return m.admin }

// Ready reports why the role cannot take work, nil if it can.
func (m *Media) Ready() error {
	switch {
	case !m.options.Bus.Connected():
		return errors.New("media server: not connected to NATS")
	case m.state.Load() != messages.StateReady:
		return fmt.Errorf("media server is %v", m.state.Load())
	case !m.status.media.Load().Serves():
		return fmt.Errorf("media server: Janus is down: %w", m.status.problemNow())
	}
	return nil
}

// stopPatience bounds how long Stop waits for Janus to answer what clients asked.
const stopPatience = 2 * time.Second

// Stop leaves the cluster: the last heartbeat says so, what clients asked is answered, and the connection to Janus is
// closed. Janus keeps its sessions, and its calls, for the reclaim time. Stop is idempotent and bounded by ctx.
func (m *Media) Stop(ctx context.Context) error {
	m.stopOnce.Do(func() { m.stop(ctx) })
	return nil
}

func (m *Media) stop(ctx context.Context) {
	m.state.Store(messages.StateLeaving)
	if m.unwatch != nil {
		m.unwatch()
	}
	m.options.Wheel.Disarm(&m.pulse.timer)
	if m.beater != nil {
		m.beater.Stop()
	}
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	if sub := m.sub.Load(); sub != nil {
		m.linger(ctx)
		sub.Cancel()
	}
	if m.kept != nil {
		m.kept.Cancel()
	}
	m.steward.stop()
	if m.server != nil {
		m.await(ctx, func(done chan<- struct{}) any { return quiesce{done} })
		// The actor never blocks, so this takes but a moment.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
		defer cancel()
		m.await(last, func(done chan<- struct{}) any { return stop{done} })
		close(m.box.closed)
		m.system.Root.Stop(m.server)
		m.system.Shutdown()
	}
	m.administrator.close()
	m.steward.wait()
	m.cancel()
	m.dialer.work.Wait()
	m.work.Wait()
	if m.admin != nil {
		m.admin.Close()
	}
	m.metrics.unregister()
}

// leaveTime is what owners may take to hear that the role leaves: what they have sent until then is answered.
const leaveTime = 100 * time.Millisecond

func (m *Media) linger(ctx context.Context) {
	if m.isDeposed() {
		return
	}
	timer := time.NewTimer(leaveTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// await tells the actor something and waits until it closes done.
func (m *Media) await(ctx context.Context, message func(done chan<- struct{}) any) {
	done := make(chan struct{})
	m.tell(message(done))
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// beatNow is the role's heartbeat.
func (m *Media) beatNow() messages.Beat {
	state := m.state.Load().(messages.State)
	if m.asleep() && state != messages.StateLeaving {
		state = messages.StateJoining // nothing is heard until there is another incarnation
	}
	b := messages.Beat{
		Role: messages.RoleMedia, Member: m.Member(), State: state,
		Host: m.host, Region: m.options.Region, Load: m.options.Load.Value(), Media: m.status.beat(),
	}
	if m.origin != b.Member.String() {
		b.Media.Origin = m.origin
	}
	return b
}

var _ world = (*Media)(nil)

func (m *Media) publish(subject, reply string, data []byte) error {
	return m.options.Bus.Publish(subject, reply, data)
}

func (m *Media) tell(message any) {
	if !m.box.enter(message) {
		m.metrics.drop("mailbox_full")
		return
	}
	m.system.Root.Send(m.server, message)
}

func (m *Media) dial() {
	select {
	case m.dialer.ask <- struct{}{}:
	default: // it is dialling already
	}
}

func (m *Media) beat() { m.beater.Now() }

func (m *Media) restart() {
	if m.keeper != nil {
		m.keeper.Restart()
	}
}
