// SPDX-License-Identifier: Apache-2.0

package conversation

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/scripts/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted starts a server that answers each message with what answer gives.
func scripted(t *testing.T, answer func(n int, message string) []string) Server {
	t.Helper()
	var served atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrader := ws.HTTPUpgrader{Protocol: func(p string) bool { return p == "janus-protocol" }}
		conn, _, _, err := upgrader.Upgrade(r, w)
		if err != nil {
			return
		}
		defer conn.Close()
		serve(conn, &served, answer)
	}))
	t.Cleanup(s.Close)
	url := "ws" + strings.TrimPrefix(s.URL, "http")
	return Server{Dial: func(ctx context.Context, _ int, path, _ string) (*lab.Client, error) { return lab.Dial(ctx, url+path) }}
}

func serve(conn net.Conn, served *atomic.Int32, answer func(n int, message string) []string) {
	for {
		message, _, err := wsutil.ReadClientData(conn)
		if err != nil {
			return
		}
		for _, text := range answer(int(served.Add(1)), string(message)) {
			if wsutil.WriteServerText(conn, []byte(text)) != nil {
				return
			}
		}
	}
}

func play(t *testing.T, script string, server Server) (*Transcript, error) {
	t.Helper()
	s, err := Parse("test", []byte(script))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return Play(ctx, s, server)
}

func TestPlaceholders(t *testing.T) {
	const script = `a > {"janus":"create","transaction":"s1"}
a > [$s1, "$$", $file.sdp, "$s1", $s1.5]
-- file.sdp --
v=0
`
	var second string
	got, err := play(t, script, scripted(t, func(n int, message string) []string {
		if n == 1 {
			return []string{`{"janus":"success","transaction":"s1","data":{"id":12345678901}}`}
		}
		second = message
		return []string{`{"janus":"pong","id":12345678901}`}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if want := `[12345678901, "$", "v=0\r\n", "12345678901", 12345678901.5]`; second != want {
		t.Errorf("sent %s, want %s", second, want)
	}
	want := Streams{"a": {`{"data":{"id":"$s1"},"janus":"success","transaction":"s1"}`, `{"id":"$s1","janus":"pong"}`}}
	if diff := Compare(want, mustStreams(t, got, nil)); diff != "" {
		t.Error(diff)
	}
	if _, err := play(t, "a > $nobody", scripted(t, nil)); err == nil || !strings.Contains(err.Error(), "$nobody") {
		t.Errorf("unknown placeholder: %v", err)
	}
}

// TestWaits: a step is over when everything sent is answered, a message when its event is there, too.
func TestWaits(t *testing.T) {
	const script = `a +> {"janus":"ping","transaction":"1"}
a > {"janus":"message","handle_id":7,"transaction":"m"}
a 2> {"janus":"ping","transaction":"3"}{"janus":"ping","transaction":"4"}
a < hangup
`
	got, err := play(t, script, scripted(t, func(n int, _ string) []string {
		return [][]string{
			{`{"janus":"pong","transaction":"1"}`},
			{`{"janus":"event","sender":7,"transaction":"m"}`, `{"janus":"ack","transaction":"m"}`},
			{`{"janus":"hangup","sender":7}`, `{"janus":"pong","transaction":"3"}`, `{"janus":"pong","transaction":"4"}`},
		}[n-1]
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := Streams{
		"a":           {`{"janus":"pong","transaction":"1"}`, `{"janus":"pong","transaction":"3"}`, `{"janus":"pong","transaction":"4"}`},
		"a message 7": {`{"janus":"ack","transaction":"m"}`},
		"a events 7":  {`{"janus":"event","sender":7,"transaction":"m"}`, `{"janus":"hangup","sender":7}`},
	}
	if diff := Compare(want, mustStreams(t, got, nil)); diff != "" {
		t.Error(diff)
	}
}

// TestUntil: only the reply that was waited for is kept.
func TestUntil(t *testing.T) {
	tries := 0
	got, err := play(t, `a until error > {"janus":"keepalive","transaction":"k"}`, scripted(t, func(n int, _ string) []string {
		if tries = n; n < 3 {
			return []string{`{"janus":"ack","transaction":"k"}`}
		}
		return []string{`{"janus":"error","transaction":"k"}`}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if s := mustStreams(t, got, nil); tries != 3 || !slices.Equal(s["a"], []string{`{"janus":"error","transaction":"k"}`}) {
		t.Errorf("%d tries, %q", tries, s)
	}
}

// TestRemarks: what no correct server does is part of the transcript.
func TestRemarks(t *testing.T) {
	got, err := play(t, `a > {"janus":"ping","transaction":"p"}`, scripted(t, func(int, string) []string {
		return []string{`[]`, `{"janus":"pong","transaction":"p"}`}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if s := mustStreams(t, got, nil); len(s["remarks"]) != 1 || !strings.Contains(s["remarks"][0], "[]") {
		t.Errorf("streams %q", s)
	}
}

// TestPluginTexts: so has what it drew as a text, in texts of errors as well.
func TestPluginTexts(t *testing.T) {
	const id = "0d2dd75c-1db2-4c2a-9b2e-123456789012"
	var said []string
	server := scripted(t, func(n int, message string) []string {
		said = append(said, message)
		if n > 1 {
			return []string{`{"janus":"success","transaction":"end","plugindata":{"data":{"error":"No such room (` + id + `)"}}}`}
		}
		return []string{`{"janus":"success","transaction":"made","plugindata":{"data":{"room":"` + id + `"}}}`}
	})
	out, err := play(t, `a > {"janus":"x","transaction":"made"}`+"\n"+`a > {"janus":"x","room":$made_room,"transaction":"end"}`, server)
	if err != nil || len(said) != 2 || !strings.Contains(said[1], `"room":"`+id+`"`) {
		t.Fatalf("said %q, %v", said, err)
	}
	want := []string{
		`{"janus":"success","plugindata":{"data":{"room":"$made_room"}},"transaction":"made"}`,
		`{"janus":"success","plugindata":{"data":{"error":"No such room ($made_room)"}},"transaction":"end"}`,
	}
	if got := mustStreams(t, out, nil)["a"]; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPluginIDs: what a plugin drew has a name, and may be said again.
func TestPluginIDs(t *testing.T) {
	var said []string
	server := scripted(t, func(n int, message string) []string {
		said = append(said, message)
		if n > 1 {
			return []string{`{"janus":"success","transaction":"end"}`}
		}
		return []string{`{"janus":"success","transaction":"made","plugindata":{"data":{"room":8888888888888,"id":42,"stream":{"id":7777777777777}}}}`}
	})
	out, err := play(t, `a > {"janus":"x","transaction":"made"}`+"\n"+`a > {"janus":"$made_room $made_stream","transaction":"end"}`, server)
	if err != nil || len(said) != 2 || !strings.Contains(said[1], "8888888888888 7777777777777") {
		t.Fatalf("said %q, %v", said, err)
	}
	want := `{"janus":"success","plugindata":{"data":{"id":42,"room":"$made_room","stream":{"id":"$made_stream"}}},"transaction":"made"}`
	if got := mustStreams(t, out, nil)["a"]; got[0] != want {
		t.Errorf("got %s, want %s", got[0], want)
	}
}
