// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// pollers is the script of a session owner whose sessions are all used over HTTP. A message makes an event.
type pollers struct {
	mu       sync.Mutex
	sessions map[uint64]*polled
}

// polled is a session: its events, and the polls that wait for them.
type polled struct {
	events [][]byte
	polls  []waitingPoll
}

type waitingPoll struct {
	identity string
	max      int
}

func (p *pollers) script(o *owner, s messages.SessionSubject, m *bus.Msg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	identity, _ := messages.CutRepeat(m.Reply)
	known := p.sessions[s.Session]
	switch s.Kind {
	case messages.SessionRequest:
		p.request(o, s, m, identity)
	case messages.SessionPoll:
		if known == nil {
			o.send(s, identity, messages.Reply{Session: s.Session}.AppendError(nil, messages.ErrSessionNotFound(s.Session)))
			return
		}
		max, _ := strconv.Atoi(s.Arg)
		known.polls = append(known.polls, waitingPoll{identity, max})
		known.serve(o, s)
	case messages.SessionUnpoll:
		if known != nil {
			known.leave(identity)
		}
	}
}

func (p *pollers) request(o *owner, s messages.SessionSubject, m *bus.Msg, identity string) {
	var request janusjson.Message
	if err := janusjson.Scan(m.Data, &request); err != nil {
		panic(fmt.Sprintf("unvalidated %q: %v", m.Data, err))
	}
	if request.Verb() == janusjson.VerbCreate {
		if p.sessions == nil {
			p.sessions = make(map[uint64]*polled)
		}
		p.sessions[s.Session] = new(polled)
	}
	known := p.sessions[s.Session]
	if known == nil {
		reply := messages.Reply{Session: s.Session, Transaction: request.Bytes(janusjson.KeyTransaction)}
		o.send(s, identity, reply.AppendError(nil, messages.ErrSessionNotFound(s.Session)))
		return
	}
	obliging(o, s, m)
	if request.Verb() == janusjson.VerbMessage {
		known.events = append(known.events, fmt.Appendf(nil, `{"janus":"event","session_id":%d,"n":%d}`, s.Session, len(known.events)))
		known.serve(o, s)
	}
}

// serve gives the first poll that waits what there is.
func (k *polled) serve(o *owner, s messages.SessionSubject) {
	if len(k.polls) == 0 || len(k.events) == 0 {
		return
	}
	first := k.polls[0]
	k.polls = k.polls[1:]
	events := k.events[:min(first.max, len(k.events))]
	k.events = k.events[len(events):]
	body := bytes.Join(events, []byte{','})
	if first.max > 1 {
		body = fmt.Appendf(nil, "[%s]", body)
	}
	o.send(s, first.identity, body)
}

func (k *polled) leave(identity string) {
	for i, w := range k.polls {
		if w.identity == identity {
			k.polls = append(k.polls[:i:i], k.polls[i+1:]...)
			return
		}
	}
}
