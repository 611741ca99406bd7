// SPDX-License-Identifier: Apache-2.0

package janusjson

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
)

func scanned(t *testing.T, raw string) *Message {
	t.Helper()
	m := new(Message)
	if err := Scan([]byte(raw), m); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return m
}

func TestKeysAndNames(t *testing.T) {
	seen := map[string]bool{}
	for k := range keyCount {
		name := k.String()
		if seen[name] || name == "unknown" || keyNamed([]byte(name)) != k || len(name) > maxKeyLen {
			t.Errorf("key %d is %q, which names %d", k, name, keyNamed([]byte(name)))
		}
		seen[name] = true
		m := scanned(t, `{"`+name+`":null}`)
		if m.Kind(k) != KindNull || string(m.Bytes(k)) != "null" {
			t.Errorf("%s: %v", name, m.Kind(k))
		}
	}
	if keyCount.String() != "unknown" || keyNamed(nil) != keyCount || keyNamed([]byte("Janus")) != keyCount {
		t.Error("an unknown key is known")
	}
}

func TestScanKeepsSpans(t *testing.T) {
	m := scanned(t, "\t{ \"janus\" : \"message\" , \"session_id\":-1,\n\"handle_id\":1.0,\"transaction\":\"a\\u00e9\",\"body\":{\"id\":5},\"x\":[1,{\"id\":6}] }\r\n")
	if raw := m.Raw(); raw[0] != '{' || raw[len(raw)-1] != '}' {
		t.Errorf("raw is %q", raw)
	}
	if v, ok := m.Uint(KeySessionID); v != math.MaxUint64 || !ok {
		t.Errorf("session_id is %d, %v", v, ok)
	}
	if v, ok := m.Int(KeySessionID); v != -1 || !ok {
		t.Errorf("session_id is %d, %v", v, ok)
	}
	if _, ok := m.Uint(KeyHandleID); ok || m.Kind(KeyHandleID) != KindReal {
		t.Error("a real was taken for an id")
	}
	if _, ok := m.Uint(KeyTransaction); ok {
		t.Error("a string was taken for an id")
	}
	if s, ok := m.Text(KeyTransaction); s != "aé" || !ok || string(m.Bytes(KeyTransaction)) != `"a\u00e9"` {
		t.Errorf("transaction is %q, %v", s, ok)
	}
	if m.Has(KeyID) || m.Bytes(KeyID) != nil || m.Value(KeyID).Kind() != KindAbsent {
		t.Error("a nested key was taken for one at the top")
	}
	if body, ok := m.Object(KeyBody); !ok || string(body.Bytes()) != `{"id":5}` {
		t.Errorf("body is %s", body.Bytes())
	}
	if _, ok := m.Object(KeyTransaction); ok {
		t.Error("a string was taken for an object")
	}
}

func TestScanAgain(t *testing.T) {
	m := scanned(t, `{"id":1,"token":"a"}`)
	if err := Scan([]byte(`{"janus":"ping"}`), m); err != nil || m.Has(KeyID) || m.Has(KeyToken) || !m.Has(KeyJanus) {
		t.Errorf("keys of the first scan are left: %v", err)
	}
	if err := Scan([]byte(`{"id":2,"token":"`), m); err == nil || m.Has(KeyID) || m.Raw() != nil {
		t.Error("keys of a broken message are left")
	}
}

func TestSpansDoNotGrow(t *testing.T) {
	frame := []byte(`{"id":1,"token":"a"}   `)
	m := new(Message)
	if err := Scan(frame, m); err != nil {
		t.Fatal(err)
	}
	_ = append(m.Bytes(KeyID), "999999"...)
	_ = append(m.Raw(), "999999"...)
	if string(frame) != `{"id":1,"token":"a"}   ` {
		t.Errorf("appending to a span wrote into the frame: %s", frame)
	}
}

func TestScanDepth(t *testing.T) {
	nested := func(n int) []byte {
		return []byte(`{"body":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
	}
	m := new(Message)
	if err := Scan(nested(maxDepth-1), m); err != nil {
		t.Error(err)
	}
	var syntax *SyntaxError
	if err := Scan(nested(maxDepth), m); !errors.As(err, &syntax) || syntax.Text != "maximum parsing depth reached near '['" {
		t.Error(err)
	}
	if err := Scan(bytes.Repeat([]byte(`{"a":`), 1<<20), m); !errors.As(err, &syntax) {
		t.Error(err)
	}
}

// TestSpliceDeep rewrites an odd message that is as deep as can be.
func TestSpliceDeep(t *testing.T) {
	deep := strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1)
	texts, err := Decode([]byte(`{"i\u0064":1,"body":`+deep+`}`), Quirks{})
	if err != nil || string(texts[0]) != `{"id":1,"body":`+deep+`}` {
		t.Errorf("%.40s %v", texts, err)
	}
}

func TestVerbs(t *testing.T) {
	for v := VerbUnknown + 1; v < verbCount; v++ {
		for _, name := range []string{v.String(), strings.ToUpper(v.String())} {
			if got := scanned(t, `{"janus":"`+name+`"}`).Verb(); got != v || len(name) > maxVerbLen {
				t.Errorf("%s is %v", name, got)
			}
			if VerbNamed(name) != v {
				t.Errorf("%s is %v", name, VerbNamed(name))
			}
		}
	}
	for _, value := range []string{`null`, `1`, `"unknown"`, `""`, `"attach "`, `"attac"`, `"Kelvin"`, `["ping"]`, `"` + strings.Repeat("a", 200) + `"`, `"\u006b\u0065"`, `"\u212Aeepalive"`, `"KEEPALIVE\u0020"`} {
		if got := scanned(t, `{"janus":`+value+`}`).Verb(); got != VerbUnknown {
			t.Errorf("%s is %v", value, got)
		}
	}
	if got := scanned(t, `{"janus":"\u004beep\u0061live"}`).Verb(); got != VerbKeepalive {
		t.Errorf("escapes: %v", got)
	}
	if got := scanned(t, `{}`).Verb(); got != VerbUnknown || got.String() != "unknown" || Verb(200).String() != "unknown" {
		t.Errorf("absent: %v", got)
	}
}

func TestKindNames(t *testing.T) {
	kinds := map[string]Kind{`null`: KindNull, `false`: KindFalse, `true`: KindTrue, `-0`: KindInteger, `-0.0`: KindReal, `1e3`: KindReal, `""`: KindString, `{}`: KindObject, `[]`: KindArray}
	for value, want := range kinds {
		m := scanned(t, `{"data":`+value+`}`)
		if m.Kind(KeyData) != want || want.String() == "unknown" || m.Value(KeyData).Bool() != (value == "true") {
			t.Errorf("%s is %v, want %v", value, m.Kind(KeyData), want)
		}
	}
	if KindAbsent.String() != "absent" || Kind(99).String() != "unknown" {
		t.Error("names")
	}
}

// TestNoAllocations holds the plain path to its promise.
func TestNoAllocations(t *testing.T) {
	raw := requestOf(4096)
	event := []byte(`{"janus":"event","session_id":1,"sender":2,"transaction":"e1|\u0041b","plugindata":{"data":{"x":[1,2.5,-3e4]}}}`)
	dst := make([]byte, 0, 8192)
	m := new(Message)
	got := testing.AllocsPerRun(100, func() {
		var handle, transaction [64]byte
		if Scan(raw, m) != nil || m.Verb() != VerbMessage || m.Is(KeyTransaction, "x") {
			t.Error("request")
		}
		body, _ := m.Object(KeyBody)
		if !body.Get("request").Is("joinandconfigure") {
			t.Error("body")
		}
		dst = m.AppendSplice(dst[:0],
			Edit{KeyTransaction, AppendPrefixed(transaction[:0], "e1", m.Bytes(KeyTransaction))},
			Edit{KeyHandleID, AppendUint(handle[:0], 99)}, Edit{KeySessionID, nil}, Edit{KeyAPISecret, []byte(`"s"`)})
		if Scan(event, m) != nil || !m.Is(KeyTransaction, "e1|Ab") {
			t.Error("event")
		}
		out, _, ok := AppendCut(transaction[:0], m.Bytes(KeyTransaction))
		if !ok || string(out) != `"\u0041b"` {
			t.Error("cut")
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}
