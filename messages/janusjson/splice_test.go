// SPDX-License-Identifier: Apache-2.0

package janusjson

import "testing"

func TestAppendSplice(t *testing.T) {
	const raw = ` {"janus":"message" , "session_id" : 1,"x":{"session_id":2},"handle_id":3 , "token":"t" } `
	tests := []struct {
		name  string
		raw   string
		edits []Edit
		want  string
	}{
		{"nothing", raw, nil, `{"janus":"message" , "session_id" : 1,"x":{"session_id":2},"handle_id":3 , "token":"t"}`},
		{"replace", raw, []Edit{{KeyHandleID, []byte("33")}, {KeySessionID, []byte("11")}}, `{"janus":"message" , "session_id" : 11,"x":{"session_id":2},"handle_id":33 , "token":"t"}`},
		{"remove first", raw, []Edit{{KeyJanus, nil}}, `{"session_id" : 1,"x":{"session_id":2},"handle_id":3 , "token":"t"}`},
		{"remove middle", raw, []Edit{{KeySessionID, nil}}, `{"janus":"message" , "x":{"session_id":2},"handle_id":3 , "token":"t"}`},
		{"remove last", raw, []Edit{{KeyToken, nil}}, `{"janus":"message" , "session_id" : 1,"x":{"session_id":2},"handle_id":3}`},
		{"remove last two", raw, []Edit{{KeyToken, nil}, {KeyHandleID, nil}}, `{"janus":"message" , "session_id" : 1,"x":{"session_id":2}}`},
		{"remove last, replace before", raw, []Edit{{KeyToken, nil}, {KeyHandleID, []byte("4")}}, `{"janus":"message" , "session_id" : 1,"x":{"session_id":2},"handle_id":4}`},
		{"remove last, add", raw, []Edit{{KeyToken, nil}, {KeyAPISecret, []byte(`"s"`)}}, `{"janus":"message" , "session_id" : 1,"x":{"session_id":2},"handle_id":3,"apisecret":"s"}`},
		{"remove all", ` {"id" : 1 , "token":2 } `, []Edit{{KeyID, nil}, {KeyToken, nil}}, `{}`},
		{"remove all, add", `{"id":1,"token":2}`, []Edit{{KeyToken, nil}, {KeyID, nil}, {KeyHint, []byte("{}")}, {KeyData, []byte("[]")}}, `{"hint":{},"data":[]}`},
		{"add to nothing", ` { } `, []Edit{{KeyID, []byte("1")}}, `{"id":1}`},
		{"remove the absent", `{"x":1}`, []Edit{{KeyID, nil}}, `{"x":1}`},
		{"last edit counts", `{"id":1,"x":2}`, []Edit{{KeyID, []byte("5")}, {KeyID, nil}, {KeyToken, nil}, {KeyToken, []byte("6")}}, `{"x":2,"token":6}`},
		{"last edit counts, added", `{}`, []Edit{{KeyID, []byte("5")}, {KeyID, []byte("6")}, {KeyHint, []byte("7")}, {KeyHint, nil}}, `{"id":6}`},
		{"comma in a string stays", `{"x":",","id":1}`, []Edit{{KeyID, nil}}, `{"x":","}`},
	}
	for _, test := range tests {
		m := scanned(t, test.raw)
		if got := string(m.AppendSplice([]byte("> ,"), test.edits...)); got != "> ,"+test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name, got, test.want)
		}
		scanned(t, test.want)
	}
	empty := new(Message)
	if got := string(empty.AppendSplice(nil, Edit{KeyID, []byte("1")})); got != `{"id":1}` {
		t.Errorf("the empty message gives %s", got)
	}
}

func TestAppendUint(t *testing.T) {
	for v, want := range map[uint64]string{0: "0", 1<<53 - 1: "9007199254740991", 1<<63 - 1: "9223372036854775807", 1<<64 - 1: "-1", 1 << 63: "-9223372036854775808"} {
		got := AppendUint(nil, v)
		if back, ok := scanned(t, `{"id":`+string(got)+`}`).Uint(KeyID); string(got) != want || back != v || !ok {
			t.Errorf("%d is written %s and read %d", v, got, back)
		}
	}
}

func TestAppendQuoted(t *testing.T) {
	tests := map[string]string{
		"":                    `""`,
		"a/b":                 `"a/b"`,
		"\"\\\b\f\n\r\t":      `"\"\\\b\f\n\r\t"`,
		"\x01\x1f\x7f":        "\"\\u0001\\u001F\x7f\"",
		"é€😀\u2028":           "\"é€😀\u2028\"",
		"a\xff\xc3":           "\"a\uFFFD\uFFFD\"",
		"\xed\xa0\x80":        "\"\uFFFD\uFFFD\uFFFD\"",
		"Fußgänger|1234567\n": `"Fußgänger|1234567\n"`,
	}
	for text, want := range tests {
		if got := string(AppendQuoted(nil, text)); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestTransactionPrefix(t *testing.T) {
	for _, own := range []string{`""`, `"abc"`, `"a|b\"\u007c"`, `"é"`} {
		raw := AppendPrefixed(nil, "e-1.2.3", []byte(own))
		if m := scanned(t, `{"transaction":`+string(raw)+`}`); m.Kind(KeyTransaction) != KindString {
			t.Errorf("%s is no string", raw)
		}
		prefix, rest, ok := CutPrefix(raw)
		if string(prefix) != "e-1.2.3" || string(rest) != own || !ok {
			t.Errorf("%s was cut into %s and %s", raw, prefix, rest)
		}
	}
	for _, raw := range []string{`""`, `"abc"`, ``, `|`} {
		if out, prefix, ok := AppendCut([]byte("x"), []byte(raw)); string(out) != "x" || prefix != nil || ok {
			t.Errorf("%s has a prefix", raw)
		}
	}
	if prefix, rest, ok := CutPrefix([]byte(`"|a"`)); string(prefix) != "" || string(rest) != `"a"` || !ok {
		t.Errorf("an empty prefix is cut into %q %s %v", prefix, rest, ok)
	}
}
