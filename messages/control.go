// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"encoding/json"
	"iter"
	"strconv"
	"strings"
)

// Ask is what a new owner sends to every live media server and edge (MediaAsk, EdgeAsk) when it takes partitions
// over. Receiving it installs the fence: from then on the receiver refuses lower epochs of those partitions.
type Ask struct {
	Node       Member       `json:"node"`
	Epoch      Epoch        `json:"epoch"`
	Partitions PartitionSet `json:"partitions"`
}

// Holding is one message of an end's answer to an Ask, published on the reply subject of the ask. An answer may take
// several; the last one has Last set.
type Holding struct {
	From     Member           `json:"from"`
	Role     Role             `json:"role"` // RoleMedia or RoleEdge
	Last     bool             `json:"last"`
	Refused  Epoch            `json:"refused,omitzero"` // a greater epoch that was seen for one of the partitions
	Sessions []HoldingSession `json:"sessions,omitempty"`
}

// HoldingSession is what an end knows of one session.
type HoldingSession struct {
	Session     uint64              `json:"session"`
	Handles     []HoldingHandle     `json:"handles,omitempty"`     // of a media server
	Connections []HoldingConnection `json:"connections,omitempty"` // of an edge
	// Written are the origins of the last events that an edge wrote on connections which are closed, or in answers to long
	// polls, not long ago: see OriginSeparator.
	Written []string `json:"written,omitempty"`
}

// HoldingHandle is a handle that a media server maps.
type HoldingHandle struct {
	Handle uint64 `json:"handle"` // ours
	Janus  uint64 `json:"janus"`  // of its Janus
	Plugin string `json:"plugin"`
	Attach string `json:"attach,omitempty"` // identity of the request that bound it
	Live   bool   `json:"live,omitempty"`   // it has a PeerConnection, as far as is known
	// Assumed tells that nobody knows whether it has one: what Janus said of it may have been lost.
	Assumed bool `json:"assumed,omitempty"`
}

// HoldingConnection is a connection of an edge that used the session.
type HoldingConnection struct {
	Connection uint64 `json:"connection"`
	Owner      int64  `json:"owner"` // Unix milliseconds at which the connection created or claimed the session; 0 = it only used it
}

// Replay asks a media server for the events of a session that it published a moment ago: the owner that they were meant for may
// have died with them.
type Replay struct {
	Session uint64 `json:"session"`
	Epoch   Epoch  `json:"epoch"`
}

// Resend asks an edge for the requests of a connection for a session with numbers between After and Before, both excluded: they did
// not arrive, though later ones did. The edge publishes those once more that are not answered, and then that there are no others
// (SessionWhole).
type Resend struct {
	Session    uint64 `json:"session"`
	Connection uint64 `json:"connection"`
	After      uint64 `json:"after"`
	Before     uint64 `json:"before"`
}

// Adopt asks a new incarnation of a media server to go on with the handles that an earlier one had on the same Janus. It is
// repeated until the answer, Adopted, comes to the session. Handles that Janus has lost are told of by "hangup" and VerbUnbound.
type Adopt struct {
	Epoch Epoch `json:"epoch"`
	HoldingSession
	// Whole says that these are all handles of the session there. If there are none, Janus's part of the session ends.
	Whole bool `json:"whole"`
}

// MaxAdopt is how many handles one Adopt or Adopted names at most: that keeps them well under NATS's limit of 1 MiB.
const MaxAdopt = 2000

// Adopted answers an Adopt: the media server has these handles in hand, and what their Janus says from now on arrives.
type Adopted struct {
	From    Member   `json:"from"`
	Handles []uint64 `json:"handles,omitempty"`
	// Missing are handles that it was sent a request for and does not have. If their owner has them bound there, it is to ask for
	// them by an Adopt, and so learns what became of them.
	Missing []uint64 `json:"missing,omitempty"`
}

// OriginSeparator separates origins where several are told: of the last event of each media server.
const OriginSeparator = ","

// Origins are the single ones of origins that are separated by OriginSeparator.
func Origins(origins string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for origins != "" {
			var origin string
			if origin, origins, _ = strings.Cut(origins, OriginSeparator); !yield(origin) {
				return
			}
		}
	}
}

// CutOrigin cuts an event's number off the Origin of a Delivery; ok is false when it has none.
func CutOrigin(origin string) (server string, seq uint64, ok bool) {
	i := strings.LastIndexByte(origin, '.')
	if i < 0 {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(origin[i+1:], 10, 64)
	return origin[:i], seq, err == nil
}

// AppendOrigin writes what a media server numbers an event with, behind its name: the event's number, and that of the event before
// it that the server keeps for the same session, 0 for none. An owner that does not have that one has lost it.
func AppendOrigin(dst []byte, server string, seq, before uint64) []byte {
	dst = append(append(dst, server...), '.')
	dst = strconv.AppendUint(dst, seq, 10)
	if before > 0 {
		dst = append(dst, beforeMark)
		dst = strconv.AppendUint(dst, before, 10)
	}
	return dst
}

const beforeMark = '-'

// CutBefore cuts what AppendOrigin wrote into the Origin of a Delivery and the number of the event before.
func CutBefore(numbered string) (origin string, before uint64) {
	dot, at := strings.LastIndexByte(numbered, '.'), strings.LastIndexByte(numbered, beforeMark)
	if dot < 0 || at < dot { // names have such marks, too
		return numbered, 0
	}
	before, err := strconv.ParseUint(numbered[at+1:], 10, 64)
	if err != nil {
		return numbered, 0
	}
	return numbered[:at], before
}

// Refusal is the body that tells an owner that it was deposed: the epoch that the sender honours.
type Refusal struct {
	Epoch Epoch `json:"epoch"`
}

// Yield is sent by an owner to the node that is to have partitions: the receiver takes them over as from the dead, the
// sender acts for them no more until it hears the new epoch, or that nobody has taken them. The receiver sends it back when it
// serves them.
type Yield struct {
	From       Member       `json:"from"`
	Partitions PartitionSet `json:"partitions"`
}

// VerbUnbound is the verb of the event by which a media server tells the owner that a handle is lost with its Janus:
// {"janus":"unbound","session_id":…,"sender":…}. It never reaches a client.
const VerbUnbound = "unbound"

// VerbGap is the verb of the event by which a media server tells the owner of a session that it has the connection to Janus again,
// and the session on it: what Janus said meanwhile is lost. {"janus":"gap","session_id":…}; it never reaches a client.
const VerbGap = "gap"

// SessionRecord is the stored part of a session: what its ends do not know.
type SessionRecord struct {
	Epoch    Epoch  `json:"epoch"`
	Identity string `json:"identity"` // of the create request
	Created  int64  `json:"created"`  // Unix milliseconds
	Polling  bool   `json:"polling,omitempty"`
	Inbox    string `json:"inbox,omitempty"`
	Claimed  int64  `json:"claimed,omitempty"` // Unix milliseconds at which the transport became the session's
	Timeout  *int32 `json:"timeout,omitempty"` // seconds, 0 for none, that an administrator set for this session; nil: the cluster's
}

// HandleRecord is the stored part of a handle.
type HandleRecord struct {
	Epoch    Epoch           `json:"epoch"`
	Identity string          `json:"identity"` // of the attach request
	Plugin   string          `json:"plugin"`
	Request  json.RawMessage `json:"request"`           // the attach request as sent on, for binding
	Server   Member          `json:"server,omitzero"`   // where it is bound
	Janus    uint64          `json:"janus,omitempty"`   // handle id on that Janus
	Created  int64           `json:"created"`           // Unix milliseconds
	Name     string          `json:"name,omitempty"`    // that its plugin knows it by, as JSON; see RoomName.Key
	Engaged  bool            `json:"engaged,omitempty"` // in a room or a call, where those of the plugin have homes
	// Call is the call that the handle is in with With, where no Janus is between them.
	Call string      `json:"call,omitempty"`
	With *RoomMember `json:"with,omitempty"`
	// Early are trickles that were acknowledged and wait for the handle to be bound.
	Early []json.RawMessage `json:"early,omitempty"`
}
