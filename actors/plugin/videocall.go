// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"strconv"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// userTaken is JANUS_VIDEOCALL_ERROR_USERNAME_TAKEN, and maxCause the size that the plugin has for the text of an error.
const (
	userTaken = 476
	maxCause  = 511
)

// calls is the router for plugins with the requests of janus.plugin.videocall.
type calls struct{ *Table }

var _ Names = calls{}

// VideoCall is the router for janus.plugin.videocall (src/plugins/janus_videocall.c), all of whose requests are asynchronous. A
// user is where his handle is; whoever calls him is brought there.
func VideoCall() Router {
	return calls{&Table{
		Package: "janus.plugin.videocall", ID: "username", Asks: "list",
		Requests: map[string]Route{
			"list": {Verb: Gather, Async: true, Clients: true}, "register": {Verb: Claim}, "call": {Verb: Bind},
		},
		Present: hasUser,
		Watch:   watchCall,
	}}
}

// Route implements Router: a name is a text.
func (c calls) Route(body janusjson.Object) Route {
	route := c.Table.Route(body)
	if body.Get(c.ID).Kind() != janusjson.KindString {
		route.Key = ""
	}
	if route.Verb == Claim && route.Key == "" {
		route.Verb = Any
	}
	return route
}

// users are the names in the answer to a list.
func users(data janusjson.Object) janusjson.Array {
	result, _ := data.Get("result").Object()
	list, _ := result.Get("list").Array()
	return list
}

func hasUser(key string, data janusjson.Object) bool {
	for v := range users(data).All() {
		if KeyOf(v) == key {
			return true
		}
	}
	return false
}

// Merge implements Router: every name once.
func (c calls) Merge(_ Route, answers []janusjson.Object) []byte {
	out, seen := []byte(`{"videocall":"event","result":{"list":[`), map[string]bool{}
	for _, a := range answers {
		for v := range users(a).All() {
			key := KeyOf(v)
			if seen[key] {
				continue
			}
			if len(seen) > 0 {
				out = append(out, ',')
			}
			seen[key] = true
			out = append(out, v.Bytes()...)
		}
	}
	return append(out, "]}}"...)
}

// Register implements Names.
func (c calls) Register(key string) []byte {
	return append(append([]byte(`{"request":"register","username":`), key...), '}')
}

// Registered implements Names.
func (c calls) Registered(data janusjson.Object) (string, bool) {
	result, _ := data.Get("result").Object()
	name := result.Get("username")
	if !result.Get("event").Is("registered") || name.Kind() != janusjson.KindString {
		return "", false
	}
	return KeyOf(name), true
}

// Taken implements Names.
func (c calls) Taken(key string) []byte {
	var name string
	if o, err := janusjson.ParseObject(bytes.Join([][]byte{[]byte(`{"name":`), []byte(key), []byte(`}`)}, nil)); err == nil {
		name, _ = o.Get("name").Text()
	}
	return AppendCallError(nil, userTaken, "Username '"+name+"' already taken")
}

// AppendCallError appends the data of the event that tells of an error, as the plugin writes it.
func AppendCallError(dst []byte, code int, cause string) []byte {
	dst = append(dst, `{"videocall":"event","error_code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"error":`...)
	return append(janusjson.AppendQuoted(dst, cutCause(cause)), '}')
}

// cutCause cuts a text where the plugin does, but not within a character.
func cutCause(text string) string {
	if len(text) <= maxCause {
		return text
	}
	end := maxCause
	for end > 0 && text[end]&0xC0 == 0x80 {
		end--
	}
	return text[:end]
}

// watchCall follows a handle: from calling or being called until either side hangs up, or the PeerConnection is gone.
func watchCall(verb janusjson.Verb, data janusjson.Object) Change {
	result, _ := data.Get("result").Object()
	event := result.Get("event")
	switch {
	case verb == janusjson.VerbHangup, verb == janusjson.VerbEvent && event.Is("hangup"):
		return Free
	case verb != janusjson.VerbEvent:
		return Same
	case event.Is("calling"), event.Is("incomingcall"), event.Is("accepted"):
		return Engaged
	}
	return Same
}

// AppendCallResult appends the data of the event that tells of a success; fields are names and values in turn, the values JSON.
func AppendCallResult(dst []byte, fields ...string) []byte {
	dst = append(dst, `{"videocall":"event","result":`...)
	sep := byte('{')
	for i := 0; i+1 < len(fields); i += 2 {
		dst = append(dst, sep, '"')
		dst = append(append(append(dst, fields[i]...), `":`...), fields[i+1]...)
		sep = ','
	}
	return append(dst, "}}"...)
}
