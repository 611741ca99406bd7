// SPDX-License-Identifier: Apache-2.0

package janustest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Request is a request as far as the core of Janus looks at it.
type Request struct {
	Raw         []byte          `json:"-"`
	Janus       string          `json:"janus"`
	Transaction string          `json:"transaction"`
	Session     uint64          `json:"session_id"`
	Handle      uint64          `json:"handle_id"`
	ID          uint64          `json:"id"`
	Plugin      string          `json:"plugin"`
	Secret      string          `json:"apisecret"`
	Body        json.RawMessage `json:"body"`
}

// Quote writes a string as JSON.
func Quote(text string) string {
	quoted, _ := json.Marshal(text) // a string always marshals
	return string(quoted)
}

// head begins an answer, in Janus's order of keys.
func (r Request) head(verb string) string {
	head := `{"janus":"` + verb + `"`
	if r.Session != 0 {
		head += fmt.Sprintf(`,"session_id":%d`, r.Session)
	}
	return head + `,"transaction":` + Quote(r.Transaction)
}

// Ack is the answer "ack".
func (r Request) Ack() string { return r.head("ack") + "}" }

// Success is the answer "success".
func (r Request) Success() string { return r.head("success") + "}" }

// Made is the answer to a create or an attach.
func (r Request) Made(id uint64) string {
	return r.head("success") + fmt.Sprintf(`,"data":{"id":%d}}`, id)
}

// Error is the answer "error".
func (r Request) Error(code int, format string, args ...any) string {
	return r.head("error") + fmt.Sprintf(`,"error":{"code":%d,"reason":%s}}`, code, Quote(fmt.Sprintf(format, args...)))
}

// Event is what a plugin answers to a message: the event that bears its transaction. Data is JSON.
func (r Request) Event(data string) string {
	return fmt.Sprintf(`{"janus":"event","session_id":%d,"transaction":%s,"sender":%d,"plugindata":{"plugin":"%s","data":%s}}`,
		r.Session, Quote(r.Transaction), r.Handle, Plugin, data)
}

// Echo is the event with which the echo test answers a message of its own.
func (r Request) Echo() string { return r.Event(`{"echotest":"event","result":"ok"}`) }

// answer answers as janus_process_incoming_request of src/janus.c does.
func (s *Server) answer(c *Conn, r Request) {
	verb := strings.ToLower(r.Janus)
	if r.Session == 0 {
		s.withoutSession(c, r, verb)
		return
	}
	x := s.sessions[r.Session]
	switch {
	case !s.allowed(r):
		c.Send(r.Error(403, "Unauthorized request (wrong or missing secret/token)"))
		return
	case x == nil:
		c.Send(r.Error(458, "No such session %d", r.Session))
		return
	}
	if _, ok := x.handles[r.Handle]; !ok && r.Handle != 0 {
		c.Send(r.Error(459, "No such handle %d in session %d", r.Handle, r.Session))
		return
	}
	switch verb {
	case "keepalive":
		c.Send(r.Ack())
	case "claim":
		x.owner = c
		c.Send(r.Success())
	case "attach", "destroy":
		if r.Handle != 0 {
			c.Send(r.Error(457, "Unhandled request '%s' at this path", r.Janus))
			return
		}
		s.structural(c, r, verb, x)
	case "message", "trickle", "hangup", "detach":
		if r.Handle == 0 {
			c.Send(r.Error(457, "Unhandled request '%s' at this path", r.Janus))
			return
		}
		s.onHandle(c, r, verb, x)
	default:
		c.Send(r.Error(453, "Unknown request '%s'", r.Janus))
	}
}

func (s *Server) allowed(r Request) bool {
	return s.options.Secret == "" || r.Secret == s.options.Secret
}

// withoutSession answers what needs no session.
func (s *Server) withoutSession(c *Conn, r Request, verb string) {
	switch {
	case r.Handle != 0:
		c.Send(r.Error(458, "No such session"))
	case verb == "info":
		c.Send(s.info(r))
	case verb == "ping":
		c.Send(r.head("pong") + "}")
	case verb != "create":
		c.Send(r.Error(457, "Unhandled request '%s' at this path", r.Janus))
	case !s.allowed(r):
		c.Send(r.Error(403, "Unauthorized request (wrong or missing secret/token)"))
	case s.sessions[r.ID] != nil:
		taken := r
		taken.Session = r.ID
		c.Send(taken.Error(468, "Session ID already in use"))
	default:
		if r.ID == 0 {
			r.ID = s.newID()
		}
		s.sessions[r.ID] = &session{owner: c, handles: make(map[uint64]string)}
		c.Send(r.Made(r.ID))
	}
}

func (s *Server) newID() uint64 {
	s.lastID++
	return s.lastID
}

// info is a part of what Janus tells.
func (s *Server) info(r Request) string {
	reclaim := s.options.Reclaim
	if reclaim == 0 {
		reclaim = 90
	}
	return r.head("server_info") + fmt.Sprintf(`,"name":"Janus WebRTC Server","version_string":"1.1.2","server-name":"scripted",`+
		`"session-timeout":60,"reclaim-session-timeout":%d,"static-event-loops":0,"accepting-new-sessions":true,`+
		`"transports":{"janus.transport.websockets":{"name":"JANUS WebSockets transport plugin"}},`+
		`"plugins":{"%s":{"name":"JANUS EchoTest plugin","version_string":"0.0.7"}}}`, max(0, reclaim), Plugin)
}

// structural answers what makes a handle or ends a session.
func (s *Server) structural(c *Conn, r Request, verb string, x *session) {
	switch {
	case verb == "destroy":
		delete(s.sessions, r.Session)
		c.Send(r.Success())
	case r.Plugin == "":
		c.Send(r.Error(456, "Missing mandatory element (plugin)"))
	case r.Plugin != Plugin:
		c.Send(r.Error(460, "No such plugin '%s'", r.Plugin))
	default:
		id := s.newID()
		x.handles[id] = r.Plugin
		c.Send(r.Made(id))
	}
}

// onHandle answers what concerns a handle. Replies go to who asked, events to the session's owner.
func (s *Server) onHandle(c *Conn, r Request, verb string, x *session) {
	event := func(text string) {
		if x.owner != nil {
			x.owner.Send(text)
		}
	}
	switch verb {
	case "message":
		if r.Body == nil {
			c.Send(r.Error(456, "Missing mandatory element (body)"))
			return
		}
		c.Send(r.head("ack") + `,"hint":"I'm taking my time!"}`)
		event(r.Echo())
	case "trickle":
		c.Send(r.Ack())
	case "hangup":
		c.Send(r.Success())
	case "detach":
		delete(x.handles, r.Handle)
		c.Send(r.Success())
		event(fmt.Sprintf(`{"janus":"detached","session_id":%d,"sender":%d}`, r.Session, r.Handle))
	}
}
