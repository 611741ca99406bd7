// SPDX-License-Identifier: Apache-2.0

package conversation

import (
	"strings"
	"testing"
)

// transcript makes one of messages on connection a.
func transcript(names map[string]string, raw ...string) *Transcript {
	t := &Transcript{names: names, said: make(map[string]bool)}
	for _, r := range raw {
		t.Messages = append(t.Messages, Message{Connection: "a", Raw: []byte(r)})
	}
	return t
}

func mustStreams(t *testing.T, of *Transcript, except *Differences) Streams {
	t.Helper()
	s, err := of.Streams("test", except)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEqualConversations(t *testing.T) {
	for _, test := range []struct {
		name      string
		names     map[string]string // of the first transcript; the second has the same names for other ids
		others    map[string]string
		one, two  []string
		different bool
	}{
		{
			name: "order of keys, blanks, ids by name, in texts as well",
			one:  []string{`{"janus":"error","session_id":1111111111,"error":{"code":458,"reason":"No such session 1111111111"}}`},
			two:  []string{`{ "error": {"reason":"No such session 2222222222","code":458}, "session_id":2222222222,"janus":"error" }`},
			names: map[string]string{
				"1111111111": "$s",
			},
			others: map[string]string{"2222222222": "$s"},
		},
		{
			name: "ids without a name by order",
			one:  []string{`{"janus":"success","data":{"id":3333333333}}`, `{"janus":"ack","session_id":3333333333}`},
			two:  []string{`{"janus":"success","data":{"id":4444444444}}`, `{"janus":"ack","session_id":4444444444}`},
		},
		{
			name:      "two ids are not one",
			one:       []string{`{"janus":"success","data":{"id":3333333333}}`, `{"janus":"ack","session_id":3333333333}`},
			two:       []string{`{"janus":"success","data":{"id":4444444444}}`, `{"janus":"ack","session_id":5555555555}`},
			different: true,
		},
		{
			name: "events and replies in any order",
			one:  []string{`{"janus":"ack","transaction":"1"}`, `{"janus":"event","sender":5,"transaction":"1"}`},
			two:  []string{`{"janus":"event","sender":5,"transaction":"1"}`, `{"janus":"ack","transaction":"1"}`},
		},
		{
			name:      "events of one handle in order",
			one:       []string{`{"janus":"event","sender":5}`, `{"janus":"hangup","sender":5}`},
			two:       []string{`{"janus":"hangup","sender":5}`, `{"janus":"event","sender":5}`},
			different: true,
		},
		{
			name: "ends of a call in any order",
			one: []string{`{"janus":"hangup","sender":5,"reason":"Close PC"}`,
				`{"janus":"event","sender":5,"plugindata":{"data":{"result":{"event":"hangup","reason":"x"}}}}`},
			two: []string{`{"janus":"event","sender":5,"plugindata":{"data":{"result":{"event":"hangup","reason":"x"}}}}`,
				`{"janus":"hangup","sender":5,"reason":"Close PC"}`},
		},
		{
			name:      "ends of a call for other reasons",
			one:       []string{`{"janus":"event","sender":5,"plugindata":{"data":{"result":{"event":"hangup","reason":"x"}}}}`},
			two:       []string{`{"janus":"event","sender":5,"plugindata":{"data":{"result":{"event":"hangup","reason":"y"}}}}`},
			different: true,
		},
		{
			name: "a racing done and hangup around a detach",
			one:  []string{`{"janus":"detached","sender":5}`},
			two: []string{
				`{"janus":"event","sender":5,"plugindata":{"data":{"result":"done"}}}`,
				`{"janus":"hangup","sender":5,"reason":"Detach"}`, `{"janus":"detached","sender":5}`,
			},
		},
		{
			name:   "a room in an SDP",
			one:    []string{`{"janus":"event","jsep":{"sdp":"v=0\r\ns=VideoRoom 1111111111\r\n"}}`},
			two:    []string{`{"janus":"event","jsep":{"sdp":"v=0\r\ns=VideoRoom 2222222222\r\n"}}`},
			names:  map[string]string{"1111111111": "$s"},
			others: map[string]string{"2222222222": "$s"},
		},
		{
			name: "order of plugins, ports, what a plugin draws",
			one:  []string{`{"janus":"success","data":{"plugins":["b","a"],"port":10000,"unique_id":"x"}}`},
			two:  []string{`{"janus":"success","data":{"plugins":["a","b"],"port":20000,"unique_id":"y"}}`},
		},
		{
			name:      "a plugin is missing",
			one:       []string{`{"janus":"success","data":{"plugins":["b","a"]}}`},
			two:       []string{`{"janus":"success","data":{"plugins":["a"]}}`},
			different: true,
		},
		{
			name:      "a number is not a string",
			one:       []string{`{"janus":"error","error":{"code":458}}`},
			two:       []string{`{"janus":"error","error":{"code":"458"}}`},
			different: true,
		},
		{
			name:      "a missing key",
			one:       []string{`{"janus":"ack","transaction":"1"}`},
			two:       []string{`{"janus":"ack"}`},
			different: true,
		},
		{
			name:      "twice",
			one:       []string{`{"janus":"ack","transaction":"1"}`},
			two:       []string{`{"janus":"ack","transaction":"1"}`, `{"janus":"ack","transaction":"1"}`},
			different: true,
		},
		{
			name: "SDP",
			one:  []string{`{"janus":"event","jsep":{"sdp":"o=- 1 1 IN IP4 192.0.2.1\r\na=ice-pwd:a\r\na=candidate:1 1 udp 7 192.0.2.1 10000 typ host\r\na=ssrc:1 cname:x\r\n"}}`},
			two:  []string{`{"janus":"event","jsep":{"sdp":"o=- 2 1 IN IP4 192.0.2.1\r\na=ice-pwd:b\r\na=candidate:2 1 udp 8 192.0.2.1 20000 typ host\r\na=ssrc:2 cname:y\r\n"}}`},
		},
		{
			name:      "SDP that lacks a line",
			one:       []string{`{"janus":"event","jsep":{"sdp":"a=ice-pwd:a\r\na=rtcp-mux\r\n"}}`},
			two:       []string{`{"janus":"event","jsep":{"sdp":"a=ice-pwd:b\r\n"}}`},
			different: true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			one := mustStreams(t, transcript(test.names, test.one...), nil)
			two := mustStreams(t, transcript(test.others, test.two...), nil)
			if diff := Compare(one, two); (diff != "") != test.different {
				t.Errorf("different: %v, want %v\n%s", diff != "", test.different, diff)
			}
		})
	}
}

// TestSaidNumbers: a number that the script chose must come back as it was.
func TestSaidNumbers(t *testing.T) {
	one := transcript(nil, `{"janus":"ack","session_id":9007199254740993}`)
	one.said["9007199254740993"] = true
	two := transcript(nil, `{"janus":"ack","session_id":9007199254740992}`)
	two.said = one.said
	if Compare(mustStreams(t, one, nil), mustStreams(t, two, nil)) == "" {
		t.Error("two numbers are taken for one")
	}
}

func TestCompareIsReadable(t *testing.T) {
	want := Streams{"a": {`{"x":1}`, `{"x":2,"y":{"z":[1,2]}}`, `{"x":3}`}, "same": {"{}"}}
	got := Streams{"a": {`{"x":1}`, `{"x":2,"y":{"z":[1,3]},"n":null}`, `{"x":3}`, `{"x":4}`}, "same": {"{}"}}
	const text = `a:
    {"x":1}
  - {"x":2,"y":{"z":[1,2]}}
  + {"x":2,"y":{"z":[1,3]},"n":null}
      n: null too much
      y.z.1: 3, not 2
    {"x":3}
  + {"x":4}
`
	if diff := Compare(want, got); diff != text {
		t.Errorf("got\n%swant\n%s", diff, text)
	}
	if diff := Compare(want, want); diff != "" {
		t.Errorf("equal streams differ:\n%s", diff)
	}
}

func TestDifferences(t *testing.T) {
	d, err := ParseDifferences("# Title\n\n| Conversation | Message | Part | Reason |\n|---|---|---|---|\n" +
		"| `*` | `server_info` | `plugins/*/version` | each its own |\n| other | pong | | a whole message |\n| te?t | timeout | | gone |\n")
	if err != nil {
		t.Fatal(err)
	}
	of := transcript(nil,
		`{"janus":"server_info","plugins":{"a":{"version":1,"name":"a"},"b":{"version":2}}}`, `{"janus":"pong"}`, `{"janus":"timeout"}`)
	s := mustStreams(t, of, d)
	if want := `{"janus":"server_info","plugins":{"a":{"name":"a"},"b":{}}}`; len(s) != 1 || s["a"][0] != want || len(s["a"]) != 2 {
		t.Errorf("streams %q", s)
	}
	if unused := d.Unused(); len(unused) != 1 || !strings.HasPrefix(unused[0], "other pong") {
		t.Errorf("unused %q", unused)
	}
	for _, bad := range []string{"| [ | pong | | reason |", "| * | | | reason |", "| * | pong | | |"} {
		if _, err := ParseDifferences(bad); err == nil {
			t.Errorf("%q is taken for a difference", bad)
		}
	}
}
