// SPDX-License-Identifier: Apache-2.0

package conversation

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	s, err := Parse("all", []byte(`# What it is about.
with session-timeout=4s reclaim-timeout=2s api-secret=x token-secret=y token-auth admin-key=z string-ids alone slow janus=1.1

a connect /path janus-protocol
a > {"janus":"ping",
    "transaction":"1"}
a 2> {}{}
# A remark between steps.
b +> {"janus":"ping"}
a >> "{\"a" "\x00\"}"
a >> binary "\xff"
b until error > {"janus":"keepalive"}
b < detached
idle 1.5s
a close
b abort
h POST /janus/$s?x {"a":
    1}
h +GET /janus
h until 404 OPTIONS * >> "a" "\x00"
h poll 3 /janus/1
h header X-Y: a b
h wait
-- one.sdp --
v=0
s=-
-- two --
`))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Setup{4 * time.Second, 2 * time.Second, "x", "y", true, "z", true}); s.Setup != want || !s.Alone || !s.Slow || s.Janus != "1.1" {
		t.Errorf("setup %+v, want %+v; alone: %v, slow: %v, with %q", s.Setup, want, s.Alone, s.Slow, s.Janus)
	}
	if want := map[string]string{"one.sdp": `"v=0\r\ns=-\r\n"`, "two": `""`}; !reflect.DeepEqual(s.files, want) {
		t.Errorf("files %q, want %q", s.files, want)
	}
	want := []step{
		{line: 4, verb: verbConnect, connection: "a", path: "/path", protocol: "janus-protocol"},
		{line: 5, connection: "a", replies: 1, fragments: []string{`{"janus":"ping","transaction":"1"}`}},
		{line: 7, connection: "a", replies: 2, fragments: []string{`{}{}`}},
		{line: 9, connection: "b", replies: 1, goOn: true, fragments: []string{`{"janus":"ping"}`}},
		{line: 10, connection: "a", replies: 1, fragments: []string{`{"a`, "\x00\"}"}},
		{line: 11, connection: "a", replies: 1, binary: true, fragments: []string{"\xff"}},
		{line: 12, connection: "b", replies: 1, kind: "error", fragments: []string{`{"janus":"keepalive"}`}},
		{line: 13, verb: verbAwait, connection: "b", kind: "detached"},
		{line: 14, verb: verbIdle, pause: 1500 * time.Millisecond},
		{line: 15, verb: verbClose, connection: "a"},
		{line: 16, verb: verbAbort, connection: "b"},
		{line: 17, verb: verbRequest, connection: "h", method: "POST", path: "/janus/$s?x", fragments: []string{`{"a":1}`}},
		{line: 19, verb: verbRequest, connection: "h", method: "GET", path: "/janus", goOn: true},
		{line: 20, verb: verbRequest, connection: "h", method: "OPTIONS", path: "*", kind: "404", fragments: []string{"a", "\x00"}},
		{line: 21, verb: verbPoll, connection: "h", method: "GET", path: "/janus/1", replies: 3},
		{line: 22, verb: verbHeader, connection: "h", path: "X-Y", fragments: []string{"a b"}},
		{line: 23, verb: verbWait, connection: "h"},
	}
	if len(s.steps) != len(want) {
		t.Fatalf("%d steps, want %d: %+v", len(s.steps), len(want), s.steps)
	}
	for i := range want {
		if !reflect.DeepEqual(s.steps[i], want[i]) {
			t.Errorf("step %d:\n%+v, want\n%+v", i+1, s.steps[i], want[i])
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"",
		"# nothing but a remark",
		"a",
		"a ping",
		"a >",
		"a >> {}",
		`a >> "unended`,
		"a < ",
		"a < two words",
		"idle soon",
		"with unknown=1\na > {}",
		"with session-timeout=soon\na > {}",
		"a > {}\nwith api-secret=x",
		"h GET",
		"h GET janus",
		"h get /janus",
		`h POST /janus >> "unended`,
		"h poll 0 /janus",
		"h header X",
	} {
		if s, err := Parse("bad", []byte(text)); !errors.Is(err, ErrScript) {
			t.Errorf("%q gives %+v, %v", text, s, err)
		}
	}
}

func TestSetupString(t *testing.T) {
	const text = "session-timeout=4s reclaim-timeout=2s api-secret=x token-secret=y token-auth admin-key=z string-ids"
	var s Script
	if err := s.parseSettings(text); err != nil || s.Setup.String() != text {
		t.Errorf("%q, %v", s.Setup, err)
	}
}

// FuzzParse looks for scripts that crash the reader, or that it takes for something that cannot be played.
func FuzzParse(f *testing.F) {
	f.Add([]byte("with api-secret=x\na 2> {}{}\nb until error > {}\na >> binary \"\\x00\"\nidle 3s\n-- a.sdp --\nv=0\n"))
	f.Add([]byte("a connect / x\na close\nb abort\n\tmore\n"))
	f.Add([]byte("h header a: b\nh +GET /x\nh until 404 POST /y >> \"a\"\nh poll 2 /z\nh wait\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse("fuzz", text)
		if err != nil {
			return
		}
		for _, st := range s.steps {
			if st.verb == verbSend && len(st.fragments) == 0 || st.verb == verbAwait && st.kind == "" ||
				st.verb == verbRequest && (st.method == "" || st.path == "") || st.verb == verbPoll && st.replies < 1 {
				t.Errorf("%q gives %+v", text, st)
			}
		}
	})
}
