// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// fakeEdge is a server that tells its name over HTTP, and over WebSocket to whoever asks.
func fakeEdge(t *testing.T, name string) (address string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			fmt.Fprint(w, name)
			return
		}
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if err := wsutil.WriteServerText(conn, []byte(name)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestNginx: every request and every connection reaches the next edge, an edge that is gone is passed over, and all of it is
// in the list of passages.
func TestNginx(t *testing.T) {
	one, two := fakeEdge(t, "one"), fakeEdge(t, "two")
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := gone.Addr().String()
	_ = gone.Close()
	pages := t.TempDir()
	if err := os.WriteFile(filepath.Join(pages, "page.html"), []byte("a page"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := Nginx(t, Behind{WS: []string{one, two}, HTTP: []string{one, two}, AdminHTTP: []string{nobody, one}, Pages: pages})

	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(url string) string {
		t.Helper()
		r, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	var got []string
	for range 4 {
		got = append(got, get(b.HTTPURL+"/1/2?x=3"))
	}
	for range 2 {
		conn, br, _, err := ws.Dial(testContext(t), b.WSURL)
		if err != nil {
			t.Fatal(err)
		}
		if br == nil {
			br = bufio.NewReader(conn)
		}
		h, err := ws.ReadHeader(br)
		text := make([]byte, h.Length)
		if _, err2 := io.ReadFull(br, text); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		got = append(got, string(text))
		_ = conn.Close()
	}
	got = append(got, get(b.AdminHTTPURL))
	if want := []string{"one", "two", "one", "two", "one", "two", "one"}; !slices.Equal(got, want) {
		t.Errorf("answered by %v, want %v", got, want)
	}
	if got := get(b.PagesURL + "page.html"); got != "a page" {
		t.Errorf("a page: %q", got)
	}
	if got := get(b.PagesURL + "settings.js"); !strings.HasPrefix(got, `var server = ["`+b.WSURL+`", "`+b.HTTPURL+`"];`) {
		t.Errorf("settings.js: %q", got)
	}
	if got := get(b.PagesURL + "adminconfig.js"); !strings.HasPrefix(got, `var server = "`+b.AdminHTTPURL+`";`) {
		t.Errorf("adminconfig.js: %q", got)
	}
	checkPassages(t, b, one, two)
}

func checkPassages(t *testing.T, b *Balancer, one, two string) {
	t.Helper()
	overHTTP := func(edge string) Passage { return Passage{"http", edge, "GET", "/janus/1/2?x=3", 200} }
	want := []Passage{
		overHTTP(one), overHTTP(two), overHTTP(one), overHTTP(two),
		{"ws", one, "GET", "/", 101}, {"ws", two, "GET", "/", 101}, {"admin_http", one, "GET", "/admin", 200},
	}
	order := func(a, b Passage) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	slices.SortFunc(want, order)
	WaitFor(t, 10*time.Second, func() string {
		passages, err := b.Passages()
		if err != nil {
			return err.Error()
		}
		if slices.SortFunc(passages, order); !slices.Equal(passages, want) {
			return fmt.Sprintf("passages %v, want %v", passages, want)
		}
		return ""
	})
}
