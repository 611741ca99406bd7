// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
)

// clientTime bounds what a client does in one go.
const clientTime = 30 * time.Second

// npmClient copies a project of the folder clients, installs what its package-lock.json names, and returns the folder.
func npmClient(t *testing.T, name string) (folder string) {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: scripts/lab/install.sh nodejs npm: %v", program, err)
		}
	}
	folder = t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(filepath.Join("clients", name))); err != nil {
		t.Fatal(err)
	}
	// Scripts of packages would compile what only makes them faster.
	npm := exec.CommandContext(within(t, 2*time.Minute), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	npm.Dir = folder
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return folder
}

// runClient runs a client to its end, which must be a good one.
func runClient(t *testing.T, command ...string) {
	t.Helper()
	c := startClient(t, command...)
	c.wait(t)
}

// client is a program that runs.
type client struct {
	cmd    *exec.Cmd
	lines  *bufio.Reader // what it says
	errors bytes.Buffer
}

func startClient(t *testing.T, command ...string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), clientTime)
	c := &client{cmd: exec.CommandContext(ctx, command[0], command[1:]...)}
	c.cmd.Stderr = &c.errors
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		c.lines = bufio.NewReader(out)
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	t.Cleanup(func() {
		cancel()
		_ = c.cmd.Wait()
	})
	return c
}

// heard waits until the client says a line.
func (c *client) heard(t *testing.T, line string) {
	t.Helper()
	if said, err := c.lines.ReadString('\n'); err != nil || strings.TrimSpace(said) != line {
		_ = c.cmd.Wait()
		t.Fatalf("%v said %q instead of %q: %v\n%s", c.cmd.Args, said, line, err, c.errors.String())
	}
}

// wait waits for the end.
func (c *client) wait(t *testing.T) {
	t.Helper()
	said, _ := io.ReadAll(c.lines)
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("%v: %v\n%s%s", c.cmd.Args, err, said, c.errors.String())
	}
}

// offerFile is a file with an SDP offer of a sound, as browsers make it.
func offerFile(t *testing.T) string {
	t.Helper()
	conversation, err := os.ReadFile("testdata/conversations/jsep-offer.txtar")
	if err != nil {
		t.Fatal(err)
	}
	_, offer, found := strings.Cut(string(conversation), "-- offer.sdp --\n")
	if !found {
		t.Fatal("there is no offer any more")
	}
	file := filepath.Join(t.TempDir(), "offer.sdp")
	if err := os.WriteFile(file, []byte(offer), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestBalancedJanode has Janode do the same with a Janus alone, and through a balancer with a cluster of two Janus.
func TestBalancedJanode(t *testing.T) {
	t.Parallel()
	folder, offer := npmClient(t, "janode"), offerFile(t)
	program := filepath.Join(folder, "client.js")
	c := startBalanced(t, time.Second)
	janus := lab.Janus(t, func(c *lab.JanusConfig) { c.AdminSecret = adminSecret })
	for _, scene := range []string{"echotest", "videoroom", "streaming"} {
		t.Run(scene+" with Janus", func(t *testing.T) { runClient(t, "node", program, scene, janus.WSURL(), offer) })
		t.Run(scene, func(t *testing.T) { runClient(t, "node", program, scene, c.front.WSURL, offer) })
	}
	t.Run("admin with Janus", func(t *testing.T) {
		runClient(t, "node", program, "admin", janus.Config.AdminWSURL(), offer, janus.WSURL(), adminSecret, t.TempDir())
	})
	t.Run("admin", func(t *testing.T) {
		runClient(t, "node", program, "admin", c.front.AdminWSURL, offer, c.front.WSURL, adminSecret, t.TempDir())
	})
	c.waitNoSessions(t)
	c.checkConnections(t)
	t.Run("reconnect", func(t *testing.T) {
		janode := startClient(t, "node", program, "reconnect", c.front.WSURL, offer)
		janode.heard(t, "connected")
		c.edges[0].Kill()
		janode.wait(t)
	})
	c.edges = c.edges[1:]
	c.waitNoSessions(t)
}

// TestBalancedNPM has other clients of npm do the same with a Janus alone, and through a balancer with a cluster of two Janus: the
// newest janus.js, over either transport, and janus-gateway-js.
func TestBalancedNPM(t *testing.T) {
	t.Parallel()
	folder, offer := npmClient(t, "npm"), offerFile(t)
	c := startBalanced(t, time.Second)
	janus := c.janus[0]
	for _, x := range []struct{ name, program, janus, cluster string }{
		{"janus.js over WebSocket", "janus.mjs", janus.WSURL(), c.front.WSURL},
		{"janus.js over HTTP", "janus.mjs", janus.Config.HTTPURL(), c.front.HTTPURL},
		{"janus-gateway-js", "gateway-js.cjs", janus.WSURL(), c.front.WSURL},
	} {
		program := filepath.Join(folder, x.program)
		t.Run(x.name+" with Janus", func(t *testing.T) { runClient(t, "node", program, x.janus, offer) })
		t.Run(x.name, func(t *testing.T) { runClient(t, "node", program, x.cluster, offer) })
	}
	c.waitNoSessions(t)
	c.checkConnections(t)
	c.checkRequests(t, 1)
}

// TestBalancedJanusGo has janus-go, as Debian packages it, do the same with a Janus alone, and through a balancer with a cluster
// of two Janus.
func TestBalancedJanusGo(t *testing.T) {
	t.Parallel()
	const path, library = "/usr/share/gocode", "golang-github-notedit-janus-go-dev"
	if _, err := os.Stat(filepath.Join(path, "src/github.com/notedit/janus-go")); err != nil {
		t.Fatalf("a library is missing: scripts/lab/install.sh %s: %v", library, err)
	}
	program := filepath.Join(t.TempDir(), "goclient")
	build := exec.CommandContext(within(t, time.Minute), "go", "build", "-o", program, "clients/goclient/main.go")
	// Packages of Debian are found in a GOPATH, without modules.
	build.Env = append(os.Environ(), "GO111MODULE=off", "GOFLAGS=", "GOPATH="+path)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build.Args, err, out)
	}
	c, offer := startBalanced(t, time.Second), offerFile(t)
	t.Run("with Janus", func(t *testing.T) { runClient(t, program, c.janus[0].WSURL(), offer) })
	for range 4 { // twice through each edge
		t.Run("with the cluster", func(t *testing.T) { runClient(t, program, c.front.WSURL, offer) })
	}
	c.waitNoSessions(t)
	c.checkConnections(t)
}
