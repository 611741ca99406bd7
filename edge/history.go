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
// A new owner asks for it: what its predecessor did not hear of would else come to the client again.
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
	origins    string // of the last event of each media server
}

// add remembers what a connection is being sent, or was sent last; nothing, where there are no origins.
func (h *history) add(session, connection uint64, origins string) {
	if origins == "" {
		return
	}
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, note{session, connection, now, strings.Clone(origins)}) // it is part of a longer text
	h.bytes += len(origins)
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
		if now.Sub(n.at) <= historyTime && partitions.Has(messages.PartitionOf(n.session)) {
			each(n.session, n.origins)
		}
	}
}
