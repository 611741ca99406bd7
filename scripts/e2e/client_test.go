// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
)

// caller is a client with one session and one echo test handle.
type caller struct {
	*lab.Client
	name            string
	session, handle uint64
	sent            []string // transactions of the messages, in order
}

// newCaller connects, creates a session and attaches a handle.
func newCaller(ctx context.Context, name, url string) (*caller, error) {
	client, err := lab.Dial(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c := &caller{Client: client, name: name}
	if c.session, err = c.Create(ctx); err == nil {
		c.handle, err = c.Attach(ctx, c.session, "janus.plugin.echotest")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// next is the next message: numbered, and told from the others by its bitrate.
func (c *caller) next() map[string]any {
	n := len(c.sent) + 1
	transaction := fmt.Sprintf("%s-%d", c.name, n)
	c.sent = append(c.sent, transaction)
	return map[string]any{
		"janus": "message", "session_id": c.session, "handle_id": c.handle, "transaction": transaction,
		"body": map[string]any{"audio": n%2 == 0, "bitrate": 1000 * n},
	}
}

// answerTime is how long an answer may take: longer than an edge waits for its own before it answers by itself.
const answerTime = 35 * time.Second

// say sends the next message and returns when it was acknowledged and the plugin's event is there.
func (c *caller) say(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	answer, err := c.RequestEvent(ctx, c.next())
	if err == nil && answer.Text("plugindata", "data", "result") != "ok" {
		err = fmt.Errorf("answered by %s", answer)
	}
	if err != nil {
		return fmt.Errorf("%s: message %d: %w", c.name, len(c.sent), err)
	}
	return nil
}

// check returns what is wrong with all that was received: each message must have one reply, and the events for those that were
// acknowledged must have come once, in the order in which the messages were sent. It counts the messages that were not run, and
// those that were but whose event did not come.
func (c *caller) check() (refused, lost int, err error) {
	if violations := c.Violations(); len(violations) > 0 {
		return 0, 0, fmt.Errorf("%s: %q", c.name, violations)
	}
	events := c.Events(c.handle)
	for _, transaction := range c.sent {
		replies := c.Replies(transaction)
		if len(replies) != 1 {
			return 0, 0, fmt.Errorf("%s: %s has replies %v", c.name, transaction, replies)
		}
		switch came := len(events) > 0 && events[0].Transaction == transaction; {
		case came:
			if e := events[0]; e.Janus != "event" || e.Session != c.session {
				return 0, 0, fmt.Errorf("%s: unasked for: %s", c.name, e)
			}
			events = events[1:]
		case replies[0].Janus == "ack":
			lost++
		default:
			refused++
		}
	}
	if len(events) > 0 {
		return 0, 0, fmt.Errorf("%s: doubled or out of order: %v", c.name, events)
	}
	return refused, lost, nil
}

// checkAll is check for clients that must have missed nothing.
func (c *caller) checkAll() error {
	refused, lost, err := c.check()
	if err == nil && refused+lost > 0 {
		err = fmt.Errorf("%s: of %d messages %d were refused, and the events of %d lost", c.name, len(c.sent), refused, lost)
	}
	return err
}

// each calls f for all callers at once, and fails when one of them does.
func each[C any](t *testing.T, callers []C, f func(i int, c C) error) {
	t.Helper()
	errs := make(chan error, len(callers))
	var all sync.WaitGroup
	for i, c := range callers {
		all.Go(func() {
			if err := f(i, c); err != nil {
				errs <- err
			}
		})
	}
	all.Wait()
	close(errs)
	failed := 0
	for err := range errs {
		if failed++; failed <= 5 {
			t.Error(err)
		}
	}
	if failed > 0 {
		t.Fatalf("%d of %d clients failed", failed, len(callers))
	}
}

// connect makes n callers, through all edges by turns.
func (c *testCluster) connect(ctx context.Context, t *testing.T, prefix string, n int) []*caller {
	t.Helper()
	callers := make([]*caller, n)
	urls := c.urls()
	each(t, callers, func(i int, _ *caller) (err error) {
		callers[i], err = newCaller(ctx, fmt.Sprintf("%s%d", prefix, i+1), urls[i%len(urls)])
		return err
	})
	t.Cleanup(func() {
		for _, c := range callers {
			c.Abort()
		}
	})
	return callers
}

// within is a context for one part of a test.
func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}
