// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
)

const (
	// pluginDeadline is how long a request may take, from its arrival. Whoever asks on behalf of a client of HTTP has 9 s.
	pluginDeadline = 8 * time.Second
	// maxPluginCalls bounds the requests under way, and those that wait to be looked at.
	maxPluginCalls = 1024
	// maxAskers bounds who waits for the answer to one request: each repeat has a reply subject of its own.
	maxAskers = 16
	// stewardMemory bounds the answers that are remembered for repeats, in bytes.
	stewardMemory = 4 << 20
	// stewardTick is how often deadlines are looked at.
	stewardTick = 250 * time.Millisecond
	// stewardLinger is how long Stop waits for requests that Janus runs, and again for the session to be destroyed.
	stewardLinger = time.Second
)

// The errors that the steward makes itself.
var (
	errJanusLost = messages.Errorf(messages.CodeUnknown, "Media server has lost its Janus")
	errNotKnown  = messages.Errorf(messages.CodeUnknown, "Outcome unknown: the connection to Janus was lost")
	errMalformed = messages.Errorf(messages.CodeInvalidJSON, "Malformed request to a plugin")
)

// steward puts messages to plugins of Janus that belong to no client's handle: on handles of its own, one for each plugin,
// in a session of its own, over a connection of its own. It works apart from the actor, whose mapping and heartbeats know
// nothing of that session: nothing here may hold up clients.
type steward struct {
	log     *slog.Logger
	metrics *metrics
	publish func(subject, reply string, data []byte) error
	serves  func() bool                     // whether Janus is up; asked from run
	connect func(ctx context.Context) error // one attempt, which tells of the connection it makes; see dialer.try

	asked chan *bus.Msg
	heard chan any      // what connections tell: dialled, dialFailed, *received, closed
	over  chan struct{} // closed when run has ended
	ctx   context.Context
	stop  context.CancelFunc
	work  sync.WaitGroup // run, and a dial

	// The rest belongs to run.
	stopping bool
	fence    fence
	memory   *memory // answers only
	calls    map[*pluginCall]struct{}
	named    map[string]*pluginCall // those with an id
	line     line
}

// pluginCall is a request until it is answered.
type pluginCall struct {
	id    string // empty: it is not remembered
	body  json.RawMessage
	visit bool     // its handle is detached when it is answered
	to    []string // reply subjects
	of    *stewardHandle
	sent  bool // Janus may have run it
	again bool // it has waited for a second connection or handle; there is no third
	since time.Time
	due   time.Time
}

func newSteward(m *Media) *steward {
	s := &steward{
		log: m.log, metrics: m.metrics, publish: m.publish, serves: func() bool { return m.status.media.Load().Serves() },
		asked: make(chan *bus.Msg, maxPluginCalls), heard: make(chan any), over: make(chan struct{}),
		calls: map[*pluginCall]struct{}{}, named: map[string]*pluginCall{},
	}
	s.memory = newMemory(stewardMemory, time.Now(), func(n int) { s.metrics.forgotten.Add(float64(n)) })
	s.line.handles, s.line.waits = map[string]*stewardHandle{}, map[uint64]*stewardWait{}
	if m.options.APISecret != "" {
		s.line.secret = janusjson.AppendQuoted(nil, m.options.APISecret)
	}
	s.connect = (&dialer{url: m.options.JanusURL, tell: s.tell}).try
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// start begins to answer what take is given.
func (s *steward) start() { s.work.Go(s.run) }

// wait waits for the end, after stop: for a moment only, whatever Janus does.
func (s *steward) wait() { s.work.Wait() }

// take takes a message if it is for the steward. It does not block.
func (s *steward) take(m *bus.Msg) bool {
	if !messages.IsMediaPlugin(m.Subject) {
		return false
	}
	select {
	case s.asked <- m:
	default:
		s.refuse(m.Reply, errBusy, "busy")
	}
	return true
}

// tell passes on what a connection tells.
func (s *steward) tell(message any) {
	select {
	case s.heard <- message:
	case <-s.over:
	}
}

// run owns the state until all is said and the connection is closed.
func (s *steward) run() {
	defer close(s.over)
	tick := time.NewTicker(stewardTick)
	defer tick.Stop()
	stop := s.ctx.Done()
	for !s.stopping || s.line.stage != lineAway || len(s.asked) > 0 {
		select {
		case m := <-s.asked:
			s.request(m)
		case m := <-s.heard:
			s.hear(m)
		case <-tick.C:
			s.onTick(time.Now())
		case <-stop:
			stop = nil
			s.beginStop()
		}
		s.advance()
	}
}

// beginStop gives what Janus runs a moment, and refuses the rest.
func (s *steward) beginStop() {
	s.stopping = true
	limit := time.Now().Add(stewardLinger)
	for c := range s.calls {
		if !c.sent {
			s.fail(c, errLost, "lost")
			continue
		}
		c.due = limit
	}
}

// request takes a request of the bus.
func (s *steward) request(m *bus.Msg) {
	var p messages.PluginRequest
	if err := json.Unmarshal(m.Data, &p); err != nil || m.Reply == "" || p.Plugin == "" || len(p.Body) == 0 ||
		p.Partition < 0 || p.Partition >= messages.Partitions {
		s.refuse(m.Reply, errMalformed, "malformed")
		return
	}
	s.metrics.pluginRequests.Inc()
	if p.Epoch.Number != 0 {
		if highest, ok := s.fence.admit(p.Partition, p.Epoch); !ok {
			s.metrics.refuse("epoch")
			s.send(m.Reply, marshalled(messages.PluginReply{Refused: highest}))
			return
		}
	}
	switch {
	case p.ID != "" && s.repeated(p.ID, m.Reply):
		s.metrics.absorbed.Inc()
	case s.stopping:
		s.refuse(m.Reply, errLost, "lost")
	case !s.serves():
		s.refuse(m.Reply, errJanusLost, "down")
	case len(s.calls) >= maxPluginCalls:
		s.refuse(m.Reply, errBusy, "busy")
	default:
		s.enter(&p, m.Reply)
	}
}

// repeated answers the repeat of a request that ran, or has it wait for the answer to the one that runs.
func (s *steward) repeated(id, to string) bool {
	if body := s.memory.reply(s.memory.keyOf(id), id); body != nil {
		s.send(to, body)
		return true
	}
	c := s.named[id]
	switch {
	case c == nil:
		return false
	case slices.Contains(c.to, to):
	case len(c.to) >= maxAskers:
		s.refuse(to, errBusy, "busy")
	default:
		c.to = append(c.to, to)
	}
	return true
}

// enter queues a request behind those to the same plugin.
func (s *steward) enter(p *messages.PluginRequest, to string) {
	now := time.Now()
	c := &pluginCall{id: p.ID, body: p.Body, visit: p.Visit, to: []string{to}, since: now, due: now.Add(pluginDeadline)}
	if c.of = s.line.handle(p.Plugin); c.visit {
		c.of = s.line.visitor(p.Plugin)
	}
	c.of.queue = append(c.of.queue, c)
	s.calls[c] = struct{}{}
	if c.id != "" {
		s.named[c.id] = c
	}
	s.line.used = now
}

// succeed answers a request with what the plugin said. One that is late already is answered to whoever repeats it.
func (s *steward) succeed(c *pluginCall, data []byte) {
	var body bytes.Buffer
	body.WriteString(`{"data":`)
	if json.Compact(&body, data) != nil { // Janus indents by default
		body.Write(data)
	}
	body.WriteByte('}')
	if _, waits := s.calls[c]; waits {
		s.metrics.pluginSeconds.Observe(time.Since(c.since).Seconds())
	}
	s.answer(c, body.Bytes())
}

// fail answers a request with an error.
func (s *steward) fail(c *pluginCall, e *messages.Error, reason string) {
	if _, waits := s.calls[c]; waits {
		s.metrics.pluginErrors.WithLabelValues(reason).Inc()
	}
	s.answer(c, marshalled(messages.PluginReply{Error: e}))
}

// answer answers all who ask, and remembers the answer if Janus may have run the request.
func (s *steward) answer(c *pluginCall, body []byte) {
	if _, waits := s.calls[c]; waits {
		delete(s.calls, c)
		delete(s.named, c.id)
		if c.of.drop(c); c.visit {
			s.endVisit(c.of)
		}
		for _, to := range c.to {
			body = s.send(to, body)
		}
		s.line.used = time.Now()
	}
	if c.id != "" && c.sent {
		s.memory.keep(s.memory.keyOf(c.id), c.id, body, time.Now())
	}
}

// refuse answers a request that was not run.
func (s *steward) refuse(to string, e *messages.Error, reason string) {
	s.metrics.pluginErrors.WithLabelValues(reason).Inc()
	if to != "" {
		s.send(to, marshalled(messages.PluginReply{Error: e}))
	}
}

// send publishes an answer, and returns it: one that NATS does not take for its size becomes an error.
func (s *steward) send(to string, body []byte) []byte {
	err := s.publish(to, "", body)
	if errors.Is(err, bus.ErrTooLarge) {
		body = marshalled(messages.PluginReply{Error: errTooLarge})
		err = s.publish(to, "", body)
	}
	if err != nil {
		s.metrics.drop("disconnected")
	}
	return body
}

// marshalled writes a reply without data, which never fails.
func marshalled(r messages.PluginReply) []byte {
	body, _ := json.Marshal(r)
	return body
}

// onTick looks at every deadline.
func (s *steward) onTick(now time.Time) {
	s.memory.expire(now)
	if !s.stopping && s.line.stage != lineAway && !s.serves() {
		for c := range s.calls {
			if !c.sent {
				s.fail(c, errJanusLost, "down")
			}
		}
		s.reset("Janus is down")
	}
	for c := range s.calls {
		if !now.Before(c.due) {
			s.fail(c, errLate, "late")
		}
	}
	s.lineTick(now)
}
