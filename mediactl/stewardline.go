// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"slices"
	"strconv"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

const (
	// lineIdle is how long the connection is kept without requests.
	lineIdle = time.Minute
	// lineKeepalive is how often Janus hears of the session; its default time-out is 60 s.
	lineKeepalive = 20 * time.Second
	// stewardName is how the steward's handles are named to who looks at this Janus.
	stewardName = "januscloud"
)

// lineStage is how far the steward's connection is.
type lineStage uint8

const (
	lineAway lineStage = iota
	lineDialling
	lineGreeting // waits for its session
	lineReady
	lineLeaving // is about to end
)

// line is the steward's connection to Janus. It is made when there is something to ask.
type line struct {
	stage   lineStage
	link    *link                     // from lineGreeting on
	session uint64                    // on Janus; from lineReady on
	former  uint64                    // the session of a connection that was lost: Janus may still have it
	secret  []byte                    // a JSON string; nil: Janus wants none
	handles map[string]*stewardHandle // by key
	visits  uint64                    // handles that were made for one request
	waits   map[uint64]*stewardWait   // by transaction
	last    uint64                    // transaction
	used    time.Time                 // by a request
	kept    time.Time                 // when the last keepalive was sent
	text    []byte                    // scratch
	said    janusjson.Message         // scratch
}

// stewardHandle is the steward's handle of one plugin. Janus runs messages to one handle side by side
// (janus_transport_requests of src/janus.c), so the next leaves only when the one before was answered at all: an
// acknowledged one stands in the plugin's own queue.
type stewardHandle struct {
	key       string // in line.handles: the plugin, and for a visit its number
	plugin    string
	over      bool   // of a visit that is answered: to be detached
	id        uint64 // on Janus; 0: there is none
	attaching bool
	front     *pluginCall   // sent, and not even acknowledged
	queue     []*pluginCall // not sent, in order
}

// stewardWait is a message to Janus that waits for its answer.
type stewardWait struct {
	verb   janusjson.Verb
	handle *stewardHandle // of an attach, a message or a detach
	call   *pluginCall    // of a message
	due    time.Time
}

// handle finds the handle of a plugin, which may have none on Janus yet.
func (l *line) handle(plugin string) *stewardHandle {
	h := l.handles[plugin]
	if h == nil {
		h = &stewardHandle{key: plugin, plugin: plugin}
		l.handles[plugin] = h
	}
	return h
}

// visitor makes a handle for one request.
func (l *line) visitor(plugin string) *stewardHandle {
	l.visits++
	h := &stewardHandle{key: plugin + " " + strconv.FormatUint(l.visits, 10), plugin: plugin}
	l.handles[h.key] = h
	return h
}

// endVisit detaches the handle of a request that is answered.
func (s *steward) endVisit(h *stewardHandle) {
	delete(s.line.handles, h.key)
	h.over = true
	if h.id == 0 || s.line.stage != lineReady {
		return
	}
	if !s.write(&stewardWait{verb: janusjson.VerbDetach, handle: h, due: time.Now().Add(pluginDeadline)}) {
		s.reset("a visit is not ended") // with the session it will be
	}
}

// drop takes a call out, wherever it stands.
func (h *stewardHandle) drop(c *pluginCall) {
	if h.front == c {
		h.front = nil
	}
	if i := slices.Index(h.queue, c); i >= 0 {
		h.queue = slices.Delete(h.queue, i, i+1)
	}
}

// advance does whatever can be done now.
func (s *steward) advance() {
	l := &s.line
	switch {
	case l.stage == lineAway && !s.stopping && s.queued():
		l.stage = lineDialling
		s.work.Go(func() {
			if err := s.connect(s.ctx); err != nil {
				s.tell(dialFailed{err})
			}
		})
	case l.stage == lineGreeting && s.stopping:
		s.reset("the role stops")
	case l.stage == lineReady && s.stopping && len(s.calls) == 0:
		s.leave()
	case l.stage == lineReady:
		for _, h := range l.handles {
			s.push(h)
		}
	}
}

func (s *steward) queued() bool {
	for _, h := range s.line.handles {
		if len(h.queue) > 0 {
			return true
		}
	}
	return false
}

// push sends the next message to a plugin, if it is its turn.
func (s *steward) push(h *stewardHandle) {
	switch {
	case len(h.queue) == 0 || h.attaching || h.front != nil:
	case h.id == 0:
		h.attaching = s.write(&stewardWait{verb: janusjson.VerbAttach, handle: h, due: time.Now().Add(pluginDeadline)})
	default:
		c := h.queue[0]
		// A late answer is worth having as long as somebody may repeat the request.
		if !s.write(&stewardWait{verb: janusjson.VerbMessage, handle: h, call: c, due: time.Now().Add(deadline)}) {
			return
		}
		h.queue[0], h.queue = nil, h.queue[1:]
		h.front, c.sent = c, true
	}
}

// write sends a message to Janus, and reports whether it may have got there.
func (s *steward) write(w *stewardWait) bool {
	l := &s.line
	l.last++
	l.text = append(l.text[:0], `{"janus":"`...)
	l.text = append(l.text, w.verb.String()...)
	l.text = append(l.text, `","transaction":"`...)
	l.text = strconv.AppendUint(l.text, l.last, prefixBase)
	l.text = append(l.text, '"')
	session := l.session
	if w.verb == janusjson.VerbDestroy && session == 0 {
		session = l.former
	}
	if session != 0 {
		l.text = append(l.text, `,"session_id":`...)
		l.text = janusjson.AppendUint(l.text, session)
	}
	switch w.verb {
	case janusjson.VerbAttach:
		l.text = append(l.text, `,"opaque_id":"`+stewardName+`","plugin":`...)
		l.text = janusjson.AppendQuoted(l.text, w.handle.plugin)
	case janusjson.VerbMessage, janusjson.VerbDetach:
		l.text = append(l.text, `,"handle_id":`...)
		l.text = janusjson.AppendUint(l.text, w.handle.id)
	}
	if w.verb == janusjson.VerbMessage {
		l.text = append(l.text, `,"body":`...)
		l.text = append(l.text, w.call.body...)
	}
	if l.secret != nil {
		l.text = append(l.text, `,"apisecret":`...)
		l.text = append(l.text, l.secret...)
	}
	l.text = append(l.text, '}')
	if l.link.Send(l.text) != nil {
		return false // it ends, or is full: the next tick tries again
	}
	l.waits[l.last] = w
	return true
}

// hear takes what a connection tells.
func (s *steward) hear(message any) {
	switch m := message.(type) {
	case dialled:
		s.onLine(m.link)
	case dialFailed:
		s.log.Debug("steward does not reach Janus", "error", m.err)
		s.onNoLine()
	case closed:
		m.link.ended = true
		if m.link == s.line.link {
			s.onLineClosed(m.err)
		}
	case *received:
		if m.link == s.line.link && m.link != nil {
			s.fromLine(m.raw)
		}
	}
}

// onLine begins a session on a new connection, and ends the one that a lost connection left behind.
func (s *steward) onLine(l *link) {
	if l.ended {
		s.onNoLine()
		return
	}
	s.line.link, s.line.stage = l, lineGreeting
	now := time.Now()
	if s.line.former != 0 {
		s.write(&stewardWait{verb: janusjson.VerbDestroy, due: now.Add(pluginDeadline)})
		s.line.former = 0
	}
	s.write(&stewardWait{verb: janusjson.VerbCreate, due: now.Add(pluginDeadline)})
}

// onNoLine answers what waited for a connection that is not to be had.
func (s *steward) onNoLine() {
	s.line.stage = lineAway
	s.failQueued(errJanusLost, "down", func(*pluginCall) bool { return true })
}

func (s *steward) failQueued(e *messages.Error, reason string, which func(*pluginCall) bool) {
	for c := range s.calls {
		if !c.sent && which(c) {
			s.fail(c, e, reason)
		}
	}
}

// reset ends a connection that is of no use; onLineClosed sees to the rest.
func (s *steward) reset(reason string) {
	l := &s.line
	if l.link == nil || l.stage == lineLeaving {
		return
	}
	s.log.Warn("steward gives its connection to Janus up", "reason", reason)
	l.stage = lineLeaving
	l.link.Close()
}

// leave ends the session, and with it the connection.
func (s *steward) leave() {
	if !s.write(&stewardWait{verb: janusjson.VerbDestroy, due: time.Now().Add(stewardLinger)}) {
		s.line.link.Close()
	}
	s.line.stage = lineLeaving
}

// onLineClosed answers what Janus may have run. What it surely did not waits for another connection, once.
func (s *steward) onLineClosed(err error) {
	l := &s.line
	s.log.Debug("steward's connection to Janus ended", "error", err)
	l.stage, l.link, l.former, l.session = lineAway, nil, l.session, 0
	for _, w := range l.waits {
		if w.verb == janusjson.VerbMessage {
			s.lose(w.call)
		}
	}
	clear(l.waits)
	s.failQueued(errJanusLost, "down", func(c *pluginCall) bool { return c.again })
	for c := range s.calls {
		c.again = true
	}
	for key, h := range l.handles {
		h.id, h.attaching = 0, false
		if len(h.queue) == 0 {
			delete(l.handles, key)
		}
	}
}

// lose answers a request whose answer will not come.
func (s *steward) lose(c *pluginCall) {
	if _, waits := s.calls[c]; waits {
		s.fail(c, errNotKnown, "lost")
	}
}

// lineTick looks at the deadlines of the connection.
func (s *steward) lineTick(now time.Time) {
	l := &s.line
	for tx, w := range l.waits {
		if now.Before(w.due) {
			continue
		}
		delete(l.waits, tx)
		if w.verb != janusjson.VerbMessage {
			l.stage = lineLeaving
			l.link.Close()
		}
	}
	switch {
	case l.stage != lineReady:
	case len(s.calls) == 0 && now.Sub(l.used) >= lineIdle:
		s.leave()
	case now.Sub(l.kept) >= lineKeepalive:
		l.kept = now
		s.write(&stewardWait{verb: janusjson.VerbKeepalive, due: now.Add(pluginDeadline)})
	}
}
