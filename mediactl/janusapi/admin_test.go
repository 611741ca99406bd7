// SPDX-License-Identifier: Apache-2.0

package janusapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"
)

// answerAdmin plays an admin API: verbs name what happens.
func answerAdmin(request []byte) (reply string) {
	var r struct {
		Janus, Transaction string
		Secret             string `json:"admin_secret"`
		Session            uint64 `json:"session_id"`
	}
	if err := json.Unmarshal(request, &r); err != nil {
		return `{"janus":"error","error":{"code":454,"reason":"bad"}}`
	}
	head := `{"janus":"success","transaction":"` + r.Transaction + `"`
	switch {
	case r.Secret != "s3cret":
		return strings.Replace(head, "success", "error", 1) + `,"error":{"code":403,"reason":"Unauthorized"}}`
	case r.Janus == "handle_info" && r.Session == 1<<53-1:
		return head + `,"info":{}}`
	case r.Janus == "nonsense":
		return "<html>"
	case r.Janus == "silence":
		return ""
	}
	return head + "}"
}

// admins starts the same API on both transports and returns their addresses.
func admins(t *testing.T) map[string]string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, _ := io.ReadAll(r.Body)
		reply := answerAdmin(request)
		if reply == "" {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, reply)
	}))
	t.Cleanup(server.Close)
	url := listen(t, func(conn net.Conn) {
		for {
			request, _, err := wsutil.ReadClientData(conn)
			if err != nil {
				return
			}
			reply := answerAdmin(request)
			// What a WebSocket says besides must not disturb.
			if reply == "" || wsutil.WriteServerText(conn, []byte(`{"janus":"other","transaction":"x"}`)) != nil ||
				wsutil.WriteServerText(conn, []byte("not JSON")) != nil ||
				wsutil.WriteServerText(conn, []byte(reply)) != nil {
				return
			}
		}
	})
	return map[string]string{"http": server.URL + "/admin", "ws": url}
}

func TestAdmin(t *testing.T) {
	for transport, url := range admins(t) {
		t.Run(transport, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			a, err := NewAdmin(url, "s3cret")
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			reply, err := a.Do(ctx, "handle_info", map[string]any{"session_id": uint64(1<<53 - 1)})
			if err != nil || !strings.Contains(string(reply), `"info"`) {
				t.Errorf("%s, %v", reply, err)
			}
			if _, err := a.Do(ctx, "silence", nil); err == nil {
				t.Error("a lost connection gave a reply")
			}
			// The connection is gone; the client dials another.
			if _, err := a.Do(ctx, "ping", nil); err != nil {
				t.Error(err)
			}
			short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			defer cancel()
			if _, err := a.Do(short, "nonsense", nil); err == nil {
				t.Error("nonsense was taken for a reply")
			}
			a.secret = "wrong"
			var refused *Error
			if _, err := a.Do(ctx, "ping", nil); !errors.As(err, &refused) || refused.Code != 403 || refused.Reason != "Unauthorized" {
				t.Errorf("wrong secret: %v", err)
			}
		})
	}
}

func TestNewAdminRefuses(t *testing.T) {
	for _, address := range []string{"", "localhost:7088", "unix:///janus", "http://a b"} {
		if _, err := NewAdmin(address, ""); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
	if _, err := NewAdmin("tcp://x", ""); !errors.Is(err, ErrScheme) {
		t.Error(err)
	}
}

func TestAdminHTTPStatus(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	a, err := NewAdmin(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Do(t.Context(), "ping", nil); !errors.Is(err, ErrNoAnswer) {
		t.Error(err)
	}
}
