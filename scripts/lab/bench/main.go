// SPDX-License-Identifier: Apache-2.0

// Command bench compares one real Janus with the same Janus behind the cluster: what a request takes, what it costs, and what
// idle sessions occupy. It is run as scripts/bench, whose --help tells the rest.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
	"github.com/januscloud/januscloud/scripts/lab/bench/proc"
)

func main() {
	o := parse(os.Args[1:])
	if o.Procs > 0 {
		// This process has read it already; those it starts have not.
		_ = os.Setenv("GOMAXPROCS", strconv.Itoa(o.Procs))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := lab.Run("bench", func(tb lab.TB) {
		if err := run(ctx, tb, o); err != nil {
			tb.Fatalf("%v", err)
		}
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// reserve is how many descriptors there must be beside those of idle clients.
const reserve = 500

// run measures everything that was asked for, and saves and prints it.
func run(ctx context.Context, tb lab.TB, o options) error {
	switch limit, err := proc.Descriptors(); {
	case err != nil:
		return err
	case limit < uint64(o.Idle+reserve):
		return fmt.Errorf("--idle %d takes %d descriptors, the limit here is %d", o.Idle, o.Idle+reserve, limit)
	}
	r := result{Started: time.Now().UTC(), Options: o, Machine: describe(tb)}
	out, err := newOutput(o.Out, r.Started)
	if err != nil {
		return err
	}
	for _, layout := range o.Layout {
		l, err := measure(ctx, o, layout, out)
		if err != nil {
			r.Failure = fmt.Sprintf("layout %s: %v", layout, err)
		}
		r.Layouts = append(r.Layouts, l) // what there is of it
		if err != nil {
			break
		}
	}
	r.Seconds = time.Since(r.Started).Seconds()
	r.Machine.LoadAfter = proc.Load()
	text := r.text()
	if _, err := io.WriteString(os.Stdout, text); err != nil {
		return err
	}
	if err := out.save(r, text); err != nil {
		return err
	}
	if r.Failure != "" {
		return errors.New(r.Failure)
	}
	return nil
}

// measure starts a Janus and a cluster of one layout around it, measures both, and stops them.
func measure(ctx context.Context, o options, layout string, out *output) (l layoutResult, err error) {
	l.Layout = layout
	err = lab.Run("bench", func(tb lab.TB) {
		janus := startJanus(tb, o)
		b := &bench{options: o, out: out, layout: layout, say: tb.Logf}
		b.direct = side{name: "direct", url: janus.WSURL(), processes: []process{{name: janusName, pid: janus.PID()}}}
		b.cluster = startCluster(tb, layout, janus)
		tb.Logf("%s: the cluster serves", layout)
		if err := b.all(ctx, &l); err != nil {
			b.saveFailure(ctx)
			tb.Fatalf("%v", err)
		}
	})
	return l, err
}
