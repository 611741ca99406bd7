// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/januscloud/januscloud/messages/bus/bustest"
)

// electionTime is how long a cluster may take to find the leader of its JetStream: its elections time out after 4–9 s.
const electionTime = 40 * time.Second

// NATSCluster is a set of NATS servers with JetStream that know one another.
type NATSCluster struct {
	// Servers are the members, whether they run or not.
	Servers []*NATSServer
	// gates[i][j] is on the route that server i makes to server j; nil where routes cannot be cut.
	gates [][]*bustest.Proxy
}

// NATSServer is one NATS server, its streams in a temporary folder that lasts as long as the test.
type NATSServer struct {
	*Process
	// Name is its server name, URL the address for clients, MonitorURL that of its HTTP monitoring.
	Name, URL, MonitorURL string
	size                  int
	store                 string
}

// NATS starts n real NATS servers on loopback, as one cluster when they are several, and returns when JetStream serves.
func NATS(tb TB, n int) *NATSCluster {
	tb.Helper()
	ports := freePorts(tb, 3*n)
	cluster := &NATSCluster{}
	cluster.start(tb, n, ports, routesTo(ports), "")
	return cluster
}

// SeverableNATS starts servers as NATS does, whose routes can be cut: see Isolate.
func SeverableNATS(tb TB, n int) *NATSCluster {
	tb.Helper()
	ports := freePorts(tb, 3*n)
	cluster := &NATSCluster{}
	for range n {
		var gates []*bustest.Proxy
		for _, route := range routesTo(ports) {
			gates = append(gates, bustest.NewProxy(tb, route))
		}
		cluster.gates = append(cluster.gates, gates)
	}
	// What servers tell one another of where they are leads nowhere, so that no route goes round the gates. Clients are told
	// nothing of it: they stay with the addresses that they were given, behind gates of their own.
	cluster.start(tb, n, ports, nil, `advertise: "127.0.0.1:1", no_advertise: true, `)
	return cluster
}

// routesTo are the addresses for routes of the servers with these ports.
func routesTo(ports []int) []string {
	routes := make([]string, len(ports)/3)
	for i := range routes {
		routes[i] = fmt.Sprintf("nats://127.0.0.1:%d", ports[3*i+2])
	}
	return routes
}

func (c *NATSCluster) start(tb TB, n int, ports []int, routes []string, advertise string) {
	tb.Helper()
	binary := NATSBinary(tb)
	for i := range n {
		own := routes
		if c.gates != nil {
			own = nil
			for j, gate := range c.gates[i] {
				if i != j {
					own = append(own, gate.URL())
				}
			}
		}
		config := ""
		if n > 1 {
			config = fmt.Sprintf("cluster { name: lab, listen: \"127.0.0.1:%d\", %sroutes: [%s] }\n", ports[3*i+2], advertise, strings.Join(own, ", "))
		}
		c.Servers = append(c.Servers, startNATS(tb, binary, i, n, ports[3*i:3*i+3], config))
	}
	c.WaitReady(tb)
}

// Isolate cuts the routes between a server and all others, in the way that cut does it: (*bustest.Proxy).Cut ends them,
// (*bustest.Proxy).Freeze lets nothing pass.
func (c *NATSCluster) Isolate(server int, cut func(*bustest.Proxy)) {
	for i := range c.gates {
		if i != server {
			cut(c.gates[i][server])
			cut(c.gates[server][i])
		}
	}
}

// Heal makes all routes possible again.
func (c *NATSCluster) Heal() {
	for _, gates := range c.gates {
		for _, gate := range gates {
			gate.Restore()
		}
	}
}

func startNATS(tb TB, binary string, i, size int, ports []int, more string) *NATSServer {
	tb.Helper()
	folder := tb.TempDir()
	name := fmt.Sprintf("nats-%d", i+1)
	config := fmt.Sprintf(`server_name: %q
listen: "127.0.0.1:%d"
http: "127.0.0.1:%d"
max_payload: 1MB
jetstream { store_dir: %q, max_memory_store: 256MB, max_file_store: 1GB }
`, name, ports[0], ports[1], filepath.Join(folder, "store"))
	file := filepath.Join(folder, "nats.conf")
	if err := os.WriteFile(file, []byte(config+more), 0o600); err != nil {
		tb.Fatalf("NATS: %v", err)
	}
	return &NATSServer{
		Name: name, size: size, store: filepath.Join(folder, "store"),
		URL:        fmt.Sprintf("nats://127.0.0.1:%d", ports[0]),
		MonitorURL: fmt.Sprintf("http://127.0.0.1:%d", ports[1]),
		Process:    startProcess(tb, name, []string{binary, "-c", file}, nil),
	}
}

// URL names all servers, as --nats takes them.
func (c *NATSCluster) URL() string {
	urls := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		urls[i] = s.URL
	}
	return strings.Join(urls, ",")
}

// WaitReady waits until every running server is healthy and agrees with the others on who leads JetStream.
func (c *NATSCluster) WaitReady(tb TB) {
	tb.Helper()
	WaitFor(tb, electionTime, func() string {
		leader := ""
		for _, s := range c.Servers {
			if !s.Running() {
				continue
			}
			at, reason := s.leader()
			if reason == "" && leader != "" && at != leader {
				reason = fmt.Sprintf("%s follows %s, others %s", s.Name, at, leader)
			}
			if reason != "" {
				return reason
			}
			leader = at
		}
		return ""
	})
}

// Leader is the server that leads JetStream's metadata; nil while there is none.
func (c *NATSCluster) Leader() *NATSServer {
	for _, s := range c.Servers {
		if !s.Running() {
			continue
		}
		leader, _ := s.leader()
		for _, l := range c.Servers {
			if l.Name == leader {
				return l
			}
		}
	}
	return nil
}

// Restart starts a server that was killed, on its ports and with its store. Use WaitReady after it.
func (s *NATSServer) Restart() {
	s.tb.Helper()
	s.Kill()
	s.start()
}

// Clear deletes what a server that was killed has stored.
func (s *NATSServer) Clear() {
	s.tb.Helper()
	s.Kill()
	if err := os.RemoveAll(s.store); err != nil {
		s.tb.Fatalf("%s: %v", s.Name, err)
	}
}

// Clients are the names of the clients that are connected to the server.
func (s *NATSServer) Clients() ([]string, error) {
	var list struct {
		Connections []struct{ Name string }
	}
	err := s.monitor("/connz", &list)
	var names []string
	for _, c := range list.Connections {
		names = append(names, c.Name)
	}
	return names, err
}

// leader is the JetStream leader this server knows; reason tells why it cannot say, or is not healthy.
func (s *NATSServer) leader() (leader, reason string) {
	var health struct{ Status, Error string }
	if err := s.monitor("/healthz", &health); err != nil {
		return "", err.Error()
	}
	if health.Status != "ok" {
		return "", s.Name + ": " + health.Status + " " + health.Error
	}
	if s.size == 1 {
		return s.Name, ""
	}
	var jetstream struct {
		Meta struct {
			Leader string `json:"leader"`
			Size   int    `json:"cluster_size"`
		} `json:"meta_cluster"`
	}
	if err := s.monitor("/jsz", &jetstream); err != nil {
		return "", err.Error()
	}
	if jetstream.Meta.Leader == "" || jetstream.Meta.Size != s.size {
		return "", fmt.Sprintf("%s: leader %q of %d", s.Name, jetstream.Meta.Leader, jetstream.Meta.Size)
	}
	return jetstream.Meta.Leader, ""
}

func (s *NATSServer) monitor(path string, into any) error {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(s.MonitorURL + path)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("%s%s: %w", s.Name, path, err)
	}
	return nil
}
