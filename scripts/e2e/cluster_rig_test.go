// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusproc"
	"github.com/januscloud/januscloud/scripts/lab"
)

// clusterShape says what a cluster consists of.
type clusterShape struct {
	nats, edges, nodes, janus int
	// sessionFlags and edgeFlags are further arguments of those roles.
	sessionFlags, edgeFlags []string
}

// testCluster is a cluster whose every role is a process of its own.
type testCluster struct {
	nats  *lab.NATSCluster
	edges []*lab.RoleProcess
	nodes []*lab.RoleProcess
	media []*lab.RoleProcess
	janus []*lab.JanusServer
}

// startCluster starts a cluster and returns when all roles serve.
func startCluster(t *testing.T, shape clusterShape) *testCluster {
	t.Helper()
	c := &testCluster{nats: lab.NATS(t, shape.nats)}
	role := func(role string, n int, flags ...string) *lab.RoleProcess {
		name := fmt.Sprintf("%s-%d", role, n+1)
		args := []string{"--nats", c.nats.URL(), "--name", name, "--health", "127.0.0.1:0", "--log-level", "debug"}
		return lab.Role(t, role, append(args, flags...)...)
	}
	for range shape.janus {
		c.janus = append(c.janus, lab.Janus(t, func(j *janusproc.Config) {
			j.ReclaimSessionTimeout = 90 * time.Second
			j.AdminSecret = "lab"
		}))
	}
	for n := range shape.nodes {
		c.nodes = append(c.nodes, role("session", n, shape.sessionFlags...))
	}
	for n, j := range c.janus {
		c.media = append(c.media, role("media", n,
			"--janus", j.WSURL(), "--janus-admin", j.Config.AdminWSURL(), "--janus-admin-secret", j.Config.AdminSecret))
	}
	edgeFlags := append([]string{"--ws", "127.0.0.1:0", "--http", "off", "--admin-ws", "off", "--admin-http", "off"}, shape.edgeFlags...)
	for n := range shape.edges {
		c.edges = append(c.edges, role("edge", n, edgeFlags...))
	}
	return c
}

// urls are the WebSocket addresses of the edges.
func (c *testCluster) urls() []string {
	var urls []string
	for _, e := range c.edges {
		urls = append(urls, e.Ready.WS)
	}
	return urls
}
