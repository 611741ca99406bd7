// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/januscloud/januscloud/messages"
)

// status is what the actor lets others know: written by the actor, read by the beater and whoever asks for readiness.
type status struct {
	media    atomic.Pointer[messages.MediaBeat] // without the numbers; what it points at never changes
	sessions atomic.Int64
	handles  atomic.Int64
	problem  atomic.Pointer[error] // why Janus is down; nil when it is up
	serves   chan struct{}         // closed when Janus is up for the first time
}

func newStatus(now time.Time) *status {
	s := &status{serves: make(chan struct{})}
	s.media.Store(&messages.MediaBeat{Janus: messages.JanusDown, Since: now})
	return s
}

// fail notes why Janus is not up.
func (s *status) fail(err error) { s.problem.Store(&err) }

// problemNow is why Janus is not up; nil when nothing is known.
func (s *status) problemNow() error {
	if p := s.problem.Load(); p != nil {
		return *p
	}
	return nil
}

// beat is the media role's part of a heartbeat.
func (s *status) beat() *messages.MediaBeat {
	b := *s.media.Load()
	b.Sessions, b.Handles = int(s.sessions.Load()), int(s.handles.Load())
	return &b
}

// setStatus publishes the state of Janus.
func (s *server) setStatus(state messages.JanusState, now time.Time) {
	b := messages.MediaBeat{Janus: state, Since: now, JanusName: s.info.Name, Version: s.info.Version, MaxHandles: s.maxHandles()}
	if last := s.status.media.Load(); last.Janus == state {
		b.Since = last.Since
	}
	b.Plugins = make(map[string]string, len(s.info.Plugins))
	for name, p := range s.info.Plugins {
		b.Plugins[name] = p.Version
	}
	for name := range s.info.Transports {
		b.Transports = append(b.Transports, name)
	}
	slices.Sort(b.Transports)
	s.status.media.Store(&b)
	if !b.Serves() {
		return
	}
	s.status.problem.Store(nil)
	select {
	case <-s.status.serves:
	default:
		close(s.status.serves)
	}
}
