// SPDX-License-Identifier: Apache-2.0

// Command chaos breaks a cluster, one part after the other, while clients use it that believe nothing, and tells what each fault
// cost them. It is run as scripts/chaos, whose --help tells the rest.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/januscloud/januscloud/scripts/lab"
)

func main() {
	o := parse(os.Args[1:])
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var broken []string
	err := lab.Run("chaos", func(tb lab.TB) { broken = chaos(ctx, tb, o) })
	for _, promise := range broken {
		fmt.Fprintln(os.Stderr, "chaos: broken:", promise)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || len(broken) > 0 {
		fmt.Fprintf(os.Stderr, "chaos: --seed %d makes the same faults again\n", o.Seed)
		os.Exit(1)
	}
}

// chaos is the whole run. It returns the promises that were broken.
func chaos(ctx context.Context, tb lab.TB, o options) (broken []string) {
	tb.Logf("seed %d", o.Seed)
	c := startCluster(tb, o)
	tb.Logf("the cluster serves: %s", c)
	r := newRun(tb, o, c)
	r.all(ctx)
	report := r.report()
	if _, err := os.Stdout.WriteString(report); err != nil {
		tb.Fatalf("%v", err)
	}
	if o.Out != "" {
		if err := os.WriteFile(o.Out, []byte(report), 0o644); err != nil {
			tb.Fatalf("%v", err)
		}
	}
	return r.broken()
}
