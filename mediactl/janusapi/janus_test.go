// SPDX-License-Identifier: Apache-2.0

package janusapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusapi"
	"github.com/januscloud/januscloud/mediactl/janusproc"
	"github.com/januscloud/januscloud/scripts/lab"
)

// link is a connection to a real Janus.
type link struct {
	*janusapi.Conn
	messages chan []byte
}

func connect(tb testing.TB, url string) link {
	tb.Helper()
	l := link{messages: make(chan []byte, 10_000)}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := janusapi.Dial(ctx, url, janusapi.Options{OnMessage: func(raw []byte) { l.messages <- raw }})
	if err != nil {
		tb.Fatal(err)
	}
	l.Conn = conn
	tb.Cleanup(func() { conn.Close(); <-conn.Done() })
	return l
}

// ask sends a request and returns the next message.
func (l link) ask(tb testing.TB, format string, args ...any) []byte {
	tb.Helper()
	if err := l.Send(fmt.Appendf(nil, format, args...)); err != nil {
		tb.Fatal(err)
	}
	select {
	case m := <-l.messages:
		return m
	case <-time.After(10 * time.Second):
		tb.Fatalf("no answer to %.200s", fmt.Sprintf(format, args...))
		return nil
	}
}

func id(tb testing.TB, reply []byte) uint64 {
	tb.Helper()
	var r struct{ Data struct{ ID uint64 } }
	if err := json.Unmarshal(reply, &r); err != nil || r.Data.ID == 0 {
		tb.Fatalf("no id in %s", reply)
	}
	return r.Data.ID
}

// TestRealJanus creates and attaches, with a request and a reply that are longer than Janus's frames.
func TestRealJanus(t *testing.T) {
	l := connect(t, lab.Janus(t).WSURL())
	session := id(t, l.ask(t, `{"janus":"create","transaction":"c"}`))
	long := strings.Repeat("t", 100_000)
	reply := l.ask(t, `{"janus":"keepalive","session_id":%d,"transaction":%q}`, session, long)
	if !json.Valid(reply) || !strings.Contains(string(reply), long) {
		t.Errorf("a reply of %d bytes came back broken", len(reply))
	}
	handle := id(t, l.ask(t, `{"janus":"attach","plugin":"janus.plugin.echotest","session_id":%d,"transaction":"a"}`, session))
	if handle == session {
		t.Error("handle and session have one id")
	}
	if reply := l.ask(t, `{"janus":"create","id":%d,"transaction":"c"}`, session); !strings.Contains(string(reply), "468") {
		t.Errorf("second create of the same id: %s", reply)
	}
}

// TestRealAdmin reads a session's handles over both transports.
func TestRealAdmin(t *testing.T) {
	janus := lab.Janus(t, func(c *janusproc.Config) { c.AdminSecret = "s3cret" })
	l := connect(t, janus.WSURL())
	session := id(t, l.ask(t, `{"janus":"create","transaction":"c"}`))
	for _, url := range []string{janus.Config.AdminHTTPURL(), janus.Config.AdminWSURL()} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		admin, err := janusapi.NewAdmin(url, "s3cret")
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		reply, err := admin.Do(ctx, "list_sessions", nil)
		if err != nil || !strings.Contains(string(reply), fmt.Sprint(session)) {
			t.Errorf("%s: %s, %v", url, reply, err)
		}
		if _, err = admin.Do(ctx, "list_handles", map[string]any{"session_id": session}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		var refused *janusapi.Error
		if _, err = admin.Do(ctx, "list_handles", map[string]any{"session_id": 1}); !errors.As(err, &refused) || refused.Code != 458 {
			t.Errorf("%s: unknown session: %v", url, err)
		}
		stranger, err := janusapi.NewAdmin(url, "wrong")
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		if _, err = stranger.Do(ctx, "list_sessions", nil); !errors.As(err, &refused) || refused.Code != 403 {
			t.Errorf("%s: wrong secret: %v", url, err)
		}
	}
}

// TestJanusDies reports the end of a Janus that is killed.
func TestJanusDies(t *testing.T) {
	janus := lab.Janus(t)
	l := connect(t, janus.WSURL())
	l.ask(t, `{"janus":"ping","transaction":"p"}`)
	janus.Kill()
	select {
	case <-l.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the connection outlives its Janus")
	}
}

// BenchmarkJanus measures a real Janus through a Conn: the cost of keepalives one at a time and many in flight.
func BenchmarkJanus(b *testing.B) {
	for _, inFlight := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			l := connect(b, lab.Janus(b).WSURL())
			session := id(b, l.ask(b, `{"janus":"create","transaction":"c"}`))
			request := fmt.Appendf(nil, `{"janus":"keepalive","session_id":%d,"transaction":"k"}`, session)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N + inFlight {
				if i >= inFlight {
					<-l.messages
				}
				if i < b.N {
					if err := l.Send(request); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
