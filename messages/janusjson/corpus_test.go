// SPDX-License-Identifier: Apache-2.0

package janusjson

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// verdict is what jansson made of an input: see testdata/oracle.
type verdict struct {
	input string
	by    [3]string // the WebSocket transport, that of 1.1.2, the HTTP transport
}

// readCorpus returns the lines of testdata/corpus.txt.
func readCorpus(t testing.TB) []verdict {
	t.Helper()
	file, err := os.Open("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var all []verdict
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		column := strings.Split(lines.Text(), "\t")
		if len(column) != 4 {
			t.Fatalf("line %d has %d columns", len(all)+1, len(column))
		}
		input, err := strconv.Unquote(column[0])
		if err != nil {
			t.Fatalf("line %d: %v", len(all)+1, err)
		}
		v := verdict{input, [3]string(column[1:])}
		for i := range v.by {
			if v.by[i] == "=" {
				v.by[i] = v.by[0]
			}
		}
		all = append(all, v)
	}
	if err := lines.Err(); err != nil || len(all) < 10000 {
		t.Fatalf("%d lines: %v", len(all), err)
	}
	return all
}

// TestCorpus holds Decode and DecodeOne to what jansson says: the same words at
// the same place, or the same content.
func TestCorpus(t *testing.T) {
	for i, v := range readCorpus(t) {
		for quirk, want := range v.by[:2] {
			got, err := Decode([]byte(v.input), Quirks{TrailingSpaceBroken: quirk == 1})
			compare(t, fmt.Sprintf("line %d, WebSocket %d, %.200q", i+1, quirk, v.input), want, got, err)
		}
		got, err := DecodeOne([]byte(v.input))
		compare(t, fmt.Sprintf("line %d, HTTP, %.200q", i+1, v.input), v.by[2], [][]byte{got}, err)
		if t.Failed() {
			return
		}
	}
}

func compare(t *testing.T, where, want string, got [][]byte, err error) {
	t.Helper()
	var syntax *SyntaxError
	switch {
	case errors.As(err, &syntax):
		text := fmt.Sprintf("error %d %d %d %q", syntax.Line, syntax.Column, syntax.Position, syntax.Text)
		if text != want {
			t.Errorf("%s:\ngot  %s\nwant %s", where, text, want)
		}
		return
	case errors.Is(err, ErrNotObject):
		if want != "array" {
			t.Errorf("%s: not an object, want %s", where, want)
		}
		return
	case err != nil || !strings.HasPrefix(want, "ok "):
		t.Errorf("%s: %q %v, want %s", where, got, err, want)
		return
	}
	texts := unquoteAll(t, want[len("ok "):])
	if len(texts) != len(got) {
		t.Errorf("%s: %d texts, want %d", where, len(got), len(texts))
		return
	}
	for i, text := range texts {
		compareText(t, where, text, got[i])
	}
}

// compareText compares a text in plain form with what jansson wrote of it. It
// writes nothing of what is nested as deeply as it reads.
func compareText(t *testing.T, where, want string, got []byte) {
	t.Helper()
	var m Message
	if err := Scan(got, &m); err != nil || string(m.Raw()) != string(got) {
		t.Errorf("%s: %.200q is not plain: %v", where, got, err)
	}
	if want == "" {
		return
	}
	if want[0] == '[' {
		want = "{}"
	}
	if a, b := content(t, got), content(t, []byte(want)); !reflect.DeepEqual(a, b) {
		t.Errorf("%s:\ngot  %.300s\nwant %.300s", where, got, want)
	}
}

// content is the meaning of a JSON text, with reals as numbers and integers as
// they are written.
func content(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%.200q: %v", text, err)
	}
	return normal(v)
}

func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = normal(v[k])
		}
	case []any:
		for i := range v {
			v[i] = normal(v[i])
		}
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			f, _ := v.Float64()
			return f
		}
		i, _ := v.Int64()
		return i
	}
	return v
}

func unquoteAll(t *testing.T, s string) []string {
	t.Helper()
	var all []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		text, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		all, s = append(all, text), s[len(quoted):]
	}
	return all
}

// TestQuotedAsJansson holds AppendQuoted, Text and Is to what jansson read and
// wrote: every string of the corpus comes out with the same bytes.
func TestQuotedAsJansson(t *testing.T) {
	strings := 0
	for i, v := range readCorpus(t) {
		if !hasPrefix(v.by[2], "ok ") {
			continue
		}
		dump := unquoteAll(t, v.by[2][len("ok "):])[0]
		read, err := ParseObject([]byte(v.input))
		if err != nil || dump == "" {
			continue
		}
		written, err := ParseObject([]byte(dump))
		if err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		for name, value := range written.All() {
			want := value.Bytes()
			text, ok := read.Get(name).Text()
			if !ok {
				continue
			}
			strings++
			if got := AppendQuoted(nil, text); string(got) != string(want) {
				t.Errorf("line %d, %q: got %s, want %s", i+1, name, got, want)
			}
			if !read.Get(name).Is(text) || !value.Is(text) || value.Is(text+"x") || value.Is(text+"\xff") {
				t.Errorf("line %d, %q: Is disagrees with Text", i+1, name)
			}
		}
	}
	if strings < 500 {
		t.Errorf("only %d strings", strings)
	}
}

func hasPrefix(s, prefix string) bool { return strings.HasPrefix(s, prefix) }

// TestScanAgrees holds the fast path to the slow one, on the corpus.
func TestScanAgrees(t *testing.T) {
	plain, odd, broken := 0, 0, 0
	for i, v := range readCorpus(t) {
		var m Message
		err := Scan([]byte(v.input), &m)
		checkScan(t, []byte(v.input), &m, err)
		switch {
		case err == nil:
			plain++
		case errors.Is(err, ErrOdd):
			odd++
		default:
			broken++
		}
		if t.Failed() {
			t.Fatalf("line %d: %q", i+1, v.input)
		}
	}
	if plain < 600 || odd < 500 || broken < 5000 {
		t.Errorf("%d plain, %d odd, %d broken", plain, odd, broken)
	}
}
