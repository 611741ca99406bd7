// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"maps"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/januscloud/januscloud/messages"
)

// client is a transport's end of a connection: something that a text can be sent to.
type client interface {
	// Send hands over one JSON text, which is the caller's again on return. It does not block: a client that does not
	// read loses its connection.
	Send(text []byte) error
}

// connection is what the edge knows of one client. While it has one session and nothing in flight it owns no memory
// beyond itself.
type connection struct {
	client   client
	number   uint64        // unique in the edge's incarnation
	patience time.Duration // how long its requests wait for an answer
	polling  bool          // it is one request over HTTP or NATS: it gets no events, and its end says nothing about a session

	// mu guards the rest: the transport's goroutine numbers requests, the bus's counts them out. It is held for a few
	// instructions, and never together with a partition's.
	mu      sync.Mutex
	closed  bool
	listed  bool   // it is about to be looked at: see acks
	waiting int32  // requests in flight
	bytes   int32  // of memory that they hold
	floor   uint64 // the highest number of a session that was forgotten: numbers begin above it, so that none comes twice
	turns   *turns // nil: no request in flight has one
	first   use
	others  *uses // of further sessions; nil until there is a second one
}

// use is a connection's use of one session.
type use struct {
	session uint64
	n       uint64 // of the last request
	owner   int64  // Unix milliseconds at which the connection created or claimed the session; 0 = it only uses it
	waiting uint32 // requests in flight
	untold  bool   // the owner does not know the progress yet
	progress
}

// idle reports whether nothing is lost with u.
func (u *use) idle() bool { return u.owner == 0 && u.waiting == 0 }

// uses are the sessions of a connection beyond its first, and what of the events of all it was sent.
type uses struct {
	of      map[uint64]*use
	heard   map[source]uint64 // number of the last event
	sweepAt int               // size at which idle ones are forgotten, so that a client cannot make the edge remember every number it tries
}

// source is a media server as a source of events for a session.
type source struct {
	session uint64
	server  string
}

const firstSweep = 16

// find returns the connection's use of a session, nil if there is none. Called with mu held.
func (c *connection) find(session uint64) *use {
	if c.first.session == session {
		return &c.first
	}
	if c.others == nil {
		return nil
	}
	return c.others.of[session]
}

// use is find, and makes what is not there. Called with mu held.
func (c *connection) use(session uint64) *use {
	if u := c.find(session); u != nil {
		return u
	}
	if c.first.session == 0 {
		c.first = use{session: session, n: c.floor}
		return &c.first
	}
	if c.others == nil {
		c.others = &uses{sweepAt: firstSweep}
	}
	if c.others.of == nil {
		c.others.of = make(map[uint64]*use)
	}
	if len(c.others.of) >= c.others.sweepAt {
		c.forget()
	}
	u := &use{session: session, n: c.floor}
	c.others.of[session] = u
	return u
}

// forget drops idle sessions. Called with mu held.
func (c *connection) forget() {
	if c.first.idle() {
		c.floor = max(c.floor, c.first.n)
		c.first = use{}
	}
	for session, u := range c.others.of {
		if u.idle() {
			c.floor = max(c.floor, u.n)
			delete(c.others.of, session)
		}
	}
	maps.DeleteFunc(c.others.heard, func(s source, _ uint64) bool { return c.find(s.session) == nil })
	c.others.sweepAt = max(firstSweep, 2*len(c.others.of))
}

// admit numbers a request of the connection and counts it in. It reports false when the connection is closed or would
// hold more than limit bytes in flight.
func (c *connection) admit(r *request, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || int(c.bytes)+r.size() > min(limit, math.MaxInt32) {
		return false
	}
	u := c.use(r.session)
	u.n++
	u.waiting++
	r.n = u.n
	c.takeTurn(r)
	c.waiting++
	c.bytes += int32(r.size())
	return true
}

// release counts a request out.
func (c *connection) release(r *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting--
	c.bytes -= int32(r.size())
	if u := c.find(r.session); u != nil {
		u.waiting--
	}
}

// hears notes that an event of this origin is to be written to the client; false when it was before. Each media server numbers its
// events, and they come in that order, but for those that a new owner has told once more.
func (c *connection) hears(session uint64, origin string) bool {
	server, seq, ok := messages.CutOrigin(origin)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !ok || c.find(session) == nil {
		return true
	}
	if c.others == nil {
		c.others = &uses{sweepAt: firstSweep}
	}
	if c.others.heard == nil {
		c.others.heard = make(map[source]uint64, 1)
	}
	from := source{session, server}
	last, known := c.others.heard[from]
	if seq <= last {
		return false
	}
	if !known {
		from.server = strings.Clone(server) // it is part of a longer text
	}
	c.others.heard[from] = seq
	return true
}

// heardOf are the origins of the last events of a session that the client was sent, of each media server.
func (c *connection) heardOf(session uint64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.others == nil {
		return ""
	}
	var origins []string
	for from, seq := range c.others.heard {
		if from.session == session {
			origins = append(origins, from.server+"."+strconv.FormatUint(seq, 10))
		}
	}
	return strings.Join(origins, messages.OriginSeparator)
}

// own notes that the connection owns a session since a moment in Unix milliseconds; 0: not any more. It reports whether
// the connection is closed already.
func (c *connection) own(session uint64, since int64) (closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if u := c.find(session); u != nil {
		u.owner = since
	}
	return c.closed
}

// close ends the connection for all that could still be admitted, and returns the sessions it used.
func (c *connection) close() []use {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return c.used()
}

// sessions are the sessions that the connection uses.
func (c *connection) sessions() []use {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used()
}

// used is called with mu held.
func (c *connection) used() []use {
	var all []use
	c.each(func(u *use) { all = append(all, *u) })
	return all
}

func (c *connection) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

const tableShards = 64

// table finds connections by number. It is divided, so that the goroutines of transports and bus seldom meet.
type table struct {
	shards [tableShards]struct {
		mu sync.RWMutex // for a map operation
		of map[uint64]*connection
	}
}

func (t *table) add(c *connection) {
	s := &t.shards[c.number%tableShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = make(map[uint64]*connection)
	}
	s.of[c.number] = c
}

func (t *table) remove(c *connection) {
	s := &t.shards[c.number%tableShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, c.number)
}

// find returns the open connection of that number, nil if there is none.
func (t *table) find(number uint64) *connection {
	s := &t.shards[number%tableShards]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.of[number]
}

// all returns the open connections.
func (t *table) all() []*connection {
	var all []*connection
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		for _, c := range s.of {
			all = append(all, c)
		}
		s.mu.RUnlock()
	}
	return all
}

// count is the number of open connections.
func (t *table) count() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		n += len(s.of)
		s.mu.RUnlock()
	}
	return n
}
