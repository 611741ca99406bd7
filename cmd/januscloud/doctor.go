// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
	"github.com/januscloud/januscloud/cmd/januscloud/doctor"
	"github.com/januscloud/januscloud/messages/bus"
)

// reachTime is how long doctor tries to reach NATS.
const reachTime = 3 * time.Second

type doctorCommand struct {
	config.General
	config.Cluster
	JSON bool `name:"json" help:"As JSON."`
}

// Help is the end of the command's help.
func (doctorCommand) Help() string {
	return `It listens to heartbeats, asks NATS and every Janus, and changes nothing. The exit code is 1 when something is wrong.

Examples:

    januscloud doctor --nats nats://n1:4222
    januscloud doctor --json | jq '.findings[] | select(.level == "wrong")'`
}

func (c *doctorCommand) Run(w *world) error {
	log, err := newLog(w.stderr, c.General)
	if err != nil {
		return err
	}
	options, err := natsOptions(c.Cluster)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	finished := make(chan struct{})
	defer close(finished)
	go w.obey(log, cancel, finished)

	reach, done := context.WithTimeout(ctx, reachTime)
	b, err := bus.Connect(reach, bus.Options{URLs: c.URLs(), Name: "januscloud doctor", NATS: options})
	done()
	report := doctor.Unreachable(fmt.Sprint(c.NATS), err)
	if err == nil {
		defer b.Close()
		if report, err = doctor.Examine(ctx, b); err != nil {
			return err
		}
	}
	write := report.WriteText
	if c.JSON {
		write = report.WriteJSON
	}
	if err := write(w.stdout); err != nil {
		return err
	}
	if !report.Healthy() {
		return errReported
	}
	return nil
}
