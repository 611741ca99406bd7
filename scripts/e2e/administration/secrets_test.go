// SPDX-License-Identifier: Apache-2.0

package administration

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
)

// What nobody may find in a log.
const (
	adminSecret  = "adm-1f0c-secret"
	clientSecret = "api-77aa-secret"
	signingKey   = "key-93be-secret"
	janusSecret  = "jns-20d4-secret"
	janusAdmin   = "jad-58c1-secret"
	wrongSecret  = "bad-6e6e-secret"
	storedToken  = "tok-for-echotest"
	widerToken   = "tok-for-everything"
	goneToken    = "tok-that-was-removed"
)

// signed is a token for these plugins.
func signed(key string, until time.Time, plugins ...string) string {
	data := strings.Join(append([]string{fmt.Sprint(until.Unix()), "janus"}, plugins...), ",")
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write([]byte(data))
	return data + ":" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// guarded is a cluster whose roles are processes, and whose two edges ask for secrets: one of them for stored tokens, the
// other for signed ones.
type guarded struct {
	stored, signed *lab.RoleProcess
	roles          []*lab.RoleProcess
}

func startGuarded(t *testing.T) *guarded {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	check(t, os.WriteFile(file, []byte(adminSecret+"\n"), 0o600))
	nats := lab.NATS(t, 1).URL()
	j := lab.Janus(t, func(c *lab.JanusConfig) {
		c.APISecret, c.AdminSecret, c.ReclaimSessionTimeout = janusSecret, janusAdmin, 90*time.Second
	})
	debug := []string{"--log-level", "debug"}
	edge := func(more ...string) *lab.RoleProcess {
		return lab.Edge(t, nats, append(append(more, "--api-secret", clientSecret, "--admin-secret", "@"+file, "--token-auth"), debug...)...)
	}
	session := lab.Session(t, nats, debug...)
	media := lab.Role(t, "media", append([]string{"--nats", nats, "--janus", j.WSURL(), "--janus-admin", j.Config.AdminWSURL(),
		"--janus-api-secret", janusSecret, "--janus-admin-secret", janusAdmin}, debug...)...)
	g := &guarded{stored: edge(), signed: edge("--token-auth-secret", signingKey)}
	g.roles = []*lab.RoleProcess{session, media, g.stored, g.signed}
	return g
}

// ask sends a request over one of the transports and returns the code of the error, 0 for none, and the answer.
type ask func(t *testing.T, request m) (code int, answer lab.Message)

func codeOf(r lab.Message) int {
	if r.Error == nil {
		return 0
	}
	return r.Error.Code
}

func overWS(t *testing.T, url, subprotocol string) ask {
	t.Helper()
	client, err := lab.DialAs(t.Context(), url, subprotocol)
	check(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return func(t *testing.T, request m) (int, lab.Message) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		r, err := client.Request(ctx, request)
		check(t, err)
		return codeOf(r), r
	}
}

func overHTTP(url string) ask {
	return func(t *testing.T, request m) (int, lab.Message) {
		t.Helper()
		request["transaction"] = "t"
		body, err := json.Marshal(request)
		check(t, err)
		_, text := fetch(t, http.MethodPost, url, string(body))
		r, err := lab.ParseMessage([]byte(text))
		check(t, err)
		return codeOf(r), r
	}
}

// fetch makes one HTTP request on a connection of its own.
func fetch(t *testing.T, method, url, body string) (status int, text string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	q, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	check(t, err)
	answer, err := client.Do(q)
	check(t, err)
	defer func() { _ = answer.Body.Close() }()
	all, err := io.ReadAll(answer.Body)
	check(t, err)
	return answer.StatusCode, string(all)
}

// administrators are the ways to the Admin API of an edge.
func administrators(t *testing.T, edge *lab.RoleProcess) map[string]ask {
	t.Helper()
	at := strings.Split(edge.Ready.Admin, ",")
	if len(at) != 2 {
		t.Fatalf("the Admin API is at %v", at)
	}
	return map[string]ask{"HTTP": overHTTP(at[0]), "WebSocket": overWS(t, at[1], "janus-admin-protocol")}
}

// Secrets, tokens and permissions are asked for over every transport at every edge, refused with Janus's codes, and never
// logged by any role, be they right or wrong.
func TestSecretsEverywhere(t *testing.T) {
	t.Parallel()
	g := startGuarded(t)
	g.administer(t)
	later, earlier := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	used := []string{adminSecret, clientSecret, signingKey, janusSecret, janusAdmin, wrongSecret, storedToken, widerToken, goneToken}
	for _, x := range []struct {
		name           string
		with           m
		stored, signed [2]int // codes of a create, and of an attach to the echo test
	}{
		{"nothing", m{}, [2]int{403}, [2]int{403}},
		{"secret", m{"apisecret": clientSecret}, [2]int{}, [2]int{}},
		{"wrong secret", m{"apisecret": wrongSecret}, [2]int{403}, [2]int{403}},
		{"secret cut", m{"apisecret": clientSecret[:9]}, [2]int{403}, [2]int{403}},
		{"secret as token", m{"token": clientSecret}, [2]int{403}, [2]int{403}},
		{"administrator's secret", m{"apisecret": adminSecret, "admin_secret": adminSecret}, [2]int{403}, [2]int{403}},
		{"stored", m{"token": storedToken}, [2]int{}, [2]int{403}},
		{"stored, for others", m{"token": widerToken}, [2]int{0, 405}, [2]int{403}},
		{"stored, removed", m{"token": goneToken}, [2]int{403}, [2]int{403}},
		{"signed", m{"token": signed(signingKey, later, echotest)}, [2]int{403}, [2]int{}},
		{"signed, for others", m{"token": signed(signingKey, later, "janus.plugin.videoroom")}, [2]int{403}, [2]int{0, 405}},
		{"expired", m{"token": signed(signingKey, earlier, echotest)}, [2]int{403}, [2]int{403}},
		{"forged", m{"token": signed(wrongSecret, later, echotest)}, [2]int{403}, [2]int{403}},
		{"secret, and a token for others", m{"apisecret": clientSecret, "token": widerToken}, [2]int{0, 405}, [2]int{0, 405}},
	} {
		for edge, codes := range map[*lab.RoleProcess][2]int{g.stored: x.stored, g.signed: x.signed} {
			for transport, asks := range map[string]ask{"HTTP": overHTTP(edge.HTTPURL()), "WebSocket": overWS(t, edge.WSURL(), "janus-protocol")} {
				if got := attempt(t, asks, edge, x.with); got != codes {
					t.Errorf("%s, over %s at %s: %v, want %v", x.name, transport, edge.Ready.Name, got, codes)
				}
			}
		}
		if token, ok := x.with["token"].(string); ok {
			used = append(used, token)
		}
	}
	for _, edge := range []*lab.RoleProcess{g.stored, g.signed} {
		if log := edge.Log(); !strings.Contains(log, "refused: wrong or missing secret") {
			t.Errorf("%s does not tell of those it refused: %s", edge.Ready.Name, log)
		}
	}
	for _, role := range g.roles {
		log := role.Log()
		if said := "connected to NATS"; !strings.Contains(log, said) {
			t.Errorf("%s says nothing: %q", role.Ready.Name, log)
		}
		for _, secret := range used {
			if strings.Contains(log, secret) {
				t.Errorf("%s logs %q", role.Ready.Name, secret)
			}
		}
	}
}

// attempt creates a session, polls it and attaches to the echo test, and returns what both said.
func attempt(t *testing.T, asks ask, edge *lab.RoleProcess, with m) (codes [2]int) {
	t.Helper()
	request := func(fields m) (int, lab.Message) {
		for name, value := range with {
			fields[name] = value
		}
		return asks(t, fields)
	}
	code, created := request(m{"janus": "create"})
	codes[0] = code
	session := created.Number("data", "id")
	if code != 0 { // nor is there a way into the session of another
		_, own := asks(t, m{"janus": "create", "apisecret": clientSecret})
		session = own.Number("data", "id")
		if code, _ := request(m{"janus": "keepalive", "session_id": session}); code != codes[0] {
			t.Errorf("keepalive: %d, create: %d", code, codes[0])
		}
		if status, text := fetch(t, http.MethodGet, fmt.Sprintf("%s/%d?apisecret=%v&token=%v", edge.HTTPURL(), session, with["apisecret"], with["token"]), ""); status != http.StatusForbidden {
			t.Errorf("poll: %d %s", status, text)
		}
	} else {
		codes[1], _ = request(m{"janus": "attach", "session_id": session, "plugin": echotest})
	}
	if code, r := asks(t, m{"janus": "destroy", "session_id": session, "apisecret": clientSecret}); code != 0 {
		t.Errorf("destroy: %s", r)
	}
	return codes
}

// administer adds the tokens, and tries what is refused.
func (g *guarded) administer(t *testing.T) {
	t.Helper()
	for transport, asks := range administrators(t, g.stored) {
		for _, given := range []any{wrongSecret, adminSecret[:9], adminSecret + "x", clientSecret, "", 5, nil} {
			for _, request := range []m{
				{"janus": "list_sessions"}, {"janus": "add_token", "token": wrongSecret}, {"janus": "list_handles", "session_id": 5},
				{"janus": "handle_info", "session_id": 5, "handle_id": 6}, {"janus": "message_plugin", "plugin": echotest}, {"janus": "nonsense"},
			} {
				request["admin_secret"] = given
				if code, r := asks(t, request); code != 403 {
					t.Errorf("%v over %s: %s", request, transport, r)
				}
			}
		}
		for token, plugins := range map[string][]string{storedToken: {echotest}, widerToken: {"janus.plugin.videoroom"}, goneToken: {echotest}} {
			if code, r := asks(t, m{"janus": "add_token", "token": token, "plugins": plugins, "admin_secret": adminSecret}); code != 0 {
				t.Fatalf("add_token over %s: %s", transport, r)
			}
		}
		if code, r := asks(t, m{"janus": "remove_token", "token": goneToken, "admin_secret": adminSecret}); code != 0 {
			t.Errorf("remove_token over %s: %s", transport, r)
		}
	}
	for transport, asks := range administrators(t, g.signed) {
		if code, r := asks(t, m{"janus": "add_token", "token": storedToken, "admin_secret": adminSecret}); code != 490 {
			t.Errorf("add_token where tokens are signed, over %s: %s", transport, r)
		}
	}
}
