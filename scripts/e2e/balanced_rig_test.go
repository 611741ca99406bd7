// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
)

// adminSecret is that of the edges behind a balancer.
const adminSecret = "the secret of the cluster"

// balanced is a cluster of two edges and two session nodes behind an nginx that knows no stickiness.
type balanced struct {
	*testCluster
	front *lab.Balancer
}

// startBalanced starts one with two Janus behind it, and the stock demo pages in front. A page that goes away closes its
// WebSocket without a word, and its session lives for the reclaim time.
func startBalanced(t *testing.T, reclaim time.Duration) *balanced {
	t.Helper()
	timeouts := []string{"--reclaim-timeout", reclaim.String()}
	c := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 2, janus: 2, sessionFlags: append(timeouts, "--peer-calls"),
		edgeFlags: append(timeouts, "--admin-ws", "127.0.0.1:0", "--admin-http", "127.0.0.1:0", "--admin-secret", adminSecret)})
	behind := lab.Behind{Pages: demoPages(t)}
	for _, e := range c.edges {
		behind.WS = append(behind.WS, hostPort(e.Ready.WS))
		behind.HTTP = append(behind.HTTP, hostPort(e.Ready.HTTP))
		for url := range strings.SplitSeq(e.Ready.Admin, ",") {
			if strings.HasPrefix(url, "ws:") {
				behind.AdminWS = append(behind.AdminWS, hostPort(url))
			} else {
				behind.AdminHTTP = append(behind.AdminHTTP, hostPort(url))
			}
		}
	}
	return &balanced{c, lab.Nginx(t, behind)}
}

// demoPages is a folder with the stock demo pages, and with one made of them that calls without a Janus.
func demoPages(t *testing.T) string {
	t.Helper()
	const installed = "/usr/share/janus/demos"
	folder := t.TempDir()
	stock, err := os.ReadDir(installed)
	if err != nil {
		t.Fatalf("the demo pages are missing: scripts/lab/install.sh janus-demos: %v", err)
	}
	for _, entry := range stock {
		err = errors.Join(err, os.Symlink(filepath.Join(installed, entry.Name()), filepath.Join(folder, entry.Name())))
	}
	replace := strings.NewReplacer("videocalltest.js", "p2pcalltest.js", "janus.plugin.videocall", "janus.plugin.p2pcall")
	for _, kind := range []string{".html", ".js"} {
		text, bad := os.ReadFile(filepath.Join(installed, "videocalltest"+kind))
		err = errors.Join(err, bad, os.WriteFile(filepath.Join(folder, "p2pcalltest"+kind), []byte(replace.Replace(string(text))), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// hostPort leaves of a URL what a balancer is told.
func hostPort(url string) string {
	_, rest, found := strings.Cut(url, "://")
	if !found {
		rest = url
	}
	address, _, _ := strings.Cut(rest, "/")
	return address
}

// waitNoSessions waits until neither the session nodes nor the media roles have a session.
func (c *balanced) waitNoSessions(t *testing.T) {
	t.Helper()
	lab.WaitFor(t, 15*time.Second, func() string {
		for _, n := range c.nodes {
			if reason := mismatch(n, map[string]float64{"januscloud_session_sessions": 0}); reason != "" {
				return reason
			}
		}
		for _, m := range c.media {
			if reason := mismatch(m, map[string]float64{"januscloud_media_sessions": 0}); reason != "" {
				return reason
			}
		}
		return ""
	})
}

// checkConnections looks whether connections over WebSocket were given to both edges.
func (c *balanced) checkConnections(t *testing.T) {
	t.Helper()
	lab.WaitFor(t, 10*time.Second, func() string { // each is noted when it ends
		all, err := c.front.Passages()
		if err != nil {
			return err.Error()
		}
		edges := make(map[string]int)
		for _, p := range all {
			if p.Service == "ws" && p.Status == 101 {
				edges[p.Edge]++
			}
		}
		if len(edges) != len(c.edges) {
			return fmt.Sprintf("WebSocket connections by edge: %v", edges)
		}
		return ""
	})
}

// overHTTPSession is what the balancer noted of a session that lived over HTTP.
type overHTTPSession struct {
	edges map[string]int // requests by edge
	lost  bool           // a poll did not find it
	after int            // requests that found it after that
}

// checkRequests looks whether the requests of each session that lived over HTTP were spread over both edges, and
// whether there were as many sessions as there should have been.
func (c *balanced) checkRequests(t *testing.T, sessions int) {
	t.Helper()
	all := c.sessionsOverHTTP(t)
	if len(all) != sessions {
		t.Errorf("%d sessions over HTTP, want %d", len(all), sessions)
	}
	for id, s := range all {
		least, total := 1<<30, 0
		for _, n := range s.edges {
			least, total = min(least, n), total+n
		}
		t.Logf("session %s: %d requests, by edge %v", id, total, s.edges)
		// Which of a page's requests fall to which edge is chance: there are preflights, and other pages.
		if len(s.edges) < 2 || least < max(2, total/8) {
			t.Errorf("session %s: its requests went to %v", id, s.edges)
		}
		if s.after > 2 { // the request that destroys it, and a poll that waited
			t.Errorf("session %s was not found once, and then %d times", id, s.after)
		}
	}
}

// sessionsOverHTTP sorts what the balancer has noted. Only polls may have failed: those of clients that left, and those that
// janus.js sends while it destroys its session.
func (c *balanced) sessionsOverHTTP(t *testing.T) map[string]*overHTTPSession {
	t.Helper()
	passages, err := c.front.Passages()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]*overHTTPSession)
	for _, p := range passages {
		path, _, _ := strings.Cut(p.Path, "?")
		parts := strings.Split(path, "/") // /janus/<session>/<handle>
		if p.Service != "http" || p.Method == http.MethodOptions || len(parts) < 3 {
			continue
		}
		s := all[parts[2]]
		if s == nil {
			s = &overHTTPSession{edges: make(map[string]int)}
			all[parts[2]] = s
		}
		s.edges[p.Edge]++
		const left = 499 // what nginx notes of a client that does not wait
		switch poll := p.Method == http.MethodGet; {
		case p.Status == http.StatusOK && s.lost:
			s.after++
		case p.Status == http.StatusOK, poll && p.Status == left:
		case poll && p.Status == http.StatusNotFound:
			s.lost = true
		default:
			t.Errorf("%s %s was answered %d", p.Method, p.Path, p.Status)
		}
	}
	return all
}
