// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
	"github.com/januscloud/januscloud/cmd/januscloud/servers"
	"github.com/januscloud/januscloud/messages"
)

// whom is the role, or the roles, that are told to drain or not to.
type whom struct {
	Server string `arg:"" name:"name" help:"Name of the role, as januscloud servers tells it."`
	Role   string `name:"role" enum:",edge,session,media" default:"" placeholder:"ROLE" help:"Only this role of the name: edge, session or media. Default: all of them, both of a node."`
}

type drainCommand struct {
	config.General
	config.Cluster
	whom
	Timeout time.Duration `name:"timeout" default:"5m" help:"How long to wait until nothing is left."`
	Force   bool          `name:"force" help:"End then what is left: calls are hung up, their handles free for another Janus; connections are closed, whose clients go to another edge and claim."`
	NoWait  bool          `name:"no-wait" help:"Do not wait: tell the role, and look at januscloud servers."`
	JSON    bool          `name:"json" help:"The outcome as JSON, without the progress."`
}

// Help is the end of the command's help.
func (drainCommand) Help() string {
	return `A role that drains goes on with what it has and takes nothing new:

    edge      fails /readyz, so that load balancers send it nobody; done when its last client has left
    session   gives its sessions to the other session nodes, which takes a second or so and is not noticed
    media     gets no new handles, but in rooms that are there; done when its last handle is gone

It keeps draining until it stops, or until januscloud undrain. Draining twice does no harm. SIGTERM drains edges (--lame-duck) and session roles by itself; a media role is drained before its Janus is stopped: when only the role is restarted, its calls go on without it. The exit code is 1 when something is left.

Examples:

    januscloud drain edge-1 --timeout 30s --force && systemctl restart januscloud@edge-1
    januscloud drain alpha-node --role media --timeout 2h      (then stop its Janus)
    januscloud undrain alpha-node`
}

func (c *drainCommand) Run(w *world) error {
	return w.ask(c.General, c.Cluster, "drain", func(ctx context.Context, watch *servers.Watch) error {
		o := servers.Options{Role: messages.Role(c.Role), Timeout: c.Timeout, Force: c.Force, NoWait: c.NoWait}
		all, err := watch.Drain(ctx, c.Server, o, func(o servers.Outcome) {
			if !c.JSON {
				fmt.Fprintln(w.stdout, o)
			}
		})
		if c.JSON || c.NoWait {
			tell(w.stdout, all, c.JSON)
		}
		return err
	})
}

type undrainCommand struct {
	config.General
	config.Cluster
	whom
	JSON bool `name:"json" help:"The outcome as JSON."`
}

// Help is the end of the command's help.
func (undrainCommand) Help() string {
	return `The contrary of januscloud drain. A session role gets the partitions that fall to it as they become empty.

Example:

    januscloud undrain edge-1`
}

func (c *undrainCommand) Run(w *world) error {
	return w.ask(c.General, c.Cluster, "undrain", func(ctx context.Context, watch *servers.Watch) error {
		all, err := watch.Undrain(ctx, c.Server, messages.Role(c.Role))
		tell(w.stdout, all, c.JSON)
		return err
	})
}

// tell prints outcomes.
func tell(w io.Writer, all []servers.Outcome, asJSON bool) {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		_ = e.Encode(all) // a standard output that is closed is its owner's affair
		return
	}
	for _, o := range all {
		fmt.Fprintln(w, o)
	}
}
