// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/e2e/conversation"
	"github.com/januscloud/januscloud/scripts/lab"
)

// TestPeerCalls has clients of two edges call each other through session nodes of their own, without a Janus: what each says
// reaches the other as it is.
func TestPeerCalls(t *testing.T) {
	cluster := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 2, janus: 0, sessionFlags: []string{"--peer-calls"}})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for i := range 4 {
		a := newPeer(ctx, t, cluster.edges[0].Ready.WS, fmt.Sprintf("ann-%d", i))
		b := newPeer(ctx, t, cluster.edges[1].Ready.WS, fmt.Sprintf("bob-%d", i))
		a.post(ctx, `{"request":"call","username":"`+b.name+`"}`, "offer", "calling")
		in := b.hear(ctx, "incomingcall")
		if in.Text("jsep", "sdp") != "v=0 offer" || in.Text("plugindata", "data", "result", "username") != a.name {
			t.Fatalf("heard %s", in)
		}
		b.post(ctx, `{"request":"accept"}`, "answer", "accepted")
		if in := a.hear(ctx, "accepted"); in.Text("jsep", "sdp") != "v=0 answer" {
			t.Fatalf("heard %s", in)
		}
		a.ask(ctx, "trickle", map[string]any{"candidate": map[string]any{"candidate": "c", "sdpMid": "0"}})
		if in := b.hear(ctx, "trickle"); in.Text("candidate", "candidate") != "c" || in.Handle != b.handle {
			t.Fatalf("heard %s", in)
		}
		if i%2 == 0 {
			b.ask(ctx, "detach", nil)
		} else {
			b.post(ctx, `{"request":"hangup"}`, "", "hangup")
		}
		a.hear(ctx, "hangup")
	}
}

// peer is a client with a name.
type peer struct {
	*lab.Client
	t               *testing.T
	name, sdp       string // of its offers and answers; empty: one that says which it is
	session, handle uint64
}

func newPeer(ctx context.Context, t *testing.T, url, name string) *peer {
	t.Helper()
	return newUser(ctx, t, url, "janus.plugin.p2pcall", name)
}

// newUser connects somebody and gives him a name.
func newUser(ctx context.Context, t *testing.T, url, plugin, name string) *peer {
	t.Helper()
	c, err := lab.Dial(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	p := &peer{Client: c, t: t, name: name}
	if p.session, err = c.Create(ctx); err == nil {
		p.handle, err = c.Attach(ctx, p.session, plugin)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.post(ctx, `{"request":"register","username":"`+name+`"}`, "", "registered")
	return p
}

// post sends a message and awaits the event that answers it.
func (p *peer) post(ctx context.Context, body, kind, want string) {
	p.t.Helper()
	message := map[string]any{"janus": "message", "session_id": p.session, "handle_id": p.handle, "body": json.RawMessage(body)}
	if kind != "" {
		message["jsep"] = map[string]any{"type": kind, "sdp": cmp.Or(p.sdp, "v=0 "+kind)}
	}
	got, err := p.RequestEvent(ctx, message)
	if err != nil || got.Text("plugindata", "data", "result", "event") != want {
		p.t.Fatalf("%s: %s is answered by %s, %v", p.name, body, got, err)
	}
}

// hear awaits what the client is told of its own accord: an event of the plugin, or a message of this kind.
func (p *peer) hear(ctx context.Context, what string) lab.Message {
	p.t.Helper()
	got, err := p.Next(ctx, func(m lab.Message) bool {
		event := m.Janus == "event" && m.Transaction == "" && m.Text("plugindata", "data", "result", "event") == what
		return m.Handle == p.handle && (event || m.Janus == what)
	})
	if err != nil {
		p.t.Fatalf("%s hears no %s: %v", p.name, what, err)
	}
	return got
}

func (p *peer) ask(ctx context.Context, verb string, more map[string]any) {
	p.t.Helper()
	message := map[string]any{"janus": verb, "session_id": p.session, "handle_id": p.handle}
	for k, v := range more {
		message[k] = v
	}
	if got, err := p.Request(ctx, message); err != nil || got.Janus == "error" {
		p.t.Fatalf("%s: %s is answered by %s, %v", p.name, verb, got, err)
	}
}

// TestPeerConversations plays conversations with the videocall plugin of a Janus, and with the p2pcall plugin of the cluster:
// whatever does not concern media must be the same.
func TestPeerConversations(t *testing.T) {
	const ours, theirs = "janus.plugin.p2pcall", "janus.plugin.videocall"
	folder := t.TempDir()
	for _, name := range []string{"names", "names-freed", "names-odd", "odd-messages", "list"} {
		text, err := os.ReadFile(filepath.Join(conversationsFolder, "videocall-"+name+".txtar"))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name+".txtar"), []byte(strings.ReplaceAll(string(text), theirs, ours)), 0o600)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name+"-0.txtar"), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	scripts, err := conversation.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	janus := group{version: versions(t)[1], Setup: scripts[0].Setup}.referenceJanus(t)
	cluster := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 2, janus: 0, sessionFlags: []string{"--peer-calls"}}).servers()
	said := map[string]conversation.Streams{}
	for i, s := range scripts {
		server := janus
		if !strings.HasSuffix(s.Name, "-0") {
			server = cluster(i)
		}
		got := playWith(t.Context(), s, nil, server)
		if got.err != nil {
			t.Fatal(got.err)
		}
		for _, stream := range got.streams {
			for n, line := range stream {
				stream[n] = strings.ReplaceAll(line, ours, theirs)
			}
		}
		said[s.Name] = got.streams
	}
	for _, s := range scripts {
		if want, ok := said[s.Name+"-0"]; ok {
			if difference := conversation.Compare(want, said[s.Name]); difference != "" {
				t.Errorf("%s: videocall says -, p2pcall says +\n%s", s.Name, difference)
			}
		}
	}
}

// TestPeerCallPage has two browsers call each other on the page that dev has for it: pictures, sound and data go from one to the
// other, and no Janus has a handle.
func TestPeerCallPage(t *testing.T) {
	dev := lab.Role(t, "dev", "--janus", "1", "--ws", "127.0.0.1:0", "--http", "127.0.0.1:0", "--demo", "127.0.0.1:0",
		"--nats-listen", "off", "--health", "127.0.0.1:0")
	one := startBrowser(t)
	two := one.another(t)
	for n, b := range []*browser{one, two} {
		b.open(t, dev.Ready.Fields["demo"]+"p2pcalltest.html", n)
	}
	one.register(t, "ada")
	two.register(t, "bob")
	call(t, one, two)
	hangUp(t, one, two)
	if handles := metric(t, dev, "januscloud_media_handles"); handles != 0 {
		t.Errorf("%g handles on a Janus", handles)
	}
}
