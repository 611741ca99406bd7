// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/januscloud/januscloud/messages/bus/bustest"
)

// stopTime is how long a part may take to end in good order.
const stopTime = 60 * time.Second

// strike breaks a part and mends it. It returns when it is mended, or as well as it can be when the context ends.
func (c *cluster) strike(ctx context.Context, s strike) error {
	p := c.victim(s)
	switch s.way {
	case kill:
		p.process.Kill()
	case stop:
		p.process.Signal(syscall.SIGTERM)
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		if err := p.process.Wait(within); err != nil {
			c.tb.Logf("%s: SIGTERM: %v", p.name, err)
		}
	case freeze:
		p.process.Freeze()
		defer p.process.Thaw()
	case slow:
		return p.slow(ctx, s)
	case cut:
		p.cut(s.cut())
		defer p.cut((*bustest.Proxy).Restore)
	}
	wait(ctx, s.lasts)
	if s.way == kill || s.way == stop {
		if err := p.again(); err != nil {
			return fmt.Errorf("%s does not start again: %w", p.name, err)
		}
	}
	return nil
}

// cut is how connections are cut.
func (s strike) cut() func(*bustest.Proxy) {
	if s.hard {
		return (*bustest.Proxy).Cut
	}
	return (*bustest.Proxy).Freeze
}

// slow stops a process and lets it run, in turns.
func (p *part) slow(ctx context.Context, s strike) error {
	for end := time.Now().Add(s.lasts); time.Now().Before(end) && ctx.Err() == nil; {
		p.process.Signal(syscall.SIGSTOP)
		wait(ctx, s.pulse)
		p.process.Signal(syscall.SIGCONT)
		wait(ctx, s.rest)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
