// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"encoding/json"
	"strings"
)

// The control plane of the Admin API: an edge asks, with an inbox of its own as the reply subject, and whoever is asked
// answers once (session nodes: in several messages). It is not on the path of any client, and nothing of it is repeated.

// NodeAdmin is where a session node is asked with a NodeOrder.
func NodeAdmin(node Member) string { return NodePrefix(node) + ".admin" }

// MediaAdmin is where a media server is asked with an AdminCall.
func MediaAdmin(server Member) string { return MediaPrefix(server) + mediaAdmin }

const mediaAdmin = ".admin"

// IsMediaAdmin tells whether a subject below a MediaPrefix is MediaAdmin.
func IsMediaAdmin(subject string) bool { return strings.HasSuffix(subject, mediaAdmin) }

// AdminSubject is where the owner of a session is asked about it, or about one of its handles (0: none), with an
// AdminOrder.
func AdminSubject(session, handle uint64) string { return HandleSubject(session, SessionAdmin, handle) }

// AdminAct is what the owner of a session is to do.
type AdminAct string

// The acts of an owner. What concerns a bound handle is done by its Janus: see AdminCall.
const (
	AdminLook    AdminAct = ""        // nothing: tell what there is
	AdminDestroy AdminAct = "destroy" // end the session, without a word to its client, as Janus does
	AdminDetach  AdminAct = "detach"  // detach a handle that no Janus knows of yet; a bound one is told of, and left
	AdminTimeout AdminAct = "timeout" // set the session's own time-out
	AdminBind    AdminAct = "bind"    // find a Janus for a handle that has none, and answer when it is there
)

// AdminOrder asks the owner of a session.
type AdminOrder struct {
	Act     AdminAct `json:"act,omitempty"`
	Timeout int32    `json:"timeout,omitempty"` // seconds; 0: never, negative: that of the cluster
}

// AdminAnswer is the owner's answer to an AdminOrder: what there was when the order came, or what there is once a handle is
// bound.
type AdminAnswer struct {
	Error   *Error       `json:"error,omitempty"` // 458, 459, or why the act cannot be done; the rest is empty then
	Handles []uint64     `json:"handles,omitempty"`
	Active  int64        `json:"active,omitempty"`  // Unix milliseconds of the last request
	Timeout int64        `json:"timeout,omitempty"` // seconds that the session may be silent; 0: for ever
	Handle  *AdminHandle `json:"handle,omitempty"`  // the handle that was asked about
}

// AdminHandle is a handle as its session's owner knows it.
type AdminHandle struct {
	Plugin   string `json:"plugin"`
	OpaqueID string `json:"opaque_id,omitempty"`
	Created  int64  `json:"created"`         // Unix milliseconds
	Server   Member `json:"server,omitzero"` // zero: no Janus knows of it yet
	Janus    uint64 `json:"janus,omitempty"` // its id there
}

// AdminCall asks a media server to put a request to the admin API of its Janus.
type AdminCall struct {
	Verb   string          `json:"verb"`
	Fields json.RawMessage `json:"fields,omitempty"` // an object: what the request has besides; ids are those of that Janus
}

// AdminResult is the answer to an AdminCall.
type AdminResult struct {
	Reply   json.RawMessage `json:"reply,omitempty"`   // of Janus, when it did what it was asked
	Error   *Error          `json:"error,omitempty"`   // of Janus, when it did not
	Failure string          `json:"failure,omitempty"` // why Janus was not reached
	Busy    bool            `json:"busy,omitempty"`    // it was not asked, and may be asked again
}

// NodeOrder asks a session node for the sessions it owns, or gives it a setting before it comes from the store, or has it look
// after a message to a plugin.
type NodeOrder struct {
	Setting *Setting       `json:"setting,omitempty"`
	Message *PluginMessage `json:"message,omitempty"`
}

// PluginMessage is what an administrator says to a plugin (message_plugin). The answer is a RoomAnswer; one with neither data nor
// an error says that it is for any Janus that has the plugin, by its own admin API.
type PluginMessage struct {
	// ID names the message, however often and to whichever node it is sent: what ran is not run again.
	ID     string          `json:"id"`
	Plugin string          `json:"plugin"`
	Body   json.RawMessage `json:"body"`
}

// NodeSessions is a part of the answer to a NodeOrder; the last one has Last set.
type NodeSessions struct {
	Sessions []uint64 `json:"sessions,omitempty"`
	Last     bool     `json:"last,omitempty"`
}

// Setting is a change that was made by the Admin API and holds for everybody who joins the cluster later, too. It is kept
// under the verb that made it.
type Setting struct {
	Verb     string          `json:"verb"`   // in lower case
	Fields   json.RawMessage `json:"fields"` // an object: those of the request
	Revision uint64          `json:"revision"`
}
