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
	// severable makes the routes between the NATS servers such that they can be cut, and connects the first process of each role to
	// the first server, the second to the second, and so on: they know of the others from it.
	severable bool
	// sessionFlags and edgeFlags are further arguments of those roles.
	sessionFlags, edgeFlags []string
	// change alters each Janus; nil: nothing.
	change func(*janusproc.Config)
}

// testCluster is a cluster whose every role is a process of its own.
type testCluster struct {
	t     *testing.T // its processes end with this test
	shape clusterShape
	nats  *lab.NATSCluster
	edges []*lab.RoleProcess
	nodes []*lab.RoleProcess
	media []*lab.RoleProcess
	janus []*lab.JanusServer
}

// startCluster starts a cluster and returns when all roles serve.
func startCluster(t *testing.T, shape clusterShape) *testCluster {
	t.Helper()
	c := &testCluster{t: t, shape: shape}
	if shape.severable {
		c.nats = lab.SeverableNATS(t, shape.nats)
	} else {
		c.nats = lab.NATS(t, shape.nats)
	}
	for range shape.janus {
		c.janus = append(c.janus, lab.Janus(t, func(j *janusproc.Config) {
			j.ReclaimSessionTimeout = 90 * time.Second
			j.AdminSecret = "lab"
			j.DebugLevel = 3
			if shape.change != nil {
				shape.change(j)
			}
		}))
	}
	for n := range shape.nodes {
		c.nodes = append(c.nodes, c.role("session", n, shape.sessionFlags...))
	}
	for n := range c.janus {
		c.media = append(c.media, c.startMedia(n))
	}
	edgeFlags := append([]string{"--ws", "127.0.0.1:0", "--http", "127.0.0.1:0"}, shape.edgeFlags...)
	for n := range shape.edges {
		c.edges = append(c.edges, c.role("edge", n, edgeFlags...))
	}
	return c
}

// role starts the n-th process of a role, counted from 0.
func (c *testCluster) role(role string, n int, flags ...string) *lab.RoleProcess {
	c.t.Helper()
	args := []string{"--nats", c.nats.URL(), "--name", fmt.Sprintf("%s-%d", role, n+1), "--health", "127.0.0.1:0"}
	return lab.Role(c.t, role, append(args, flags...)...)
}

// startMedia starts the media role beside the n-th Janus.
func (c *testCluster) startMedia(n int) *lab.RoleProcess {
	c.t.Helper()
	j := c.janus[n]
	return c.role("media", n, "--janus", j.WSURL(), "--janus-admin", j.Config.AdminWSURL(), "--janus-admin-secret", j.Config.AdminSecret)
}

// urls are the WebSocket addresses of the edges.
func (c *testCluster) urls() []string {
	var urls []string
	for _, e := range c.edges {
		urls = append(urls, e.Ready.WS)
	}
	return urls
}
