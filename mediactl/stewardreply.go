// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"strconv"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// fromLine takes a message of Janus. What a plugin says of its own accord is nobody's.
func (s *steward) fromLine(raw []byte) {
	said := &s.line.said
	if janusjson.Scan(raw, said) != nil {
		s.metrics.drop("garbage")
		return
	}
	verb := said.Verb()
	switch verb {
	case janusjson.VerbTimeout:
		if id, _ := said.Uint(janusjson.KeySessionID); id == s.line.session {
			s.reset("Janus timed the session out")
		}
		return
	case janusjson.VerbDetached:
		if id, ok := said.Uint(janusjson.KeySender); ok {
			s.onDetached(id)
		}
		return
	}
	text, _ := said.Text(janusjson.KeyTransaction)
	tx, err := strconv.ParseUint(text, prefixBase, 64)
	w := s.line.waits[tx]
	if err != nil || w == nil {
		return
	}
	if verb == janusjson.VerbAck && w.verb == janusjson.VerbMessage {
		w.handle.drop(w.call) // the plugin has it, and answers with an event
		return
	}
	delete(s.line.waits, tx)
	s.onReply(w, verb)
}

// onReply takes Janus's answer to a message.
func (s *steward) onReply(w *stewardWait, verb janusjson.Verb) {
	switch w.verb {
	case janusjson.VerbCreate:
		s.onCreated(verb)
	case janusjson.VerbAttach:
		s.onAttached(w.handle, verb)
	case janusjson.VerbMessage:
		if verb == janusjson.VerbError {
			s.onRefused(w)
			return
		}
		s.onData(w.call)
	case janusjson.VerbKeepalive:
		if verb == janusjson.VerbError {
			s.reset("Janus has lost the session")
		}
	case janusjson.VerbDestroy:
		if s.line.stage == lineLeaving {
			s.line.session = 0
			s.line.link.Close()
		}
	}
}

// onCreated begins to work.
func (s *steward) onCreated(verb janusjson.Verb) {
	id, ok := idOf(&s.line.said)
	if s.line.stage != lineGreeting {
		return
	}
	if verb != janusjson.VerbSuccess || !ok {
		e := errorOf(&s.line.said)
		s.failQueued(e, "janus", func(*pluginCall) bool { return true })
		s.reset(e.Error())
		return
	}
	now := time.Now()
	s.line.session, s.line.stage, s.line.kept, s.line.used = id, lineReady, now, now
}

// onAttached takes a handle, or the reason why there is none: that is the answer to all who want the plugin.
func (s *steward) onAttached(h *stewardHandle, verb janusjson.Verb) {
	id, ok := idOf(&s.line.said)
	h.attaching = false
	if verb == janusjson.VerbSuccess && ok {
		if h.id = id; h.over {
			s.endVisit(h)
		}
		return
	}
	e := errorOf(&s.line.said)
	if e.Code == messages.CodeSessionNotFound {
		s.reset("Janus has lost the session")
		return
	}
	delete(s.line.handles, h.key)
	s.failQueued(e, "janus", func(c *pluginCall) bool { return c.of == h })
}

// onData answers a request with what the plugin said.
func (s *steward) onData(c *pluginCall) {
	if o, ok := s.line.said.Object(janusjson.KeyPluginData); ok {
		if data := o.Get("data").Bytes(); data != nil {
			s.succeed(c, data)
			return
		}
	}
	s.fail(c, errInternal, "janus")
}

// onRefused takes an error of Janus's core: the plugin has not heard of the request.
func (s *steward) onRefused(w *stewardWait) {
	c, e := w.call, errorOf(&s.line.said)
	lost := e.Code == messages.CodeSessionNotFound
	if e.Code == messages.CodeHandleNotFound {
		s.loseHandle(w.handle)
	} else if !lost {
		s.fail(c, e, "janus")
		return
	}
	if _, waits := s.calls[c]; waits {
		s.runAgain(c, e)
	}
	if lost {
		s.reset("Janus has lost the session")
	}
}

// runAgain puts a request that surely did not run before all others of its plugin, once.
func (s *steward) runAgain(c *pluginCall, e *messages.Error) {
	c.sent = false
	if c.again {
		s.fail(c, e, "janus")
		return
	}
	c.of.drop(c)
	c.of.queue = append([]*pluginCall{c}, c.of.queue...)
	// The loss of a session marks it, as it does all that wait for the next one.
	c.again = s.line.stage == lineReady && c.of.id == 0
}

// onDetached hears that Janus ended a handle.
func (s *steward) onDetached(id uint64) {
	for _, h := range s.line.handles {
		if h.id == id {
			s.loseHandle(h)
		}
	}
}

// loseHandle gives up a handle that Janus does not know any more, and what it still was to answer.
func (s *steward) loseHandle(h *stewardHandle) {
	h.id = 0
	for tx, w := range s.line.waits {
		if w.handle == h && w.verb == janusjson.VerbMessage {
			delete(s.line.waits, tx)
			s.lose(w.call)
		}
	}
}
