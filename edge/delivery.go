// SPDX-License-Identifier: Apache-2.0

package edge

import "github.com/januscloud/januscloud/messages"

// progress is how far a connection has come with what the owner of a session has to say to it: see messages.Delivery.
type progress struct {
	epoch    uint64 // number of the epoch in which they are counted
	received uint64 // the last delivery before which none is missing
	written  uint64 // the last that was handed to the client
}

// arrival is what a delivery is to a connection.
type arrival uint8

const (
	awaited arrival = iota
	doubled         // it came before: the owner did not hear of it
	early           // one before it got lost: the owner will send both again
)

// receives notes that a delivery came.
func (c *connection) receives(d *messages.Delivery) arrival {
	if d.Seq == 0 {
		return awaited
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.find(d.Session)
	if u == nil {
		return awaited
	}
	p := &u.progress
	if p.epoch != d.Epoch.Number {
		*p = progress{epoch: d.Epoch.Number}
	}
	p.received = max(p.received, d.Seq-1-d.Behind)
	switch {
	case d.Seq <= p.received:
		return doubled
	case d.Seq > p.received+1:
		return early
	}
	p.received = d.Seq
	return awaited
}

// writes notes that a delivery was handed to the client. It reports whether acks must be told of the connection.
func (c *connection) writes(d *messages.Delivery) (unlisted bool) {
	if d.Seq == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.find(d.Session)
	if u == nil || u.epoch != d.Epoch.Number || d.Seq > u.received {
		return false // early: it counts when it comes again
	}
	u.written = max(u.written, d.Seq)
	return c.list(u)
}

// list is called with mu held.
func (c *connection) list(u *use) (unlisted bool) {
	u.untold = true
	unlisted = !c.listed
	c.listed = true
	return unlisted
}

// untold appends what the owners of the connection's sessions do not know yet, as if they were told now.
func (c *connection) untold(dst []messages.Written) []messages.Written {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.each(func(u *use) {
		if u.untold {
			u.untold = false
			dst = append(dst, u.reach())
		}
	})
	return dst
}

func (u *use) reach() messages.Written {
	return messages.Written{Session: u.session, Epoch: u.epoch, Received: u.received, Written: u.written}
}

// unlist ends that the connection is about to be looked at, unless there is more to tell.
func (c *connection) unlist() (more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.each(func(u *use) { more = more || u.untold })
	c.listed = more
	return more
}

// tellAgain has the owners of the connection's sessions told once more. It reports whether acks must be told of the connection.
func (c *connection) tellAgain() (unlisted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.each(func(u *use) {
		if u.epoch != 0 {
			unlisted = c.list(u) || unlisted
		}
	})
	return unlisted
}

// each calls f for every use. It is called with mu held.
func (c *connection) each(f func(*use)) {
	if c.first.session != 0 {
		f(&c.first)
	}
	if c.others != nil {
		for _, u := range c.others.of {
			f(u)
		}
	}
}

// allWritten reports whether the client's connection has taken all that it was sent.
func (c *connection) allWritten() bool {
	p, ok := c.client.(progressing)
	if !ok {
		return true
	}
	queued, written := p.Progress()
	return written >= queued
}

// wrote notes that a delivery was handed to the client, for its owner to hear.
func (e *Edge) wrote(c *connection, d *messages.Delivery) {
	if c.writes(d) {
		e.acks.add(c)
	}
}

// polled notes what became of the answer to a long poll, which the client's connection took or not. One that it did not take
// goes back to the session's owner.
func (e *Edge) polled(c *connection, taken bool) {
	c.mu.Lock()
	u := c.first
	c.mu.Unlock()
	switch {
	case u.received == 0: // it told of nothing
	case taken:
		e.history.answered(u.session, c.number)
		e.wrote(c, &messages.Delivery{Session: u.session, Epoch: messages.Epoch{Number: u.epoch}, Seq: u.received})
		e.acks.due() // at once: the next poll gets nothing before
	default:
		e.history.revoke(u.session, c.number)
		e.repeater.gone(gone{session: u.session, connection: c.number, poll: u.n})
	}
}
