// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// replaced returns the lines of a good request with some exchanged; a line
// without a value is left out, one that matches none is added.
func replaced(lines ...string) string {
	out := slices.Clone(upgradeLines)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		i := slices.IndexFunc(out, func(l string) bool { return strings.HasPrefix(l, name+":") })
		switch {
		case i < 0:
			out = append(out, line)
		case value == "":
			out = slices.Delete(out, i, i+1)
		default:
			out[i] = line
		}
	}
	return request(out...)
}

// hangUp is the answer of Janus to a subprotocol it does not speak: none.
const hangUp = ""

// What Janus 1.1.2 does was seen by sending it the same requests; where the
// answer differs the case says why.
func TestHandshakes(t *testing.T) {
	const ok = "HTTP/1.1 101 Switching Protocols"
	const forbid = "HTTP/1.1 403 Forbidden"
	const bad = "HTTP/1.1 400 Bad Request"
	cases := []struct{ name, request, want string }{
		{"plain", replaced(), ok},
		{"any path", strings.Replace(replaced(), "/janus", "/a/b?c=d", 1), ok},
		{"header names in lower case", strings.ToLower(strings.Replace(replaced(), "GET", "get", 1)), forbid}, // a method is not
		{"names in lower case, key as it is", "GET / HTTP/1.1\r\nhost: x\r\nupgrade: WebSocket\r\nconnection: upgrade\r\n" +
			"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\nsec-websocket-protocol: janus-protocol\r\n\r\n", ok},
		{"second of two protocols", replaced("Sec-WebSocket-Protocol: foo, janus-protocol"), ok},
		{"without a space", replaced("Sec-WebSocket-Protocol: foo,janus-protocol"), ok},
		{"two headers", strings.Replace(replaced(), "Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: foo\r\nSec-WebSocket-Protocol", 1), ok},
		{"an extension is offered", replaced("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"), ok},
		{"headers of 3 KB", replaced("X-Large: " + strings.Repeat("x", 3000)), ok},
		{"headers of 7 KB", replaced("X-Large: " + strings.Repeat("x", 7000)), ok}, // Janus: 4 KB

		{"no protocol", replaced("Sec-WebSocket-Protocol:"), hangUp},
		{"unknown protocol", replaced("Sec-WebSocket-Protocol: foo"), hangUp},
		{"protocol in other case", replaced("Sec-WebSocket-Protocol: Janus-Protocol"), hangUp},
		{"prefix of the protocol", replaced("Sec-WebSocket-Protocol: janus"), hangUp},
		{"empty protocol", strings.Replace(replaced(), ": janus-protocol", ": ", 1), forbid}, // Janus upgrades, then never answers
		{"headers of 9 KB", replaced("X-Large: " + strings.Repeat("x", 9000)), hangUp},

		{"no upgrade", request("GET / HTTP/1.1", "Host: x"), forbid},
		{"another path", request("GET /janus HTTP/1.1", "Host: x"), forbid},
		{"POST", request("POST / HTTP/1.1", "Host: x", "Content-Length: 0"), forbid},
		{"OPTIONS", request("OPTIONS / HTTP/1.1", "Host: x"), forbid},
		{"garbage", request("\x01\x02garbage"), forbid},
		{"POST with upgrade", strings.Replace(replaced(), "GET", "POST", 1), forbid},         // Janus upgrades
		{"HTTP/1.0", strings.Replace(replaced(), "HTTP/1.1", "HTTP/1.0", 1), forbid},         // Janus upgrades
		{"another upgrade", replaced("Upgrade: h2c"), forbid},                                // Janus hangs up
		{"no connection header", replaced("Connection:"), bad},                               // Janus hangs up
		{"no host", replaced("Host:"), bad},                                                  // Janus hangs up
		{"no key", replaced("Sec-WebSocket-Key:"), bad},                                      // Janus hangs up
		{"short key", replaced("Sec-WebSocket-Key: abc"), bad},                               // Janus upgrades
		{"no version", replaced("Sec-WebSocket-Version:"), bad},                              // Janus upgrades
		{"version 8", replaced("Sec-WebSocket-Version: 8"), "HTTP/1.1 426 Upgrade Required"}, // Janus upgrades
	}
	eachMode(t, func(t *testing.T, m mode) {
		f := serve(t, m, newRecorder(), Options{})
		accepted := 0
		for _, c := range cases {
			p := f.connect(t)
			p.write([]byte(c.request))
			if c.want == ok {
				if status, _ := p.head(); status != ok {
					t.Errorf("%s: %q", c.name, status)
					continue
				}
				p.write(text("x"))
				p.expect("text:x")
				p.Close()
				accepted++
				continue
			}
			answer, err := io.ReadAll(p)
			if err != nil {
				t.Errorf("%s: not a clean end: %v", c.name, err)
			}
			if status, _, _ := strings.Cut(string(answer), "\r\n"); status != c.want {
				t.Errorf("%s: %q, want %q", c.name, status, c.want)
			}
			p.Close()
		}
		waitFor(t, func() string {
			yes, no := f.count(t, "handshakes_total", "result", "accepted"), f.count(t, "handshakes_total", "result", "refused")
			if int(yes) != accepted || int(no) != len(cases)-accepted {
				return "handshakes: " + itoa(int(yes)) + " accepted, " + itoa(int(no)) + " refused of " + itoa(len(cases))
			}
			return ""
		})
	})
}

func TestUpgradeResponse(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		f := serve(t, m, newRecorder(), Options{Header: func(*Request) (http.Header, bool) {
			return http.Header{"Access-Control-Allow-Origin": {"*"}}, true
		}})
		p := f.connect(t)
		p.write([]byte(replaced("Sec-WebSocket-Extensions: permessage-deflate")))
		_, headers := p.head()
		sum := sha1.Sum([]byte("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		want := []string{
			"Access-Control-Allow-Origin: *",
			"Connection: Upgrade",
			"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]),
			"Sec-WebSocket-Protocol: janus-protocol",
			"Upgrade: websocket",
		}
		slices.Sort(headers)
		if !slices.Equal(headers, want) {
			t.Errorf("headers %q, want %q", headers, want)
		}
	})
}

func TestHeaderDecides(t *testing.T) {
	var seen []Request // of the only poller, before it answers
	f := serve(t, modes[0], newRecorder(), Options{Pollers: 1, Header: func(r *Request) (http.Header, bool) {
		seen = append(seen, *r)
		return nil, strings.HasPrefix(r.Header.Get("Origin"), "https://good.example")
	}})
	p := f.connect(t)
	p.write([]byte(replaced("Origin: https://evil.example")))
	if answer, err := io.ReadAll(p); len(answer) > 0 || err != nil {
		t.Errorf("foreign origin: answered %q, %v", answer, err)
	}
	p = f.connect(t)
	p.write([]byte(replaced("Origin: https://good.example", "X-Forwarded-For: 10.0.0.1")))
	if status, _ := p.head(); !strings.Contains(status, " 101 ") {
		t.Errorf("own origin: %q", status)
	}
	if got := f.conn(t, 0).RemoteAddr(); got != p.LocalAddr().String() {
		t.Errorf("RemoteAddr %q, want %q", got, p.LocalAddr())
	}
	if len(seen) != 2 {
		t.Fatalf("asked %d times", len(seen))
	}
	r := seen[1]
	if r.URI != "/janus" || r.Host != "example.org" || r.Subprotocol != "janus-protocol" ||
		r.Header.Get("X-Forwarded-For") != "10.0.0.1" || r.RemoteAddr != p.LocalAddr().String() {
		t.Errorf("request %+v", r)
	}
}

func TestAnySubprotocol(t *testing.T) {
	f := serve(t, modes[0], newRecorder(), Options{Subprotocols: []string{}})
	p := f.connect(t)
	p.write([]byte(replaced("Sec-WebSocket-Protocol:")))
	if status, _ := p.head(); !strings.Contains(status, " 101 ") {
		t.Errorf("answered %q", status)
	}
}

// The page is compared byte for byte: it is what a person sees who opens the
// WebSocket port in a browser, and what probes look for.
func TestForbiddenPage(t *testing.T) {
	f := serve(t, modes[0], newRecorder(), Options{})
	p := f.connect(t)
	p.write([]byte(request("GET / HTTP/1.1", "Host: x")))
	response, err := http.ReadResponse(p.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 403 || int64(len(body)) != response.ContentLength {
		t.Errorf("%d, %d bytes of %d, %v", response.StatusCode, len(body), response.ContentLength, err)
	}
}
