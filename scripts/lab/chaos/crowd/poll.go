// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
	"github.com/januscloud/januscloud/scripts/lab/chaos/ledger"
)

// pollTime is longer than a poll waits for events.
const pollTime = 40 * time.Second

// poller is a client over HTTP, each of whose requests goes to another edge. One goroutine asks, one polls.
type poller struct {
	name   string
	crowd  *Crowd
	client *http.Client
	ledger *ledger.Ledger
	turn   atomic.Int64 // which edge is next

	count   int
	session string // path of the session
	handle  string
	// lost is done when the session is gone; why is then told by context.Cause.
	lost    context.Context
	setLost context.CancelCauseFunc
}

func (c *Crowd) newPoller(n int) *poller {
	p := &poller{name: fmt.Sprintf("poll%d", n+1), crowd: c, client: c.client, ledger: ledger.New(fmt.Sprintf("poll%d", n+1))}
	p.turn.Store(int64(n))
	return p
}

// run is the life of a poller. Its session is made anew when it is lost.
func (p *poller) run(ctx context.Context) {
	for ctx.Err() == nil {
		p.lost, p.setLost = context.WithCancelCause(ctx)
		if p.begin() == nil {
			done := make(chan struct{})
			go func() {
				defer close(done)
				p.listen()
			}()
			p.say()
			p.setLost(nil)
			<-done
		}
		p.setLost(nil)
		pause(ctx, 200*time.Millisecond)
	}
}

func (p *poller) begin() error {
	reply, err := p.ask("", map[string]any{"janus": "create"}, false)
	if err != nil {
		return err
	}
	p.session = fmt.Sprintf("/%d", reply.Number("data", "id"))
	reply, err = p.ask(p.session, map[string]any{"janus": "attach", "plugin": echotest}, false)
	p.handle = fmt.Sprintf("%s/%d", p.session, reply.Number("data", "id"))
	return err
}

// say sends messages until the session is gone.
func (p *poller) say() {
	ticker := time.NewTicker(p.crowd.interval)
	defer ticker.Stop()
	for p.lost.Err() == nil {
		_, _ = p.ask(p.handle, map[string]any{"janus": "message", "body": map[string]any{"audio": true}}, true)
		select {
		case <-ticker.C:
		case <-p.crowd.bell.heard():
		case <-p.lost.Done():
		}
	}
}

// ask posts a request and files its reply.
func (p *poller) ask(path string, request map[string]any, event bool) (lab.Message, error) {
	p.count++
	transaction := fmt.Sprintf("%s-%d", p.name, p.count)
	request["transaction"] = transaction
	body, err := json.Marshal(request)
	if err != nil {
		return lab.Message{}, err
	}
	p.ledger.Sent(transaction, event, time.Now())
	_, answer, err := p.exchange(http.MethodPost, path, body)
	var m lab.Message
	if err == nil {
		m, err = lab.ParseMessage(answer)
	}
	if err != nil {
		p.ledger.Doubt(transaction)
		return m, err
	}
	p.take(m)
	if m.Transaction != transaction {
		p.ledger.Wrong(fmt.Sprintf("%s was answered by %s", transaction, m))
	}
	if m.Error != nil {
		if m.Error.Code == codeNoSession || m.Error.Code == codeNoHandle {
			p.gone(m.Error.Error())
		}
		return m, m.Error
	}
	return m, nil
}

// exchange sends one request to the next edge that answers. It ends when that edge does not answer any more.
func (p *poller) exchange(method, path string, body []byte) (status int, answer []byte, err error) {
	at := p.crowd.edges.pick(int(p.turn.Add(1)))
	ctx, cancel := context.WithTimeout(p.lost, pollTime)
	defer cancel()
	down := p.crowd.edges.down(at)
	go func() {
		select {
		case <-down:
			cancel()
		case <-ctx.Done():
		}
	}()
	r, err := http.NewRequestWithContext(ctx, method, p.crowd.edges.all[at].HTTP+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	response, err := p.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// listen polls until the session is gone.
func (p *poller) listen() {
	for p.lost.Err() == nil {
		status, answer, err := p.exchange(http.MethodGet, p.session+"?maxev=5", nil)
		switch {
		case p.lost.Err() != nil:
			return
		case err != nil:
			p.ledger.Interrupted(time.Now())
			pause(p.lost, redialTime)
			continue
		case status == http.StatusNotFound:
			p.gone("a poll was answered 404")
			return
		}
		p.ledger.Resumed(time.Now())
		var events []json.RawMessage
		if err := decode(answer, &events); err != nil {
			p.ledger.Wrong(fmt.Sprintf("a poll was answered %d %s", status, answer))
			pause(p.lost, redialTime)
		}
		for _, raw := range events {
			if m, err := lab.ParseMessage(raw); err == nil {
				p.take(m)
			}
		}
	}
}

func (p *poller) take(m lab.Message) {
	now := time.Now()
	switch {
	case m.IsReply():
		code, reason := 0, ""
		if m.Error != nil {
			code, reason = m.Error.Code, m.Error.Reason
		}
		p.ledger.Replied(m.Transaction, code, reason, now)
	case m.Janus == "event" && m.Transaction != "":
		p.ledger.Event(m.Transaction, now)
	case m.Janus == "hangup":
		p.ledger.HungUp(m.Text("reason"), now)
	case m.Janus == "timeout":
		p.gone("it timed out")
	}
}

// gone ends the session's life; the first who says so is believed.
func (p *poller) gone(why string) {
	cause := fmt.Errorf("%w: %s", errSession, why)
	p.setLost(cause)
	if errors.Is(context.Cause(p.lost), cause) {
		p.ledger.SessionLost(p.session+": "+why, time.Now())
	}
}

func decode(raw []byte, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("crowd: %w", err)
	}
	return nil
}
