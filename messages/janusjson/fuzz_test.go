// SPDX-License-Identifier: Apache-2.0

package janusjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
)

// checkScan holds the result of a scan to the slow path and to encoding/json.
func checkScan(t *testing.T, raw []byte, m *Message, err error) {
	t.Helper()
	texts, slow := Decode(raw, Quirks{})
	var syntax *SyntaxError
	switch {
	case errors.As(err, &syntax):
		if !reflect.DeepEqual(err, slow) {
			t.Fatalf("Scan says %v, Decode says %v", err, slow)
		}
	case errors.Is(err, ErrOdd):
		if slow != nil && !errors.Is(slow, ErrTooManyTexts) {
			t.Fatalf("odd, but Decode says %v", slow)
		}
		if len(texts) == 1 && bytes.Equal(texts[0], bytes.TrimSpace(raw)) && !bytes.ContainsAny(raw, "\v\f") {
			t.Fatalf("%q is plain", raw)
		}
	case err != nil:
		t.Fatal(err)
	default:
		if slow != nil || len(texts) != 1 || !bytes.Equal(texts[0], m.Raw()) {
			t.Fatalf("plain, but Decode says %q %v", texts, slow)
		}
		checkKeys(t, m)
	}
	if err != nil && (m.Raw() != nil || m.kinds != [keyCount]Kind{}) {
		t.Fatal("not empty after an error")
	}
}

// checkKeys compares what m knows with encoding/json.
func checkKeys(t *testing.T, m *Message) {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal(m.Raw(), &all); err != nil {
		t.Fatalf("%q: %v", m.Raw(), err)
	}
	for k := range keyCount {
		want, ok := all[k.String()]
		if ok != m.Has(k) || !bytes.Equal(want, m.Bytes(k)) {
			t.Fatalf("%v: got %q, want %q", k, m.Bytes(k), want)
		}
		if !ok {
			continue
		}
		var s string
		isString := want[0] == '"' && json.Unmarshal(want, &s) == nil
		if text, ok := m.Text(k); ok != isString || text != s {
			t.Fatalf("%v: text %q, want %q", k, text, s)
		}
		if isString && !m.Is(k, s) || m.Is(k, s+"x") {
			t.Fatalf("%v: is not %q", k, s)
		}
		var i int64
		isInteger := m.Kind(k) == KindInteger
		if isInteger && json.Unmarshal(want, &i) != nil {
			t.Fatalf("%v: %s is no integer", k, want)
		}
		if v, ok := m.Int(k); ok != isInteger || v != i {
			t.Fatalf("%v: integer %d, want %d", k, v, i)
		}
	}
}

func addSeeds(f *testing.F) {
	f.Helper()
	for i, v := range readCorpus(f) {
		if i%40 == 0 && len(v.input) < 1000 {
			f.Add([]byte(v.input))
		}
	}
	f.Add(requestOf(600))
}

func FuzzScan(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		m := Message{raw: []byte("{}"), kinds: [keyCount]Kind{KeyHint: KindNull}}
		err := Scan(raw, &m)
		checkScan(t, raw, &m, err)
		if !bytes.Equal(raw, before) {
			t.Fatal("the input was changed")
		}
	})
}

func FuzzDecode(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		texts, err := Decode(raw, Quirks{})
		if err != nil && texts != nil {
			t.Fatal("texts with an error")
		}
		for _, text := range texts {
			compareText(t, "text", string(text), text)
		}
		one, oneErr := DecodeOne(raw)
		if oneErr == nil {
			body, _, _ := bytes.Cut(raw, []byte{0})
			compareText(t, "body", string(bytes.TrimSpace(body)), one)
		}
		if len(texts) == 1 && oneErr == nil && !bytes.Equal(texts[0], one) {
			t.Fatalf("%q over WebSocket, %q over HTTP", texts[0], one)
		}
		strict, strictErr := Decode(raw, Quirks{TrailingSpaceBroken: true})
		if strictErr == nil && !reflect.DeepEqual(strict, texts) {
			t.Fatalf("%q with the quirk, %q without", strict, texts)
		}
	})
}

func FuzzSplice(f *testing.F) {
	for i, s := range []string{`{}`, ` { "id" : 1 } `, `{"id":1,"token":"x","janus":null}`, `{"x":[],"token":{} , "y":"}"}`} {
		f.Add([]byte(s), uint8(i), uint8(5), uint8(10), []byte(`"v"`), []byte(`{"a":1}`))
	}
	f.Fuzz(func(t *testing.T, raw []byte, k1, k2, k3 uint8, v1, v2 []byte) {
		var m, after Message
		if Scan(raw, &m) != nil || !isValue(v1) || !isValue(v2) {
			return
		}
		edits := []Edit{{Key(k1 % uint8(keyCount)), v1}, {Key(k2 % uint8(keyCount)), nil}, {Key(k3 % uint8(keyCount)), v2}}
		out := m.AppendSplice([]byte("before"), edits...)
		out, ok := bytes.CutPrefix(out, []byte("before"))
		if err := Scan(out, &after); err != nil || !ok {
			t.Fatalf("%q: %v", out, err)
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		for _, e := range edits {
			delete(want, e.Key.String())
			if e.Value != nil {
				want[e.Key.String()] = bytes.TrimSpace(e.Value)
			}
		}
		var got map[string]json.RawMessage
		if err := json.Unmarshal(out, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %s\nwant %s", got, want)
		}
	})
}

// isValue reports whether v is one value that jansson accepts.
func isValue(v []byte) bool {
	_, err := ParseObject(fmt.Appendf(nil, `{"x":%s}`, v))
	return err == nil && json.Valid(v)
}
