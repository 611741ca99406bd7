// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"errors"
	"math"
	"testing"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// TestParse are targets, and what a Janus takes them for; TestHTTPIsJanus of package edge asks a real one for the same.
func TestParse(t *testing.T) {
	for target, want := range map[string]struct {
		Target
		session, handle uint64
		unknown         bool
	}{
		"/janus":                       {},
		"/JanuS":                       {},
		"/janus/":                      {},
		"/janus?x=/janus/5":            {},
		"/janus/12":                    {Target: Target{Session: "12"}, session: 12},
		"/janus/12/":                   {Target: Target{Session: "12"}, session: 12},
		"/janus/12/34":                 {Target: Target{Session: "12", Handle: "34"}, session: 12, handle: 34},
		"/janus/12/34/":                {Target: Target{Session: "12", Handle: "34"}, session: 12, handle: 34},
		"/janus/12/34//x":              {Target: Target{Session: "12", Handle: "34"}, session: 12, handle: 34},
		"/janus/12/34/x":               {Target: Target{Session: "12", Handle: "34", More: true}, session: 12, handle: 34},
		"/janus/12//34":                {Target: Target{Session: "12"}, session: 12},
		"/janus//12":                   {},
		"/janus/12abc/ 7":              {Target: Target{Session: "12abc", Handle: " 7"}, session: 12, handle: 7},
		"/janus/abc/5":                 {Target: Target{Session: "abc", Handle: "5"}, handle: 5},
		"/janus/info":                  {Target: Target{Session: "info"}},
		"/janus/-1":                    {Target: Target{Session: "-1"}, session: math.MaxUint64},
		"/janus/+5":                    {Target: Target{Session: "+5"}, session: 5},
		"/janus/18446744073709551615":  {Target: Target{Session: "18446744073709551615"}, session: math.MaxUint64},
		"/janus/18446744073709551616":  {Target: Target{Session: "18446744073709551616"}, session: math.MaxUint64},
		"/janus/-99999999999999999999": {Target: Target{Session: "-99999999999999999999"}, session: math.MaxUint64},
		"/janus/0x10":                  {Target: Target{Session: "0x10"}},
		"/janus/%31%32":                {Target: Target{Session: "12"}, session: 12},
		"/janus/%0b7":                  {Target: Target{Session: "\v7"}, session: 7},
		"/janus/%a07":                  {Target: Target{Session: "\xa07"}},
		"/janus/%zz%1":                 {Target: Target{Session: "%zz%1"}},
		"/janus%2f12":                  {Target: Target{Session: "12"}, session: 12},
		"/janus/12%00/34":              {Target: Target{Session: "12"}, session: 12},
		"/%6aanus/12":                  {Target: Target{Session: "12"}, session: 12},
		"http://host/janus/12":         {Target: Target{Session: "12"}, session: 12},
		"/x/janus/12":                  {Target: Target{Session: "12"}, session: 12},
		"/janus/12/janus/5":            {Target: Target{Session: "12"}, session: 12},
		"http://host/janus":            {unknown: true},
		"/JANUS/12":                    {unknown: true},
		"/janus12":                     {unknown: true},
		"/janus/janus/5":               {unknown: true},
		"/":                            {unknown: true},
		"/foo":                         {unknown: true},
		"*":                            {unknown: true},
		"":                             {unknown: true},
	} {
		got, ok := Base("/janus").Parse(target)
		if ok == want.unknown || got != want.Target || got.SessionID() != want.session || got.HandleID() != want.handle {
			t.Errorf("%s: %+v (%d, %d), known: %v", target, got, got.SessionID(), got.HandleID(), ok)
		}
	}
}

func TestBase(t *testing.T) {
	for path, want := range map[string]string{"/janus": "/janus", "/a/b/": "/a/b", "/": "/"} {
		if got := must(t, path); string(got) != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	for _, path := range []string{"", "janus"} {
		if _, err := NewBase(path); !errors.Is(err, ErrBase) {
			t.Errorf("%q: %v", path, err)
		}
	}
	root := must(t, "/")
	if got, ok := root.Parse("/12/34"); !ok || got != (Target{Session: "12", Handle: "34"}) {
		t.Errorf("below the root: %+v", got)
	}
	if got, ok := root.Parse("/"); !ok || got != (Target{}) {
		t.Errorf("the root: %+v", got)
	}
	if got := must(t, "/a/b").Location(Target{Session: "12x", Handle: "3"}); got != "/a/b/12x" {
		t.Errorf("location: %s", got)
	}
}

func must(t *testing.T, path string) Base {
	t.Helper()
	base, err := NewBase(path)
	if err != nil {
		t.Fatal(err)
	}
	return base
}

// TestQuery are queries of a long poll, and for how many events a Janus takes them.
func TestQuery(t *testing.T) {
	for query, want := range map[string]int{
		"": 1, "maxev=1": 1, "maxev=3": 3, "maxev=0": 1, "maxev=-3": 1, "maxev=x": 1, "maxev=3x": 3, "maxev=%203": 3,
		"maxev=+3": 3, "maxev=%2B3": 3, "maxev=%2B+3": 1, "maxev=4294967297": 1, "maxev=4294967298": 2, "maxev=2147483647": 2147483647,
		"maxev=2147483648": 1, "maxev=99999999999999999999": 1, "maxev=-99999999999999999999": 1, "MAXEV=3": 3,
		"maxev=2&maxev=1": 2, "maxev=1&maxev=2": 1, "maxev&maxev=2": 1, "maxev": 1, "maxev=": 1, "x=1;maxev=2": 1, "&maxev=2": 2,
		"maxev=%32": 2, "m%61xev=2": 2, "maxev=2#4": 2, "maxev=2?x=3": 2, "maxev%3d2": 1, "maxev=2%00": 2, "maxev=2%005": 2,
		"maxev=%002": 1, "maxev%00=2": 1, "maxev=2=3": 2, "+maxev=2": 1, "maxev=%0b2": 2, "maxev=%zz": 1, "maxev=%2": 1, "rid=5&maxev=2%&x": 2,
	} {
		if got := QueryOf("/janus/5?" + query).MaxEvents(); got != want {
			t.Errorf("%s: %d events, want %d", query, got, want)
		}
	}
	if got := QueryOf("/janus/5?a=1&apisecret=p%26+q%2b").Get("apisecret"); got != "p& q+" {
		t.Errorf("secret: %q", got)
	}
	if got := QueryOf("/janus/5").Get("apisecret"); got != "" {
		t.Errorf("no secret: %q", got)
	}
}

// TestRequest are bodies and paths, and what they make together.
func TestRequest(t *testing.T) {
	for name, x := range map[string]struct {
		body   string
		target Target
		want   string
		code   messages.Code
	}{
		"as it is":            {body: `{"janus":"ping"}`, want: `{"janus":"ping"}`},
		"white space":         {body: " \n{\"janus\":\"ping\"}\r\n ", want: `{"janus":"ping"}`},
		"cut at a NUL":        {body: "{}\x00]", want: `{}`},
		"session":             {body: `{}`, target: Target{Session: "12a"}, want: `{"session_id":12}`},
		"both":                {body: `{"a":1}`, target: Target{Session: "12", Handle: "-1"}, want: `{"a":1,"session_id":12,"handle_id":-1}`},
		"handle alone":        {body: `{}`, target: Target{Session: "x", Handle: "3"}, want: `{"handle_id":3}`},
		"none":                {body: `{"session_id":5}`, target: Target{}, want: `{"session_id":5}`},
		"0 is none":           {body: `{"session_id":0,"a":1}`, target: Target{Session: "12"}, want: `{"session_id":12,"a":1}`},
		"text is none":        {body: `{"handle_id":"7"}`, target: Target{Session: "x", Handle: "3"}, want: `{"handle_id":3}`},
		"none by name":        {body: `{"session_id":"5"}`, target: Target{Session: "x"}, want: `{"session_id":"5"}`},
		"equal":               {body: `{"session_id":-1}`, target: Target{Session: "18446744073709551615"}, want: `{"session_id":-1}`},
		"last one":            {body: `{"session_id":6,"session_id":5}`, target: Target{Session: "5"}, want: `{"session_id":5}`},
		"conflict":            {body: `{"session_id":6}`, target: Target{Session: "5"}, want: "Conflicting session ID (payload and path)", code: 457},
		"conflict with none":  {body: `{"session_id":6}`, target: Target{Session: "abc"}, want: "Conflicting session ID (payload and path)", code: 457},
		"conflict of handles": {body: `{"handle_id":6}`, target: Target{Session: "1", Handle: "5"}, want: "Conflicting handle ID (payload and path)", code: 457},
		"no JSON":             {body: `{foo`, want: "JSON error: on line 1: string or '}' expected near 'foo'", code: 454},
		"second line":         {body: "{\n\"a\" 1}", want: "JSON error: on line 2: ':' expected near '1'", code: 454},
		"text":                {body: `"x"`, want: `JSON error: on line 1: '[' or '{' expected near '"x"'`, code: 454},
		"more":                {body: `{}x`, want: "JSON error: on line 1: end of file expected near 'x'", code: 454},
		"no reason":           {body: "{\"\xc3\x28\":1}", want: "", code: 454},
		"array":               {body: `[1]`, want: "JSON error: not an object", code: 455},
	} {
		t.Run(name, func(t *testing.T) {
			var m janusjson.Message
			err := Request([]byte(x.body), x.target, &m)
			got, code := string(m.Raw()), messages.Code(0)
			if err != nil {
				got, code = err.Reason, err.Code
			}
			if code != x.code || got != x.want && x.want != "" {
				t.Errorf("%d %s", code, got)
			}
		})
	}
}
