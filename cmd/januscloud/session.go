// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/januscloud/januscloud/actors"
	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/cmd/januscloud/config"
	"github.com/januscloud/januscloud/messages"
)

type sessionCommand struct {
	config.General
	config.Health
	config.Cluster
	config.Session
	config.Records
	config.Grace
	config.Plugins
}

// Help is the end of the command's help.
func (sessionCommand) Help() string {
	return `Sessions live here; when this process dies, another one goes on with them in under a second. Run it beside a Janus as part of "januscloud node", unless you want it apart.

Example:

    januscloud session --nats nats://n1:4222,nats://n2:4222 --session-timeout 60s`
}

func (c *sessionCommand) Run(w *world) error {
	return w.serve(c.General, c.Health, func(ctx context.Context, p *process) (readyLine, error) {
		p.health.Expect("session")
		name, err := p.join(ctx, c.Cluster, "session", messages.RoleSession)
		if err != nil {
			return readyLine{}, err
		}
		return p.startSession(ctx, name, c.Region, c.Session, c.Records, c.Grace, c.Plugins)
	})
}

// handOverTime is more than a session role takes to give away what it has.
const handOverTime = 5 * time.Second

// startSession starts the session role.
func (p *process) startSession(ctx context.Context, name, region string, c config.Session, r config.Records, g config.Grace, plugins config.Plugins) (readyLine, error) {
	routers, err := routersOf(plugins)
	if err != nil {
		return readyLine{}, err
	}
	n, err := actors.Start(ctx, actors.Options{
		Name: name, Region: region, Bus: p.bus, Roster: p.roster, Wheel: p.wheel, Load: p.load, Log: p.log, Registry: p.registry,
		SessionTimeout: c.SessionTimeout, ReclaimTimeout: c.ReclaimTimeout, MediaGrace: g.MediaGrace, Replicas: r.Replicas, Routers: routers,
	})
	if err != nil {
		return readyLine{}, err
	}
	p.add("session", n)
	p.onDrain(handOverTime, n.Drain)
	return readyLine{role: "session", name: name, nats: p.servers()}, nil
}

// routersOf are the routers of Janus's own plugins, and those that are asked for or described.
func routersOf(c config.Plugins) (plugin.Routers, error) {
	standard := plugin.Standard()
	if c.PeerCalls {
		call := plugin.P2PCall()
		standard[call.Plugin()] = call
	}
	if c.PluginRouters == "" {
		return standard, nil
	}
	text, err := os.ReadFile(c.PluginRouters)
	if err != nil {
		return nil, fmt.Errorf("plugin-routers: %w", err)
	}
	routers, err := plugin.Read(text, standard)
	if err != nil {
		return nil, fmt.Errorf("plugin-routers: %s: %w", c.PluginRouters, err)
	}
	return routers, nil
}
