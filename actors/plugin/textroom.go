// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"strings"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// textRooms is the home of all rooms of the textroom plugin.
const textRooms = `"*"`

// textRoom is the router for janus.plugin.textroom (src/plugins/janus_textroom.c). Its clients name rooms inside of their data
// channel, where no cluster reads along, and may be in several at once: so all rooms share one home, and every handle is bound
// there.
//
// Any Janus with the plugin can be that home, and nothing marks it: a probe succeeds everywhere. Which one is it must be
// recorded.
type textRoom struct{ *Table }

// TextRoom is the router for janus.plugin.textroom.
func TextRoom() Router {
	manage := Route{Verb: Manage}
	keep := Route{Verb: Manage, Keep: true}
	bind := Route{Verb: Bind}
	t := textRoom{&Table{
		Package: "janus.plugin.textroom", ID: "room", Home: textRooms, List: "list", Count: "num_participants", Asks: "list",
		Requests: map[string]Route{
			"create":  {Verb: Manage, Creates: true},
			"destroy": {Verb: Manage, Ends: true},
			"edit":    keep, "allowed": keep,
			"list": manage, "listparticipants": manage, "exists": manage, "announcement": manage, "kick": manage,
			"setup": bind, "ack": bind, "restart": bind,
		},
		Watch: watchTextRoom,
	}}
	t.Present = func(_ string, data janusjson.Object) bool { return !t.Failed(data) }
	return t
}

// Route implements Router. A request that is served at once may carry another in the key textroom, which then counts: so
// clients join, leave and speak without a data channel of their own, as their handle. Administrators must give a transaction,
// which for clients is that of their message.
func (t textRoom) Route(body janusjson.Object) Route {
	route := t.routeWithin(body)
	route.Clients = body.Get("transaction").Kind() != janusjson.KindString
	return route
}

func (t textRoom) routeWithin(body janusjson.Object) Route {
	route := t.Table.Route(body)
	inner, told := body.Get("textroom").Text()
	if route.Verb != Manage || !told {
		return route
	}
	switch name := strings.ToLower(inner); name {
	case "message", "join", "leave":
		return Route{Verb: Bind, Request: name, Shared: true, Key: route.Key, Part: KeyOf(body.Get(t.ID))}
	default:
		if r := t.route(name, body); r.Verb == Manage {
			return r
		}
		return Route{Verb: Manage, Request: route.Request, Shared: true, Key: t.Home} // to be refused there
	}
}

// watchTextRoom follows a handle: it has a PeerConnection, or is about to, until that is gone.
func watchTextRoom(verb janusjson.Verb, data janusjson.Object) Change {
	switch {
	case verb == janusjson.VerbHangup:
		return Free
	case verb == janusjson.VerbEvent && data.Get("result").Is("ok"):
		return Engaged
	}
	return Same
}
