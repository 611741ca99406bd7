// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"strings"
	"testing"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// TestCallRequests routes every request of the plugin; a name is a text.
func TestCallRequests(t *testing.T) {
	r := VideoCall()
	for body, want := range map[string]Route{
		`{"request":"list"}`:                             {Verb: Gather, Request: "list", Async: true, Clients: true},
		`{"request":"LIST","username":"x"}`:              {Verb: Gather, Request: "list", Key: `"x"`, Async: true, Clients: true},
		`{"request":"register","username":"\u00e4\/"}`:   {Verb: Claim, Request: "register", Key: `"ä/"`},
		`{"request":"Register","username":""}`:           {Verb: Claim, Request: "register", Key: `""`},
		`{"request":"register","username":5}`:            {Verb: Any, Request: "register"},
		`{"request":"register"}`:                         {Verb: Any, Request: "register"},
		`{"request":"call","username":"x"}`:              {Verb: Bind, Request: "call", Key: `"x"`},
		`{"request":"call","username":5}`:                {Verb: Bind, Request: "call"},
		`{"request":"accept","username":"x"}`:            {Verb: Any, Request: "accept", Key: `"x"`},
		`{"request":"set"}`:                              {Verb: Any, Request: "set"},
		`{"request":"hangup"}`:                           {Verb: Any, Request: "hangup"},
		`{"request":"registered","username":"x","a":[]}`: {Verb: Any, Request: "registered", Key: `"x"`},
	} {
		if got := r.Route(object(t, body)); got != want {
			t.Errorf("%s: %+v, want %+v", body, got, want)
		}
	}
}

// TestUsers finds a name in the answer of one Janus, and lists those of several once.
func TestUsers(t *testing.T) {
	r := VideoCall()
	a := object(t, `{"videocall":"event","result":{"list":["x","\u00e4/"]}}`)
	b := object(t, `{"videocall":"event","result":{"list":["x","y"]}}`)
	for key, want := range map[string]bool{`"x"`: true, `"ä/"`: true, `"y"`: false, `""`: false} {
		if r.Has(key, a) != want {
			t.Errorf("%s: %v", key, !want)
		}
	}
	if got, want := string(r.Merge(Route{}, []janusjson.Object{a, b})), `{"videocall":"event","result":{"list":["x","\u00e4/","y"]}}`; got != want {
		t.Errorf("merged: %s, want %s", got, want)
	}
}

// TestNameEvents reads and writes what concerns names.
func TestNameEvents(t *testing.T) {
	r := VideoCall().(Names)
	if got, want := string(r.Register(`"x"`)), `{"request":"register","username":"x"}`; got != want {
		t.Errorf("register: %s", got)
	}
	for data, want := range map[string]string{
		`{"videocall":"event","result":{"event":"registered","username":"\u00e4"}}`: `"ä"`,
		`{"videocall":"event","result":{"event":"incomingcall","username":"x"}}`:    "",
		`{"videocall":"event","error_code":476,"error":"x"}`:                        "",
	} {
		if got, ok := r.Registered(object(t, data)); got != want || ok != (want != "") {
			t.Errorf("%s: %s", data, got)
		}
	}
	if got, want := string(r.Taken(`"a\"b"`)), `{"videocall":"event","error_code":476,"error":"Username 'a\"b' already taken"}`; got != want {
		t.Errorf("taken: %s", got)
	}
	long := object(t, string(r.Taken(`"`+strings.Repeat("ä", 400)+`"`)))
	if text, _ := long.Get("error").Text(); len(text) > maxCause || !strings.HasSuffix(text, "ä") {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}

// TestWatchCall: a handle is in a call from its beginning, on either side, to its end.
func TestWatchCall(t *testing.T) {
	r := VideoCall()
	for data, want := range map[string]Change{
		`{"result":{"event":"calling"}}`: Engaged, `{"result":{"event":"incomingcall","username":"x"}}`: Engaged,
		`{"result":{"event":"accepted"}}`: Engaged, `{"result":{"event":"set"}}`: Same, `{"error_code":478}`: Same,
		`{"result":{"event":"hangup","username":"x"}}`: Free, `{"result":{"list":["hangup"]}}`: Same,
	} {
		if got := r.Observe(janusjson.VerbEvent, object(t, data)); got != want {
			t.Errorf("%s: %v", data, got)
		}
	}
	if got := r.Observe(janusjson.VerbHangup, janusjson.Object{}); got != Free {
		t.Errorf("hangup: %v", got)
	}
}
