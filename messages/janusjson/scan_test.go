package janusjson

import (
	"errors"
	"testing"
)

func TestScanSpans(t *testing.T) {
	raw := []byte(" {\"janus\" : \"Message\", \"session_id\":-1 ,\"handle_id\":1.0,\"transaction\":\"a\\u00e9\",\n\"body\":{\"request\":\"join\",\"r\\u006fom\":12,\"room\":[]},\"x\":[1,[],{}]}\n")
	var m Message
	if err := Scan(raw, &m); err != nil {
		t.Fatal(err)
	}
	if m.Verb() != VerbMessage {
		t.Errorf("verb %v", m.Verb())
	}
	if v, ok := m.Uint(KeySessionID); v != 1<<64-1 || !ok {
		t.Errorf("session %d %v", v, ok)
	}
	if _, ok := m.Uint(KeyHandleID); ok {
		t.Error("a real was taken for an id")
	}
	if !m.Is(KeyTransaction, "aé") || m.Is(KeyTransaction, "aé ") || m.Is(KeyTransaction, "a") {
		t.Error("transaction")
	}
	body, ok := m.Object(KeyBody)
	if !ok || !body.Get("request").Is("join") || body.Get("room").Kind() != KindArray {
		t.Error("body")
	}
	got := string(m.AppendSplice(nil, Edit{KeyTransaction, []byte(`"p|x"`)}, Edit{KeyBody, nil}, Edit{KeySender, []byte("5")}))
	want := `{"janus" : "Message", "session_id":-1 ,"handle_id":1.0,"transaction":"p|x",` + "\n" + `"x":[1,[],{}],"sender":5}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestScanOdd(t *testing.T) {
	for _, s := range []string{`{}{}`, `[]`, `{"id":1,"id":2}`, `{"\u0069d":1}`, "{}\v"} {
		var m Message
		if err := Scan([]byte(s), &m); !errors.Is(err, ErrOdd) {
			t.Errorf("%s: %v", s, err)
		}
		texts, err := Decode([]byte(s), Quirks{})
		t.Logf("%s -> %s %v", s, texts, err)
	}
	for _, s := range []string{``, `{`, `{"a":1,}`, `{"a":01}`, `{"a":"` + "\xff" + `"}`, `{"a":1e400}`, "{}\x00"} {
		var m Message
		err := Scan([]byte(s), &m)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: %v", s, err)
		}
		t.Log(s, err)
	}
}
