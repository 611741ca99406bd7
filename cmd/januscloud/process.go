// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
	"github.com/januscloud/januscloud/cmd/januscloud/health"
	"github.com/januscloud/januscloud/messages"
)

// stopBound is how long a process takes to end in good order: less than the ten seconds that container engines wait
// before they kill.
const stopBound = 8 * time.Second

// process is what the roles of a process share, and what ends with it.
type process struct {
	world    *world
	log      *slog.Logger
	registry *prometheus.Registry
	health   *health.Health
	address  string // of the health server; empty when there is none
	cluster
	steps  []step // in the order of the start
	drains []drain
	ended  chan error // why the process ends by itself; one
}

// step is something that was started and has to be stopped.
type step struct {
	what string
	stop func(ctx context.Context) error
}

// drain is something that drains before it is stopped.
type drain struct {
	within time.Duration // 0: it does not
	drain  func(ctx context.Context)
}

// role is what edge, session and media have in common.
type role interface {
	Member() messages.Member
	Ready() error
	Stop(ctx context.Context) error
}

// serve runs a process: start brings its roles up and says what to print when they serve; then it waits for a signal, drains
// what is to be drained, and stops everything, the last started first.
func (w *world) serve(g config.General, h config.Health, start func(ctx context.Context, p *process) (readyLine, error)) error {
	log, err := newLog(w.stderr, g)
	if err != nil {
		return err
	}
	p := &process{world: w, log: log, registry: newRegistry(), ended: make(chan error, 1)}
	p.health = health.New(p.registry, h.PProf)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	finished := make(chan struct{})
	defer close(finished)
	go w.obey(log, cancel, finished)

	err = p.begin(ctx, h, start)
	if err == nil {
		select {
		case <-ctx.Done():
			p.health.Stopping()
			p.drain(context.WithoutCancel(ctx))
		case err = <-p.ended:
		}
	}
	p.health.Stopping()
	interrupted := ctx.Err() != nil
	failed := p.stop(context.WithoutCancel(ctx))
	if interrupted && errors.Is(err, context.Canceled) {
		err = nil // it was told to end before it served
	}
	return errors.Join(err, failed)
}

func (p *process) begin(ctx context.Context, h config.Health, start func(context.Context, *process) (readyLine, error)) error {
	if !h.Health.Off() {
		server, err := health.Serve(ctx, string(h.Health), p.health, p.log)
		if err != nil {
			return fmt.Errorf("health: %w", err)
		}
		p.address = "http://" + reachable(server.Addr())
		p.onStop("health server", server.Close)
	}
	line, err := start(ctx, p)
	if err != nil {
		return err
	}
	line.health = p.address
	return line.print(p.world.stdout)
}

// sameSignal is the time within which a second signal is the first one's echo: a terminal and whoever passes signals on
// (timeout, a shell script) may both send one.
const sameSignal = 500 * time.Millisecond

// obey ends the process in good order on the first signal, at once on the second.
func (w *world) obey(log *slog.Logger, cancel func(), finished <-chan struct{}) {
	var first time.Time
	for {
		select {
		case s := <-w.signals:
			switch {
			case first.IsZero():
				log.Info("stopping, a second signal ends it at once", "signal", s.String())
				first = time.Now()
				cancel()
			case time.Since(first) > sameSignal:
				w.exit(exitFailed)
			}
		case <-finished:
			return
		}
	}
}

// onStop notes what has to be stopped.
func (p *process) onStop(what string, stop func(ctx context.Context) error) {
	p.steps = append(p.steps, step{what, stop})
}

// add takes care of a role that has started.
func (p *process) add(name string, r role) {
	p.health.Watch(name, r.Ready)
	p.onStop(name, r.Stop)
}

// endWith ends the process, with an error, when over is closed before ctx ends.
func (p *process) endWith(ctx context.Context, over <-chan struct{}, why error) {
	go func() {
		select {
		case <-over:
			select {
			case p.ended <- why:
			default: // it ends already
			}
		case <-ctx.Done():
		}
	}()
}

// onDrain notes what drains before anything is stopped, for the given time at the most.
func (p *process) onDrain(within time.Duration, do func(ctx context.Context)) {
	p.drains = append(p.drains, drain{within, do})
}

// drain drains everything at once. A process that must end before that is done is ended by a second signal.
func (p *process) drain(ctx context.Context) {
	var all sync.WaitGroup
	for _, d := range p.drains {
		if d.within == 0 {
			continue
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, d.within)
			defer cancel()
			d.drain(ctx)
		})
	}
	all.Wait()
}

// errStop says that something did not end in time. The process ends without it.
var errStop = errors.New("not stopped in time")

// stop ends everything, the last started first, within stopBound and a moment for what does not heed it.
func (p *process) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.world.stopBound)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- p.unwind(ctx) }()
	last := time.NewTimer(p.world.stopBound + time.Second)
	defer last.Stop()
	select {
	case err := <-stopped:
		return err
	case <-last.C:
		return errStop
	}
}

func (p *process) unwind(ctx context.Context) error {
	var errs []error
	for i := len(p.steps) - 1; i >= 0; i-- {
		s := p.steps[i]
		p.log.Debug("stopping", "what", s.what)
		if err := s.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", s.what, err))
		}
	}
	return errors.Join(errs...)
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	b := thisBuild()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "januscloud_build_info", Help: "Always 1; the labels tell which program this is.",
			ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "go": b.Go},
		}, func() float64 { return 1 }),
	)
	return r
}

// reachable is an address that works on this machine.
func reachable(a *net.TCPAddr) string {
	if a.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(a.Port))
	}
	return a.String()
}

// hostName is the machine's name; empty where the system does not tell.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
