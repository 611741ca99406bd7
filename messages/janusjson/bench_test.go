// SPDX-License-Identifier: Apache-2.0

package janusjson

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// sdpOf returns the JSON text of an SDP offer, about n bytes long.
func sdpOf(n int) string {
	var b strings.Builder
	b.WriteString("v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=msid-semantic: WMS\r\n")
	for i := 96; b.Len() < n; i++ {
		fmt.Fprintf(&b, "a=rtpmap:%d H264/90000\r\na=rtcp-fb:%d goog-remb\r\na=fmtp:%d level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n", i, i, i)
	}
	return string(AppendQuoted(nil, b.String()))
}

// requestOf returns a join with an offer, size bytes long or little more.
func requestOf(size int) []byte {
	head := `{"janus":"message","body":{"request":"joinandconfigure","room":1234,"ptype":"publisher","display":"Ada","audio":true,"video":true},"transaction":"QPDt2vYOQmmd","session_id":5201369781245631,"handle_id":1234567890123456,"jsep":{"type":"offer","sdp":`
	return []byte(head + sdpOf(size-len(head)-2) + `}}`)
}

func BenchmarkScan(b *testing.B) {
	for _, size := range []int{400, 4096} {
		raw := requestOf(size)
		b.Run(fmt.Sprintf("sdp=%d", len(raw)), func(b *testing.B) { benchmarkScan(b, raw) })
	}
	event := []byte(`{"janus":"event","session_id":5201369781245631,"transaction":"QPDt2vYOQmmd","sender":1234567890123456,"plugindata":{"plugin":"janus.plugin.echotest","data":{"echotest":"event","result":"ok"}}}`)
	b.Run(fmt.Sprintf("event=%d", len(event)), func(b *testing.B) { benchmarkScan(b, event) })
	text := []byte(`{"janus":"message","body":{"text":"` + strings.Repeat("Привет, мир! 你好 ", 100) + `"}}`)
	b.Run(fmt.Sprintf("unicode=%d", len(text)), func(b *testing.B) { benchmarkScan(b, text) })
}

func benchmarkScan(b *testing.B, raw []byte) {
	var m Message
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Scan(raw, &m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSplice(b *testing.B) {
	for _, size := range []int{400, 4096} {
		raw := requestOf(size)
		b.Run(fmt.Sprint(len(raw)), func(b *testing.B) {
			var m Message
			if err := Scan(raw, &m); err != nil {
				b.Fatal(err)
			}
			var dst []byte
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				var transaction, handle [64]byte
				dst = m.AppendSplice(dst[:0],
					Edit{KeyTransaction, AppendPrefixed(transaction[:0], "e1.42.7", m.Bytes(KeyTransaction))},
					Edit{KeyHandleID, AppendUint(handle[:0], 77)},
					Edit{KeyToken, nil},
					Edit{KeyAPISecret, []byte(`"secret"`)})
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	var m Message
	if err := Scan(requestOf(400), &m); err != nil {
		b.Fatal(err)
	}
	b.Run("verb", func(b *testing.B) {
		for b.Loop() {
			if m.Verb() != VerbMessage {
				b.Fatal(m.Verb())
			}
		}
	})
	b.Run("room", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			body, _ := m.Object(KeyBody)
			if v, ok := body.Get("room").Int(); !ok || v != 1234 {
				b.Fatal(v)
			}
		}
	})
}

// BenchmarkDecode is the slow path: an odd message, and one that is broken at its
// end.
func BenchmarkDecode(b *testing.B) {
	odd := bytes.Replace(requestOf(4096), []byte(`"handle_id"`), []byte(`"handle\u005fid"`), 1)
	b.Run("odd", func(b *testing.B) {
		b.SetBytes(int64(len(odd)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Decode(odd, Quirks{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	broken := odd[:len(odd)-1]
	b.Run("broken", func(b *testing.B) {
		b.SetBytes(int64(len(broken)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Decode(broken, Quirks{}); err == nil {
				b.Fatal("accepted")
			}
		}
	})
}
