// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/scripts/lab"
)

const echoTest = "janus.plugin.echotest"

// echo creates a session, attaches to the echo test and has it answer, as a client does.
func echo(t *testing.T, url string, more map[string]any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := lab.Dial(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	request := func(fields map[string]any) lab.Message {
		t.Helper()
		for k, v := range more {
			fields[k] = v
		}
		m, err := c.Must(ctx, fields)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	session := request(map[string]any{"janus": "create"}).Number("data", "id")
	handle := request(map[string]any{"janus": "attach", "session_id": session, "plugin": echoTest}).Number("data", "id")
	request(map[string]any{"janus": "message", "session_id": session, "handle_id": handle, "body": map[string]any{"audio": true}})
	event, err := c.Next(ctx, func(m lab.Message) bool { return m.Text("janus") == "event" })
	if err != nil || event.Text("plugindata", "data", "result") != "ok" || event.Number("sender") != handle {
		t.Fatalf("%v, %v", event, err)
	}
	request(map[string]any{"janus": "destroy", "session_id": session})
	if v := c.Violations(); len(v) > 0 {
		t.Errorf("the server broke the protocol: %q", v)
	}
}

// The whole of it, with real Janus: clients are served, pages point at the edge, the doctor is content, and nothing is
// left behind.
func TestDev(t *testing.T) {
	folders := t.TempDir()
	t.Setenv("TMPDIR", folders)
	p := begin(t, nil, "dev", "--ws", "127.0.0.1:0", "--http", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0", "--demo", "127.0.0.1:0", "--health", "127.0.0.1:0")
	ready := p.ready()
	if ready.Role != "dev" || ready.Name != "dev" {
		t.Errorf("%+v", ready)
	}
	echo(t, ready.WS, nil)
	if status, body := fetch(t, ready.HTTP+"/info"); status != http.StatusOK || !strings.Contains(body, "janus.transport.http") {
		t.Errorf("info over HTTP: %d %s", status, body)
	}

	demo := ready.Fields["demo"]
	port, err := portOf(ready.WS)
	if err != nil {
		t.Fatal(err)
	}
	_, address, _ := net.SplitHostPort(strings.TrimPrefix(ready.WS, "ws://"))
	if _, settings := fetch(t, demo+"settings.js"); !strings.Contains(settings, `location.hostname + ":`+address+`"`) {
		t.Errorf("settings.js does not point at port %d: %s", port, settings)
	}
	for path, want := range map[string]string{
		"":                                      `<a href="videoroomtest.html">`,
		"echotest.html":                         "settings.js",
		"readyz":                                `"ready":true`,
		"metrics":                               `januscloud_media_janus_up{server="janus-2"} 1`,
		"javascript/janus-gateway/janus.min.js": "Janus",
	} {
		if status, body := fetch(t, demo+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("/%s: %d without %q", path, status, want)
		}
	}

	code, out, stderr := try(t, nil, "doctor", "--nats", ready.NATS, "--json")
	var report struct {
		Healthy  bool
		Members  []struct{ Role, Name string }
		Findings []struct{ Level, What, Text string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if code != exitDone || !report.Healthy || len(report.Members) != 4 || len(report.Findings) == 0 {
		t.Errorf("doctor: %d %s %s", code, out, stderr)
	}
	if code, out, _ := try(t, nil, "doctor", "--nats", ready.NATS); code != exitDone || !strings.Contains(out, " 0 wrong") {
		t.Errorf("doctor: %d %s", code, out)
	}

	p.stop()
	for _, want := range []string{"2 Janus answer as one", demo, ready.WS, ready.HTTP, ready.NATS, "Ctrl-C"} {
		if !strings.Contains(p.err.String(), want) {
			t.Errorf("people are not told of %q", want)
		}
	}
	if left, err := os.ReadDir(folders); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Ports that are taken are replaced, a secret is asked for, Janus that run elsewhere are used, and what is to be kept is.
func TestDevOfOtherJanus(t *testing.T) {
	t.Parallel()
	janus := lab.Janus(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at, data := taken.Addr().String(), t.TempDir()
	p := begin(t, []string{"JANUSCLOUD_API_SECRET=hidden"}, "dev", "--janus-url", janus.WSURL(),
		"--ws", at, "--http", at, "--nats-listen", at, "--demo", at, "--data", data)
	ready := p.ready()
	for _, address := range []string{ready.WS, ready.HTTP, ready.NATS, ready.Fields["demo"]} {
		if address == "" || strings.Contains(address, at) {
			t.Errorf("address %q", address)
		}
	}
	for _, flag := range []string{"ws", "http", "nats-listen", "demo"} {
		if !strings.Contains(p.err.String(), `msg="port is taken, using a free one" flag=`+flag) {
			t.Errorf("no notice of another port for %s", flag)
		}
	}
	echo(t, ready.WS, map[string]any{"apisecret": "hidden"})
	if _, body := fetch(t, ready.Fields["demo"]+"settings.js"); strings.Contains(body, "hidden") {
		t.Error("the secret is given to everybody")
	}
	p.stop()
	if kept, err := os.ReadDir(data + "/nats"); err != nil || len(kept) == 0 {
		t.Errorf("the data is gone: %v, %v", kept, err)
	}
}

// A cluster of processes: an edge, a session role, a media role and a node, with a NATS server of their own.
func TestRolesTogether(t *testing.T) {
	t.Parallel()
	nats := lab.NATS(t, 1).URL()
	first, second := lab.Janus(t), lab.Janus(t)
	node := begin(t, nil, "node", "--nats", nats, "--janus", first.WSURL(), "--health", "127.0.0.1:0")
	if r := node.ready(); r.Role != "node" || !strings.HasSuffix(r.Name, "-node") || r.NATS == "" {
		t.Errorf("%+v", r)
	}
	session := begin(t, nil, "session", "--nats", nats, "--name", "s")
	media := begin(t, nil, "media", "--nats", nats, "--name", "m", "--janus", second.WSURL(), "--max-handles", "5")
	session.ready()
	media.ready()
	edge := begin(t, nil, "edge", "--nats", nats, "--ws", "127.0.0.1:0", "--http", "127.0.0.1:0")
	ready := edge.ready()
	for range 8 {
		echo(t, ready.WS, nil)
	}
	if status, body := fetch(t, node.ready().Fields["health"]+"/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d %s", status, body)
	}
	for _, p := range []*program{edge, node, media, session} {
		p.stop()
	}
}
