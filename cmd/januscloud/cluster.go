// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
	"github.com/januscloud/januscloud/cmd/januscloud/naming"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/load"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// listenTime is how long a process listens before it takes a name: two beats, and what a beat may be late.
	listenTime = 2*messages.BeatInterval + messages.BeatInterval/2
	// waitNotice is how often a process that waits for NATS says so.
	waitNotice = 5 * time.Second
)

// cluster is a process's part in the cluster, shared by its roles.
type cluster struct {
	bus    *bus.Bus
	roster *roster.Roster
	wheel  *wheel.Wheel
	load   *load.Meter
}

// join connects the process with the others and finds its name; the name is free for all of roles. It waits for NATS as
// long as it takes.
func (p *process) join(ctx context.Context, c config.Cluster, kind string, roles ...messages.Role) (name string, err error) {
	options, err := natsOptions(c)
	if err != nil {
		return "", err
	}
	fallback := naming.Default(hostName(), kind)
	if err := p.connect(ctx, bus.Options{URLs: c.URLs(), Name: string(c.Name), NATS: options}); err != nil {
		return "", err
	}
	if err := listen(ctx); err != nil {
		return "", err
	}
	view := p.roster.View()
	return naming.Choose(string(c.Name), fallback, func(name string) bool {
		for _, r := range roles {
			if peer, ok := view.Find(r, name); ok && !peer.Silent {
				return true
			}
		}
		return false
	})
}

// connect starts what the roles share.
func (p *process) connect(ctx context.Context, o bus.Options) error {
	o.Log, o.Registry = p.log, p.registry
	stopNotice := notice(p.log, "waiting for NATS", "servers", fmt.Sprint(redacted(o.URLs)))
	b, err := bus.Connect(ctx, o)
	stopNotice()
	if err != nil {
		return err
	}
	p.bus = b
	p.onStop("bus", func(context.Context) error { b.Close(); return nil })
	p.wheel = wheel.New(0)
	p.wheel.Start()
	p.onStop("wheel", func(context.Context) error { p.wheel.Stop(); return nil })
	measuring, stopMeasuring := context.WithCancel(context.WithoutCancel(ctx))
	p.load = load.Start(measuring)
	p.onStop("load meter", func(context.Context) error { stopMeasuring(); return nil })
	if p.roster, err = roster.Start(ctx, roster.Options{Bus: b, Log: p.log, Registry: p.registry}); err != nil {
		return err
	}
	p.onStop("roster", func(context.Context) error { p.roster.Stop(); return nil })
	return nil
}

// listen waits until every living member was heard.
func listen(ctx context.Context) error {
	timer := time.NewTimer(listenTime)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// notice logs every now and then that something is being waited for, until it is stopped.
func notice(log *slog.Logger, text string, args ...any) (stop func()) {
	ticker := time.NewTicker(waitNotice)
	done := make(chan struct{})
	go func() {
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				log.Warn(text, args...)
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

// natsOptions are the credentials and certificates for NATS.
func natsOptions(c config.Cluster) ([]nats.Option, error) {
	if (c.NATSCert == "") != (c.NATSKey == "") {
		return nil, errors.New("nats-cert and nats-key need one another")
	}
	var options []nats.Option
	if c.NATSCreds != "" {
		options = append(options, nats.UserCredentials(c.NATSCreds))
	}
	if c.NATSCA != "" {
		options = append(options, nats.RootCAs(c.NATSCA))
	}
	if c.NATSCert != "" {
		options = append(options, nats.ClientCert(c.NATSCert, c.NATSKey))
	}
	return options, nil
}

// redacted are URLs without their passwords.
func redacted(urls []string) []string {
	out := make([]string, len(urls))
	for i, u := range urls {
		out[i] = config.NATSURL(u).String()
	}
	return out
}

// servers are the NATS servers that the process is connected to, as the ready line tells.
func (p *process) servers() string { return config.NATSURL(p.bus.Conn().ConnectedUrl()).String() }
