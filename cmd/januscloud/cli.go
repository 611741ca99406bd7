// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // it did not work; doctor: something is wrong
	exitUsage  = 2 // flags, environment or configuration file cannot be used
)

// cli is the command line.
type cli struct {
	Dev     devCommand     `cmd:"" help:"A whole cluster in this process, to try things out."`
	Edge    edgeCommand    `cmd:"" help:"Serve clients: the Janus API, at any edge for any session."`
	Session sessionCommand `cmd:"" help:"Own sessions and decide which Janus serves a handle."`
	Media   mediaCommand   `cmd:"" help:"Serve one Janus, beside it."`
	Node    nodeCommand    `cmd:"" help:"session and media in one process: the usual companion of a Janus."`
	Servers serversCommand `cmd:"" help:"List the roles of a running cluster: state, load, what they serve."`
	Drain   drainCommand   `cmd:"" help:"Have a role take no new work and give away what it has, before an upgrade."`
	Undrain undrainCommand `cmd:"" help:"Have a role that drains take work again."`
	Doctor  doctorCommand  `cmd:"" help:"Look at a running cluster and say what is wrong."`
	Config  configCommand  `cmd:"" help:"Check a configuration file, or write one to start from."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

const description = "januscloud makes many Janus WebRTC servers answer as one: a client speaks the plain Janus API to any edge."

// Help is the end of the program's help.
func (cli) Help() string {
	return `Try it, with two Janus of its own and the stock demo pages:

    januscloud dev

Or run a cluster:

    januscloud edge --nats nats://n1,nats://n2
    januscloud node --nats nats://n1,nats://n2 --janus ws://127.0.0.1:8188

Every flag is also an environment variable (--log-level: JANUSCLOUD_LOG_LEVEL) and a key of the YAML file that --config names. A flag wins over the environment, the environment over the file.

A role that serves prints one line, "ready role=... name=...", to standard output, and nothing else there. Logs go to standard error. SIGTERM and SIGINT drain it and end it in good order, a second one at once.`
}

// world is what a command has of the system around it; tests make their own.
type world struct {
	args, environ  []string
	stdout, stderr io.Writer
	signals        <-chan os.Signal
	exit           func(code int) // ends the process at once
	stopBound      time.Duration  // how long ending in good order may take
}

// errReported is a failure that was told already.
var errReported = errors.New("reported")

// run runs the command that the arguments name and returns the exit code.
func run(w *world) int {
	source := config.NewSource(w.environ)
	exited := -1
	parser, err := kong.New(new(cli), kong.Name("januscloud"), kong.Description(description),
		kong.Resolvers(source), kong.Writers(w.stdout, w.stderr), kong.Bind(w),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, NoExpandSubcommands: true, WrapUpperBound: 110}), kong.ValueFormatter(flagHelp), kong.AutoGroup(flagGroup(config.Fields())),
		kong.Exit(func(code int) { exited = max(exited, code) }))
	if err != nil {
		fmt.Fprintln(w.stderr, "januscloud:", err)
		return exitFailed
	}
	ctx, err := parser.Parse(w.args)
	if exited >= 0 {
		return exited // --help was printed
	}
	if problem := source.Err(); problem != nil {
		fmt.Fprintln(w.stderr, problem)
		return exitUsage
	}
	if err != nil {
		fmt.Fprintf(w.stderr, "januscloud: %v (januscloud --help tells more)\n", err)
		return exitUsage
	}
	switch err := ctx.Run(); {
	case err == nil:
		return exitDone
	case errors.Is(err, errReported):
		return exitFailed
	default:
		fmt.Fprintf(w.stderr, "januscloud %s: %v\n", ctx.Selected().Name, err)
		return exitFailed
	}
}

// flagHelp is the help of a flag with its default, which a placeholder would hide.
func flagHelp(v *kong.Value) string {
	if v.Default == "" || v.Tag.PlaceHolder == "" {
		return v.Help
	}
	return v.Help + " Default: " + v.Default + "."
}

// flagGroup puts flags into the groups of the configuration.
func flagGroup(fields []config.Field) func(kong.Visitable, *kong.Flag) *kong.Group {
	return func(parent kong.Visitable, flag *kong.Flag) *kong.Group {
		command, isCommand := parent.(*kong.Node)
		for _, f := range fields {
			for _, u := range f.Uses {
				if f.Name == flag.Name && isCommand && slices.Contains(strings.Split(u.Commands, ", "), command.Name) {
					return &kong.Group{Key: u.Group, Title: u.Group + ":"}
				}
			}
		}
		return nil
	}
}
