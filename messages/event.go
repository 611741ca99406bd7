// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"strconv"
	"time"
)

// Event is what analytics and operators hear of the cluster's life on janus.event.>. Fields that do not apply are
// absent. New fields may come; consumers must ignore what they do not know.
type Event struct {
	Type     string    `json:"type"` // e.g. "session.created"
	Time     time.Time `json:"time"`
	Node     string    `json:"node"` // name of the role that says it
	Session  uint64    `json:"session_id,omitempty"`
	Handle   uint64    `json:"handle_id,omitempty"`
	Plugin   string    `json:"plugin,omitempty"`
	OpaqueID string    `json:"opaque_id,omitempty"`
	Server   string    `json:"server,omitempty"` // name of the media server
	Reason   string    `json:"reason,omitempty"` // why a server was chosen, a handle unbound, a session ended
	Edge     string    `json:"edge,omitempty"`
	Room     string    `json:"room,omitempty"` // id, as JSON has it
}

// The types of events.
const (
	EventSessionCreated   = "session.created"
	EventSessionClaimed   = "session.claimed"
	EventSessionDestroyed = "session.destroyed"
	EventSessionTimeout   = "session.timeout"
	EventHandleAttached   = "handle.attached"
	EventHandleBound      = "handle.bound"   // Server and Reason say where and why
	EventHandleUnbound    = "handle.unbound" // its Janus was lost
	EventHandleDetached   = "handle.detached"
	EventHandleMoved      = "handle.moved" // to Server: Reason says why
	EventRoomCreated      = "room.created" // Server and Reason say where and why
	EventRoomMoved        = "room.moved"   // its Janus was lost, and it was made again on Server
	EventServerUp         = "server.up"
	EventServerDown       = "server.down"
	EventOwnerTaken       = "owner.taken" // Reason: which partitions, of whom
)

// Subject is where the event is published: janus.event.<kind>.<action>[.<session>[.<handle>]] or …[.<server>].
func (e Event) Subject() string {
	s := eventPrefix + e.Type
	switch {
	case e.Session != 0:
		s += "." + strconv.FormatUint(e.Session, 10)
		if e.Handle != 0 {
			s += "." + strconv.FormatUint(e.Handle, 10)
		}
	case e.Server != "":
		s += "." + e.Server
	}
	return s
}
