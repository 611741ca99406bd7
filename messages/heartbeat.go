// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"encoding/json"
	"fmt"
	"time"
)

// Role is what a process, or a part of it, does in the cluster.
type Role string

// The roles.
const (
	RoleEdge    Role = "edge"
	RoleSession Role = "session"
	RoleMedia   Role = "media"
)

// BeatInterval is the time between two heartbeats of a role. Silence is counted in such intervals.
const BeatInterval = 200 * time.Millisecond

// State is what a role can do for others.
type State string

// The states of a role.
const (
	StateJoining  State = "joining"  // alive, not serving yet
	StateReady    State = "ready"    // takes work
	StateDraining State = "draining" // serves what it has, takes nothing new
	StateLeaving  State = "leaving"  // the last beat of an orderly leave
)

// Beat is what every role says each BeatInterval on HeartbeatSubject. Exactly one of Session, Media and Edge is set.
type Beat struct {
	Role   Role    `json:"role"`
	Member Member  `json:"member"`
	State  State   `json:"state"`
	Host   string  `json:"host,omitempty"` // host name: placement prefers a Janus beside the actor
	Region string  `json:"region,omitempty"`
	Load   float64 `json:"load"` // 0 to 1: the busy part of the machine's processors, smoothed over some seconds

	Session *SessionBeat `json:"session,omitempty"`
	Media   *MediaBeat   `json:"media,omitempty"`
	Edge    *EdgeBeat    `json:"edge,omitempty"`
}

// SessionBeat is a session node's part of a Beat: who owns what is known from nowhere else.
type SessionBeat struct {
	Sessions int          `json:"sessions"`
	Owned    []OwnedRange `json:"owned"`
	// Plugins are those that session nodes serve without a Janus: package → version string.
	Plugins map[string]string `json:"plugins,omitempty"`
}

// OwnedRange is a set of partitions that a node owns with one epoch.
type OwnedRange struct {
	Epoch      Epoch        `json:"epoch"`
	Partitions PartitionSet `json:"partitions"`
}

// JanusState is how a media role finds its Janus.
type JanusState string

// The states of a Janus.
const (
	JanusUp          JanusState = "up"
	JanusDown        JanusState = "down"        // socket refused or lost, or no answer for 2 s
	JanusUnprotected JanusState = "unprotected" // up, but its reclaim_session_timeout is under 60 s: calls do not survive the role
)

// MediaBeat is a media role's part of a Beat.
type MediaBeat struct {
	Janus      JanusState        `json:"janus"`
	Since      time.Time         `json:"since"`                // when Janus came into that state
	JanusName  string            `json:"janus_name,omitempty"` // server-name of its info
	Version    string            `json:"version,omitempty"`    // version_string of its info
	Plugins    map[string]string `json:"plugins,omitempty"`    // package → version string, as of its last info
	Transports []string          `json:"transports,omitempty"`
	Sessions   int               `json:"sessions"`
	Handles    int               `json:"handles"`
	MaxHandles int               `json:"max_handles"` // cap on handles; 0 = none
	// Origin is the process's first incarnation, by which its events are named; empty: it is the present one.
	Origin string `json:"origin,omitempty"`
}

// EventOrigin is the name that the events of a media server bear.
func (b *Beat) EventOrigin() string {
	if b.Media == nil || b.Media.Origin == "" {
		return b.Member.String()
	}
	return b.Media.Origin
}

// Serves reports whether new handles may be placed here: Janus is up, in whatever protection.
func (m *MediaBeat) Serves() bool { return m.Janus == JanusUp || m.Janus == JanusUnprotected }

// EdgeBeat is an edge's part of a Beat.
type EdgeBeat struct {
	Connections int    `json:"connections"`
	WS          string `json:"ws,omitempty"` // address of its WebSocket transport
	HTTP        string `json:"http,omitempty"`
	// Tokens is the revision of the stored tokens that is in force there; nil where none are asked for.
	Tokens *uint64 `json:"tokens,omitempty"`
	// Settings is the revision of what administrators set that its info tells of; nil: it does not say.
	Settings *uint64 `json:"settings,omitempty"`
}

// ParseBeat reads a heartbeat.
func ParseBeat(data []byte) (Beat, error) {
	var b Beat
	if err := json.Unmarshal(data, &b); err != nil {
		return Beat{}, fmt.Errorf("heartbeat: %w", err)
	}
	set := 0
	for _, part := range []bool{b.Session != nil, b.Media != nil, b.Edge != nil} {
		if part {
			set++
		}
	}
	if b.Member.IsZero() || set != 1 {
		return Beat{}, fmt.Errorf("heartbeat of %q: want a member and the part of one role", b.Member)
	}
	return b, nil
}
