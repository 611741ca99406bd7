// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
)

// httpPlayer is a client that speaks HTTP, to several addresses in turn.
type httpPlayer struct {
	t       *testing.T
	ctx     context.Context
	http    []string
	turn    atomic.Int64
	client  *http.Client
	session string
	handle  string
}

// ask sends a request and returns the status and the answer, without blanks.
func (p *httpPlayer) ask(method, path, body string) string {
	r, err := p.exchange(method, path, body)
	if err != nil {
		p.t.Errorf("%s %s: %v", method, path, err)
	}
	return r
}

func (p *httpPlayer) exchange(method, path, body string) (string, error) {
	url := p.http[int(p.turn.Add(1))%len(p.http)]
	r, err := http.NewRequestWithContext(p.ctx, method, url+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	answer, err := p.client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	if len(text) == 0 {
		return fmt.Sprint(answer.StatusCode), nil
	}
	var compact bytes.Buffer
	err = json.Compact(&compact, text)
	return fmt.Sprint(answer.StatusCode, " ", compact.String()), err
}

// created sends a create or attach and returns the id.
func (p *httpPlayer) created(path, body string) string {
	p.t.Helper()
	answer := p.ask("POST", path, body)
	_, id, found := strings.Cut(answer, `"data":{"id":`)
	id, _, _ = strings.Cut(id, "}")
	if !found {
		p.t.Fatalf("%s: %s", body, answer)
	}
	return id
}

// begin makes a session with an echo test handle.
func (p *httpPlayer) begin() {
	p.t.Helper()
	p.session = p.created("", `{"janus":"create","transaction":"c"}`)
	p.handle = p.created("/"+p.session, `{"janus":"attach","plugin":"janus.plugin.echotest","transaction":"a"}`)
}

// message sends a message, which brings an event.
func (p *httpPlayer) message(transaction string) string {
	return p.ask("POST", "/"+p.session+"/"+p.handle, `{"janus":"message","transaction":"`+transaction+`","body":{"audio":true}}`)
}

func (p *httpPlayer) poll(query string) string { return p.ask("GET", "/"+p.session+query, "") }

// polling polls while the test goes on.
func (p *httpPlayer) polling(query string) <-chan string {
	answer := make(chan string, 1)
	go func() { answer <- p.poll(query) }()
	return answer
}

// TestKillWhilePolled kills a session node, then an edge, while clients poll: the polls that wait get what comes afterwards from
// the next node, and those that died with their edge get nothing that another one could have.
func TestKillWhilePolled(t *testing.T) {
	const clients = 30
	c := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 1, janus: 1})
	players := make([]*httpPlayer, clients)
	for i := range players {
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		players[i] = &httpPlayer{
			t: t, ctx: within(t, time.Minute), http: []string{c.edges[i%2].Ready.HTTP}, client: &http.Client{Transport: transport},
		}
		players[i].begin()
		players[i].message("first")
		players[i].poll("")
	}
	polls := make([]<-chan string, clients)
	for i, p := range players {
		polls[i] = p.polling("?maxev=3")
	}
	waiting := func(e *lab.RoleProcess) {
		t.Helper()
		lab.WaitFor(t, 10*time.Second, func() string {
			return mismatch(e, map[string]float64{"januscloud_edge_pending_polls": clients / 2})
		})
	}
	waiting(c.edges[0])
	waiting(c.edges[1])

	victim, successor := c.nodes[0], c.addNode(t)
	victim.Kill()
	for i, p := range players {
		p.message("second")
		if got := <-polls[i]; !strings.Contains(got, `[{"janus":"event"`) || !strings.Contains(got, `"second"`) {
			t.Errorf("client %d: the poll got %s", i, got)
		}
	}

	lost := players[1]
	dead := make(chan error, 1)
	go func() { _, err := lost.exchange("GET", "/"+lost.session, ""); dead <- err }()
	lab.WaitFor(t, 10*time.Second, func() string {
		return mismatch(c.edges[1], map[string]float64{"januscloud_edge_pending_polls": 1})
	})
	c.edges[1].Kill()
	if err := <-dead; err == nil {
		t.Error("the poll of an edge that was killed was answered")
	}
	lab.WaitFor(t, 10*time.Second, func() string { return edgeHeard(successor) })
	lost.http = []string{c.edges[0].Ready.HTTP}
	lost.message("third")
	if got := lost.poll(""); !strings.Contains(got, `"third"`) {
		t.Errorf("the poll at another edge got %s", got)
	}
}

// edgeHeard tells why a role has not found an edge to be silent; "" when it has.
func edgeHeard(r *lab.RoleProcess) string {
	answer, err := http.Get(r.Ready.Fields["health"] + "/metrics")
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && !strings.Contains(string(text), `januscloud_roster_members{heard="no",role="edge"} 1`) {
		err = errors.New("all edges are heard")
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
