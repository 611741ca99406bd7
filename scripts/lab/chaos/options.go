// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/januscloud/januscloud/scripts/lab/chaos/crowd"
)

// options are what a person may choose.
type options struct {
	Time     time.Duration `name:"time" default:"20m" help:"How long faults are made."`
	Sessions int           `name:"sessions" default:"500" help:"How many sessions there are."`
	Rate     int           `name:"rate" default:"500" help:"How many requests a second all clients send together."`
	Seed     uint64        `name:"seed" default:"0" help:"What faults and their victims are drawn from; 0 draws the seed itself."`
	Faults   []string      `name:"faults" sep:"," placeholder:"LIST" help:"Which faults: ways, parts, or both (kill, 'freeze session', edge); default all."`
	Once     bool          `name:"once" help:"Stop when every fault was made once."`
	Pause    time.Duration `name:"pause" default:"3s" help:"How long nothing is broken between two faults."`
	Strict   bool          `name:"strict" help:"Long pauses and gaps in the media break promises, too. For machines that have nothing else to do."`
	Out      string        `name:"out" type:"path" placeholder:"FILE" help:"Where the table is written as well."`
	Logs     string        `name:"logs" type:"path" placeholder:"FOLDER" help:"Where the logs of all processes are kept."`
	LogLevel string        `name:"log-level" default:"info" enum:"debug,info,warn,error" help:"Of our processes."`

	chosen []fault
}

const description = `Breaks a cluster while clients use it, and tells what each fault cost them.`

// Help is the end of the help.
func (options) Help() string {
	return `It starts three NATS servers, two Janus, two edges, two session nodes, a node (session and media role in one process) and a media role, each a process of its own. Clients make echo tests over WebSocket and over long polls (each request to another edge), come and go in video rooms, and send real media. Whoever loses his edge goes to the other one and claims his session; an edge counts as lost when it does not answer for a second, as behind a load balancer.

Then one thing after the other is broken, and mended: each fault once, in an order drawn from the seed, again and again. When a fault begins, and when it is over, all clients send a request at once. Before the next fault every client must have been served again, and have all that it is due; what is missing after 45 s is given up; events of clients whose media role was broken, which nobody keeps, after 5 s.

Faults are a way and a part:

    kill      kill -9, and started again a while later
    freeze    SIGSTOP, and SIGCONT some seconds later
    stop      SIGTERM, and started again
    slow      stopped and continued many times a second
    cut       all its connections to NATS stand still, or end and are refused; for nats: those of one server with the others

    session, node, edge, nats, media, janus

What the columns say:

    lost      events that did not come          doubled       replies and events that came twice
    again     events that came twice after an   out of order  events that came after a later one
              edge's end, the first time within 200 ms before it
    run twice requests that, to judge by their  wrong         other answers that are not true
              answers, were run twice
    refused   errors, with their codes          unknown       errors "outcome unknown"
    unanswered requests without a reply         in doubt      the same, or refused since it was overtaken, where
                                                              the connection ended
    sessions  sessions that were lost           hangups       handles that lost their Janus
    pause     the longest that a client waited  gap, packets  the longest silence of real media, and packets lost
              for a reply, an event, an edge

Exit status 1: a promise is broken. Which are made is said in scripts/lab/chaos/promises.go.

Examples:

    scripts/chaos
    scripts/chaos --time 3m --sessions 100 --rate 100 --faults 'kill,freeze edge' --logs /tmp/logs
    scripts/chaos --seed 7 --out chaos.md --strict`
}

// Validate bounds what is asked for.
func (o *options) Validate() error {
	switch {
	case o.Time <= 0 || o.Time > 24*time.Hour:
		return errors.New("--time: to 24h")
	case o.Sessions < crowd.MinSessions || o.Sessions > 10_000:
		return errors.New("--sessions: 40 to 10000")
	case o.Rate < 1 || o.Rate > 10_000:
		return errors.New("--rate: 1 to 10000")
	case o.Pause < 0 || o.Pause > time.Hour:
		return errors.New("--pause: to 1h")
	}
	for _, f := range catalogue() {
		if len(o.Faults) == 0 || slices.ContainsFunc(o.Faults, f.named) {
			o.chosen = append(o.chosen, f)
		}
	}
	if len(o.chosen) == 0 {
		return errors.New("--faults: no such fault as " + strings.Join(o.Faults, ", "))
	}
	return nil
}

// parse reads the command line; it ends the program for --help and for mistakes.
func parse(args []string) options {
	var o options
	parser := kong.Must(&o, kong.Name("scripts/chaos"), kong.Description(description),
		kong.ConfigureHelp(kong.HelpOptions{FlagsLast: true, WrapUpperBound: 120}),
		kong.Writers(os.Stdout, os.Stderr))
	_, err := parser.Parse(args)
	parser.FatalIfErrorf(err)
	if o.Seed == 0 {
		o.Seed = 1 + rand.Uint64N(1_000_000)
	}
	return o
}
