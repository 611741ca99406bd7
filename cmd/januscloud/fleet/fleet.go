// SPDX-License-Identifier: Apache-2.0

// Package fleet runs the Janus servers of januscloud dev: each in a folder of its own, with the rooms and mountpoints that
// the stock demo pages expect, started again when it ends, and ended with us however we end.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusproc"
)

const (
	// bootTime is how long a Janus may take until it answers; it usually takes a tenth of a second.
	bootTime = 20 * time.Second
	// stopGrace is how long a Janus may take to end.
	stopGrace = 3 * time.Second
	// tries is how often another set of ports is tried when somebody took one in between.
	tries = 3
)

// ErrNotInstalled says that there is no Janus to run.
var ErrNotInstalled = errors.New("janus is not installed (Debian: apt install janus), or use --janus-url")

// Fleet is a set of running Janus.
type Fleet struct {
	servers []*server
}

// Janus is one of them.
type Janus struct {
	Name     string // its server_name
	URL      string // of its WebSocket API
	AdminURL string // of its admin API over WebSocket
}

type server struct {
	Janus
	cancel context.CancelFunc
	done   chan error // the end of its supervision
}

// Start runs n Janus with folders below folder. They take one after the other, since each marks its ports by using them.
func Start(ctx context.Context, n, eventLoops int, folder string, log *slog.Logger) (*Fleet, error) {
	f := &Fleet{}
	for i := range n {
		name := fmt.Sprintf("janus-%d", i+1)
		s, err := start(ctx, janusproc.Config{Folder: filepath.Join(folder, name), Name: name, EventLoops: eventLoops}, log)
		if err != nil {
			return nil, errors.Join(err, f.Stop(context.WithoutCancel(ctx)))
		}
		f.servers = append(f.servers, s)
	}
	return f, nil
}

// Members are the Janus of the fleet.
func (f *Fleet) Members() []Janus {
	members := make([]Janus, len(f.servers))
	for i, s := range f.servers {
		members[i] = s.Janus
	}
	return members
}

// Stop ends all of them at once, and returns when they have ended.
func (f *Fleet) Stop(context.Context) error {
	var errs []error
	for _, s := range f.servers {
		s.cancel()
	}
	for _, s := range f.servers {
		errs = append(errs, <-s.done)
	}
	f.servers = nil
	return errors.Join(errs...)
}

func start(ctx context.Context, c janusproc.Config, log *slog.Logger) (*server, error) {
	var errs []error
	for range tries {
		written, err := janusproc.Write(c)
		if err != nil {
			return nil, err
		}
		s, err := run(ctx, written, log)
		if err == nil {
			return s, nil
		}
		if errors.Is(err, exec.ErrNotFound) {
			return nil, fmt.Errorf("%w: %w", ErrNotInstalled, err)
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// run supervises one Janus and waits until it answers. On an error nothing runs any more.
func run(ctx context.Context, c janusproc.Config, log *slog.Logger) (*server, error) {
	ended := make(chan struct{})
	var once sync.Once
	supervisor := janusproc.NewSupervisor(janusproc.SupervisorOptions{
		Command: janusproc.Command{Args: c.CommandLine(), Dir: c.Folder}, Name: c.Name, Logger: log, StopGrace: stopGrace,
		OnChange: func(s janusproc.Status) {
			if s.State == janusproc.Waiting {
				once.Do(func() { close(ended) })
			}
		},
	})
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &server{
		Janus:  Janus{Name: c.Name, URL: c.WSURL(), AdminURL: c.AdminWSURL()},
		cancel: cancel, done: make(chan error, 1),
	}
	go func() { s.done <- supervisor.Run(running) }()
	boot, stop := context.WithTimeout(ctx, bootTime)
	defer stop()
	if err := janusproc.WaitReady(boot, c, ended); err != nil {
		cause := supervisor.Status().Err
		cancel()
		return nil, errors.Join(err, cause, <-s.done)
	}
	return s, nil
}
