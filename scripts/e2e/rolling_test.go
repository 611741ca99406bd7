// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusproc"
	"github.com/januscloud/januscloud/scripts/lab"
	chaos "github.com/januscloud/januscloud/scripts/lab/chaos/crowd"
	"github.com/januscloud/januscloud/scripts/lab/chaos/ledger"
)

// TestRolling restarts every process of a busy cluster with scripts/rolling: each kind of client, those with real media among them,
// keeps its session. No message is lost or run twice; only while its media role restarts its outcome may be unknown.
func TestRolling(t *testing.T) {
	r := startRolling(t)
	ctx := within(t, 3*time.Minute)
	living, end := context.WithCancel(ctx)
	var clients sync.WaitGroup
	clients.Go(func() { r.crowd.Run(living) })
	defer clients.Wait()
	defer end()
	if reason := r.settle(ctx, 45*time.Second); reason != "" {
		t.Fatal(reason)
	}
	r.crowd.Take() // beginning is no one's fault
	if err := r.script(ctx); err != nil {
		t.Fatal(err)
	}
	if len(r.restarted) != len(r.processes) {
		t.Errorf("restarted %q of %d processes", r.restarted, len(r.processes))
	}
}

// rolling is a cluster whose processes are restarted while a crowd is busy.
type rolling struct {
	t         *testing.T
	cluster   *testCluster
	crowd     *chaos.Crowd
	processes map[string]*lab.RoleProcess
	restarted []string
}

func startRolling(t *testing.T) *rolling {
	change := func(j *janusproc.Config) { j.EventLoops = 2 }
	r := &rolling{t: t, cluster: startCluster(t, clusterShape{nats: 1, nodes: 1, janus: 1, change: change})}
	janus := lab.Janus(t, func(j *janusproc.Config) { j.ReclaimSessionTimeout, j.EventLoops = 90*time.Second, 2 })
	r.processes = map[string]*lab.RoleProcess{
		"session-1": r.cluster.nodes[0], "media-1": r.cluster.media[0], "node-1": r.cluster.role("node", 0, "--janus", janus.WSURL()),
	}
	var edges []chaos.Edge
	for n := range 2 {
		ports, err := janusproc.FreePorts("127.0.0.1", 2)
		if err != nil {
			t.Fatal(err)
		}
		e := r.cluster.role("edge", n, "--ws", fmt.Sprintf("127.0.0.1:%d", ports[0]), "--http", fmt.Sprintf("127.0.0.1:%d", ports[1]), "--lame-duck", "300ms")
		r.processes[e.Ready.Name] = e
		edges = append(edges, chaos.Edge{WS: e.WSURL(), HTTP: e.HTTPURL()})
	}
	r.crowd = chaos.New(chaos.Options{Edges: edges, Sessions: 60, Rate: 100, Seed: 1})
	return r
}

// script runs scripts/rolling. Its restart command asks this process, by a file, to restart another.
func (r *rolling) script(ctx context.Context) error {
	folder := r.t.TempDir()
	script := exec.CommandContext(ctx, "../rolling", "--nats", r.cluster.nats.URL(),
		"--restart", fmt.Sprintf("touch %s/{name}; while [ -e %s/{name} ]; do sleep 0.05; done", folder, folder))
	script.Env = append(os.Environ(), "JANUSCLOUD="+lab.Binary(r.t))
	var out strings.Builder
	script.Stdout, script.Stderr = &out, &out
	if err := script.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- script.Wait() }()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			r.t.Logf("scripts/rolling:\n%s", out.String())
			return err
		case <-ticker.C:
		}
		asked, _ := filepath.Glob(filepath.Join(folder, "*"))
		for _, file := range asked {
			if err := errors.Join(r.restart(ctx, filepath.Base(file)), os.Remove(file)); err != nil {
				return err
			}
		}
	}
}

// restart ends a process as service managers do, starts it again, and looks what the clients got meanwhile.
func (r *rolling) restart(ctx context.Context, name string) error {
	p := r.processes[name]
	if p == nil {
		return fmt.Errorf("asked to restart %s", name)
	}
	r.restarted = append(r.restarted, name)
	r.crowd.Fault(time.Now())
	r.crowd.Ring()
	start := time.Now()
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(ctx); err != nil {
		return err
	}
	stopped := time.Since(start)
	p.Restart()
	r.crowd.Ring()
	role, _, _ := strings.Cut(name, "-")
	limit := 45 * time.Second
	if hasMedia(role) {
		limit = 10 * time.Second // what Janus said meanwhile does not come
	}
	over := time.Now()
	if reason := r.settle(ctx, limit); reason != "" {
		r.t.Logf("given up: %s", reason)
		r.crowd.Close(over)
	}
	counts, media, problems := r.crowd.Take()
	broken := brokenBy(role, &counts, media)
	r.t.Logf("%s stopped in %v: %d requests, %d events, %d of unknown outcome, %d in doubt, %d events lost; longest pause %v; %d packets, %d lost, longest gap %v",
		name, stopped.Round(time.Millisecond), counts.Requests, counts.Events, counts.Unknown, counts.InDoubt, counts.Lost,
		counts.Pause.Round(time.Millisecond), media.Packets, media.Lost, media.Gap.Round(time.Millisecond))
	if len(broken) > 0 {
		r.t.Errorf("%s: %s\n%s", name, strings.Join(broken, ", "), strings.Join(problems, "\n"))
	}
	return nil
}

// settle waits until all clients are served and have what they are due, and tells what is missing.
func (r *rolling) settle(ctx context.Context, limit time.Duration) (reason string) {
	since := time.Now()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		if reason = r.crowd.Clean(since); reason == "" || ctx.Err() != nil || time.Since(since) > limit {
			return reason
		}
		<-ticker.C
	}
}

// hasMedia reports whether a process has a media role: while it is away Janus drops what it says.
func hasMedia(role string) bool { return role == "media" || role == "node" }

// brokenBy lists what no client may see while a role is restarted in order.
func brokenBy(role string, c *ledger.Counts, m chaos.Media) (list []string) {
	never := func(what string, n int) {
		if n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, what))
		}
	}
	never("run twice", c.RunTwice)
	never("sessions lost", c.Sessions)
	never("unanswered", c.Unanswered)
	never("wrong", c.Wrong)
	never("handles hung up", c.Hangups)
	never("packets lost", m.Lost)
	if m.Packets == 0 {
		list = append(list, "no media")
	}
	if hasMedia(role) {
		return list
	}
	never("lost", c.Lost)
	never("doubled", c.Doubled)
	never("out of order", c.Disordered)
	never("refused", c.Refusals()+c.Unknown)
	if role == "session" { // no connection ends
		never("in doubt", c.InDoubt)
		never("again", c.Again)
	}
	return list
}
