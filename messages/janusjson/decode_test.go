// SPDX-License-Identifier: Apache-2.0

package janusjson

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestDecode(t *testing.T) {
	tests := []struct {
		name, frame string
		want        string // texts, one per line
	}{
		{"plain", " {\"id\" : 1} \n", `{"id" : 1}`},
		{"texts", "{}\n{\"id\":1}\v{}", "{}\n{\"id\":1}\n{}"},
		{"array", `[{"janus":"ping"}]`, `{}`},
		{"last duplicate", `{"id":1,"x":0,"id":{"id":2}}`, `{"x":0,"id":{"id":2}}`},
		{"escaped key", `{"session\u005fid":7,"a":1}`, `{"session_id":7,"a":1}`},
		{"escaped duplicate", `{"id":1,"\u0069d":2,"x":3,"i\u0064":4}`, `{"x":3,"id":4}`},
		{"plain duplicate", `{"\u0069d":2 , "id" :4}`, `{"id":4}`},
		{"other keys stay", `{"id":1,"\u0061":2,"a":3,"a":4,"id":5}`, `{"\u0061":2,"a":3,"a":4,"id":5}`},
		{"nested stay", `{"id":1,"id":2,"body":{"id":1,"\u0069d":2}}`, `{"id":2,"body":{"id":1,"\u0069d":2}}`},
	}
	for _, test := range tests {
		texts, err := Decode([]byte(test.frame), Quirks{})
		if got := string(bytes.Join(texts, []byte("\n"))); got != test.want || err != nil {
			t.Errorf("%s: got %s, %v", test.name, got, err)
		}
	}
}

func TestDecodeSharesPlainText(t *testing.T) {
	frame := []byte(` {"id":1} {"id":1,"id":2}`)
	texts, err := Decode(frame, Quirks{})
	if err != nil || &texts[0][0] != &frame[1] {
		t.Errorf("a plain text was copied: %v", err)
	}
	copy(frame, bytes.Repeat([]byte("x"), len(frame)))
	if string(texts[1]) != `{"id":2}` {
		t.Errorf("a text that was written anew shares the frame: %s", texts[1])
	}
}

// TestTrailingSpace is the difference between Janus 1.1.2 and 1.1.4.
func TestTrailingSpace(t *testing.T) {
	for _, frame := range []string{"{} ", "{}\n", "{}{}\t", "{}\v"} {
		if _, err := Decode([]byte(frame), Quirks{}); err != nil {
			t.Errorf("%q: %v", frame, err)
		}
		var syntax *SyntaxError
		if _, err := Decode([]byte(frame), Quirks{TrailingSpaceBroken: true}); !errors.As(err, &syntax) {
			t.Errorf("%q with the quirk: %v", frame, err)
		}
	}
}

func TestDecodeOne(t *testing.T) {
	for body, want := range map[string]string{
		" {\"id\":1}\r\n":         `{"id":1}`,
		"{\"id\":1}\x00garbage":   `{"id":1}`,
		`{"id":1,"\u0069d":2} `:   `{"id":2}`,
		`[]`:                      ErrNotObject.Error(),
		`{}{}`:                    "<string>(1,3): end of file expected near '{'",
		"{}\n\v":                  "<string>(2,1): end of file expected near '\v'",
		"":                        "<string>(1,0): '[' or '{' expected near end of file",
		"\x00{}":                  "<string>(1,0): '[' or '{' expected near end of file",
		"{\"janus\":\n\n\"a\\q\"": "<string>(3,4): invalid escape near '\"a\\q'",
	} {
		got, err := DecodeOne([]byte(body))
		if err != nil {
			got = []byte(err.Error())
		}
		if string(got) != want {
			t.Errorf("%q: got %s, want %s", body, got, want)
		}
	}
}

func TestReasons(t *testing.T) {
	_, err := Decode([]byte("{\n \"a\" 1}"), Quirks{})
	var syntax *SyntaxError
	if !errors.As(err, &syntax) {
		t.Fatal(err)
	}
	if s, ok := syntax.Reason(); s != "Invalid Janus API request - <string>(2,6): ':' expected near '1'" || !ok {
		t.Error(s, ok)
	}
	if s, ok := syntax.HTTPReason(); s != "JSON error: on line 2: ':' expected near '1'" || !ok {
		t.Error(s, ok)
	}
	if _, err = Decode([]byte(`{"a\é"`), Quirks{}); !errors.As(err, &syntax) {
		t.Fatal(err)
	}
	if s, ok := syntax.Reason(); ok {
		t.Errorf("%q is no UTF-8, so Janus leaves it out", s)
	}
}

func TestManyTexts(t *testing.T) {
	if texts, err := Decode([]byte(strings.Repeat("{}", MaxTexts)), Quirks{}); len(texts) != MaxTexts || err != nil {
		t.Errorf("%d texts: %v", len(texts), err)
	}
	if texts, err := Decode([]byte(strings.Repeat("{}", MaxTexts+1)), Quirks{}); texts != nil || !errors.Is(err, ErrTooManyTexts) {
		t.Errorf("%d texts: %v", len(texts), err)
	}
	if err := Scan([]byte(strings.Repeat("{}", MaxTexts+1)), new(Message)); !errors.Is(err, ErrOdd) {
		t.Error(err)
	}
}

// TestLinearTime feeds what could cost more than its length. Each takes some
// milliseconds; a reader that is quadratic in any of them takes minutes.
func TestLinearTime(t *testing.T) {
	const n = 1 << 18
	for name, frame := range map[string]string{
		"texts":       strings.Repeat("{}", n),
		"texts, NUL":  strings.Repeat("{}", n) + "\x00",
		"duplicates":  "{" + strings.Repeat(`"id":1,`, n/8) + `"id":2}`,
		"escapes":     `{"` + strings.Repeat(`\u0069`, n/4) + `":1,"i\u0064":1}`,
		"open":        strings.Repeat("[", n),
		"digits":      `{"id":` + strings.Repeat("1", n) + `}`,
		"reals":       `{"id":` + strings.Repeat("1", n) + `.5}`,
		"lines":       strings.Repeat("\n", n) + "x",
		"spaces":      `{"id":1,"id":2` + strings.Repeat(" ", n) + "}",
		"open string": `{"` + strings.Repeat("é", n),
	} {
		start := time.Now()
		m := new(Message)
		if Scan([]byte(frame), m) == nil {
			t.Errorf("%s: plain", name)
		}
		if texts, err := Decode([]byte(frame), Quirks{}); err == nil && Scan(texts[0], m) != nil {
			t.Errorf("%s: still odd", name)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}
