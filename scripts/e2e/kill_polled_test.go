// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
)

// poller is a client with one session, over HTTP, that asks and polls at the same time, each request at the next edge.
type poller struct {
	*httpPlayer
	name  string
	query string
	sent  []string // transactions of the messages, in order
	heard []string // those of the events
	pause time.Duration
}

// TestKillUnderPolls kills (-9) the session node under clients that ask and have long polls open all the time, at one edge and the
// other: each message is acknowledged, and its event comes once and in order.
func TestKillUnderPolls(t *testing.T) {
	const clients, kills = 24, 2
	c := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 1, janus: 1})
	ctx := within(t, time.Minute)
	pollers := make([]*poller, clients)
	for i := range pollers {
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		pollers[i] = &poller{name: fmt.Sprintf("poller%d", i+1), query: []string{"?maxev=5", ""}[i%2], httpPlayer: &httpPlayer{
			t: t, ctx: ctx, http: []string{c.edges[0].Ready.HTTP, c.edges[1].Ready.HTTP}, client: &http.Client{Transport: transport},
		}}
		pollers[i].begin()
	}
	for range kills {
		victim := c.nodes[len(c.nodes)-1]
		c.addNode(t)
		for _, p := range pollers {
			p.sent, p.heard, p.pause = nil, nil, 0
		}
		pollWhile(ctx, t, pollers, victim.Kill)
		slices.SortFunc(pollers, func(a, b *poller) int { return int(a.pause - b.pause) })
		longest := pollers[clients-1].pause
		t.Logf("longest pause of each of %d sessions: median %v, longest %v", clients, pollers[clients/2].pause.Round(time.Millisecond), longest.Round(time.Millisecond))
		if longest > pauseLimit {
			t.Errorf("a session had no answer for %v, want %v at most", longest, pauseLimit)
		}
		each(t, pollers, func(_ int, p *poller) error { return p.check() })
	}
}

// pollWhile has every client ask and poll while something happens, and until all is heard that was asked for.
func pollWhile(ctx context.Context, t *testing.T, pollers []*poller, happens func()) {
	t.Helper()
	const rounds = 10 // before it happens, and after
	var ready sync.WaitGroup
	ready.Add(len(pollers))
	happened := make(chan struct{})
	go func() {
		ready.Wait()
		happens()
		close(happened)
	}()
	each(t, pollers, func(_ int, p *poller) error {
		warm := sync.OnceFunc(ready.Done)
		defer warm()
		listened := make(chan error, 1)
		go func() { listened <- p.listen() }()
		ticker := time.NewTicker(askEvery)
		defer ticker.Stop()
		after := 0
		for n := 0; after < rounds; n++ {
			if n == rounds {
				warm()
			}
			select {
			case <-happened:
				after++
			default:
			}
			if err := p.say(fmt.Sprintf("%s-%d", p.name, n+1)); err != nil {
				return err
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return fmt.Errorf("%s: %w", p.name, context.Cause(ctx))
			}
		}
		if err := p.say(p.last()); err != nil {
			return err
		}
		return <-listened
	})
}

// last is the transaction of the message after which a client asks and polls no more.
func (p *poller) last() string { return p.name + "-last" }

// say sends a message, which must be acknowledged.
func (p *poller) say(transaction string) error {
	p.sent = append(p.sent, transaction)
	start := time.Now()
	answer, err := p.exchange(http.MethodPost, "/"+p.session+"/"+p.handle,
		`{"janus":"message","transaction":"`+transaction+`","body":{"audio":true}}`)
	p.pause = max(p.pause, time.Since(start))
	if err == nil && (!strings.HasPrefix(answer, `200 {"janus":"ack"`) || !strings.Contains(answer, `"transaction":"`+transaction+`"`)) {
		err = fmt.Errorf("answered %s", answer)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", transaction, err)
	}
	return nil
}

// listen polls until the last event is there.
func (p *poller) listen() error {
	for !slices.Contains(p.heard, p.last()) {
		answer, err := p.exchange(http.MethodGet, "/"+p.session+p.query, "")
		if err != nil {
			return fmt.Errorf("%s: poll: %w", p.name, err)
		}
		text, ok := strings.CutPrefix(answer, "200 ")
		if p.query == "" {
			text = "[" + text + "]"
		}
		var events []json.RawMessage
		if !ok || json.Unmarshal([]byte(text), &events) != nil {
			return fmt.Errorf("%s: a poll was answered %s", p.name, answer)
		}
		for _, raw := range events {
			switch m, err := lab.ParseMessage(raw); {
			case err == nil && m.Janus == "event" && m.Transaction != "":
				p.heard = append(p.heard, m.Transaction)
			case err != nil || m.Janus != "keepalive":
				return fmt.Errorf("%s: told %s", p.name, raw)
			}
		}
	}
	return nil
}

// check compares what was heard with what was asked for.
func (p *poller) check() error {
	if !slices.Equal(p.heard, p.sent) {
		return fmt.Errorf("%s: asked for %d events, heard %d: %v", p.name, len(p.sent), len(p.heard), p.heard)
	}
	return nil
}
