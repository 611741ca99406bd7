// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// Patience is how long an answer may take before the run fails.
const Patience = 10 * time.Second

// helpers is how many clients are prepared at once.
const helpers = 4

// crowd is a number of clients.
type crowd struct {
	clients  []*client
	patience time.Duration
}

// desk is what a goroutine that serves clients works with.
type desk struct {
	buf  []byte
	said janusjson.Message
}

// connect makes n clients, numbered from 1.
func connect(ctx context.Context, url string, n, size int) (*crowd, error) {
	c := &crowd{clients: make([]*client, n), patience: Patience}
	shared := filler(size)
	for i := range c.clients {
		c.clients[i] = &client{number: i + 1, size: size, filler: shared}
	}
	err := c.each(ctx, func(cl *client, _ *desk) (err error) {
		ctx, cancel := context.WithTimeout(ctx, Patience)
		defer cancel()
		cl.socket, err = dial(ctx, url)
		return err
	})
	if err != nil {
		c.hangUp()
		return nil, err
	}
	return c, nil
}

// do has every client run some requests, one after the other.
func (c *crowd) do(ctx context.Context, steps ...step) error {
	return c.each(ctx, func(cl *client, d *desk) error {
		for _, s := range steps {
			if err := cl.exchange(s, d.buf, &d.said, c.patience); err != nil {
				return err
			}
		}
		return nil
	})
}

// each calls f for every client, for several at once, until one fails or ctx ends.
func (c *crowd) each(ctx context.Context, f func(*client, *desk) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	for h := range helpers {
		wait.Go(func() {
			d := &desk{buf: make([]byte, readBuffer)}
			for i := h; i < len(c.clients) && ctx.Err() == nil; i += helpers {
				if err := f(c.clients[i], d); err != nil {
					cancel(fmt.Errorf("client %d: %w", c.clients[i].number, err))
				}
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
}

// destroyMade destroys all sessions.
func (c *crowd) destroyMade(ctx context.Context) error {
	return c.each(ctx, func(cl *client, d *desk) error { return cl.destroyMade(d.buf, &d.said, c.patience) })
}

// leave destroys all sessions and closes all connections.
func (c *crowd) leave(ctx context.Context) error {
	defer c.hangUp()
	return c.destroyMade(ctx)
}

func (c *crowd) hangUp() {
	for _, cl := range c.clients {
		if cl.socket != nil {
			cl.close()
		}
	}
	c.clients = nil
}

// Idle are clients that say nothing once they have what they want.
type Idle struct{ crowd *crowd }

// OpenIdle connects n clients. The caller closes them.
func OpenIdle(ctx context.Context, url string, n int) (*Idle, error) {
	c, err := connect(ctx, url, n, 0)
	if err != nil {
		return nil, err
	}
	return &Idle{c}, nil
}

// Sessions gives each client a session.
func (i *Idle) Sessions(ctx context.Context) error { return i.crowd.do(ctx, create()) }

// Handles attaches a handle of the echo test to each client's session.
func (i *Idle) Handles(ctx context.Context) error { return i.crowd.do(ctx, attach()) }

// Close destroys what the clients made and hangs up.
func (i *Idle) Close(ctx context.Context) error { return i.crowd.leave(ctx) }

// errStopped ends a run whose context was cancelled.
var errStopped = errors.New("drive: stopped")
