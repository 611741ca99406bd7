// SPDX-License-Identifier: Apache-2.0

package conversation

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
)

const (
	// webPatience is how long the answer to a request over HTTP may take: more than the 30 s of a long poll.
	webPatience = 45 * time.Second
	// pollPatience is how long a poll step asks for its events.
	pollPatience = 20 * time.Second
	// long is what an answer must have taken for that to be noted: no request but a long poll does.
	long = 20 * time.Second
	// maxPolls bounds the requests of one connection that wait at once.
	maxPolls = 16
)

// web is a client that speaks HTTP. Each request has a connection of its own: what is sent again on a new one, after a server
// hung up, would be sent twice.
type web struct {
	name     string
	client   *http.Client
	header   http.Header
	pending  int
	answered chan outcome
	messages []Message
}

// outcome is the answer to a request.
type outcome struct {
	head string // status, headers, and how long it took if that was long
	body []byte
	err  error // there was none within the time
}

// web finds the HTTP client of a step, or makes it.
func (p *player) web(st step) *web {
	w := p.webs[st.connection]
	if w == nil {
		w = &web{
			name: st.connection, header: make(http.Header), answered: make(chan outcome, maxPolls),
			client: &http.Client{
				Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			},
		}
		p.webs[st.connection] = w
	}
	return w
}

// webStep plays a step over HTTP.
func (p *player) webStep(ctx context.Context, st step) error {
	w := p.web(st)
	switch st.verb {
	case verbHeader:
		w.header.Set(st.path, st.fragments[0])
		return nil
	case verbWait:
		return p.waitAnswers(ctx, w)
	case verbPoll:
		return p.poll(ctx, w, st)
	}
	if !st.goOn {
		return p.ask(ctx, w, st)
	}
	if w.pending == maxPolls {
		return fmt.Errorf("more than %d requests at once", maxPolls)
	}
	r, err := p.request(ctx, w, st)
	if err != nil {
		return err
	}
	w.pending++
	go func() { w.answered <- w.exchange(r) }()
	return nil
}

// request makes the request of a step, to the server's next address.
func (p *player) request(ctx context.Context, w *web, st step) (*http.Request, error) {
	path, err := p.say(st.path)
	if err != nil {
		return nil, err
	}
	body := ""
	for _, f := range st.fragments {
		filled, err := p.say(f)
		if err != nil {
			return nil, err
		}
		body += filled
	}
	p.out.sent += body
	if p.server.HTTP == nil {
		return nil, fmt.Errorf("the server has no address for HTTP")
	}
	url := p.server.HTTP(p.requests)
	p.requests++
	r, err := http.NewRequestWithContext(ctx, st.method, url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	maps.Copy(r.Header, w.header)
	return r, nil
}

// ask sends a request and waits for its answer, again and again where the step says so.
func (p *player) ask(ctx context.Context, w *web, st step) error {
	for {
		r, err := p.request(ctx, w, st)
		if err != nil {
			return err
		}
		o := w.exchange(r)
		if o.err != nil {
			p.remark("%s: line %d has no answer: %v", w.name, st.line, o.err)
			return nil
		}
		if st.kind == "" || o.is(st.kind) {
			p.hear(w, Message{Connection: w.name, Head: o.head, Raw: o.body})
			return nil
		}
		if err := idle(ctx, again); err != nil {
			return fmt.Errorf("no %q: %w", st.kind, err)
		}
	}
}

// is tells whether an answer is of a kind: that of its message, or of the first one of a list, or its status.
func (o outcome) is(kind string) bool {
	if strings.HasPrefix(o.head, kind) {
		return true
	}
	events := eventsOf(o.body)
	return len(events) > 0 && events[0].Janus == kind
}

// poll polls until so many events have come, which count as those of a WebSocket do: not in which answer they came.
func (p *player) poll(ctx context.Context, w *web, st step) error {
	deadline := time.Now().Add(pollPatience)
	for got := 0; got < st.replies; {
		r, err := p.request(ctx, w, st)
		if err != nil {
			return err
		}
		o := w.exchange(r)
		if o.err != nil || !strings.HasPrefix(o.head, "200") || time.Now().After(deadline) {
			p.remark("%s: line %d: %d of %d events came, then: %s %v", w.name, st.line, got, st.replies, o.head, o.err)
			return nil
		}
		for _, m := range eventsOf(o.body) {
			if m.Janus != "keepalive" {
				got++
				p.hear(w, Message{Connection: w.name, Raw: m.Raw})
			}
		}
	}
	return nil
}

// eventsOf are the messages of an answer, which is one or a list; none where it is something else.
func eventsOf(body []byte) []lab.Message {
	var raw []json.RawMessage
	if json.Unmarshal(body, &raw) != nil {
		raw = []json.RawMessage{body}
	}
	var all []lab.Message
	for _, text := range raw {
		m, err := lab.ParseMessage(text)
		if err != nil {
			return nil
		}
		all = append(all, m)
	}
	return all
}

// hear takes a message in.
func (p *player) hear(w *web, m Message) {
	w.messages = append(w.messages, m)
	for _, said := range eventsOf(m.Raw) {
		p.learnFrom(said)
	}
}

// waitAnswers waits for the answers to all requests that wait. Their order tells nothing: they are heard sorted.
func (p *player) waitAnswers(ctx context.Context, w *web) error {
	var all []Message
	for ; w.pending > 0; w.pending-- {
		select {
		case o := <-w.answered:
			if o.err != nil {
				p.remark("%s: no answer: %v", w.name, o.err)
				continue
			}
			all = append(all, Message{Connection: w.name, Head: o.head, Raw: o.body})
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	slices.SortFunc(all, func(a, b Message) int { return strings.Compare(kinds(a), kinds(b)) })
	for _, m := range all {
		p.hear(w, m)
	}
	return nil
}

// kinds is what answers are sorted by: their status and what their messages are about.
func kinds(m Message) string {
	sorted := m.Head
	if len(m.Raw) > 0 {
		sorted += " " + string(m.Raw[:1]) // a list, or one
	}
	for _, e := range eventsOf(m.Raw) {
		sorted += " " + e.Janus + " " + e.Transaction
	}
	return sorted
}

// exchange sends a request and takes the answer. A server that hangs up without one is an answer, too.
func (w *web) exchange(r *http.Request) outcome {
	ctx, cancel := context.WithTimeout(r.Context(), webPatience)
	defer cancel()
	start := time.Now()
	took := func() string {
		if d := time.Since(start); d >= long {
			return fmt.Sprintf(" after %.0f s", d.Round(10*time.Second).Seconds())
		}
		return ""
	}
	a, err := w.client.Do(r.WithContext(ctx))
	if ctx.Err() != nil {
		return outcome{err: context.Cause(ctx)}
	}
	if err != nil {
		return outcome{head: "nothing" + took()}
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		return outcome{err: err}
	}
	return outcome{head: strconv.Itoa(a.StatusCode) + headers(a.Header) + took(), body: body}
}

// headers are those of an answer that a client may act upon.
func headers(h http.Header) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(h)) {
		if key == "Content-Type" || key == "Location" || strings.HasPrefix(key, "Access-Control-") {
			fmt.Fprintf(&b, " %s=%s", key, strings.Join(h[key], ","))
		}
	}
	return b.String()
}
