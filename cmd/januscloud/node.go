// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
	"github.com/januscloud/januscloud/messages"
)

type nodeCommand struct {
	config.General
	config.Health
	config.Cluster
	config.Session
	config.Records
	config.Grace
	config.Plugins
	config.Media
	config.Part
}

// Help is the end of the command's help.
func (nodeCommand) Help() string {
	return `The usual layout is one node beside each Janus, and edges elsewhere. Sessions are placed beside their Janus where that is possible, which saves a trip over NATS.

Examples:

    januscloud node --nats nats://n1:4222,nats://n2:4222
    januscloud node --janus ws://127.0.0.1:8188 --exec 'janus -F /etc/janus' --health :9101`
}

func (c *nodeCommand) Run(w *world) error {
	return w.serve(c.General, c.Health, func(ctx context.Context, p *process) (readyLine, error) {
		p.health.Expect("session")
		p.health.Expect("media")
		name, err := p.join(ctx, c.Cluster, "node", messages.RoleSession, messages.RoleMedia)
		if err != nil {
			return readyLine{}, err
		}
		// Both at once, so that calls on this Janus wait no longer than they must after a restart. The session role serves the
		// cluster's sessions whether or not the Janus here comes up.
		starting, giveUp := context.WithCancel(ctx)
		defer giveUp()
		media := p.beginMedia(starting, "media", mediaOptions(name, c.Region, c.Media), c.Part)
		_, err = p.startSession(ctx, name, c.Region, c.Session, c.Records, c.Grace, c.Plugins)
		if err != nil {
			giveUp()
		}
		if err := errors.Join(err, media(ctx)); err != nil {
			return readyLine{}, err
		}
		return readyLine{role: "node", name: name, nats: p.servers()}, nil
	})
}
