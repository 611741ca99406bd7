// SPDX-License-Identifier: Apache-2.0

package conversation

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// overHTTP starts a server that does what handle says with the n-th request, counted from 1.
func overHTTP(t *testing.T, handle func(n int, request string, w http.ResponseWriter)) Server {
	t.Helper()
	var served atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		handle(int(served.Add(1)), fmt.Sprintf("%s %s %s%s", r.Method, r.RequestURI, r.Header.Get("X-Y"), body), w)
	}))
	t.Cleanup(s.Close)
	return Server{HTTP: func(int) string { return s.URL }}
}

func TestHTTP(t *testing.T) {
	const script = `h header X-Y: z
h POST /janus {"janus":"create","transaction":"s1"}
h GET /janus/$s1?a=b
h until 404 GET /janus
h OPTIONS /janus
h poll 2 /janus/$s1
`
	answers := []string{
		`{"janus":"success","transaction":"s1","data":{"id":12345678901}}`, `{"janus":"keepalive","transaction":"drawn"}`, `{}`, "404", "",
		`[{"janus":"keepalive"},{"janus":"event","sender":7,"session_id":12345678901}]`, `{"janus":"hangup","sender":7}`,
	}
	requests := make([]string, len(answers))
	got, err := play(t, script, overHTTP(t, func(n int, request string, w http.ResponseWriter) {
		requests[n-1] = request
		switch answer := answers[n-1]; answer {
		case "404":
			w.Header().Set("Location", "/12345678901")
			w.WriteHeader(http.StatusNotFound)
		case "":
			panic(http.ErrAbortHandler)
		default:
			w.Header().Set("Content-Type", "text")
			_, _ = io.WriteString(w, answer)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	const wanted = `["POST /janus z{\"janus\":\"create\",\"transaction\":\"s1\"}" "GET /janus/12345678901?a=b z" "GET /janus z" "GET /janus z" ` +
		`"OPTIONS /janus z" "GET /janus/12345678901 z" "GET /janus/12345678901 z"]`
	if sent := fmt.Sprintf("%q", requests); sent != wanted {
		t.Errorf("sent %s, want %s", sent, wanted)
	}
	want := Streams{
		"h": {
			`200 Content-Type=text {"data":{"id":"$s1"},"janus":"success","transaction":"s1"}`,
			`200 Content-Type=text {"janus":"keepalive","transaction":"#"}`,
			`404 Location=/$s1`, `nothing`,
		},
		"h events 7": {`{"janus":"event","sender":7,"session_id":"$s1"}`, `{"janus":"hangup","sender":7}`},
	}
	if diff := Compare(want, mustStreams(t, got, nil)); diff != "" {
		t.Error(diff)
	}
}

// TestHTTPWait: requests wait at once, and their order tells nothing.
func TestHTTPWait(t *testing.T) {
	both := make(chan bool)
	got, err := play(t, "h +GET /a\nh +GET /a\nh wait\nh GET /b", overHTTP(t, func(n int, _ string, w http.ResponseWriter) {
		switch n {
		case 1:
			<-both
			_, _ = io.WriteString(w, `{"janus":"b"}`)
		case 2:
			defer close(both)
			_, _ = io.WriteString(w, `{"janus":"a"}`)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := Streams{"h": {`200 Content-Type=text/plain; charset=utf-8 {"janus":"a"}`, `200 Content-Type=text/plain; charset=utf-8 {"janus":"b"}`, `200`}}
	if diff := Compare(want, mustStreams(t, got, nil)); diff != "" {
		t.Error(diff)
	}
}

// TestHTTPRemarks: events that do not come are part of the transcript.
func TestHTTPRemarks(t *testing.T) {
	got, err := play(t, "h poll 2 /a", overHTTP(t, func(n int, _ string, w http.ResponseWriter) {
		if n == 1 {
			_, _ = io.WriteString(w, `{"janus":"event"}`)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := Streams{"h events ": {`{"janus":"event"}`}, "remarks": {"h: line 1: 1 of 2 events came, then: 404 <nil>"}}
	if diff := Compare(want, mustStreams(t, got, nil)); diff != "" {
		t.Error(diff)
	}
}
