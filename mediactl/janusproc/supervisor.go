// SPDX-License-Identifier: Apache-2.0

package janusproc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// State is what a Supervisor is about.
type State int

// States of a Supervisor. Running and Adopted say that the process is there, not that it answers.
const (
	Idle    State = iota // before Run
	Running              // a process of ours runs
	Adopted              // a Janus that somebody else started answers, and is watched
	Blocked              // the address is held by something we may neither use nor kill; asked again until it is free
	Waiting              // between the end of a process and its next start
	Stopped              // Run has ended, and with it the process, unless it was left running
)

func (s State) String() string {
	return [...]string{"idle", "running", "adopted", "blocked", "waiting", "stopped"}[s]
}

// Status is a moment of a Supervisor.
type Status struct {
	State State
	// PID is that of our process; 0 in all states but Running.
	PID int
	// Starts counts how often a process was started.
	Starts int
	// Err tells why the last process ended or did not start, or what blocks; nil when it ended with exit status 0.
	Err error
}

// Defaults of SupervisorOptions.
const (
	DefaultStopGrace  = 10 * time.Second
	DefaultMinDelay   = 100 * time.Millisecond
	DefaultMaxDelay   = 5 * time.Second
	DefaultSteadyTime = 10 * time.Second
)

const (
	// watchInterval is how often an adopted or blocking Janus is asked, watchPatience how long its answer may take.
	watchInterval = time.Second
	watchPatience = 2 * time.Second
	// restartGrace is how long a process that is restarted, most likely because it hangs, may take to end by itself.
	restartGrace = 2 * time.Second
)

// SupervisorOptions are what a Supervisor runs and how. The zero value of a field asks for its default.
type SupervisorOptions struct {
	// Command is what to run. Its output goes to Logger. With Command.Outlive the process is left running when Run ends, for
	// the next role at its place to adopt: that is how a media role is upgraded without a call dropped.
	Command Command
	// URL is the WebSocket address where this Janus answers. When one answers there already it is adopted instead of started
	// twice. "" adopts none.
	URL string
	// Name, when set, is the server_name of the Janus that may be adopted at URL; another one there blocks.
	Name string
	// Logger gets the output and what the supervisor does. Default: discarded.
	Logger *slog.Logger
	// StopGrace is how long the process may take to end by itself before it is killed.
	StopGrace time.Duration
	// MinDelay and MaxDelay bound the pause before a restart, which grows as long as processes end before SteadyTime.
	MinDelay, MaxDelay, SteadyTime time.Duration
	// OnChange gets every new status, in order, on the goroutine of Run. It must not block.
	OnChange func(Status)
}

// Supervisor keeps one Janus running. It kills nothing that it did not start.
type Supervisor struct {
	options SupervisorOptions
	restart chan struct{} // one token: end the current process

	// What the world looks like; tests replace it.
	launch func(Command) (child, error)
	probe  func(ctx context.Context, url string) (Info, error)

	mu     sync.Mutex // guards status
	status Status
}

// child is the part of *Process that supervision uses.
type child interface {
	PID() int
	Done() <-chan struct{}
	Err() error
	Stop(ctx context.Context, grace time.Duration) error
}

// NewSupervisor makes a supervisor; nothing is started before Run.
func NewSupervisor(o SupervisorOptions) *Supervisor {
	setDefault(&o.StopGrace, DefaultStopGrace)
	setDefault(&o.MinDelay, DefaultMinDelay)
	setDefault(&o.MaxDelay, DefaultMaxDelay)
	setDefault(&o.SteadyTime, DefaultSteadyTime)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnChange == nil {
		o.OnChange = func(Status) {}
	}
	return &Supervisor{
		options: o, restart: make(chan struct{}, 1), probe: Probe,
		launch: func(c Command) (child, error) { return Start(c) },
	}
}

// Status is the latest status.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Restart ends our process, which Run then starts again; for one that hangs. Nothing happens in any other state than Running:
// what we did not start we do not end.
func (s *Supervisor) Restart() {
	if s.Status().State != Running {
		return
	}
	select {
	case s.restart <- struct{}{}:
	default:
	}
}

// Run keeps the Janus running until ctx is done, then stops or, with Command.Outlive, leaves it. It returns when the process
// has ended or was left, and an error only when it could not be ended. A process that was left keeps its two goroutines until
// it or we end. Call Run once.
func (s *Supervisor) Run(ctx context.Context) error {
	defer func() { s.change(func(st *Status) { st.State, st.PID = Stopped, 0 }) }()
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval, pause.RandomizationFactor, pause.Multiplier = s.options.MinDelay, s.options.MaxDelay, 0, 2
	for ctx.Err() == nil {
		if s.occupied(ctx) {
			continue
		}
		begun := time.Now()
		ended, err := s.runOnce(ctx)
		if err != nil || ctx.Err() != nil {
			return err
		}
		if time.Since(begun) >= s.options.SteadyTime {
			pause.Reset()
		}
		s.change(func(st *Status) { st.State, st.PID, st.Err = Waiting, 0, ended })
		sleep(ctx, pause.NextBackOff())
	}
	return nil
}

// runOnce starts the process and waits for its end, its restart, or ours. It returns how the process ended, or that it could
// not be ended.
func (s *Supervisor) runOnce(ctx context.Context) (ended, err error) {
	command := s.options.Command
	out := &output{logger: s.options.Logger, server: s.options.Name}
	command.Stdout, command.Stderr = out, out
	process, err := s.launch(command)
	if err != nil {
		s.options.Logger.Error("janus did not start", "server", s.options.Name, "error", err)
		return err, nil
	}
	s.drain()
	s.change(func(st *Status) { st.State, st.PID, st.Starts, st.Err = Running, process.PID(), st.Starts+1, nil })
	s.options.Logger.Info("janus started", "server", s.options.Name, "pid", process.PID())
	select {
	case <-process.Done():
	case <-s.restart:
		s.options.Logger.Warn("janus is restarted", "server", s.options.Name, "pid", process.PID())
		err = process.Stop(ctx, min(restartGrace, s.options.StopGrace))
	case <-ctx.Done():
		if command.Outlive {
			s.options.Logger.Info("janus is left running", "server", s.options.Name, "pid", process.PID())
			return nil, nil
		}
		// ctx is done already, but the process may take its grace.
		err = process.Stop(context.WithoutCancel(ctx), s.options.StopGrace)
	}
	if err != nil {
		return nil, fmt.Errorf("janusproc: stop %d: %w", process.PID(), err)
	}
	out.flush()
	s.options.Logger.Info("janus ended", "server", s.options.Name, "pid", process.PID(), "error", process.Err())
	return process.Err(), nil
}

// drain forgets a restart that was asked of an earlier process.
func (s *Supervisor) drain() {
	select {
	case <-s.restart:
	default:
	}
}

// occupied tells whether the address is in use, and if so stays with whoever answers there, as long as it is. Only an address
// that refuses connections is free: a Janus that hangs still holds its ports.
func (s *Supervisor) occupied(ctx context.Context) bool {
	if s.options.URL == "" {
		return false
	}
	for asked := 0; ctx.Err() == nil; asked++ {
		ask, cancel := context.WithTimeout(ctx, watchPatience)
		info, err := s.probe(ask, s.options.URL)
		cancel()
		if errors.Is(err, syscall.ECONNREFUSED) {
			return asked > 0
		}
		if err == nil && s.options.Name != "" && info.ServerName != s.options.Name {
			err = fmt.Errorf("janusproc: %s: %w: %q", s.options.URL, errOtherJanus, info.ServerName)
		}
		if ctx.Err() == nil {
			s.stay(err)
		}
		sleep(ctx, watchInterval)
	}
	return true
}

// stay notes who holds the address: a Janus to adopt, or, with an error, something in the way.
func (s *Supervisor) stay(err error) {
	state := Adopted
	if err != nil {
		state = Blocked
	}
	if s.Status().State != state {
		s.options.Logger.Info("janus is there already", "server", s.options.Name, "url", s.options.URL, "state", state, "error", err)
		s.change(func(st *Status) { st.State, st.PID, st.Err = state, 0, err })
	}
}

func (s *Supervisor) change(f func(*Status)) {
	s.mu.Lock()
	f(&s.status)
	status := s.status
	s.mu.Unlock()
	s.options.OnChange(status)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
