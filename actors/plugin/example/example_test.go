// SPDX-License-Identifier: Apache-2.0

package example

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages/janusjson"
)

func object(t *testing.T, text string) janusjson.Object {
	t.Helper()
	o, err := janusjson.ParseObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// The described plugin is routed as its description says.
func TestMeeting(t *testing.T) {
	text, err := os.ReadFile("meeting.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all, err := plugin.Read(text, plugin.Standard())
	if err != nil {
		t.Fatal(err)
	}
	r := all["org.example.plugin.meeting"]
	for body, want := range map[string]plugin.Route{
		`{"request":"OPEN","meeting":17}`:   {Verb: plugin.Manage, Request: "open", Key: "17", Creates: true},
		`{"request":"close","meeting":"a"}`: {Verb: plugin.Manage, Request: "close", Key: `"a"`, Ends: true},
		`{"request":"rename","meeting":17}`: {Verb: plugin.Manage, Request: "rename", Key: "17", Keep: true},
		`{"request":"join","meeting":17}`:   {Verb: plugin.Bind, Request: "join", Key: "17"},
		`{"request":"meetings"}`:            {Verb: plugin.Gather, Request: "meetings"},
		`{"request":"speak","meeting":17}`:  {Request: "speak", Key: "17"},
	} {
		if got := r.Route(object(t, body)); got != want {
			t.Errorf("%s: %+v, want %+v", body, got, want)
		}
	}
	if got := string(r.Probe("17")); got != `{"request":"exists","meeting":17}` {
		t.Errorf("probe: %s", got)
	}
	if !r.Has("17", object(t, `{"exists":true}`)) || r.Has("17", object(t, `{"exists":false}`)) {
		t.Error("presence is not read")
	}
	for event, want := range map[string]plugin.Change{
		`{"meeting":"joined"}`: plugin.Engaged, `{"meeting":"left"}`: plugin.Free, `{"meeting":"event"}`: plugin.Same,
	} {
		if got := r.Observe(janusjson.VerbEvent, object(t, event)); got != want {
			t.Errorf("%s: %v, want %v", event, got, want)
		}
	}
	merged := r.Merge(plugin.Route{}, []janusjson.Object{
		object(t, `{"ok":1,"meetings":[{"meeting":1,"members":0},{"meeting":2,"members":5}]}`),
		object(t, `{"ok":1,"meetings":[{"meeting":1,"members":3}]}`),
	})
	if want := `{"ok":1,"meetings":[{"meeting":1,"members":3},{"meeting":2,"members":5}]}`; string(merged) != want {
		t.Errorf("merged: %s", merged)
	}
	like := all["org.example.plugin.bigroom"]
	if route := like.Route(object(t, `{"request":"join","room":5}`)); like.Plugin() != "org.example.plugin.bigroom" || route.Verb != plugin.Bind {
		t.Errorf("%s: %+v", like.Plugin(), route)
	}
}

// What is wrong with a description is said.
func TestWrongDescriptions(t *testing.T) {
	for text, want := range map[string]string{
		"- plugin: a\n  idd: room\n":                       "idd",
		"- id: room\n":                                     "plugin is missing",
		"- plugin: a\n":                                    "id is missing",
		"- plugin: a\n  like: b\n":                         "b has no router",
		"- plugin: a\n  id: r\n":                           "probe",
		"- plugin: a\n  id: r\n  probe: e\n  present: e\n": "no request",
		"- plugin: a\n  id: r\n  probe: e\n  present: e\n  bind: [x]\n  manage: [x]\n": "twice",
		"- plugin: a\n  id: r\n  probe: e\n  present: e\n  gather: [x]\n":              "list is missing",
		"plugin: a\n": "cannot unmarshal",
	} {
		_, err := plugin.Read([]byte(text), plugin.Standard())
		if !errors.Is(err, plugin.ErrDescription) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if all, err := plugin.Read(nil, plugin.Standard()); err != nil || len(all) != len(plugin.Standard()) {
		t.Errorf("nothing described: %v, %v", all, err)
	}
}

// Rooms of one tenant are in one home, and those of two are not the same.
func TestTenants(t *testing.T) {
	r := Tenants()
	join := func(tenant string) plugin.Route {
		return r.Route(object(t, `{"request":"join","tenant":"`+tenant+`","room":7}`))
	}
	if a, b := join("a"), join("b"); a.Key == b.Key || a.Part != b.Part || a.Verb != plugin.Bind {
		t.Errorf("%+v and %+v", a, b)
	}
	if r.Plugin() != "org.example.plugin.tenants" {
		t.Error(r.Plugin())
	}
}
