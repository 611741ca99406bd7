// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"slices"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// Table is a Router for plugins in the manner of Janus's own: a request has a name, a room has an id under one name, what
// the plugin answers has the plugin's short name as a key, and errors have a key error_code.
type Table struct {
	// Package is the plugin.
	Package string
	// ID is the key of the room's id in requests and answers, such as room.
	ID string
	// Within is the key of the object that holds the id of a new room in an answer; empty: the answer itself does.
	Within string
	// Home is the key of the one home that all rooms of the plugin share; empty: each has its own.
	Home string
	// Requests are those that need more than Any, by their names in lower case.
	Requests map[string]Route
	// List is the key of the array that is merged of all Janus, and Count a number in its entries: of two entries with the
	// same id, the one with the greater number stays.
	List, Count string
	// Asks is the request that Probe makes of a room's id, and Present reads its answer.
	Asks    string
	Present func(key string, data janusjson.Object) bool
	// Lists is the request that lists who is in a room as participants; empty: there is none.
	Lists string
	// Watch is Observe.
	Watch func(verb janusjson.Verb, data janusjson.Object) Change
	// Told is Remember; nil: what a client missed cannot be found out.
	Told func() Told
}

var (
	_ Resyncer = (*Table)(nil)
	_ Lists    = (*Table)(nil)
)

// Plugin implements Router.
func (t *Table) Plugin() string { return t.Package }

// Route implements Router.
func (t *Table) Route(body janusjson.Object) Route { return t.route(RequestOf(body), body) }

// route is Route for a request of this name.
func (t *Table) route(name string, body janusjson.Object) Route {
	route := t.Requests[name]
	route.Request, route.Key = name, KeyOf(body.Get(t.ID))
	if route.Creates && route.Key == zero {
		route.Key = ""
	}
	if t.Home != "" && route.Verb != Any {
		route.Shared, route.Key, route.Part = true, t.Home, route.Key
	}
	return route
}

// Probe implements Router.
func (t *Table) Probe(key string) []byte {
	return t.about(t.Asks, key)
}

// Has implements Router.
func (t *Table) Has(key string, data janusjson.Object) bool { return t.Present(key, data) }

// Made implements Router.
func (t *Table) Made(data janusjson.Object) (string, bool) {
	room := data
	if t.Within != "" {
		room, _ = data.Get(t.Within).Object()
	}
	key := KeyOf(room.Get(t.ID))
	return key, key != "" && !t.Failed(data)
}

// Named implements Router.
func (t *Table) Named(body janusjson.Object, key string) []byte {
	return body.AppendSplice(nil, janusjson.Field{Name: t.ID, Value: []byte(key)})
}

// Failed implements Router.
func (t *Table) Failed(data janusjson.Object) bool {
	return data.Get("error_code").Kind() != janusjson.KindAbsent || data.Get("error").Kind() != janusjson.KindAbsent
}

// Observe implements Router.
func (t *Table) Observe(verb janusjson.Verb, data janusjson.Object) Change {
	if t.Watch == nil {
		return Same
	}
	return t.Watch(verb, data)
}

// Remember implements Resyncer.
func (t *Table) Remember() Told {
	if t.Told == nil {
		return nil
	}
	return t.Told()
}

// Merge implements Router: the lists of all answers become one, in the last answer that has any. Where none has one, the
// first answer that is no error stands for all.
func (t *Table) Merge(_ Route, answers []janusjson.Object) []byte {
	var whole janusjson.Object
	m := merger{t: t, at: map[string]int{}}
	for _, a := range answers {
		if list, ok := a.Get(t.List).Array(); ok {
			whole = a
			for v := range list.All() {
				m.add(v)
			}
		}
	}
	if len(whole.Bytes()) == 0 {
		first := max(0, slices.IndexFunc(answers, func(a janusjson.Object) bool { return !t.Failed(a) }))
		return bytes.Clone(answers[first].Bytes())
	}
	return whole.AppendSplice(nil, janusjson.Field{Name: t.List, Value: m.array()})
}

// Twice implements Lists.
func (t *Table) Twice(answers []janusjson.Object) []string {
	var twice []string
	seen := map[string]int{}
	for i, a := range answers {
		list, _ := a.Get(t.List).Array()
		for v := range list.All() {
			o, _ := v.Object()
			key := KeyOf(o.Get(t.ID))
			if at, known := seen[key]; known && at != i && !slices.Contains(twice, key) {
				twice = append(twice, key)
			}
			seen[key] = i
		}
	}
	return twice
}

// Without implements Lists.
func (t *Table) Without(answer janusjson.Object, keys []string) janusjson.Object {
	list, ok := answer.Get(t.List).Array()
	if !ok {
		return answer
	}
	m := merger{t: t, at: map[string]int{}}
	for v := range list.All() {
		if o, _ := v.Object(); !slices.Contains(keys, KeyOf(o.Get(t.ID))) {
			m.add(v)
		}
	}
	short, err := janusjson.ParseObject(answer.AppendSplice(nil, janusjson.Field{Name: t.List, Value: m.array()}))
	if err != nil {
		return answer
	}
	return short
}

// merger collects the entries of lists.
type merger struct {
	t       *Table
	entries []janusjson.Value
	at      map[string]int // by id
}

func (m *merger) add(v janusjson.Value) {
	o, _ := v.Object()
	key := KeyOf(o.Get(m.t.ID))
	if i, doubled := m.at[key]; doubled && key != "" {
		if m.weight(v) > m.weight(m.entries[i]) {
			m.entries[i] = v
		}
		return
	}
	m.at[key] = len(m.entries)
	m.entries = append(m.entries, v)
}

func (m *merger) weight(v janusjson.Value) int64 {
	o, _ := v.Object()
	n, _ := o.Get(m.t.Count).Int()
	return n
}

func (m *merger) array() []byte {
	out := []byte{'['}
	for i, v := range m.entries {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, v.Bytes()...)
	}
	return append(out, ']')
}
