// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"encoding/json"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// safeReclaim is the reclaim_session_timeout that Janus needs for calls to survive this role.
const safeReclaim = 60 * time.Second

// AutoHandles as Options.MaxHandles leaves the cap on handles to what Janus tells of itself.
const AutoHandles = -1

// What AutoHandles comes to. Without event loops each handle costs Janus a thread and a descriptor, its PeerConnection some
// sockets more, and Janus aborts when descriptors run out; Debian's unit allows 65,536. With event loops the sockets remain.
const (
	autoHandlesThreads = 8_000
	autoHandlesLoops   = 20_000
)

// info is what the actor needs of Janus's answer to info (janus_info in src/janus.c).
type info struct {
	Version    string `json:"version_string"`
	Name       string `json:"server-name"`
	Reclaim    int    `json:"reclaim-session-timeout"` // seconds; 0: not at all
	EventLoops int    `json:"static-event-loops"`
	Plugins    map[string]struct {
		Version string `json:"version_string"`
	} `json:"plugins"`
	Transports map[string]json.RawMessage `json:"transports"`
}

// protection is the state of a Janus that is up: sessions must outlive this role for long enough to be claimed.
func (i info) protection() messages.JanusState {
	if time.Duration(i.Reclaim)*time.Second < safeReclaim {
		return messages.JanusUnprotected
	}
	return messages.JanusUp
}

// maxHandles is the cap on handles; 0: none.
func (s *server) maxHandles() int {
	switch {
	case s.cap >= 0:
		return s.cap
	case s.info.EventLoops > 0:
		return autoHandlesLoops
	default:
		return autoHandlesThreads
	}
}

// greet asks for Janus's info.
func (s *server) greet() {
	if r := s.flight.open(janusjson.VerbInfo, s.now); r != nil {
		s.sendOwn(r, 0)
	}
}

// onInfo takes Janus's info: for the greeting, or for somebody who asked.
func (s *server) onInfo(r *request, verb janusjson.Verb) {
	if r.identity != "" {
		_ = s.publish(r.identity, "", s.said.AppendSplice(nil, janusjson.Edit{Key: janusjson.KeyTransaction}))
		return
	}
	var i info
	if err := json.Unmarshal(s.said.Raw(), &i); err != nil || verb != janusjson.VerbServerInfo {
		s.log.Error("Janus does not tell what it is", "error", err)
		return // asked again with the next tick
	}
	s.info, s.known = i, true
	s.greeted()
}

// askInfo asks Janus for its info on behalf of whoever sent m: the whole of it goes to the reply subject, as does an error
// in Janus's form.
func (s *server) askInfo(m *bus.Msg) {
	if s.link == nil || m.Reply == "" {
		s.failInfo(m.Reply)
		return
	}
	if r := s.flight.open(janusjson.VerbInfo, s.now); r != nil {
		r.identity = m.Reply
		if s.sendOwn(r, 0) {
			return
		}
	}
	s.failInfo(m.Reply)
}

func (s *server) failInfo(reply string) {
	if reply != "" {
		_ = s.publish(reply, "", messages.Reply{}.AppendError(nil, errLost))
	}
}
