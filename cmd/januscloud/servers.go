// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
	"github.com/januscloud/januscloud/cmd/januscloud/servers"
	"github.com/januscloud/januscloud/messages/bus"
)

type serversCommand struct {
	config.General
	config.Cluster
	JSON bool `name:"json" help:"As JSON."`
}

// Help is the end of the command's help.
func (serversCommand) Help() string {
	return `It listens to the heartbeats for a second. A node shows as two roles of one name, session and media.

Examples:

    januscloud servers --nats nats://n1:4222
    januscloud servers --json | jq -r '.[] | select(.state == "draining") | .name'`
}

func (c *serversCommand) Run(w *world) error {
	return w.ask(c.General, c.Cluster, "servers", func(_ context.Context, watch *servers.Watch) error {
		if c.JSON {
			return servers.WriteJSON(w.stdout, watch.List())
		}
		return servers.WriteText(w.stdout, watch.List())
	})
}

// ask has a command listen to a running cluster and do something; a signal ends it.
func (w *world) ask(g config.General, c config.Cluster, command string, do func(context.Context, *servers.Watch) error) error {
	log, err := newLog(w.stderr, g)
	if err != nil {
		return err
	}
	options, err := natsOptions(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	finished := make(chan struct{})
	defer close(finished)
	go w.obey(log, cancel, finished)

	reach, done := context.WithTimeout(ctx, reachTime)
	b, err := bus.Connect(reach, bus.Options{URLs: c.URLs(), Name: "januscloud " + command, NATS: options})
	done()
	if err != nil {
		return fmt.Errorf("NATS at %v cannot be reached: %w", redacted(c.URLs()), err)
	}
	defer b.Close()
	watch, err := servers.Listen(ctx, b)
	if err != nil {
		return err
	}
	defer watch.Stop()
	return do(ctx, watch)
}
