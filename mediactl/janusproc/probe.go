// SPDX-License-Identifier: Apache-2.0

package janusproc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// Info is the part of a Janus's answer to info that tells it apart and says how long it keeps sessions.
type Info struct {
	// ServerName is its server_name, Version the text of its version, such as "1.1.2".
	ServerName string `json:"server-name"`
	Version    string `json:"version_string"`
	// SessionTimeout and ReclaimSessionTimeout are seconds; 0 means never, and not at all.
	SessionTimeout        int `json:"session-timeout"`
	ReclaimSessionTimeout int `json:"reclaim-session-timeout"`
	// AcceptingNewSessions is false while that Janus is told to refuse create.
	AcceptingNewSessions bool `json:"accepting-new-sessions"`
}

// Probe asks the Janus at a WebSocket address for its info, which needs no secret, over a connection of its own. ctx bounds
// the whole of it.
func Probe(ctx context.Context, url string) (Info, error) {
	dialer := ws.Dialer{Protocols: []string{"janus-protocol"}}
	conn, br, _, err := dialer.Dial(ctx, url)
	if err != nil {
		return Info{}, fmt.Errorf("janusproc: probe %s: %w", url, err)
	}
	defer conn.Close()
	if br != nil {
		// Janus says nothing before it is asked; who does is no Janus.
		return Info{}, fmt.Errorf("janusproc: probe %s: unexpected data after the handshake", url)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := wsutil.WriteClientText(conn, []byte(`{"janus":"info","transaction":"probe"}`)); err != nil {
		return Info{}, fmt.Errorf("janusproc: probe %s: %w", url, err)
	}
	answer, err := wsutil.ReadServerText(conn)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return Info{}, fmt.Errorf("janusproc: probe %s: %w", url, err)
	}
	var reply struct {
		Janus string `json:"janus"`
		Info
	}
	if err := json.Unmarshal(answer, &reply); err != nil {
		return Info{}, fmt.Errorf("janusproc: probe %s: %w", url, err)
	}
	if reply.Janus != "server_info" {
		return Info{}, fmt.Errorf("janusproc: probe %s: answered %q", url, reply.Janus)
	}
	return reply.Info, nil
}

// errOtherJanus tells of a port that somebody else took between the choice and the bind.
var errOtherJanus = errors.New("another Janus answers there")

// WaitReady waits until the Janus of a written configuration answers under its own name. It gives up when ctx is done, when
// ended is closed, or when another Janus answers at the address.
func WaitReady(ctx context.Context, c Config, ended <-chan struct{}) error {
	const step, patience = 10 * time.Millisecond, 2 * time.Second
	timer := time.NewTimer(0)
	defer timer.Stop()
	last := errors.New("never asked")
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("janusproc: %s not ready: %w (%w)", c.Name, context.Cause(ctx), last)
		case <-ended:
			return fmt.Errorf("janusproc: %s ended while starting (%w)", c.Name, last)
		case <-timer.C:
		}
		ask, cancel := context.WithTimeout(ctx, patience)
		info, err := Probe(ask, c.WSURL())
		cancel()
		switch {
		case err == nil && info.ServerName == c.Name:
			c.release()
			return nil
		case err == nil:
			return fmt.Errorf("janusproc: %s: %w: %q", c.WSURL(), errOtherJanus, info.ServerName)
		}
		last = err
		timer.Reset(step)
	}
}

// release gives up the port that held Janus's RTP ports for it: it has bound those that it keeps.
func (c Config) release() {
	if c.mark != nil {
		_ = c.mark.Close()
	}
}
