// SPDX-License-Identifier: Apache-2.0

// Command januscloud makes many Janus WebRTC servers answer as one. Each subcommand has a file of its own, which only
// wires together what the roles bring; januscloud --help tells what there is.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	os.Exit(run(&world{
		args: os.Args[1:], environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr,
		signals: signals, exit: os.Exit, stopBound: stopBound,
	}))
}
