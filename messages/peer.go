// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// PeerKind is what a handle has to say to the one that it is in a call with, where no Janus is between them.
type PeerKind string

// The kinds of PeerMessage.
const (
	PeerHeld     PeerKind = "held"     // asks whether the handle has, or is about to have, the name
	PeerCall     PeerKind = "call"     // calls; without Data only asks whether it could
	PeerAccepted PeerKind = "accepted" // accepts the call
	PeerUpdate   PeerKind = "update"   // negotiates anew
	PeerTrickle  PeerKind = "trickle"  // has a candidate
	PeerHangup   PeerKind = "hangup"   // ends the call
)

// PeerMessage is what a handle says to another one, through the owner of the other's session. The answer, a PeerAnswer, goes to
// the reply subject; without one it is sent again.
type PeerMessage struct {
	Kind PeerKind   `json:"kind"`
	To   RoomMember `json:"to"`
	From RoomMember `json:"from"`
	// Name is that of the sender, as JSON; of PeerHeld, the one that is asked for.
	Name json.RawMessage `json:"name,omitempty"`
	// Call names the call, and N the message in it: it grows.
	Call string `json:"call,omitempty"`
	N    int64  `json:"n,omitempty"`
	// Data is a jsep, or a candidate.
	Data   json.RawMessage `json:"data,omitempty"`
	Reason string          `json:"reason,omitempty"` // of PeerHangup
}

// Marshal writes the message. Names and data arrive as they are: json.Marshal would escape what HTML does not like.
func (m PeerMessage) Marshal() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(m)
	return b.Bytes(), err
}

// PeerAnswer answers a PeerMessage.
type PeerAnswer struct {
	Gone bool `json:"gone,omitempty"` // there is no such handle, or it is not in that call
	Busy bool `json:"busy,omitempty"` // it is in another one
}

// PeerSubject is where a handle is reached by others.
func PeerSubject(to RoomMember) string {
	return SessionSubject{PartitionOf(to.Session), to.Session, SessionPeer, strconv.FormatUint(to.Handle, 10)}.String()
}
