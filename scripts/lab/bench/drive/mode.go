// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// Mode is what a client asks over and over. One round of it is what is counted and timed.
type Mode string

// The modes.
const (
	// Message is a message to the echo test, until both its ack and its event came.
	Message Mode = "message"
	// Keepalive is a keepalive, until its ack.
	Keepalive Mode = "keepalive"
	// Ping is a ping, until its pong: no session takes part.
	Ping Mode = "ping"
	// CreateAttach is a new session and a handle of the echo test in it, two requests one after the other. What was made is
	// destroyed after the measurement.
	CreateAttach Mode = "create+attach"
)

// Modes are all of them.
func Modes() []Mode { return []Mode{Message, Keepalive, Ping, CreateAttach} }

const plugin = "janus.plugin.echotest"

// answers is a set of messages that answer one request.
type answers uint8

const (
	ack answers = 1 << iota
	success
	pong
	event
)

// String names them, for errors.
func (a answers) String() string {
	var names []string
	for bit, name := range map[answers]string{ack: "ack", success: "success", pong: "pong", event: "event"} {
		if a&bit != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " and ")
}

// answerOf is which answer a verb is; none for any other message.
func answerOf(verb janusjson.Verb) answers {
	switch verb {
	case janusjson.VerbAck:
		return ack
	case janusjson.VerbSuccess:
		return success
	case janusjson.VerbPong:
		return pong
	case janusjson.VerbEvent:
		return event
	}
	return 0
}

// step is one request and what has to come back.
type step struct {
	verb  string
	wants answers
	// fields appends what the request has besides verb and transaction, each with a comma in front; may be nil.
	fields func(c *client, dst []byte) []byte
	// inSession tells whether the answers have to name the client's session; if not they must name none.
	inSession bool
	// check looks at an answer with the right ids, and takes from it what is to be kept; may be nil.
	check func(c *client, m *janusjson.Message) error
}

// round are the requests that make up one round of a mode.
func (m Mode) round() []step {
	switch m {
	case Message:
		return []step{{verb: "message", wants: ack | event, inSession: true, fields: messageFields, check: checkEcho}}
	case Keepalive:
		return []step{{verb: "keepalive", wants: ack, inSession: true, fields: sessionField}}
	case Ping:
		return []step{{verb: "ping", wants: pong}}
	case CreateAttach:
		return []step{create(), attach()}
	}
	return nil
}

// prepare are the requests that each client begins with.
func (m Mode) prepare() []step {
	switch m {
	case Message:
		// The first message binds the handle to a Janus; it is not what is measured.
		return append([]step{create(), attach()}, m.round()...)
	case Keepalive:
		return []step{create()}
	}
	return nil
}

func create() step {
	return step{verb: "create", wants: success, check: func(c *client, m *janusjson.Message) (err error) {
		if c.session, err = id(m); err == nil {
			c.made = append(c.made, c.session)
		}
		return err
	}}
}

func attach() step {
	return step{
		verb: "attach", wants: success, inSession: true,
		fields: func(c *client, dst []byte) []byte {
			return append(sessionField(c, dst), `,"plugin":"`+plugin+`"`...)
		},
		check: func(c *client, m *janusjson.Message) (err error) {
			c.handle, err = id(m)
			return err
		},
	}
}

func destroy() step {
	return step{verb: "destroy", wants: success, inSession: true, fields: sessionField}
}

func sessionField(c *client, dst []byte) []byte {
	return janusjson.AppendUint(append(dst, `,"session_id":`...), c.session)
}

// messageFields is what janus.js sends to the echo test, and a filler that this ignores, for the wanted size.
func messageFields(c *client, dst []byte) []byte {
	dst = sessionField(c, dst)
	dst = janusjson.AppendUint(append(dst, `,"handle_id":`...), c.handle)
	dst = append(dst, `,"body":{"audio":true,"video":true`...)
	const open, end = `,"filler":"`, `"}}`
	if missing := c.size - (len(dst) - headerRoom) - len(open) - len(end); missing > 0 {
		dst = append(dst, open...)
		dst = append(dst, c.filler[:missing]...)
		return append(dst, `"}`...)
	}
	return append(dst, '}')
}

// filler is as much of what messageFields may need as it may ever need.
func filler(size int) []byte { return bytes.Repeat([]byte{'x'}, max(size, 0)) }

// checkEcho looks at what the echo test says of a message.
func checkEcho(c *client, m *janusjson.Message) error {
	if m.Verb() == janusjson.VerbAck {
		return nil
	}
	if sender, _ := m.Uint(janusjson.KeySender); sender != c.handle {
		return fmt.Errorf("event of handle %d, not of %d", sender, c.handle)
	}
	data, _ := m.Object(janusjson.KeyPluginData)
	if !data.Get("plugin").Is(plugin) {
		return fmt.Errorf("event of plugin %s", data.Get("plugin").Bytes())
	}
	said, _ := data.Get("data").Object()
	if !said.Get("echotest").Is("event") || !said.Get("result").Is("ok") {
		return fmt.Errorf("echo test says %s", said.Bytes())
	}
	return nil
}

// id is the data.id of a success.
func id(m *janusjson.Message) (uint64, error) {
	data, _ := m.Object(janusjson.KeyData)
	id, ok := data.Get("id").Uint()
	if !ok || id == 0 {
		return 0, fmt.Errorf("success without an id")
	}
	return id, nil
}
