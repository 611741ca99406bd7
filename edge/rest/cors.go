// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"strings"
)

const (
	// AnyOrigin lets every page in, as Janus does by default.
	AnyOrigin = "*"
	// corsMaxAge is how long browsers may remember whom they were told to let in, in seconds, as Janus says.
	corsMaxAge = "86400"
)

// CORS says which pages may use an API, over HTTP and over WebSocket (allow_origin and enforce_cors of Janus). Make one with
// NewCORS.
type CORS struct {
	origin  string
	enforce bool
	refused func(origin string)
	fixed   http.Header
}

// NewCORS lets pages of an origin in that begins with this text. With enforce others are refused; without it, or with
// AnyOrigin, browsers are told, and judge. refused is called for each that is refused, with what it said.
func NewCORS(origin string, enforce bool, refused func(origin string)) CORS {
	c := CORS{origin: origin, enforce: enforce && origin != AnyOrigin, refused: refused, fixed: http.Header{
		"Access-Control-Allow-Origin": {origin}, "Access-Control-Max-Age": {corsMaxAge},
	}}
	if origin != AnyOrigin {
		c.fixed["Access-Control-Allow-Credentials"] = []string{"true"}
		c.fixed["Vary"] = []string{"Origin"}
	}
	return c
}

// Tell gives an answer over HTTP the headers that tell browsers who may use the API, with whatever it asks for
// (janus_http_add_cors_headers).
func (c CORS) Tell(header, asked http.Header) {
	for name, value := range c.fixed {
		header[name] = value
	}
	for _, x := range [...]struct{ asked, allowed string }{
		{"Access-Control-Request-Method", "Access-Control-Allow-Methods"},
		{"Access-Control-Request-Headers", "Access-Control-Allow-Headers"},
	} {
		if value, _ := last(asked[x.asked]); value != "" {
			header.Set(x.allowed, value)
		}
	}
}

// Admits reports whether the page that a request over HTTP comes from may use the API. Where there is no origin, the
// page's address stands for it.
func (c CORS) Admits(asked http.Header) bool {
	if !c.enforce {
		return true
	}
	origin, ok := last(asked["Origin"])
	if !ok {
		origin = asked.Get("Referer")
	}
	return c.judge(origin)
}

// judge reports whether pages of an origin are let in. One that says none is not.
func (c CORS) judge(origin string) bool {
	if !c.enforce || origin != "" && strings.HasPrefix(origin, c.origin) {
		return true
	}
	c.refused(origin)
	return false
}

// Upgrade gives the headers of the answer to a WebSocket's handshake, and reports whether its page may use the API
// (src/transports/janus_websockets.c).
func (c CORS) Upgrade(asked http.Header) (header http.Header, ok bool) {
	header = http.Header{"Access-Control-Allow-Origin": {c.origin}}
	if c.origin == AnyOrigin {
		return header, true
	}
	for _, x := range [...]struct{ asked, allowed string }{
		{"Access-Control-Request-Headers", "Access-Control-Allow-Headers"},
		{"Access-Control-Request-Methods", "Access-Control-Allow-Methods"},
	} {
		if value := asked.Get(x.asked); value != "" {
			header.Set(x.allowed, value)
		}
	}
	return header, c.judge(asked.Get("Origin"))
}

// last is the header line that counts for Janus.
func last(values []string) (value string, ok bool) {
	if len(values) == 0 {
		return "", false
	}
	return values[len(values)-1], true
}
