// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// inputs returns the inputs of the corpus: the deliberate ones, then broken
// versions of some.
func inputs(random *rand.Rand) []string {
	all := deliberate()
	for _, s := range requests {
		for i := range len(s) {
			all = append(all, s[:i])
		}
	}
	for range 800 {
		all = append(all, compose(random))
	}
	for range 1200 {
		all = append(all, mutate(random, all[random.IntN(len(all))]))
	}
	return all
}

// requests are ordinary messages.
var requests = []string{
	`{"janus":"create","transaction":"abc"}`,
	`{"janus":"attach","session_id":5201369781,"plugin":"janus.plugin.echotest","transaction":"t\/1","opaque_id":"é😀"}`,
	`{"janus":"message","body":{"request":"join","room":1234,"ptype":"publisher","bitrate":-1.5e3,"x":[true,false,null]},` +
		`"transaction":"QPDt2vYOQmmd","session_id":123,"handle_id":456,"jsep":{"type":"offer","sdp":"v=0\r\no=- 1 2 IN IP4 1\r\n"}}`,
	"\n{ \"janus\" : \"trickle\" ,\n\t\"candidate\" : { \"completed\" : true } }\r\n",
}

// fragments are put in the place of values, of keys, of whole texts, and between
// texts.
func fragments() []string {
	f := slices.Concat(numbers, words, bytesAndRunes(), strs)
	for _, s := range escapes {
		f = append(f, `"`+s+`"`, `"0123456789abcde`+s+`"`, `"`+s, `"`+s+`A"`, `"é`+s+`"`)
	}
	return f
}

var numbers = []string{
	"0", "-0", "00", "01", "-01", "1", "12", "-", "--1", "+1", "-a", "1a", "0x10", "1 2", ".5", "-.5", "1.", "1.e1", "1.5", "1.x", "1..2",
	"1e", "1E", "1e+", "1e-", "1e5", "1E+5", "1e-5", "1ee5", "1e5.5", "1e5e5", "0.0", "-0.0", "0e0", "0.5e-0", "00.5", "1e0001",
	"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
	"99999999999999999999", "999999999999999999999", "-99999999999999999999", "-9999999999999999999999999", "0000000000000000000000000001",
	"1e308", "1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308", "-1.7976931348623159e308", "1e309", "-1e309", "1e400", "1e99999999999999999999",
	"1e-400", "-1e-99999999999999999999", "0e400", "0.0000e99999", "4.9e-324", "123456789012345678901234567890.5",
	"1" + strings.Repeat("0", 308) + ".0", "1" + strings.Repeat("0", 309) + ".0", "2" + strings.Repeat("0", 308) + ".0", "1" + strings.Repeat("0", 320) + "e-300",
	"0." + strings.Repeat("0", 400) + "1e700", "0." + strings.Repeat("0", 400) + "1e800", "1\xff", "1.\xff", "1.5\xff", "1e\xff", "1e5\xff", "-\xff", "0\xff", "99999999999999999999\xff",
	"1é", "-é", "1.é", "1e+é", "1\n", "-\n", "1.\n", "Infinity", "-Infinity", "NaN", "1_000", "0b1", "1f",
}

var words = []string{
	"true", "false", "null", "True", "TRUE", "tru", "t", "truetrue", "true1", "true\"", "nul", "nulll", "undefined", "abcdefghijklmnopqrst", "abcdefghijklmnopqrstu",
	"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", "a\xff", "true\xff", "trueé", "é", "éé", "\u20ac", "😀", "_", "a_b", "a-b", "'a'", "`a`", "@", "#", "//x", "/*x*/", "\\", "\\u0022",
	"{", "}", "[", "]", ",", ":", "{}", "[]", "[[]]", "{\"a\":{}}", "[1]", "[1,]", "[,1]", "[1 2]", "[1,2", "[1,", "[", "[}", "{]", "{]}", "[1}", "{\"a\"}", "{\"a\":}", "{\"a\" 1}",
	"{\"a\":1,}", "{\"a\":1 \"b\":2}", "{\"a\":1", "{\"a\":", "{\"a\"", "{\"a", "{a:1}", "{1:2}", "{null:1}", "{[]:1}", "{,}", "{:1}", "{\"a\"::1}", "{\"a\":1]", "{\"a\":1,,\"b\":2}", "[tru]", "[-]", "[1.]",
	"[\"a\" \"b\"]", "[\"aaaaaaaaaaaaaaaaaaaa\" 1]", "{\"a\":[{\"b\":[", "{\"a\":[{\"b\":[}]}]}", "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":1,\"\\u0062\":2}}", "\xef\xbb\xbf", "",
}

var strs = []string{
	`"`, `""`, `"a`, `"a"b`, `"a""b"`, `"é"`, `"€"`, `"😀"`, "\"\x7f\"", `"aaaaaaaaaaaaaaaaaa"`, `"aaaaaaaaaaaaaaaaaaa"`, `"aaaaaaaaaaaaaaaaaaaa"`, `"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`,
	"\"a\nb\"", "\"a\rb\"", "\"a\tb\"", "\"a\x00b\"", "\"a\x01b\"", "\"a\x1fb\"", "\"aaaaaaaaaaaaaaaaaaaaaaaaaa\x1fb\"", "\"aaaaaaaaaaaaaaaaaaaaaaaaaa\nb\"", "\"a\\\nb\"", "\"a\\\x01\"", "\"a\\\xff\"", "\"\\u12\xff\"",
	"\"a\xffb\"", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaa\xffb\"", "\"\xff\"", "\"é\xff\"", "\"a\xc3\"", "\"a\xc3", "\"a\xe2\x82\"", "\"a\xe2\x82", "\"\xf0\x9f\x98\"", "\"\xf0\x9f\x98",
	"\"\xc0\x80\"", "\"\xc1\xbf\"", "\"\xc2\x7f\"", "\"\xc2\x80\"", "\"\xdf\xbf\"", "\"\xe0\x80\x80\"", "\"\xe0\x9f\xbf\"", "\"\xe0\xa0\x80\"", "\"\xed\x9f\xbf\"", "\"\xed\xa0\x80\"", "\"\xed\xbf\xbf\"", "\"\xee\x80\x80\"",
	"\"\xef\xbf\xbd\"", "\"\xef\xbf\xbf\"", "\"\xf0\x80\x80\x80\"", "\"\xf0\x8f\xbf\xbf\"", "\"\xf0\x90\x80\x80\"", "\"\xf4\x8f\xbf\xbf\"", "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"", "\"\xf8\x88\x80\x80\x80\"", "\"\xfe\"", "\"\x80\"", "\"\xbf\"",
	"\"é\né\"", "\"éééééééééé\\x\"", "\"ééééééééé\\x\"",
}

var escapes = []string{
	`\`, `\a`, `\x41`, `\'`, `\0`, `\U0041`, `\é`, `\€`, `\😀`, `\"`, `\\`, `\/`, `\b`, `\f`, `\n`, `\r`, `\t`, `\u`, `\u0`, `\u00`, `\u004`, `\u0041`, `\u004g`, `\u00é1`, `\u004é`, `\u 041`, `\u-041`, `\u+041`, `\u0x41`,
	`\u0000`, `\u0001`, `\u001f`, `\u0020`, `\u0022`, `\u005c`, `\u007f`, `\u0080`, `\u07ff`, `\u0800`, `\uFFFF`, `\uffff`, `\ufffe`, `\ud7ff`, `\ue000`,
	`\ud800`, `\uD800`, `\udbff`, `\udc00`, `\udfff`, `\uDFFF`, `\ud800\udc00`, `\udbff\udfff`, `\uD83D\uDE00`, `\ud83d\u0041`, `\ud83d\ud83d`, `\ud83d\udbff`, `\ud83dx`, `\ud83d\n`, `\ud83d\\udc00`, `\ud83d\"`, `\ud83d \ude00`,
	`\udc00\ud800`, `\ud83d\ude0`, `\ud83d\ug000`, `\ud800\u0000`, `\u0000\ud800`, `\ud800\u0000\u0000`, `\\ud800`, `\\\ud800`, `\\\\ud800`, `\\u0000`, `\\\u0000`, `\/\/`,
}

// bytesAndRunes is each byte on its own.
func bytesAndRunes() []string {
	var all []string
	for c := range 256 {
		all = append(all, string([]byte{byte(c)}))
	}
	return all
}

// known are ways to write keys that matter.
var known = []string{
	`{"session_id":1,"session_id":2}`, `{"session\u005fid":1}`, `{"session_id":1,"session\u005fid":2}`, `{"session\u005fid":1,"session_id":2}`, `{"\u0073\u0065\u0073\u0073\u0069\u006f\u006e\u005f\u0069\u0064":7,"x":1}`,
	`{"session_id":1,"a":{"session_id":2},"session_id":[1,2],"b":3}`, `{"janus":"ping","janus":"info","transaction":"a","transaction":null}`, `{"\u006aanus":"ping"}`, `{"janus\u0000":1}`, `{"janus":1,"a\"b":2,"a\\":3,"\/":4}`,
	`{"Session_ID":1,"session_id ":2,"session\tid":3}`, `{"id":1,"i\u0064":2,"\u0069d":3,"\u0069\u0064":4,"z":[{}]}`, `{"":1,"":2}`, `{"a":1,"a":2,"a":3}`, "{\"id\" \n:\t1 , \"id\"\r:2}\n", `{"é":1,"\u00e9":2}`, `{"admin\u005fsecret":"x","adminsecret":1}`,
	`{"\u006a\u0061\u006e\u0075\u0073":"x","\u006a\u0061\u006e\u0075\u0073\u0073":"y"}`, `{"handle_id":1,"body":{"a":1,"a":2},"handle_id":2}`, `[{"janus":"ping"}]`, `[]`, ` [] `, `[1,2,3]`,
}

// between are pairs of texts, and what may stand around them.
var between = []string{
	`{}{}`, `{} {}`, "{}\n{}", "{}\n{}\n", "{} ", "{}\n", " {}", " \n\t\r{}", "{}\v", "\v{}", "{}\f{}", "{}\v{}", "{}\x85{}", "{}\u00a0{}", "{}\u2028", "{}[]", "[]{}", "[][]", `{"a":1}{"b":2}{"c":3}`, `{"a":1},{"b":2}`, `{"a":1}x`, `{"a":1} x`, "{\"a\":1}\nx",
	`{"a":1}{`, `{"a":1}}`, `{"a":1}]`, `{"a":1}"b"`, `{"a":1}1`, "{}\x00", "{}\x00{}", "\x00", "\x00{}", "{\x00}", "{\"a\":\x001}", "{}\xff", "{} \xff", "\xff{}", "\xff", " \xff", "\n\n \xff", "é", " é", "{}é", "{}\n\né", "{}\n\n{\n\n\"a\" 1}", "{\"é\"\n :\n 1\n ,}",
	"", " ", "\n", "\n\n", "\t", "  \n  ", "{}{}{}{}{}{}{}{}{}{}", "\"a\"", "1", "true", "null", "x", "1e400", "99999999999999999999", "\"\\ud800\"", "\"\\u0000\"", "\"a", "tru\xff", "//{}", "{}//", "{}  \n \x00 ", "{}\x00\n",
}

func deliberate() []string {
	all := slices.Concat(requests, known, between)
	for _, f := range fragments() {
		all = append(all, f, `{"a":`+f+`}`, `{"a":`+f, `{`+f+`:1}`, `{"a"`+f+`1}`, `{"a":1`+f+`}`, `{"a":1}`+f, `[`+f+`]`, "[\n1,\n é "+f+",2]", "[1,"+f+" ,2]", "[\"é\",\n  "+f+"]")
	}
	for _, n := range []int{2046, 2047, 2048, 2049} {
		all = append(all, strings.Repeat("[", n)+strings.Repeat("]", n), strings.Repeat("[", n)+"1"+strings.Repeat("]", n), strings.Repeat("[", n)+"@", strings.Repeat("[", n),
			strings.Repeat(`{"a":`, n)+"{}"+strings.Repeat("}", n), strings.Repeat(`{"a":[`, n/2)+`"\ud800"`, strings.Repeat(`[{"a":`, n/2)+"tru",
			`{"id":`+strings.Repeat("[", n)+strings.Repeat("]", n)+`,"i\u0064":1}`)
	}
	return all
}

// mutate damages s in one to three places.
func mutate(random *rand.Rand, s string) string {
	const spice = "{}[]:,\"\\u0d8e1-+.tfn \n\x00\x01\x80\xc3\xe2\xed\xf0\xff"
	b := []byte(s)
	for range 1 + random.IntN(3) {
		i := random.IntN(len(b) + 1)
		c := spice[random.IntN(len(spice))]
		switch n := random.IntN(5); {
		case n == 0 || len(b) == i:
			b = slices.Insert(b, i, c)
		case n == 1:
			b = slices.Delete(b, i, i+1)
		case n == 2:
			b[i] = c
		case n == 3:
			j := min(len(b), i+1+random.IntN(12))
			b = slices.Insert(b, random.IntN(len(b)), b[i:j]...)
		default:
			b = slices.Delete(b, i, min(len(b), i+1+random.IntN(6)))
		}
	}
	return string(b)
}
