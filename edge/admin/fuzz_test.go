// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// alone makes an Admin API that asks nobody: every request that would is refused for its secret.
func alone(t testing.TB) *Admin {
	t.Helper()
	a, err := newAdmin(Options{Secret: "nobody knows it", Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.background.stop)
	return a
}

// Whatever comes over WebSocket, the answers are Janus's JSON.
func FuzzFrame(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `[]`, `{"janus":"ping","transaction":"t"}`, `{"janus":"ping","transaction":"t"}{"janus":"info","transaction":"u"}`,
		`{"janus":"list_sessions","transaction":"t","admin_secret":"x"}`, `{"janus":"handle_info","transaction":"t","session_id":-1,"handle_id":0}`,
		`{"janus":"\u0000","transaction":"\ud83d\ude00","session_id":1e3}`, "{\"janus\":\"ping\",\"transaction\":\"t\"}\x00", `{"j`,
	} {
		f.Add([]byte(s))
	}
	a := alone(f)
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, text := range requests(frame) {
			// Nobody guesses the secret, so nothing is done.
			if said := valid(t, a.run(t.Context(), text)); said != "error" && said != "pong" {
				t.Errorf("%q is answered %q", text, said)
			}
		}
	})
}

// Whatever an administrator asks of a cluster that has nobody, he gets an answer to his transaction, which does not repeat
// his secret.
func FuzzAuthorized(f *testing.F) {
	for _, verb := range []string{"list_sessions", "SET_log_level", "set_session_timeout", "accept_new_sessions", "query_transport", "message_plugin",
		"custom_logline", "add_token", "list_tokens", "handle_info", "list_handles", "start_pcap", "get_status", "loops_info", "custom_event", "\x00"} {
		for _, fields := range []string{
			``, `"timeout":5,"level":3,"accept":true,"token":"x","plugins":["y",5]`, `"session_id":5`, `"session_id":5,"handle_id":6`, `"timeout":-1,"level":1e2`,
			`"transport":"janus.transport.http","request":{"request":"connections"},"plugin":"p","line":"l","schema":"s","data":{}`, `"admin_secret":"x"`,
		} {
			f.Add(verb, fields)
		}
	}
	a, _ := start(f, func(o *Options) { o.Tokens = scriptedTokens{} })
	f.Fuzz(func(t *testing.T, verb, fields string) {
		said, err := json.Marshal(verb)
		if err != nil {
			t.Fatal(err)
		}
		frame := fmt.Appendf(nil, `{"transaction":"mine","janus":%s`, said)
		if fields != "" {
			frame = append(append(frame, ','), fields...)
		}
		frame = append(frame, `,"admin_secret":"`+testSecret+`"}`...) // the last of two counts
		if !json.Valid(frame) {
			return
		}
		for _, text := range requests(frame) {
			if string(text) == "{}" {
				continue // Janus cannot read it
			}
			answer := a.run(t.Context(), text)
			valid(t, answer)
			if bytes.Contains(answer, []byte(testSecret)) && !strings.Contains(verb+fields, testSecret) {
				t.Errorf("%q is answered with the secret: %q", text, answer)
			}
			var head struct {
				Transaction string `json:"transaction"`
				Error       struct {
					Code int `json:"code"`
				} `json:"error"`
			}
			if err := json.Unmarshal(answer, &head); err != nil || head.Error.Code == 403 {
				t.Errorf("%q is answered %q: %v", text, answer, err)
			}
			if !strings.Contains(fields, "ansaction") && head.Transaction != "mine" {
				t.Errorf("%q is answered %q", text, answer)
			}
		}
	})
}

// Whatever comes over HTTP, the answer is Janus's JSON, or none.
func FuzzHTTP(f *testing.F) {
	for _, s := range []struct{ method, target, body string }{
		{"POST", "/admin", `{"janus":"ping","transaction":"t"}`}, {"GET", "/admin/info", ""}, {"POST", "/admin/5/6", `{"janus":"handle_info","transaction":"t"}`},
		{"GET", "/admin/%2f%00/x?y", ""}, {"OPTIONS", "/", ""}, {"POST", "/admin/-1/+7/8", "{}"}, {"POST", "/admin/info", "{}"}, {"PATCH", "/admin", ""},
	} {
		f.Add(s.method, s.target, []byte(s.body))
	}
	h := &httpServer{admin: alone(f)}
	f.Fuzz(func(t *testing.T, method, target string, body []byte) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return // net/http takes no such target
		}
		q := &http.Request{Method: method, URL: u, RequestURI: target, Header: http.Header{}, ContentLength: int64(len(body)), Body: http.NoBody}
		if len(body) > 0 {
			q.Body = readCloser{bytes.NewReader(body)}
		}
		w := httptest.NewRecorder()
		defer func() {
			if r := recover(); r != nil && r != http.ErrAbortHandler {
				panic(r)
			}
		}()
		h.ServeHTTP(w, q.WithContext(t.Context()))
		if w.Code == http.StatusOK && w.Header().Get("Content-Type") == "application/json" {
			valid(t, w.Body.Bytes())
		}
	})
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// valid checks the form of an answer, and returns its kind.
func valid(t *testing.T, answer []byte) (kind string) {
	t.Helper()
	var m struct {
		Janus string `json:"janus"`
		Error *struct {
			Code   int    `json:"code"`
			Reason string `json:"reason"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer, &m); err != nil || m.Janus == "" || (m.Janus == "error") != (m.Error != nil) {
		t.Fatalf("answered %q: %v", answer, err)
	}
	return m.Janus
}
