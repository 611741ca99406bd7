// SPDX-License-Identifier: Apache-2.0

package janusjson

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func parsed(t *testing.T, raw string) Object {
	t.Helper()
	o, err := ParseObject([]byte(raw))
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return o
}

func TestObjectGet(t *testing.T) {
	o := parsed(t, ` {"request":"join","room":1,"r\u006fom":[1],"\u0072oom" : 12 , "":true,"a\"b":{"x":{"room":3}},"é\ud83d\ude00":null} `)
	for name, want := range map[string]string{"request": `"join"`, "room": "12", "": "true", `a"b`: `{"x":{"room":3}}`, "é😀": "null", "x": "", "roo": "", "rooms": "", "a\x00": "", "é\xff": "", "\xff": ""} {
		if got := o.Get(name); string(got.Bytes()) != want || (got.Kind() == KindAbsent) != (want == "") {
			t.Errorf("%q: got %s, want %s", name, got.Bytes(), want)
		}
	}
	if v, ok := o.Get("room").Uint(); v != 12 || !ok {
		t.Errorf("room is %d", v)
	}
	if inner, ok := o.Get(`a"b`).Object(); !ok || inner.Get("x").Kind() != KindObject {
		t.Error("nested object")
	}
	for _, empty := range []Object{{}, parsed(t, " { } ")} {
		if empty.Get("").Kind() != KindAbsent {
			t.Error("an empty object has a member")
		}
		for name := range empty.All() {
			t.Errorf("an empty object yields %q", name)
		}
	}
}

func TestParseObjectErrors(t *testing.T) {
	for raw, want := range map[string]string{
		``:              "<string>(1,0): '[' or '{' expected near end of file",
		`[]`:            ErrNotObject.Error(),
		`{}{}`:          "<string>(1,3): end of file expected near '{'",
		`{"a":1`:        "<string>(1,6): '}' expected near end of file",
		"{}\x00":        "<string>(1,3): end of file expected near '\x00'",
		"{\"a\":\x00}":  "<string>(1,6): invalid token near '\x00'",
		"{\"\x00\":1}":  "<string>(1,2): control character 0x0 near '\"'",
		"{\"\\\x00\":1": "<string>(1,4): invalid escape near '\"\\\x00'",
		`1`:             "<string>(1,1): '[' or '{' expected near '1'",
	} {
		if _, err := ParseObject([]byte(raw)); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", raw, err, want)
		}
	}
}

func TestObjectAll(t *testing.T) {
	o := parsed(t, `{"a":1,"b":2,"\u0061":3,"c":[1,"x",{}]}`)
	var got []string
	for name, v := range o.All() {
		got = append(got, fmt.Sprintf("%s=%s", name, v.Bytes()))
	}
	if s := strings.Join(got, " "); s != `b=2 a=3 c=[1,"x",{}]` {
		t.Error(s)
	}
	for range o.All() {
		break
	}
}

func TestArrayAll(t *testing.T) {
	a, ok := parsed(t, `{"list":[ 1 , "x",{} ,[2,3] ] }`).Get("list").Array()
	var got []string
	for v := range a.All() {
		got = append(got, fmt.Sprintf("%v:%s", v.Kind(), v.Bytes()))
	}
	if s := strings.Join(got, " "); s != `integer:1 string:"x" object:{} array:[2,3]` || !ok || a.Bytes()[0] != '[' {
		t.Error(s)
	}
	for range a.All() {
		break
	}
	if _, ok := parsed(t, `{"list":{}}`).Get("list").Array(); ok {
		t.Error("an object was taken for an array")
	}
	for _, empty := range []string{"[]", "[ ]"} {
		a, _ := parsed(t, `{"list":`+empty+`}`).Get("list").Array()
		for range a.All() {
			t.Error("an empty array has an element")
		}
	}
	for range (Array{}).All() {
		t.Error("the zero array has an element")
	}
}

func TestObjectSplice(t *testing.T) {
	o := parsed(t, `{ "a":1 , "\u0062" : {"a":2}, "b":3,"c":"x"}`)
	tests := []struct {
		fields []Field
		want   string
	}{
		{nil, `{"a":1,"\u0062" : {"a":2},"b":3,"c":"x"}`},
		{[]Field{{"b", []byte("4")}}, `{"a":1,"c":"x","b":4}`},
		{[]Field{{"b", nil}, {"a", nil}, {"c", nil}}, `{}`},
		{[]Field{{"d\n", []byte("null")}, {"e", nil}, {"c", nil}, {"c", []byte("[]")}}, `{"a":1,"\u0062" : {"a":2},"b":3,"d\n":null,"c":[]}`},
		{[]Field{{"a", []byte("9")}, {"a", nil}}, `{"\u0062" : {"a":2},"b":3,"c":"x"}`},
	}
	for _, test := range tests {
		got := string(o.AppendSplice([]byte(">"), test.fields...))
		if got != ">"+test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
		parsed(t, test.want)
	}
	if got := string(Object{}.AppendSplice(nil, Field{"a", []byte("1")})); got != `{"a":1}` {
		t.Error(got)
	}
}

func TestValueOfOtherKinds(t *testing.T) {
	v := parsed(t, `{"x":null}`).Get("x")
	if _, ok := v.Text(); ok || v.Is("") || v.Is("null") {
		t.Error("null is a string")
	}
	if _, ok := v.Object(); ok {
		t.Error("null is an object")
	}
	if _, err := ParseObject([]byte("null")); errors.Is(err, ErrNotObject) {
		t.Error("a scalar is refused by jansson itself")
	}
}
