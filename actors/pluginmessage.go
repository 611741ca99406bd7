// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// messageDone is the answer to what an administrator said to a plugin.
type messageDone struct {
	to     string
	answer messages.RoomAnswer
}

// messagePlugin brings what an administrator says to a plugin to where the same message of a client would go: to the owner of
// the room, or to all Janus. What concerns no room, or no administrator, is for any Janus; the answer is empty then. It
// blocks until there is an answer or ctx ends.
func (n *Node) messagePlugin(ctx context.Context, m *messages.PluginMessage) messages.RoomAnswer {
	router := n.Routers[m.Plugin]
	body, err := janusjson.ParseObject(m.Body)
	if router == nil || err != nil {
		return messages.RoomAnswer{}
	}
	route := router.Route(body)
	switch {
	case route.Verb == plugin.Bind && route.Request != plugin.RequestOf(body):
		// What a textroom is told within another request is said by a handle, and Janus would fall over where there is none.
		return messages.RoomAnswer{Error: messages.Errorf(messages.CodeUnknown, "Only a handle can ask for '%s'", route.Request)}
	case route.Clients, len(route.Key) > maxRoomKey:
	case route.Verb == plugin.Gather:
		return n.gather(ctx, router, route, messages.PluginRequest{Plugin: m.Plugin, Body: m.Body})
	case route.Verb == plugin.Manage:
		return n.askRoom(ctx, ownerOf(m.Plugin, route, m.ID), messages.RoomAsk{ID: m.ID, Request: route.Request, Body: m.Body})
	}
	return messages.RoomAnswer{}
}

// ownerOf names whose owner looks after a request: the room, or where none is named, no room in particular.
func ownerOf(pkg string, route plugin.Route, identity string) messages.RoomName {
	if route.Key == "" {
		route.Key = string(janusjson.AppendQuoted(nil, "?"+identity))
	}
	return messages.RoomName{Plugin: pkg, Key: route.Key}
}
