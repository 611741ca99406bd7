// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"context"
	"errors"
	"time"
)

const echotest = "janus.plugin.echotest"

// echo has a session send messages to the echo test, one each interval and one whenever the bell rings, until the context ends.
// before is called before each message; nil: nothing.
func (c *Crowd) echo(ctx context.Context, s *session, before func() error) {
	defer s.close()
	for ctx.Err() == nil {
		if s.begin(ctx, echotest) != nil {
			return
		}
		err := c.say(ctx, s, before)
		if err != nil && !errors.Is(err, errSession) && !errors.Is(err, errHandle) {
			return
		}
	}
}

// say sends messages until the session or its handle is gone, or the context ends.
func (c *Crowd) say(ctx context.Context, s *session, before func() error) error {
	ticker := time.NewTicker(c.interval)
	defer ticker.Stop()
	for n := 1; ; n++ {
		if before != nil {
			if err := before(); err != nil {
				return err
			}
		}
		message := map[string]any{"janus": "message", "body": map[string]any{"audio": true, "bitrate": 1000 * n}}
		_, err := s.ask(ctx, message, true)
		if errors.Is(err, errSession) || errors.Is(err, errHandle) || ctx.Err() != nil {
			return err
		}
		if err := s.rest(ctx, ticker.C, c.bell.heard()); err != nil {
			return err
		}
		if c.calm.Load() {
			if err := s.goHome(ctx); err != nil {
				return err
			}
		}
	}
}
