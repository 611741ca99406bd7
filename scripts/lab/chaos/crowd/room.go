// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
	"github.com/januscloud/januscloud/scripts/lab/chaos/ledger"
)

const (
	videoroom = "janus.plugin.videoroom"
	// roomMembers is how many sessions one room has.
	roomMembers = 4
	// roomOps is after how many requests a room makes way for a new one.
	roomOps = 40
)

// Errors of the video room plugin that give away that a request was run before.
const (
	roomJoinFirst = 424
	roomJoined    = 425
	roomExists    = 427
)

// errRefused is returned for what the plugin refused.
var errRefused = errors.New("crowd: refused by the plugin")

// member is one participant: a session that does what it is told.
type member struct {
	*session
	orders chan order
	joined uint64 // its id in the room; 0: it is in none
}

// order is one request of a member and where its answer goes; without a body, to take a new handle: Janus lets nobody join twice
// on one.
type order struct {
	body   map[string]any
	event  bool
	answer chan answer
}

type answer struct {
	data lab.Message // the reply, or the event where one follows
	err  error
}

// room is some members that come and go, one after the other.
type room struct {
	crowd   *Crowd
	members []*member
	rand    *rand.Rand
	id      int
	ops     int
	idNext  uint64
}

func (c *Crowd) newRoom(n int) *room {
	r := &room{crowd: c, rand: rand.New(rand.NewPCG(c.seed, uint64(n))), idNext: 1, id: 1_000_000 * (n + 1)}
	for i := range roomMembers {
		s := newSession(fmt.Sprintf("room%d-%d", n+1, i+1), c.edges, i)
		r.members = append(r.members, &member{session: s, orders: make(chan order)})
	}
	return r
}

// run is the life of a member. Its session is made anew when it is lost.
func (m *member) run(ctx context.Context, c *Crowd) {
	defer m.close()
	for ctx.Err() == nil {
		if m.begin(ctx, videoroom) != nil {
			return
		}
		m.obey(ctx, c)
	}
}

// obey serves orders until the session is gone.
func (m *member) obey(ctx context.Context, c *Crowd) {
	for {
		var o order
		select {
		case o = <-m.orders:
		case a := <-m.arrived:
			if !a.ended {
				m.take(a)
			} else if m.resume(ctx) != nil {
				return
			}
			continue
		case <-ctx.Done():
			return
		}
		err := m.serve(ctx, o)
		if errors.Is(err, errSession) || errors.Is(err, errHandle) {
			return
		}
		if c.calm.Load() && m.goHome(ctx) != nil {
			return
		}
	}
}

// renew gives the session another handle, whatever became of the old one: where its edge or its media server goes away meanwhile
// nobody can tell.
func (m *member) renew(ctx context.Context) error {
	_, err := m.ask(ctx, map[string]any{"janus": "detach", "handle_id": m.handle}, false)
	for !errors.Is(err, errSession) && ctx.Err() == nil {
		var reply lab.Message
		reply, err = m.ask(ctx, map[string]any{"janus": "attach", "plugin": videoroom}, false)
		if err == nil {
			m.handle = reply.Number("data", "id")
		}
		if !errors.Is(err, errBroken) {
			return err
		}
	}
	return err
}

func (m *member) serve(ctx context.Context, o order) error {
	if o.body == nil {
		err := m.renew(ctx)
		o.answer <- answer{err: err}
		return err
	}
	var event lab.Message
	transaction := fmt.Sprintf("%s-%d", m.name, m.count+1)
	heard := m.heard
	m.heard = func(got lab.Message) {
		if got.Transaction == transaction {
			event = got
		}
		heard(got)
	}
	defer func() { m.heard = heard }()
	reply, err := m.ask(ctx, map[string]any{"janus": "message", "body": o.body}, o.event)
	if err == nil && o.event {
		err = m.restUntil(ctx, func() bool { return event.Raw != nil })
		reply = event
	}
	o.answer <- answer{reply, err}
	return err
}

// restUntil takes what comes until done, for as long as a reply is waited for.
func (s *session) restUntil(ctx context.Context, done func() bool) error {
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	for !done() {
		select {
		case a := <-s.arrived:
			if !a.ended {
				s.take(a)
			} else if err := s.resume(ctx); err != nil {
				return err
			}
			if s.hung.Load() {
				return errRefused
			}
		case <-timer.C:
			return errUnanswered
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// tell hears what other members do. A handle that was given up may still be in the room: its detach may have been lost.
func (m *member) tell(event lab.Message) {
	if event.Janus != "event" || event.Transaction != "" || event.Handle != m.handle {
		return
	}
	for _, what := range []string{"joining", "leaving"} {
		switch raw := event.Get("plugindata", "data", what); {
		case raw == nil:
		case what == "joining":
			m.ledger.Event(key(what, event.Number("plugindata", "data", what, "id")), time.Now())
		default:
			m.ledger.Event(key(what, event.Number("plugindata", "data", what)), time.Now())
		}
	}
}

func key(what string, id uint64) string { return what + " " + strconv.FormatUint(id, 10) }

// run has the members do something, one request after the other, until the context ends.
func (r *room) run(ctx context.Context) {
	for _, m := range r.members {
		m.heard = m.tell
		r.crowd.running.Go(func() { m.run(ctx, r.crowd) })
	}
	ticker := time.NewTicker(r.crowd.interval / roomMembers)
	defer ticker.Stop()
	fresh := true
	for ctx.Err() == nil {
		if r.hungUp() {
			r.leaveAll(ctx)
			fresh = true
		}
		if fresh {
			fresh = r.open(ctx) != nil
		} else if err := r.step(ctx); err != nil || r.ops > roomOps {
			r.leaveAll(ctx)
			fresh = true
		}
		select {
		case <-ticker.C:
		case <-r.crowd.bell.heard():
			for _, m := range r.members { // each is served once more
				_, _ = r.order(ctx, m, map[string]any{"request": "exists", "room": r.id}, false)
			}
		case <-ctx.Done():
		}
	}
}

// order has a member send a request and returns the plugin's answer; code is its error code.
func (r *room) order(ctx context.Context, m *member, body map[string]any, event bool) (code uint64, got answer) {
	o := order{body, event, make(chan answer, 1)}
	select {
	case m.orders <- o:
	case <-ctx.Done():
		return 0, answer{err: ctx.Err()}
	}
	select {
	case got = <-o.answer:
	case <-ctx.Done():
		return 0, answer{err: ctx.Err()}
	}
	if got.err == nil && body != nil {
		if code = got.data.Number("plugindata", "data", "error_code"); code != 0 {
			got.err = fmt.Errorf("%w: %d %s", errRefused, code, got.data.Text("plugindata", "data", "error"))
		}
	}
	return code, got
}

// open makes the next room.
func (r *room) open(ctx context.Context) error {
	r.id++
	r.ops = 0
	m := r.members[r.rand.IntN(len(r.members))]
	code, got := r.order(ctx, m, map[string]any{"request": "create", "room": r.id, "notify_joining": true, "publishers": roomMembers}, false)
	if code == roomExists {
		m.ledger.RunTwice(fmt.Sprintf("create of room %d", r.id))
	}
	return got.err
}

// step is one request of somebody.
func (r *room) step(ctx context.Context) error {
	r.ops++
	m := r.members[r.rand.IntN(len(r.members))]
	switch {
	case m.joined == 0:
		return r.join(ctx, m)
	case r.rand.IntN(2) == 0:
		return r.list(ctx, m)
	}
	return r.leave(ctx, m)
}

func (r *room) join(ctx context.Context, m *member) error {
	r.idNext++
	id := r.idNext
	others := r.allow("joining", id, m)
	code, got := r.order(ctx, m, map[string]any{"request": "join", "ptype": "publisher", "room": r.id, "id": id}, true)
	if code == roomJoined {
		m.ledger.RunTwice(fmt.Sprintf("join of %s as %d", m.name, id))
	}
	if got.err != nil {
		m.joined = id // perhaps
		return got.err
	}
	if said := got.data.Number("plugindata", "data", "id"); said != id {
		m.ledger.Wrong(fmt.Sprintf("joined as %d, not %d: %s", said, id, got.data))
	}
	m.joined = id
	confirm(others, "joining", id)
	return nil
}

func (r *room) leave(ctx context.Context, m *member) error {
	id := m.joined
	m.joined = 0
	others := r.allow("leaving", id, m)
	code, got := r.order(ctx, m, map[string]any{"request": "leave"}, true)
	if code == roomJoinFirst {
		m.ledger.RunTwice(fmt.Sprintf("leave of %s as %d", m.name, id))
	}
	if got.err != nil {
		return got.err
	}
	confirm(others, "leaving", id)
	_, got = r.order(ctx, m, nil, false)
	return got.err
}

// list compares who is in the room with who should be.
func (r *room) list(ctx context.Context, m *member) error {
	_, got := r.order(ctx, m, map[string]any{"request": "listparticipants", "room": r.id}, false)
	if got.err != nil {
		return got.err
	}
	var is []struct {
		ID uint64 `json:"id"`
	}
	if err := decode(got.data.Get("plugindata", "data", "participants"), &is); err != nil {
		m.ledger.Wrong(fmt.Sprintf("%v: %s", err, got.data))
	}
	if want := len(r.in()); len(is) != want {
		m.ledger.Wrong(fmt.Sprintf("%d in room %d, not %d: %s", len(is), r.id, want, got.data))
	}
	return nil
}

// leaveAll empties the room after something went wrong, or in its turn: from then on nothing of it is certain.
func (r *room) leaveAll(ctx context.Context) {
	for _, m := range r.members {
		if m.joined != 0 {
			r.allow("leaving", m.joined, m)
			m.joined = 0
		}
		_, _ = r.order(ctx, m, nil, false)
	}
	_, _ = r.order(ctx, r.members[0], map[string]any{"request": "destroy", "room": r.id}, false)
}

// hungUp reports whether a member lost its Janus: then the room is gone.
func (r *room) hungUp() (any bool) {
	for _, m := range r.members {
		any = m.hung.Swap(false) || any
	}
	return any
}

func (r *room) in() (in []*member) {
	for _, m := range r.members {
		if m.joined != 0 {
			in = append(in, m)
		}
	}
	return in
}

// allow has all in the room but one expect what that one is about to do.
func (r *room) allow(what string, id uint64, but *member) (others []*ledger.Ledger) {
	for _, m := range r.in() {
		if m != but {
			m.ledger.Allow(key(what, id), time.Now())
			others = append(others, m.ledger)
		}
	}
	return others
}

func confirm(others []*ledger.Ledger, what string, id uint64) {
	for _, l := range others {
		l.Confirm(key(what, id), time.Now())
	}
}
