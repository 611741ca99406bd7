// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
	"github.com/januscloud/januscloud/mediactl"
	"github.com/januscloud/januscloud/messages"
)

type mediaCommand struct {
	config.General
	config.Health
	config.Cluster
	config.Media
	config.Part
}

// Help is the end of the command's help.
func (mediaCommand) Help() string {
	return `It holds the only connection to its Janus and belongs on the same host. When it dies, media goes on: its successor claims the sessions. For that the Janus needs reclaim_session_timeout of 60 or more. Run it as part of "januscloud node", unless you want it apart.

Examples:

    januscloud media --nats nats://n1:4222 --janus ws://127.0.0.1:8188
    januscloud media --janus ws://127.0.0.1:8188 --exec 'janus -F /etc/janus'`
}

func (c *mediaCommand) Run(w *world) error {
	return w.serve(c.General, c.Health, func(ctx context.Context, p *process) (readyLine, error) {
		p.health.Expect("media")
		name, err := p.join(ctx, c.Cluster, "media", messages.RoleMedia)
		if err != nil {
			return readyLine{}, err
		}
		if err := p.startMedia(ctx, "media", mediaOptions(name, c.Region, c.Media), c.Part); err != nil {
			return readyLine{}, err
		}
		return readyLine{role: "media", name: name, nats: p.servers()}, nil
	})
}

// mediaOptions are the settings of a media role; what roles share is filled in by startMedia.
func mediaOptions(name, region string, c config.Media) mediactl.Options {
	return mediactl.Options{
		Name: name, Region: region,
		JanusURL: string(c.Janus), APISecret: c.JanusAPISecret.Reveal(),
		AdminURL: string(c.JanusAdmin), AdminSecret: c.JanusAdminSecret.Reveal(),
		Exec: c.Exec, MaxHandles: maxHandles(c.MaxHandles),
	}
}

func maxHandles(c config.Cap) int {
	if c == config.AutoCap {
		return mediactl.AutoHandles
	}
	return int(c)
}

// startMedia starts a media role, known to health as check.
func (p *process) startMedia(ctx context.Context, check string, o mediactl.Options, c config.Part) error {
	return p.beginMedia(ctx, check, o, c)(ctx)
}

// beginMedia begins to start a media role, which is given up when ctx ends before it serves. What it returns waits for it, and takes
// care of it from then on.
func (p *process) beginMedia(ctx context.Context, check string, o mediactl.Options, c config.Part) (started func(ctx context.Context) error) {
	o.Bus, o.Roster, o.Wheel, o.Load, o.Log, o.Registry = p.bus, p.roster, p.wheel, p.load, p.log, p.registry
	var m *mediactl.Media
	outcome := make(chan error, 1)
	go func() {
		var err error
		m, err = mediactl.Start(ctx, o)
		outcome <- err
	}()
	return func(ctx context.Context) error {
		if err := <-outcome; err != nil {
			return err
		}
		p.add(check, m)
		p.onDrain(c.DrainTimeout, m.Drain)
		p.endWith(ctx, m.Deposed(), fmt.Errorf("media server %q: %w: another process has taken over", o.Name, mediactl.ErrNameTaken))
		return nil
	}
}
