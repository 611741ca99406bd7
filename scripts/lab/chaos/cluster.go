// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusproc"
	"github.com/januscloud/januscloud/messages/bus/bustest"
	"github.com/januscloud/januscloud/scripts/lab"
	"github.com/januscloud/januscloud/scripts/lab/chaos/crowd"
)

// part is one process that can be broken.
type part struct {
	kind, name string
	process    *lab.Process
	// again starts it anew after its end.
	again func() error
	// cut does something with all its connections to NATS.
	cut func(with func(*bustest.Proxy))
}

// cluster is all processes.
type cluster struct {
	tb    lab.TB
	level string
	nats  *lab.NATSCluster
	parts []*part
	edges []crowd.Edge
}

const (
	servers = 3
	// reclaimTime is what Janus needs to keep calls over the restart of a media role.
	reclaimTime = 90 * time.Second
)

// startCluster starts all processes and returns when they serve.
func startCluster(tb lab.TB, o options) *cluster {
	c := &cluster{tb: tb, level: o.LogLevel}
	c.nats = lab.SeverableNATS(tb, servers)
	for i, s := range c.nats.Servers {
		c.parts = append(c.parts, &part{natsPart, s.Name, s.Process, func() error { s.Restart(); return nil },
			func(with func(*bustest.Proxy)) { c.nats.Isolate(i, with) }})
	}
	var all []*lab.JanusServer
	for i := range 2 {
		j := lab.Janus(tb, func(c *janusproc.Config) {
			c.ReclaimSessionTimeout, c.AdminSecret, c.DebugLevel, c.EventLoops = reclaimTime, "lab", 3, 2
		})
		all = append(all, j)
		c.parts = append(c.parts, &part{janusPart, fmt.Sprintf("janus-%d", i+1), j.Process, func() error { j.Restart(); return nil }, nil})
	}
	c.role(sessionPart, 1)
	c.role(sessionPart, 2)
	c.role(nodePart, 1, beside(all[0])...)
	c.role(mediaPart, 1, beside(all[1])...)
	for n := range 2 {
		c.edge(n + 1)
	}
	if o.Logs != "" {
		tb.Cleanup(func() { c.keepLogs(o.Logs) }) // before the folders of the processes go
	}
	return c
}

func beside(j *lab.JanusServer) []string {
	return []string{"--janus", j.WSURL(), "--janus-admin", j.Config.AdminWSURL(), "--janus-admin-secret", j.Config.AdminSecret}
}

// edge starts an edge on ports that it keeps when it is started anew.
func (c *cluster) edge(n int) {
	ports, err := janusproc.FreePorts("127.0.0.1", 2)
	if err != nil {
		c.tb.Fatalf("%v", err)
	}
	address := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	e := c.role(edgePart, n, "--ws", address(0), "--http", address(1))
	c.edges = append(c.edges, crowd.Edge{WS: e.WSURL(), HTTP: e.HTTPURL()})
}

// role starts a process of a role, with a gate of its own in front of each NATS server.
func (c *cluster) role(role string, n int, flags ...string) *lab.RoleProcess {
	p := &part{kind: role, name: fmt.Sprintf("%s-%d", role, n)}
	var urls []string
	var gates []*bustest.Proxy
	for _, s := range c.nats.Servers {
		g := bustest.NewProxy(c.tb, s.URL)
		gates = append(gates, g)
		urls = append(urls, g.URL())
	}
	p.cut = func(with func(*bustest.Proxy)) {
		for _, g := range gates {
			with(g)
		}
	}
	args := append([]string{"--nats", strings.Join(urls, ","), "--name", p.name, "--health", "127.0.0.1:0", "--log-level", c.level}, flags...)
	r := lab.Role(c.tb, role, args...)
	p.process, p.again = r.Process, func() error { return supervise(r) }
	c.parts = append(c.parts, p)
	return r
}

// supervise starts a role as a service manager does: again when it ends at once, as it does while it is held for alive.
func supervise(r *lab.RoleProcess) (err error) {
	const tries, between = 20, 250 * time.Millisecond
	for range tries {
		if err = r.TryRestart(); err == nil {
			return nil
		}
		time.Sleep(between)
	}
	return err
}

// victim is the part that a fault is for.
func (c *cluster) victim(s strike) *part {
	var of []*part
	for _, p := range c.parts {
		if p.kind == s.part {
			of = append(of, p)
		}
	}
	return of[s.victim%len(of)]
}

func (c *cluster) String() string {
	var all []string
	for _, p := range c.parts {
		all = append(all, fmt.Sprintf("%s (%d)", p.name, p.process.PID()))
	}
	return strings.Join(all, ", ")
}

// keepLogs writes the logs of all processes to a folder.
func (c *cluster) keepLogs(folder string) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		c.tb.Logf("logs: %v", err)
		return
	}
	for _, p := range c.parts {
		if err := os.WriteFile(filepath.Join(folder, p.name+".log"), []byte(p.process.Log()), 0o644); err != nil {
			c.tb.Logf("logs: %v", err)
		}
	}
}
