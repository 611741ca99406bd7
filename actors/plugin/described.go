// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// Description is a router in words: that of a plugin which is like one that is known, or whose requests have names and
// whose rooms have ids. See the folder example.
type Description struct {
	// Plugin is the package of the plugin.
	Plugin string `yaml:"plugin"`
	// Like is the package of another plugin, whose router is taken. All below is left out then.
	Like string `yaml:"like"`
	// ID is the key of a room's id in requests and answers.
	ID string `yaml:"id"`
	// The names of requests: that create and destroy a room, change it, are run where it is, need the handle to be there, and
	// are put to all Janus. All others go where the handle is.
	Create  []string `yaml:"create"`
	Destroy []string `yaml:"destroy"`
	Edit    []string `yaml:"edit"`
	Manage  []string `yaml:"manage"`
	Bind    []string `yaml:"bind"`
	Gather  []string `yaml:"gather"`
	// List is the key of the array in answers to Gather, and Count of a number in its entries: see Table.
	List  string `yaml:"list"`
	Count string `yaml:"count"`
	// Probe is the request that shows whether a Janus has a room: it does where the answer has Present as true.
	Probe   string `yaml:"probe"`
	Present string `yaml:"present"`
	// Engaged and Free are what an event must contain to say that a handle is in a room, or in none any more.
	Engaged []Sign `yaml:"engaged"`
	Free    []Sign `yaml:"free"`
}

// Sign is a text in the data of an event.
type Sign struct {
	Key string `yaml:"key"`
	Is  string `yaml:"is"`
}

func (s Sign) in(data janusjson.Object) bool { return data.Get(s.Key).Is(s.Is) }

// ErrDescription says that a description of a router is not complete, or not understood.
var ErrDescription = errors.New("description of a plugin's router")

// Read reads a YAML list of Descriptions and adds their routers to the known ones, which it does not change. The error
// wraps ErrDescription.
func Read(yamlText []byte, known Routers) (Routers, error) {
	var list []Description
	decoder := yaml.NewDecoder(bytes.NewReader(yamlText))
	decoder.KnownFields(true)
	if err := decoder.Decode(&list); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: %w", ErrDescription, err)
	}
	all := maps.Clone(known)
	for i, d := range list {
		r, err := d.router(all)
		if err != nil {
			return nil, fmt.Errorf("%w: number %d (%s): %w", ErrDescription, i+1, d.Plugin, err)
		}
		all[d.Plugin] = r
	}
	return all, nil
}

func (d Description) router(known Routers) (Router, error) {
	switch {
	case d.Plugin == "":
		return nil, errors.New("plugin is missing: the package that it is for")
	case d.Like != "":
		like, ok := known[d.Like]
		if !ok {
			return nil, fmt.Errorf("like: %s has no router; there are %v", d.Like, slices.Sorted(maps.Keys(known)))
		}
		return renamed{like, d.Plugin}, nil
	case d.ID == "":
		return nil, errors.New("id is missing: the key of a room's id, or like: a plugin that it is like")
	case d.Probe == "" || d.Present == "":
		return nil, errors.New("probe and present are missing: the request that shows whether a Janus has a room")
	case len(d.Gather) > 0 && d.List == "":
		return nil, errors.New("list is missing: the key of the array that the answers of all Janus have")
	}
	requests, err := d.requests()
	if err != nil {
		return nil, err
	}
	return &Table{
		Package: d.Plugin, ID: d.ID, Requests: requests, List: d.List, Count: d.Count, Asks: d.Probe,
		Present: func(_ string, data janusjson.Object) bool { return data.Get(d.Present).Bool() },
		Watch:   d.watch,
	}, nil
}

func (d Description) requests() (map[string]Route, error) {
	requests := map[string]Route{}
	for _, group := range []struct {
		names []string
		route Route
	}{
		{d.Create, Route{Verb: Manage, Creates: true}},
		{d.Destroy, Route{Verb: Manage, Ends: true}},
		{d.Edit, Route{Verb: Manage, Keep: true}},
		{d.Manage, Route{Verb: Manage}},
		{d.Bind, Route{Verb: Bind}},
		{d.Gather, Route{Verb: Gather}},
	} {
		for _, name := range group.names {
			if _, doubled := requests[name]; doubled {
				return nil, fmt.Errorf("the request %q is there twice", name)
			}
			requests[name] = group.route
		}
	}
	if len(requests) == 0 {
		return nil, errors.New("no request is named")
	}
	return requests, nil
}

func (d Description) watch(verb janusjson.Verb, data janusjson.Object) Change {
	in := func(s Sign) bool { return s.in(data) }
	switch {
	case verb != janusjson.VerbEvent:
		return Same
	case slices.ContainsFunc(d.Free, in):
		return Free
	case slices.ContainsFunc(d.Engaged, in):
		return Engaged
	}
	return Same
}

// renamed is the router of one plugin, for another.
type renamed struct {
	Router
	name string
}

// Plugin implements Router.
func (r renamed) Plugin() string { return r.name }
