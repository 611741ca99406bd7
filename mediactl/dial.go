// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/januscloud/januscloud/mediactl/janusapi"
)

// link is one connection to Janus.
type link struct {
	carrier
	ended bool // the actor's: word of its end came first
}

// carrier is what the actor uses of a *janusapi.Conn.
type carrier interface {
	Send(message []byte) error
	Close()
}

// dialer makes connections, one when asked.
type dialer struct {
	url  string
	tell func(message any)
	ask  chan struct{}   // one token
	made time.Time       // the last connection
	next backoff.BackOff // the pause before the next attempt
	work sync.WaitGroup  // run, and the connections that were made
}

const (
	// dialPatience bounds one attempt: a Janus that is stopped takes connections and says nothing.
	dialPatience = 2 * time.Second
	// dialPause and maxDialPause bound the pause between two attempts. A connection that ends within steadyTime counts as a
	// failed attempt, so that one which is ended at once is not made a thousand times a second.
	dialPause    = 20 * time.Millisecond
	maxDialPause = time.Second
	steadyTime   = 3 * time.Second
)

// run dials whenever asked, until ctx ends.
func (d *dialer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.ask:
		}
		d.connect(ctx)
	}
}

// connect tries until there is a connection, or ctx ends.
func (d *dialer) connect(ctx context.Context) {
	if d.made.IsZero() || time.Since(d.made) > steadyTime {
		pause := backoff.NewExponentialBackOff()
		pause.InitialInterval, pause.MaxInterval, pause.Multiplier = dialPause, maxDialPause, 2
		d.next = pause
	} else {
		d.pause(ctx)
	}
	for ctx.Err() == nil {
		err := d.try(ctx)
		if err == nil {
			d.made = time.Now()
			return
		}
		if ctx.Err() == nil {
			d.tell(dialFailed{err})
		}
		d.pause(ctx)
	}
}

func (d *dialer) pause(ctx context.Context) {
	timer := time.NewTimer(d.next.NextBackOff())
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// try makes one attempt. A connection that is made is the actor's, which hears all that it brings; see mailbox.go.
func (d *dialer) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	l := &link{}
	d.work.Add(1)
	conn, err := janusapi.Dial(ctx, d.url, janusapi.Options{
		OnMessage: func(raw []byte) { d.tell(&received{l, raw}) },
		OnClose: func(err error) {
			d.tell(closed{l, err})
			d.work.Done()
		},
	})
	if err != nil {
		d.work.Done()
		return fmt.Errorf("media server: %w", err)
	}
	l.carrier = conn
	d.tell(dialled{l})
	return nil
}
