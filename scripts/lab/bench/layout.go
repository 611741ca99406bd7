// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/januscloud/januscloud/mediactl/janusproc"
	"github.com/januscloud/januscloud/scripts/lab"
	"github.com/januscloud/januscloud/scripts/lab/bench/proc"
)

// Names of processes in results.
const (
	janusName  = "janus"
	natsName   = "nats"
	clientName = "client"
)

// sessionTimeout keeps sessions alive while it is the other side's turn.
const sessionTimeout = 30 * time.Minute

// process is a process that is measured.
type process struct {
	name   string
	pid    int
	health string // URL of its health server; "" for what is not ours
}

// side is one of the two that are compared.
type side struct {
	name      string
	url       string // of the Janus API
	processes []process
}

// startJanus starts the Janus that is both measured by itself and behind the cluster.
func startJanus(tb lab.TB, o options) *lab.JanusServer {
	return lab.Janus(tb, func(c *janusproc.Config) {
		c.EventLoops = o.Loops
		c.SessionTimeout, c.ReclaimSessionTimeout = sessionTimeout, sessionTimeout
	})
}

// startCluster starts the processes of a layout around a Janus.
func startCluster(tb lab.TB, layout string, janus *lab.JanusServer) side {
	s := side{name: "cluster", processes: []process{{name: janusName, pid: janus.PID()}}}
	var common []string
	role := func(role string, args ...string) *lab.RoleProcess {
		args = append(append(args, common...), "--health", "127.0.0.1:0", "--pprof", "--log-level", "warn")
		p := lab.Role(tb, role, args...)
		s.processes = append(s.processes, process{name: role, pid: p.PID(), health: p.Ready.Fields["health"]})
		return p
	}
	sessions := []string{"--session-timeout", sessionTimeout.String()}
	beside := []string{"--janus", janus.WSURL()}
	if layout == "dev" {
		s.url = role("dev", append(sessions, "--janus-url", janus.WSURL(), "--ws", "127.0.0.1:0", "--http", "127.0.0.1:0", "--demo", "off", "--nats-listen", "off")...).WSURL()
		return s
	}
	nats := lab.NATS(tb, 1)
	common = []string{"--nats", nats.URL()}
	if layout == "split" {
		role("session", sessions...)
		role("media", beside...)
	} else {
		role("node", append(sessions, beside...)...)
	}
	s.url = role("edge", "--ws", "127.0.0.1:0", "--http", "127.0.0.1:0").WSURL()
	s.processes = append(s.processes, process{name: natsName, pid: nats.Servers[0].PID()})
	return s
}

// cpu is how long each process of a side has run so far, and this one.
func (s side) cpu(self int) (map[string]time.Duration, error) {
	used := make(map[string]time.Duration, len(s.processes)+1)
	for _, p := range append([]process{{name: clientName, pid: self}}, s.processes...) {
		t, err := proc.CPU(p.pid)
		if err != nil {
			return nil, err
		}
		used[p.name] = t
	}
	return used, nil
}
