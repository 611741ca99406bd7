// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/januscloud/januscloud/messages"
)

const (
	// historyTime is how long it is remembered what was written where nothing remains of the connection: longer than it takes
	// to acknowledge it, or to find an owner dead and take its sessions over.
	historyTime = 10 * time.Second
	// maxHistory and maxHistoryBytes bound what is remembered.
	maxHistory      = 1 << 15
	maxHistoryBytes = 4 << 20
)

// history knows the last events that were written in the answers to long polls, and on connections that closed, not long ago.
// A new owner asks for it: what its predecessor did not hear of would else come to the client again. Of polls it knows what is
// to be acknowledged as well: nothing else remains of them that could tell when the acknowledgement gets lost.
type history struct {
	mu    sync.Mutex // for a few instructions, but for the question of a new owner
	notes []note     // in order of time
	bytes int
}

// note is what one connection was sent of the events of a session.
type note struct {
	session    uint64
	connection uint64
	at         time.Time
	origins    string           // of the last event of each media server
	reach      messages.Written // of a poll; its Written is 0 until the client has the answer
}

// add remembers what a connection was sent last; nothing, where there are no origins.
func (h *history) add(session, connection uint64, origins string) {
	if origins != "" {
		h.note(note{session: session, connection: connection, origins: origins})
	}
}

// answering remembers what the answer to a poll tells of, if it is to be acknowledged.
func (h *history) answering(connection uint64, d *messages.Delivery) {
	if d.Seq > 0 {
		reach := messages.Written{Session: d.Session, Epoch: d.Epoch.Number, Received: d.Seq}
		h.note(note{session: d.Session, connection: connection, origins: d.Origin, reach: reach})
	}
}

// answered notes that a client has the answer to its poll.
func (h *history) answered(session, connection uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.find(session, connection); n != nil {
		n.reach.Written = n.reach.Received
	}
}

// reachOf is what the answer to a poll acknowledges; known is false where none was given to its client.
func (h *history) reachOf(session, connection uint64) (reach messages.Written, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.find(session, connection); n != nil {
		return n.reach, true
	}
	return reach, false
}

// reaches lists what the answers to polls acknowledged.
func (h *history) reaches() (all []messages.Written) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.notes {
		if h.notes[i].reach.Written > 0 {
			all = append(all, h.notes[i].reach)
		}
	}
	return all
}

// find is called with mu held. What is looked for is mostly not old.
func (h *history) find(session, connection uint64) *note {
	for i := range slices.Backward(h.notes) {
		if n := &h.notes[i]; n.session == session && n.connection == connection {
			return n
		}
	}
	return nil
}

func (h *history) note(n note) {
	now := time.Now()
	n.at, n.origins = now, strings.Clone(n.origins) // they are part of a longer text
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, n)
	h.bytes += len(n.origins)
	old := 0
	for old < len(h.notes) && (now.Sub(h.notes[old].at) > historyTime || len(h.notes)-old > maxHistory || h.bytes > maxHistoryBytes) {
		h.bytes -= len(h.notes[old].origins)
		h.notes[old] = note{}
		old++
	}
	h.notes = h.notes[old:]
}

// revoke forgets what a connection turned out not to take.
func (h *history) revoke(session, connection uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = slices.DeleteFunc(h.notes, func(n note) bool {
		gone := n.session == session && n.connection == connection
		if gone {
			h.bytes -= len(n.origins)
		}
		return gone
	})
}

// of lists what is remembered of the sessions in some partitions.
func (h *history) of(partitions messages.PartitionSet, each func(session uint64, origins string)) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.notes {
		if n.origins != "" && now.Sub(n.at) <= historyTime && partitions.Has(messages.PartitionOf(n.session)) {
			each(n.session, n.origins)
		}
	}
}
