// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

const roomPrefix = "janus.room."

// RoomPrefix is the subject that the owner of a partition receives below, about its rooms.
func RoomPrefix(partition int) string { return roomPrefix + strconv.Itoa(partition) }

// RoomName names a room, in the widest sense: whatever clients of a plugin name to find each other, and that therefore has
// one home in the cluster. A mountpoint is one, a user's name is one.
type RoomName struct {
	Plugin string // package, such as janus.plugin.videoroom
	// Key is the id as JSON has it: digits for a number, with quotes for a text. It may be longer than any integer of ours.
	Key string
}

// Partition is the partition that the room's owner owns.
func (n RoomName) Partition() int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(n.Plugin)) // never fails (hash.Hash)
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(n.Key))
	return PartitionOf(h.Sum64() >> 7)
}

// Token is the room as one token of a subject or of a record's key: numbers stay readable.
func (n RoomName) Token() string {
	key := n.Key
	if _, err := strconv.ParseUint(key, 10, 64); err != nil {
		key = "_" + base64.RawURLEncoding.EncodeToString([]byte(key))
	}
	return key
}

// Subject is where the room's owner is asked.
func (n RoomName) Subject() string {
	return RoomPrefix(n.Partition()) + "." + n.Token() + "." + n.Plugin
}

// IsRoomSubject tells a subject below RoomPrefix from others.
func IsRoomSubject(subject string) bool { return strings.HasPrefix(subject, roomPrefix) }

// ParseRoomSubject reads a subject below RoomPrefix.
func ParseRoomSubject(subject string) (RoomName, error) {
	rest, ok := strings.CutPrefix(subject, roomPrefix)
	partition, rest, _ := strings.Cut(rest, ".")
	token, plugin, _ := strings.Cut(rest, ".")
	n := RoomName{Plugin: plugin, Key: token}
	if text, quoted := strings.CutPrefix(token, "_"); quoted {
		key, err := base64.RawURLEncoding.DecodeString(text)
		ok = ok && err == nil
		n.Key = string(key)
	}
	if p, err := strconv.Atoi(partition); !ok || err != nil || plugin == "" || token == "" || p != n.Partition() {
		return n, fmt.Errorf("%w: %s", ErrSubject, subject)
	}
	return n, nil
}

// RoomAsk is what a session asks the owner of a room. The answer, a RoomAnswer, goes to the reply subject.
type RoomAsk struct {
	// ID names the request, however often it is sent: what ran is not run again.
	ID string `json:"id"`
	// Request is the plugin's request, in lower case. Empty: only where the room is.
	Request string `json:"request,omitempty"`
	// Body is what the plugin is to be sent, with Request.
	Body json.RawMessage `json:"body,omitempty"`
	// Makes: without a Request, the asker is about to make the room where the answer says, unless it is somewhere already. Who
	// asks next is sent there, too.
	Makes bool `json:"makes,omitempty"`
	// Beside is where the room is to be made, if it is to be and that media server can; zero: wherever.
	Beside Member `json:"beside,omitzero"`
	// Made tells the owner of a room that it was made already, by a request that named no room.
	Made *RoomMade `json:"made,omitempty"`
	// Hasty wants to be told at once when a name is about to move, and for whom: Member of the answer. Others wait until it has.
	Hasty bool `json:"hasty,omitempty"`
	// Claim asks for a name, for Member. The answer names who may have it: nobody else is granted it for a moment.
	Claim Claim `json:"claim,omitempty"`
	// Member is who claims, or gives up, a name.
	Member *RoomMember `json:"member,omitempty"`
}

// Claim is what a handle wants of a name.
type Claim string

// What there is to want of a name.
const (
	ClaimNew  Claim = "new"  // it is to be the handle's, if nobody has it
	ClaimMove Claim = "move" // the handle has it on Member.Server, and is about to have it elsewhere
	ClaimDone Claim = "done" // what was claimed has been given, or refused, by a Janus; there is no answer
	ClaimFree Claim = "free" // the handle does not want it any more, where no Janus keeps the names
)

// RoomMade is a room that a Janus gave an id to, or does not tell of when it is asked.
type RoomMade struct {
	Server Member          `json:"server"`
	Reason string          `json:"reason"`
	Body   json.RawMessage `json:"body,omitempty"` // that makes it again, with that id; none: nothing does
}

// RoomMember is a handle of a session as the holder of a name.
type RoomMember struct {
	Session uint64 `json:"session"`
	Handle  uint64 `json:"handle"`
	Server  Member `json:"server,omitzero"`
}

// RoomAnswer answers a RoomAsk.
type RoomAnswer struct {
	// Server is where the room is; zero: nowhere.
	Server Member `json:"server,omitzero"`
	// Data is what the plugin answered.
	Data json.RawMessage `json:"data,omitempty"`
	// Error is why there is no answer; it is for the client.
	Error *Error `json:"error,omitempty"`
	// Retry says that the asked one is not the owner any more.
	Retry bool `json:"retry,omitempty"`
	// Member is who holds the name.
	Member *RoomMember `json:"member,omitempty"`
}

// RoomRecord is what is stored of a room, so that it can be made again elsewhere when its Janus is lost.
type RoomRecord struct {
	Epoch  Epoch  `json:"epoch"`
	Plugin string `json:"plugin"`
	Key    string `json:"key"`
	Server Member `json:"server"`
	Reason string `json:"reason,omitempty"` // why Server was chosen
	// Since is since when the Janus of Server was up: a later one has forgotten what was made.
	Since time.Time `json:"since,omitzero"`
	// Made are the requests that made the room what it is, in order: its creation, and edits since.
	Made []json.RawMessage `json:"made,omitempty"`
	// Parts are the rooms that share this home, for plugins whose rooms all do.
	Parts []RoomPart `json:"parts,omitempty"`
	// Member has the name, where no Janus keeps the names.
	Member *RoomMember `json:"member,omitempty"`
}

// RoomPart is a room that shares its home with others, and what made it.
type RoomPart struct {
	Key  string            `json:"key"`
	Made []json.RawMessage `json:"made"`
}

// MediaPlugin is where a media server takes requests to plugins that belong to no client's handle: PluginRequest.
func MediaPlugin(server Member) string { return MediaPrefix(server) + mediaPlugin }

const mediaPlugin = ".plugin"

// IsMediaPlugin tells whether a subject below a MediaPrefix is MediaPlugin.
func IsMediaPlugin(subject string) bool { return strings.HasSuffix(subject, mediaPlugin) }

// PluginRequest asks a media server to put a message to a plugin of its Janus, on a handle of its own. The answer, a
// PluginReply, goes to the reply subject.
type PluginRequest struct {
	// ID names the request, however often it is sent: what ran is not run again, its answer is remembered for a while.
	ID string `json:"id"`
	// Partition and Epoch are those under which the asker acts. The epoch of a predecessor is refused.
	Partition int             `json:"partition"`
	Epoch     Epoch           `json:"epoch"`
	Plugin    string          `json:"plugin"`
	Body      json.RawMessage `json:"body"`
	// Visit: the handle is made for this request, and detached when it was answered. What joins something leaves it so.
	Visit bool `json:"visit,omitempty"`
}

// PluginReply answers a PluginRequest.
type PluginReply struct {
	// Data is data of the plugindata that Janus answered: the success of a synchronous request, the event of another.
	Data json.RawMessage `json:"data,omitempty"`
	// Error is Janus's, or why Janus was not asked.
	Error *Error `json:"error,omitempty"`
	// Refused is the greater epoch that is honoured; the request was not run.
	Refused Epoch `json:"refused,omitzero"`
}
