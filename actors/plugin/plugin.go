// SPDX-License-Identifier: Apache-2.0

// Package plugin knows what the requests of Janus plugins refer to.
//
// With one Janus, room 1234 is the same room for everybody. In a cluster it lives on one of many, and whoever names it
// must be brought there. For each plugin whose clients name something that others can name too, there is a Router: it
// reads the body of a message and says where it must run. It does nothing else: no router sends, waits or remembers, and
// one is used by many sessions at once. A plugin without a router needs none: its handles go to the least loaded Janus.
//
// A router for a plugin of one's own implements Router, or fills in a Table, and is added to the list that the session
// nodes are started with.
package plugin

import (
	"strings"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// Verb is how a message is brought to where it belongs.
type Verb uint8

const (
	// Any: the message goes to the Janus that the handle is bound to, or else to the least loaded one.
	Any Verb = iota
	// Bind: the handle must be on the Janus where the room is. It is moved there, unless it is engaged already.
	Bind
	// Manage: the room's owner has the request run where the room is. The handle need not be there, nor anywhere.
	Manage
	// Gather: all Janus are asked, and what they answer is merged.
	Gather
	// Claim: the key is a name that the handle is to be known by. Its owner says first whether it is free in the cluster; then
	// the message goes to the Janus that the handle is bound to, or else to the least loaded one. See Names.
	Claim
)

// Route is where a message belongs.
type Route struct {
	Verb Verb
	// Request is the name of the request in lower case.
	Request string
	// Key is the id of the room as JSON has it, a number or a text in quotes; empty when none is named.
	Key string
	// Shared: Key is the home that all rooms of the plugin share, and Part is the id of the room itself. Creates, Ends and Keep
	// are then about the part, and the home stays where it is.
	Shared bool
	Part   string
	// Creates: after a success there is a room, that Router.Made names. Ends: there is none any more.
	Creates, Ends bool
	// Beside: what is created belongs where the handle is that asks for it, if that one is in a room.
	Beside bool
	// Keep: after a success the room is not what its creation made of it, so that the request belongs to what makes it anew.
	Keep bool
	// Async: the plugin acknowledges the message, and answers it with an event. It says how to answer a Gather.
	Async bool
	// Within: a Bind that is for handles in a room, which change to another. Who is in none is left to his Janus to refuse.
	Within bool
	// Copies: rooms of one id on several Janus are as good as one another to who is there already, and need not be left.
	Copies bool
	// Away is the data of the event for a Bind that cannot be brought to the room, as it has a room or a PeerConnection where it
	// is, and a PeerConnection cannot be moved without the client. Empty: the Janus where the handle is has something to say.
	Away string
	// Clients: it is a request of clients alone. Administrators are told what is wrong with it by any Janus.
	Clients bool
}

// Change is what an event says about a handle.
type Change uint8

const (
	// Same: nothing new.
	Same Change = iota
	// Engaged: the handle is in a room or a call: it must stay where it is.
	Engaged
	// Free: it is in none any more.
	Free
)

// Router knows one plugin. Its methods may be called from any goroutine, and keep nothing of what they are given.
type Router interface {
	// Plugin is the package that the router is for, such as janus.plugin.videoroom.
	Plugin() string
	// Route says where a message with this body belongs.
	Route(body janusjson.Object) Route
	// Probe is the body of a request, answered by whatever Janus, that shows whether the room is there: see Has.
	Probe(key string) []byte
	// Has tells from the data of the answer to a Probe whether the room is there.
	Has(key string, data janusjson.Object) bool
	// Made reads the id of a new room from the data of the answer to a request that Creates; ok is false when it failed.
	Made(data janusjson.Object) (key string, ok bool)
	// Named is the body of a creation with the id that was given to the room.
	Named(body janusjson.Object, key string) []byte
	// Failed tells whether data of an answer reports an error.
	Failed(data janusjson.Object) bool
	// Merge makes one answer of what all Janus answered to a Gather; there is at least one. It returns the data.
	Merge(route Route, answers []janusjson.Object) []byte
	// Observe says what a message about a handle, to its client, changes: verb is that of the message, such as event or
	// hangup, data that of its plugindata, if any.
	Observe(verb janusjson.Verb, data janusjson.Object) Change
}

// Hides is a Router for a plugin whose Janus does not tell of all its rooms when it is asked: the handle that makes such a one is
// told of it, and nobody else.
type Hides interface {
	Router
	// Hidden reads the id of such a room from a message that tells of it; verb and data are those of Observe.
	Hidden(verb janusjson.Verb, data janusjson.Object) (key string, ok bool)
}

// Lists is a Router that can tell what several Janus have in the lists that they answer to a Gather, and leave it to one of them.
type Lists interface {
	Router
	// Twice are the ids that more than one of the answers has.
	Twice(answers []janusjson.Object) []string
	// Without is an answer without what has these ids.
	Without(answer janusjson.Object, keys []string) janusjson.Object
}

// Routers are routers by plugin.
type Routers map[string]Router

// Standard are the routers for the plugins of Janus.
func Standard() Routers {
	return Of(VideoRoom(), AudioBridge(), TextRoom(), Streaming(), RecordPlay(), VideoCall())
}

// Of makes Routers; of two for one plugin the later counts.
func Of(list ...Router) Routers {
	all := make(Routers, len(list))
	for _, r := range list {
		all[r.Plugin()] = r
	}
	return all
}

// zero is the id that a creation is given when Janus is to draw one.
const zero = "0"

// RequestOf is the name of the request in a body; plugins compare it without regard to case. Empty: there is none, or it is
// no text.
func RequestOf(body janusjson.Object) string {
	text, _ := body.Get("request").Text()
	return strings.ToLower(text)
}

// KeyOf is the canonical form of an id in a body; empty when it is absent or neither an integer nor a text.
func KeyOf(v janusjson.Value) string {
	switch v.Kind() {
	case janusjson.KindInteger:
		if n, ok := v.Int(); ok && n == 0 {
			return zero // -0 as well
		}
		return string(v.Bytes())
	case janusjson.KindString:
		text, _ := v.Text()
		return string(janusjson.AppendQuoted(nil, text))
	}
	return ""
}
