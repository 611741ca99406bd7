// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/januscloud/januscloud/edge/auth"
	"github.com/januscloud/januscloud/messages"
)

// What is answered without anybody else, in the words of Janus.
func TestAnswers(t *testing.T) {
	a, _ := start(t, nil)
	for _, x := range []struct{ request, want string }{
		{`{}`, `{"janus":"error","error":{"code":456,"reason":"Missing mandatory element (transaction)"}}`},
		{`{"transaction":5}`, `{"janus":"error","error":{"code":467,"reason":"Invalid element type (transaction should be a string)"}}`},
		{`{"transaction":"t","session_id":7}`, `{"janus":"error","session_id":7,"error":{"code":456,"reason":"Missing mandatory element (janus)"}}`},
		{`{"transaction":"t","janus":"ping"}`, `{"janus":"pong","transaction":"t"}`},
		{`{"transaction":"t\n","janus":"Info"}`, `{"janus":"server_info","transaction":"t\n"}`},
		{`{"transaction":"t","janus":"list_sessions"}`, `{"janus":"error","transaction":"t","error":{"code":403,"reason":"Unauthorized request (wrong or missing secret/token)"}}`},
		{`{"transaction":"t","janus":"list_sessions","admin_secret":"the-secret"}`, `{"janus":"success","transaction":"t","sessions":[]}`},
		{`{"transaction":"t","janus":"list_sessions","admin_secret":"the-secre\u0074"}`, `{"janus":"success","transaction":"t","sessions":[]}`},
		{`{"transaction":"t","janus":"list_sessions","admin_secret":"wrong","admin_secret":"the-secret"}`, `{"janus":"success","transaction":"t","sessions":[]}`},
		{`{"transaction":"t","janus":"list_sessions","admin_secret":"the-secret","admin_secret":"wrong"}`, `{"janus":"error","transaction":"t","error":{"code":403,"reason":"Unauthorized request (wrong or missing secret/token)"}}`},
		{`{"transaction":"t","janus":"loops_info","admin_secret":"the-secret"}`, `{"janus":"error","transaction":"t","error":{"code":490,"reason":"No media server can be asked"}}`},
		{`{"transaction":"t","janus":"nonsense","admin_secret":"the-secret"}`, `{"janus":"error","transaction":"t","error":{"code":457,"reason":"Unhandled request 'nonsense' at this path"}}`},
		{`{"transaction":"t","janus":"list_handles","session_id":7,"admin_secret":"the-secret"}`, `{"janus":"error","session_id":7,"transaction":"t","error":{"code":490,"reason":"The session's owner does not answer"}}`},
		{`{"transaction":"t","janus":"list_tokens","admin_secret":"the-secret"}`, `{"janus":"error","transaction":"t","error":{"code":490,"reason":"Stored-Token based authentication disabled"}}`},
		{`not JSON`, `{"janus":"error","error":{"code":456,"reason":"Missing mandatory element (transaction)"}}`},
	} {
		if got := string(a.run(t.Context(), []byte(x.request))); got != x.want {
			t.Errorf("%s\n got %s\nwant %s", x.request, got, x.want)
		}
	}
}

// Nobody is let in without a secret, nor where nothing can listen.
func TestBadOptions(t *testing.T) {
	o, _ := options(t)
	for name, change := range map[string]func(*Options){
		"no secret": func(o *Options) { o.Secret = "" },
		"base":      func(o *Options) { o.Base = "admin" },
	} {
		bad := o
		change(&bad)
		if _, err := Start(t.Context(), bad); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	o.WS = taken.Addr().String()
	if _, err := Start(t.Context(), o); err == nil {
		t.Error("two on one port")
	}
}

// The messages of a connection are answered in order, however many come at once; one that asks too much is closed.
func TestWebSocket(t *testing.T) {
	a, _ := start(t, nil)
	dial := func() net.Conn {
		c, _, _, err := ws.Dialer{Protocols: []string{subprotocol}}.Dial(t.Context(), a.Addresses()["ws"])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		return c
	}
	c := dial()
	for i := range 20 {
		if err := wsutil.WriteClientText(c, fmt.Appendf(nil, `{"janus":"ping","transaction":"%d"} {"janus":"ping","transaction":"%d+"}`, i, i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		b, err := wsutil.ReadServerText(c)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`"%d%s"`, i/2, strings.Repeat("+", i%2)); !strings.Contains(string(b), want) {
			t.Errorf("%s, want %s", b, want)
		}
	}
	if _, _, _, err := (ws.Dialer{Protocols: []string{"janus-protocol"}}).Dial(t.Context(), a.Addresses()["ws"]); err == nil {
		t.Error("a client of the Janus API was let in")
	}
	slow := dial() // each of these waits for an owner that is not there
	var err error
	for i := 0; i <= 2*maxPipelined && err == nil; i++ {
		err = wsutil.WriteClientText(slow, []byte(`{"janus":"list_handles","session_id":7,"transaction":"t","admin_secret":"the-secret"}`))
	}
	for err == nil {
		_, err = wsutil.ReadServerText(slow)
	}
	var closed wsutil.ClosedError
	if errors.As(err, &closed) && closed.Code != ws.StatusPolicyViolation {
		t.Errorf("closed with %v", closed)
	}
}

// Over HTTP, what browsers ask first is answered, and what is too large is not read.
func TestHTTP(t *testing.T) {
	a, _ := start(t, func(o *Options) { o.Base = "/boss/" })
	at := a.Addresses()["http"]
	if !strings.HasSuffix(at, "/boss") {
		t.Errorf("served at %s", at)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	do := func(method, path, body string) (*http.Response, string) {
		q, err := http.NewRequestWithContext(t.Context(), method, at+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Access-Control-Request-Method", "POST")
		answer, err := client.Do(q)
		if err != nil {
			return nil, ""
		}
		defer func() { _ = answer.Body.Close() }()
		text, _ := io.ReadAll(answer.Body)
		return answer, string(text)
	}
	if r, _ := do("OPTIONS", "", ""); r == nil || r.Header.Get("Access-Control-Allow-Origin") != "*" || r.Header.Get("Access-Control-Allow-Methods") != "POST" {
		t.Errorf("OPTIONS: %+v", r)
	}
	if r, text := do("GET", "/info", ""); r == nil || r.Header.Get("Content-Type") != "application/json" || !strings.Contains(text, `"server_info"`) {
		t.Errorf("info: %s", text)
	}
	if r, text := do("POST", "", `{"a":"`+strings.Repeat("x", maxBody)+`"}`); r != nil {
		t.Errorf("a huge body: %.200s", text)
	}
}

// Too many requests at once are refused, and not queued.
func TestBusy(t *testing.T) {
	a, _ := start(t, nil)
	for range maxRequests {
		a.slots <- struct{}{}
	}
	if got := string(a.run(t.Context(), []byte(`{"janus":"ping","transaction":"t"}`))); !strings.Contains(got, "Too many requests") {
		t.Errorf("%s", got)
	}
	for range maxRequests {
		<-a.slots
	}
}

// scriptedTokens answer with what they were asked, or an error.
type scriptedTokens struct{ err error }

func (s scriptedTokens) Add(_ context.Context, token string, plugins []string) ([]string, error) {
	return append([]string{"added", token}, plugins...), s.err
}

func (s scriptedTokens) Allow(_ context.Context, token string, plugins []string) ([]string, error) {
	return append([]string{"allowed", token}, plugins...), s.err
}

func (s scriptedTokens) Disallow(_ context.Context, token string, plugins []string) ([]string, error) {
	return append([]string{"disallowed", token}, plugins...), s.err
}

func (s scriptedTokens) Remove(context.Context, string) error { return s.err }

func (s scriptedTokens) List() ([]auth.Listed, error) {
	return []auth.Listed{{Token: "a", Plugins: []string{"p", "q"}}, {Token: "b", Plugins: []string{"r"}}}, s.err
}

// Tokens are changed as the request says, and refused in the words of Janus where there are some.
func TestTokens(t *testing.T) {
	for _, x := range []struct {
		err           error
		request, want string
	}{
		{nil, `"janus":"add_token","token":"x"`, `"success","transaction":"t","data":{"plugins":["added","x"]}}`},
		{nil, `"janus":"add_token","token":"x","plugins":["p",5]`, `{"plugins":["added","x","p",""]}`},
		{nil, `"janus":"allow_token","token":"x","plugins":["p"]`, `{"plugins":["allowed","x","p"]}`},
		{nil, `"janus":"disallow_token","token":"x","plugins":["p"]`, `{"plugins":["disallowed","x","p"]}`},
		{nil, `"janus":"remove_token","token":"x"`, `{"janus":"success","transaction":"t"}`},
		{nil, `"janus":"list_tokens"`, `"data":{"tokens":[{"token":"a","allowed_plugins":["p","q"]},{"token":"b","allowed_plugins":["r"]}]}}`},
		{nil, `"janus":"add_token"`, `{"code":456,"reason":"Missing mandatory element (token)"}`},
		{nil, `"janus":"add_token","token":5`, `{"code":467,"reason":"Invalid element type (token should be a string)"}`},
		{nil, `"janus":"allow_token","token":"x","plugins":"p"`, `{"code":467,"reason":"Invalid element type (plugins should be an array)"}`},
		{nil, `"janus":"remove_token"`, `{"code":456,"reason":"Missing mandatory element (token)"}`},
		{errors.New("no store"), `"janus":"add_token","token":"x"`, `{"code":490,"reason":"Error adding token"}`},
		{errors.New("no store"), `"janus":"remove_token","token":"x"`, `{"code":490,"reason":"Error removing token"}`},
		{errors.New("no store"), `"janus":"list_tokens"`, `{"code":490,"reason":"Error listing tokens"}`},
		{messages.Errorf(470, "Token x not found"), `"janus":"allow_token","token":"x","plugins":["p"]`, `{"code":470,"reason":"Token x not found"}`},
	} {
		a, err := newAdmin(Options{Secret: testSecret, Tokens: scriptedTokens{x.err}, Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		got := string(a.run(t.Context(), []byte(`{"transaction":"t","admin_secret":"the-secret",`+x.request+`}`)))
		if !strings.Contains(got, x.want) {
			t.Errorf("%s: %s, want %s", x.request, got, x.want)
		}
		a.background.stop()
	}
}

// A line of an administrator cannot forge lines of the log.
func TestLogLine(t *testing.T) {
	a, book := start(t, nil)
	for level, want := range map[int]string{1: "level=ERROR", 2: "level=ERROR", 3: "level=WARN", 4: "level=INFO", 7: "level=DEBUG", 99: "level=INFO"} {
		line := fmt.Sprintf("said at %d\nlevel=ERROR msg=forged", level)
		request, _ := json.Marshal(map[string]any{"janus": "custom_logline", "transaction": "t", "admin_secret": testSecret, "line": line, "level": level})
		if got := string(a.run(t.Context(), request)); got != `{"janus":"success","transaction":"t"}` {
			t.Errorf("%s", got)
		}
		if !strings.Contains(book.String(), fmt.Sprintf(`%s msg="said at %d\nlevel=ERROR msg=forged"`, want, level)) {
			t.Errorf("level %d is not logged as %s", level, want)
		}
	}
}
