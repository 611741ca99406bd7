// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"cmp"
	"slices"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// restore makes the actor of a session that a predecessor owned. Media servers are right about bound handles, edges
// about the transport, records about the rest. The takeover counts as activity.
// Without complete, the records could not be read yet.
func (p *partition) restore(f *found, answered map[messages.Member]bool, complete bool) {
	now := time.Now()
	s := newSession(p, f.id, "", now)
	if f.record != nil {
		s.identity, s.created = f.record.Identity, time.UnixMilli(f.record.Created)
	}
	s.record.revision, s.unread = f.revision, !complete
	s.setTransport(f.owner)
	if r := f.record; r != nil && (r.Polling || r.Inbox != "") && r.Claimed >= f.ownedAt {
		s.setTransport(messages.Transport{Polling: r.Polling, Inbox: r.Inbox})
	}
	s.written = f.written
	if f.record != nil {
		s.timeout = f.record.Timeout
	}
	s.gone = s.transport.IsZero()
	s.servers = f.servers
	for id, fh := range f.handles {
		if h := restoreHandle(s, id, fh, answered); h != nil {
			s.handles = append(s.handles, h)
		}
	}
	slices.SortFunc(s.handles, func(a, b *handle) int { return cmp.Compare(a.id, b.id) })
	p.node.metrics.handles.Add(float64(len(s.handles)))
	p.node.tell(p.add(s), restored{})
}

type (
	// lateRecords tells a session that was restored from what the ends knew what its records say.
	lateRecords struct {
		found    *found
		answered map[messages.Member]bool
	}
	// notRestored gives a message back that is about a handle, or a queue for polls, which the records may know.
	notRestored struct{ msg *bus.Msg }
)

// onLateRecords adds the handles that no media server knows.
func (s *session) onLateRecords(m lateRecords) {
	if !s.unread || s.ending != nil {
		return
	}
	s.unread = false
	s.record.late(m.found.revision)
	if r := m.found.record; r != nil {
		s.identity, s.created, s.timeout = r.Identity, time.UnixMilli(r.Created), r.Timeout
		if s.transport.IsZero() && (r.Polling || r.Inbox != "") {
			s.setTransport(messages.Transport{Polling: r.Polling, Inbox: r.Inbox})
		}
	}
	for id, f := range m.found.handles {
		if slices.Contains(s.removed, id) {
			s.forget(&record{key: handleKey(s.id, id), revision: f.revision}, nil)
			continue
		}
		at, exists := s.find(id)
		if exists {
			s.handles[at].late(f)
			s.runEarly(s.handles[at])
			continue
		}
		if h := restoreHandle(s, id, f, m.answered); h != nil {
			s.handles = slices.Insert(s.handles, at, h)
			s.node.metrics.handles.Inc()
			s.rebind(h)
		}
	}
	s.removed = nil
	s.rewrite()
	s.reviewServers()
}

// late takes note of the revision of a record that was read late, unless it was written before.
func (r *record) late(revision uint64) {
	if r.revision == 0 && r.busy == 0 {
		r.revision = revision
	}
}

// late adds to a handle, which a media server told of, what its record says.
func (h *handle) late(f *foundHandle) {
	h.record.late(f.revision)
	if r := f.record; r != nil && h.identity == "" {
		h.identity, h.request, h.created = r.Identity, r.Request, time.UnixMilli(r.Created)
		h.opaqueID = opaqueIDOf(r.Request)
	}
	h.recall(f.record)
}

// restored tells a session that it was taken over: it writes its records anew, so that its former owner, should it
// still live, can neither change nor delete them. Before they could be read it writes nothing: what it does not know would be lost
// with them.
type restored struct{}

func (s *session) onRestored() {
	s.catchUp()
	if !s.unread {
		s.rewrite()
	}
	for _, h := range s.handles {
		s.rebind(h)
	}
	s.reviewServers()
	for _, h := range s.handles {
		s.runEarly(h)
	}
}

// restoreHandle makes a handle from what was found; nil if it is nothing to hold on to.
func restoreHandle(s *session, id uint64, f *foundHandle, answered map[messages.Member]bool) *handle {
	h := &handle{id: id, record: record{key: handleKey(s.id, id), revision: f.revision}}
	switch r := f.record; {
	case r != nil:
		h.identity, h.plugin, h.request = r.Identity, r.Plugin, r.Request
		h.created = time.UnixMilli(r.Created)
		h.server, h.janus = r.Server, r.Janus
		h.opaqueID = opaqueIDOf(r.Request)
	case !f.server.IsZero():
		// Its record was never written. What it needs to be bound again is known but for its opaque id.
		h.plugin, h.created = f.held.Plugin, time.Now()
		h.request = []byte(`{"janus":"attach","transaction":"bind","plugin":`)
		h.request = append(janusjson.AppendQuoted(h.request, h.plugin), '}')
	default:
		return nil
	}
	if !f.server.IsZero() {
		h.server, h.janus = f.server, f.held.Janus
	} else if answered[h.server] {
		h.server, h.janus = messages.Member{}, 0 // its media server says that it has no such handle
	}
	h.adopt(s.node.Routers)
	if !h.server.IsZero() {
		h.state, h.engaged = bound, true // whatever it is in, it stays where it is, unless its record knows better
		h.assumed, h.negotiated = f.server.IsZero() || f.held.Assumed, true
		h.live = h.assumed || f.held.Live
		s.touch(h.server)
	}
	h.recall(f.record)
	return h
}

func opaqueIDOf(request []byte) string {
	var m janusjson.Message
	if janusjson.Scan(request, &m) != nil {
		return ""
	}
	text, _ := m.Text(janusjson.KeyOpaqueID)
	return text
}
