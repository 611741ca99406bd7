// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"net/http"
	"strings"
)

// corsMaxAge is how long browsers may remember whom they were told to let in, in seconds, as Janus says.
const corsMaxAge = "86400"

// corsHeader are the headers that every answer over HTTP has (janus_http_add_cors_headers).
func corsHeader(origin string) http.Header {
	h := http.Header{"Access-Control-Allow-Origin": {origin}, "Access-Control-Max-Age": {corsMaxAge}}
	if origin != DefaultOrigin {
		h["Access-Control-Allow-Credentials"] = []string{"true"}
		h["Vary"] = []string{"Origin"}
	}
	return h
}

// crossOrigin answers the browser's question who may use this edge: with whatever it asks for.
func (h *httpTransport) crossOrigin(header, asked http.Header) {
	for name, value := range h.fixed {
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

// admits reports whether the page that a request comes from may use this edge. Where there is no origin, the page's
// address stands for it.
func (h *httpTransport) admits(asked http.Header) bool {
	o := &h.edge.opts
	if o.Origin == DefaultOrigin || !o.EnforceOrigin {
		return true
	}
	origin, ok := last(asked["Origin"])
	if !ok {
		origin = asked.Get("Referer")
	}
	return strings.HasPrefix(origin, o.Origin)
}

// last is the header line that counts for Janus.
func last(values []string) (value string, ok bool) {
	if len(values) == 0 {
		return "", false
	}
	return values[len(values)-1], true
}
