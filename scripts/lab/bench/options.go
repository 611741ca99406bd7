// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"github.com/januscloud/januscloud/scripts/lab/bench/drive"
)

// options are what a person may choose.
type options struct {
	Layout   []string      `json:"layout" name:"layout" default:"node" enum:"node,split,dev" sep:"," help:"Which processes the cluster consists of; several are measured one after another: node (edge, node, NATS: the usual one), split (edge, session, media, NATS), dev (all in one process, without sockets between)."`
	Mode     []drive.Mode  `json:"mode" name:"mode" default:"message,keepalive,ping,create+attach" enum:"message,keepalive,ping,create+attach" sep:"," help:"What clients ask: ${enum}."`
	Clients  []int         `json:"clients" name:"clients" default:"1,32" sep:"," help:"How many clients ask at once, each with one request in flight. One shows latency, many show cost."`
	Rounds   int           `json:"rounds" name:"rounds" default:"5" help:"How often direct and cluster take turns; medians are told."`
	Duration time.Duration `json:"duration_ns" name:"duration" default:"2s" help:"How long a turn is measured."`
	Warm     time.Duration `json:"warm_ns" name:"warm" default:"300ms" help:"How long clients ask before that."`
	Size     int           `json:"size" name:"size" default:"387" placeholder:"BYTES" help:"Size of a message to the echo test."`
	Workers  int           `json:"workers" name:"workers" default:"1" help:"Threads that all clients share."`
	Idle     int           `json:"idle" name:"idle" default:"5000" placeholder:"N" help:"How many idle clients with a session each memory is measured with; 0 for none."`
	Handles  bool          `json:"handles" name:"handles" help:"Then attach a handle to each idle session, too."`
	Loops    int           `json:"event_loops" name:"event-loops" default:"2" help:"event_loops of Janus; 0 gives each handle a thread, as Debian does."`
	Procs    int           `json:"procs" name:"procs" default:"0" help:"GOMAXPROCS of each process of ours and of NATS; 0 leaves it to Go, which takes all processors for each."`
	Profile  bool          `json:"profile" name:"profile" help:"Save CPU profiles of our processes, of one more turn per mode with the most clients, and heap profiles with all the idle sessions."`
	Out      string        `json:"out" name:"out" default:"bench-results" type:"path" placeholder:"FOLDER" help:"Where the results go."`
}

const description = `Compares one real Janus with the same Janus behind the cluster, in one run on this machine.`

// Help is the end of the help.
func (options) Help() string {
	return `It starts one Janus, a NATS server and the cluster's processes on free ports. The same clients then ask the Janus itself and an edge, in turns, since a shared machine is never the same twice; told are the medians of the turns. Clients are many connections with one request in flight each (a closed loop): 1 client shows what a request takes, 32 what it costs when the machine is full.

What the columns say:

    req/s      rounds of the mode that ended, per second; a create+attach is two requests, counted as one
    ±          half the distance of the best and the worst turn, as part of the median: how noisy it was
    p50, p99   time of a round in µs: half of them, and 99 of 100, were quicker
    CPU µs     processor time per round: of Janus, of all processes of ours with NATS, of each of these, and of the clients.
               From /proc/<pid>/stat, so to 10 ms per turn; heartbeats and all else that a process does are in it.
               The ratio of "ours" is to what the Janus takes when it is asked directly

Each answer is checked: kind, transaction, session, handle, content. A wrong one ends the run.

Memory is the growth of each process's resident set (Rss of smaps_rollup) from nothing to N idle clients to N sessions, divided by N. Before each reading our processes collect their garbage, and it is waited until they have given it back. Not in it: what the kernel keeps for each socket.

Examples:

    scripts/bench
    scripts/bench --mode message --clients 1,8,32,128 --idle 0
    scripts/bench --layout node,split,dev --rounds 9
    scripts/bench --mode message --clients 32 --rounds 1 --idle 0 --profile
    go tool pprof -top .cache/lab/januscloud bench-results/<time>-node-message-edge.pprof

The result is saved as <time>.json, with every turn, and <time>.txt, as printed. Compare results of one machine only.`
}

// Validate bounds what is asked for: a run always ends.
func (o options) Validate() error {
	for _, c := range o.Clients {
		if c < 1 || c > 4096 {
			return errors.New("--clients: 1 to 4096")
		}
	}
	switch {
	case len(o.Clients) == 0 || len(o.Mode) == 0 || len(o.Layout) == 0:
		return errors.New("nothing to measure")
	case o.Rounds < 1 || o.Rounds > 101:
		return errors.New("--rounds: 1 to 101")
	case o.Duration < 100*time.Millisecond || o.Duration > 5*time.Minute || o.Warm < 0 || o.Warm > time.Minute:
		return errors.New("--duration: 100ms to 5m, --warm: to 1m")
	case o.Size < 0 || o.Size > 32<<10:
		return errors.New("--size: to 32768")
	case o.Workers < 1 || o.Workers > 64 || o.Procs < 0 || o.Procs > 1024:
		return errors.New("--workers: 1 to 64, --procs: to 1024")
	case o.Idle < 0 || o.Idle > 1_000_000:
		return errors.New("--idle: to a million, and what the limit of descriptors allows")
	}
	return nil
}

// parse reads the command line; it ends the program for --help and for mistakes.
func parse(args []string) options {
	var o options
	parser := kong.Must(&o, kong.Name("scripts/bench"), kong.Description(description),
		kong.ConfigureHelp(kong.HelpOptions{FlagsLast: true, WrapUpperBound: 120}),
		kong.Writers(os.Stdout, os.Stderr))
	_, err := parser.Parse(args)
	parser.FatalIfErrorf(err)
	return o
}
