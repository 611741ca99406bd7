// SPDX-License-Identifier: Apache-2.0

// Package example shows how a plugin that januscloud does not know is brought into a cluster.
//
// Most plugins can be described: meeting.yaml is a file for the flag --plugin-routers of the session role, and needs no
// code. Where that is not enough a router is written, as Tenants below, and given to the session nodes as one of
// actors.Options.Routers:
//
//	actors.Options{Routers: plugin.Of(append(list, example.Tenants())...), …}
package example

import (
	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// tenants is a videoroom whose rooms belong to tenants: two may have a room 7, and these are two rooms. It takes what a Table
// does for it, and changes what it does not do: how a room is told from others.
type tenants struct{ *plugin.Table }

// Tenants is the router for org.example.plugin.tenants. A room is named by the keys tenant, a text, and room.
func Tenants() plugin.Router {
	rooms := plugin.VideoRoom()
	rooms.Package = "org.example.plugin.tenants"
	return tenants{rooms}
}

// Route implements plugin.Router: all rooms of one tenant share the key of that tenant, and with it a home.
func (t tenants) Route(body janusjson.Object) plugin.Route {
	route := t.Table.Route(body)
	if tenant := plugin.KeyOf(body.Get("tenant")); tenant != "" && route.Verb != plugin.Any && route.Verb != plugin.Gather {
		route.Shared, route.Part, route.Key = true, route.Key, tenant
	}
	return route
}

// Probe implements plugin.Router: any Janus can be the home of a tenant, so that one of them is chosen and recorded.
func (t tenants) Probe(string) []byte { return []byte(`{"request":"list"}`) }

// Has implements plugin.Router.
func (t tenants) Has(_ string, data janusjson.Object) bool { return !t.Failed(data) }
