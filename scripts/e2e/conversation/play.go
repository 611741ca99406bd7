// SPDX-License-Identifier: Apache-2.0

package conversation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/januscloud/januscloud/scripts/lab"
)

const (
	// patience is how long a reply or an awaited message may take: more than any time-out of a Setup in use, with the two
	// seconds between the looks of Janus's watchdog.
	patience = 12 * time.Second
	// quiet is how long nothing may have come for a conversation to be over.
	quiet = 150 * time.Millisecond
	// again is the pause between the tries of an until.
	again = 50 * time.Millisecond
)

// Server is one that conversations are played with.
type Server struct {
	// Dial opens the n-th connection of a conversation, counted from 0. An empty path and protocol stand for the usual ones.
	Dial func(ctx context.Context, n int, path, protocol string) (*lab.Client, error)
	// HTTP is the address, without a path, for the n-th request over HTTP, counted from 0.
	HTTP func(n int) string
	// Before is called before the n-th of so many steps, counted from 0, when all that was sent is answered. nil: nothing.
	Before func(ctx context.Context, n, steps int) error
	// Enough tells that nothing more is expected to come; the conversation is then over after a moment of quiet. nil: always.
	Enough func(*Transcript) bool
}

// Transcript is what a server said in a conversation.
type Transcript struct {
	// Messages are those of one connection after the other, each in order of arrival.
	Messages []Message
	// Remarks are what was wrong with the server: replies missing, frames that are none.
	Remarks []string
	names   map[string]string // of ids, by their text
	said    map[string]bool   // long numbers that the script itself said: they mean the same to every server
	sent    string            // all texts of requests over HTTP
}

// Message is one that arrived.
type Message struct {
	// Connection is its name in the script.
	Connection string
	// Handle is that of the message request which this is the direct reply to; "" for all others.
	Handle string
	// Head is the first line of an answer over HTTP, and says that this is one; "" for all others, those of poll steps too.
	Head string
	// Raw is the text; empty for an answer over HTTP without a body.
	Raw []byte
}

// player plays one conversation with one server.
type player struct {
	script   *Script
	server   Server
	ids      map[string]string // by placeholder
	clients  map[string]*client
	webs     map[string]*web
	requests int // over HTTP, so far
	out      *Transcript
}

// client is one connection of a conversation.
type client struct {
	*lab.Client
	name     string
	messages []received
	owed     int               // replies to all that was sent
	replies  int               // that came
	sent     map[string]string // transaction to handle_id, of message requests
}

// received is a message, taken apart.
type received struct {
	lab.Message
	reply   bool
	awaited bool
}

// Play has the conversation with a server. An error means that it could not be had: what the server does wrong is in the
// transcript.
func Play(ctx context.Context, s *Script, server Server) (*Transcript, error) {
	p := &player{
		script: s, server: server, clients: make(map[string]*client), webs: make(map[string]*web), ids: make(map[string]string),
		out: &Transcript{names: make(map[string]string), said: make(map[string]bool)},
	}
	defer p.end()
	for i := 1; i <= 9; i++ {
		p.learn("fresh"+strconv.Itoa(i), strconv.FormatUint(1<<50+rand.Uint64N(1<<52), 10))
	}
	for n, st := range s.steps {
		if err := p.before(ctx, n); err != nil {
			return nil, err
		}
		if err := p.step(ctx, st); err != nil {
			return nil, fmt.Errorf("conversation: %s:%d: %w", s.Name, st.line, err)
		}
	}
	if err := p.settle(ctx); err != nil {
		return nil, fmt.Errorf("conversation: %s: %w", s.Name, err)
	}
	return p.out, nil
}

// before tells whoever wants to know which step comes next.
func (p *player) before(ctx context.Context, n int) error {
	if p.server.Before == nil {
		return nil
	}
	for _, c := range p.clients {
		if c.replies < c.owed {
			return nil
		}
	}
	for _, w := range p.webs {
		if w.pending > 0 {
			return nil
		}
	}
	return p.server.Before(ctx, n, len(p.script.steps))
}

// collect brings the transcript up to date.
func (p *player) collect() {
	p.out.Messages = nil
	for _, name := range slices.Sorted(maps.Keys(p.clients)) {
		c := p.clients[name]
		for _, m := range c.messages {
			out := Message{Connection: name, Raw: m.Raw}
			if m.reply {
				out.Handle = c.sent[m.Transaction]
			}
			p.out.Messages = append(p.out.Messages, out)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.webs)) {
		p.out.Messages = append(p.out.Messages, p.webs[name].messages...)
	}
}

// end closes what is still open, and takes note of what a correct server would not have sent.
func (p *player) end() {
	for _, name := range slices.Sorted(maps.Keys(p.clients)) {
		c := p.clients[name]
		_ = c.Close()
		for _, v := range c.Violations() {
			p.remark("%s: %s", name, v)
		}
	}
}

func (p *player) remark(format string, args ...any) {
	p.out.Remarks = append(p.out.Remarks, fmt.Sprintf(format, args...))
}

// learn gives an id its name; texts have their quotes.
func (p *player) learn(name, id string) {
	p.ids[name] = id
	id = strings.Trim(id, `"`)
	if _, known := p.out.names[id]; !known {
		p.out.names[id] = "$" + name
	}
}

func (p *player) step(ctx context.Context, st step) error {
	switch {
	case st.verb == verbIdle:
		return idle(ctx, st.pause)
	case st.verb >= verbRequest:
		return p.webStep(ctx, st)
	}
	c, err := p.client(ctx, st)
	if err != nil {
		return err
	}
	switch st.verb {
	case verbSend:
		return p.send(ctx, c, st)
	case verbAwait:
		return p.await(ctx, c, st)
	case verbClose:
		return c.Close()
	case verbAbort:
		c.Abort()
	}
	return nil
}

// idle lets time pass: it is the server's clock that a conversation wants to see move.
func idle(ctx context.Context, pause time.Duration) error {
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// client finds the connection of a step, or opens it.
func (p *player) client(ctx context.Context, st step) (*client, error) {
	if c := p.clients[st.connection]; c != nil && st.verb != verbConnect {
		return c, nil
	}
	dialled, err := p.server.Dial(ctx, len(p.clients), st.path, st.protocol)
	if err != nil {
		return nil, err
	}
	c := &client{Client: dialled, name: st.connection, sent: make(map[string]string)}
	p.clients[st.connection] = c
	return c, nil
}

var placeholder = regexp.MustCompile(`\$(\$|[a-zA-Z][a-zA-Z0-9_]*(\.sdp)?)`)

// fill replaces the placeholders of a text.
func (p *player) fill(text string) (string, error) {
	var unknown error
	filled := placeholder.ReplaceAllStringFunc(text, func(name string) string {
		name = name[1:]
		if name == "$" {
			return name
		}
		if id, known := p.ids[name]; known {
			return id
		}
		if file, known := p.script.files[name]; known {
			return file
		}
		unknown = fmt.Errorf("no reply gave $%s, and there is no such file", name)
		return ""
	})
	return filled, unknown
}

// say fills in a text that is about to be sent.
func (p *player) say(text string) (string, error) {
	for _, n := range longNumber.FindAllString(text, -1) {
		p.out.said[n] = true
	}
	return p.fill(text)
}

// send sends a text and waits for what it is worth.
func (p *player) send(ctx context.Context, c *client, st step) error {
	fragments := make([][]byte, len(st.fragments))
	for i, f := range st.fragments {
		filled, err := p.say(f)
		if err != nil {
			return err
		}
		fragments[i] = []byte(filled)
	}
	transactions := c.note(bytes.Join(fragments, nil))
	op := ws.OpText
	if st.binary {
		op = ws.OpBinary
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		before := len(c.messages)
		if err := c.SendRaw(op, fragments...); err != nil {
			return err
		}
		c.owed += st.replies
		if st.goOn || !p.answered(ctx, c, before, transactions, st) || st.kind == "" {
			return nil
		}
		reply := before + slices.IndexFunc(c.messages[before:], func(m received) bool { return m.reply })
		if reply < before || c.messages[reply].Janus == st.kind {
			return nil
		}
		c.messages = slices.Delete(c.messages, reply, reply+1)
		if err := idle(ctx, again); err != nil {
			return fmt.Errorf("no %q: %w", st.kind, err)
		}
	}
}

// answered waits until everything sent is answered, and the message requests of these transactions by their plugin as well. It
// reports whether that came about.
func (p *player) answered(ctx context.Context, c *client, before int, transactions []string, st step) bool {
	for c.replies < c.owed || c.acknowledged(before, transactions) {
		if err := p.receive(ctx, c); err != nil {
			p.remark("%s: line %d has no answer: %v", c.name, st.line, err)
			return false
		}
	}
	for i := before; i < len(c.messages); i++ {
		m := &c.messages[i]
		m.awaited = m.awaited || slices.Contains(transactions, m.Transaction)
	}
	return true
}

// acknowledged tells whether, among the messages from there on, an event is missing for an ack.
func (c *client) acknowledged(from int, transactions []string) bool {
	pending := make(map[string]int)
	for _, m := range c.messages[from:] {
		if !slices.Contains(transactions, m.Transaction) {
			continue
		}
		switch m.Janus {
		case "ack":
			pending[m.Transaction]++
		case "event":
			pending[m.Transaction]--
		}
		if pending[m.Transaction] == 0 {
			delete(pending, m.Transaction)
		}
	}
	return len(pending) > 0
}

// await waits for a message of a kind.
func (p *player) await(ctx context.Context, c *client, st step) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for i := 0; ; i++ {
		for i >= len(c.messages) {
			if err := p.receive(ctx, c); err != nil {
				p.remark("%s: line %d: no %s: %v", c.name, st.line, st.kind, err)
				return nil
			}
		}
		if m := &c.messages[i]; m.Janus == st.kind && !m.reply && !m.awaited {
			m.awaited = true
			return nil
		}
	}
}

// receive takes in one message.
func (p *player) receive(ctx context.Context, c *client) error {
	m, err := c.Next(ctx, func(lab.Message) bool { return true })
	if err != nil {
		return err
	}
	r := received{Message: m, reply: replyKind(m.Janus)}
	c.messages = append(c.messages, r)
	if r.reply {
		c.replies++
	}
	p.learnFrom(m)
	return nil
}

// learnFrom names the ids that an answer gives: those that a plugin drew by the transaction and what they are ids of.
func (p *player) learnFrom(m lab.Message) {
	if m.Transaction == "" {
		return
	}
	if id := string(m.Get("data", "id")); id != "" && m.Janus == "success" {
		p.learn(m.Transaction, id)
	}
	for _, of := range [...]struct {
		name string
		path []string
	}{{"_room", []string{"room"}}, {"_id", []string{"id"}}, {"_stream", []string{"stream", "id"}}} {
		id := string(m.Get(append([]string{"plugindata", "data"}, of.path...)...))
		if bare := strings.Trim(id, `"`); bare != "" && longNumber.FindString(bare) == bare {
			p.learn(m.Transaction+of.name, id)
		}
	}
}

// note remembers which of the requests in a text go to a plugin, since their replies come from Janus's thread pool, and returns
// their transactions.
func (c *client) note(text []byte) (transactions []string) {
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var r struct {
			Janus       string          `json:"janus"`
			Transaction string          `json:"transaction"`
			Handle      json.RawMessage `json:"handle_id"`
		}
		if err := d.Decode(&r); err != nil {
			return transactions // the end, or not JSON: then it is answered as a whole
		}
		if strings.EqualFold(r.Janus, "message") && r.Transaction != "" {
			c.sent[r.Transaction] = string(r.Handle)
			transactions = append(transactions, r.Transaction)
		}
	}
}

// settle waits until nothing more comes.
func (p *player) settle(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(p.webs)) {
		if err := p.waitAnswers(ctx, p.webs[name]); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(patience / 4)
	for last := time.Now(); time.Since(last) < quiet; {
		for _, name := range slices.Sorted(maps.Keys(p.clients)) {
			came, err := p.drain(ctx, p.clients[name])
			if err != nil {
				return err
			}
			if came {
				last = time.Now()
			}
		}
		p.collect()
		if p.server.Enough != nil && !p.server.Enough(p.out) && time.Now().Before(deadline) {
			last = time.Now()
		}
	}
	return nil
}

// drain takes in what there is on a connection, and reports whether there was anything.
func (p *player) drain(ctx context.Context, c *client) (came bool, err error) {
	for {
		now, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		err := p.receive(now, c)
		cancel()
		if err != nil {
			return came, context.Cause(ctx)
		}
		came = true
	}
}

func mustMarshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // of what encoding/json made itself
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
