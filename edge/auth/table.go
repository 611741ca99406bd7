// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
)

// record is a stored token, as it stands in the bucket.
type record struct {
	Token   string   `json:"token"`
	All     bool     `json:"all,omitempty"`     // it gives access to every plugin
	Plugins []string `json:"plugins,omitempty"` // to which it does otherwise, in the order in which they were allowed
}

// entry is a record and the revision of the bucket that wrote it.
type entry struct {
	record
	revision uint64
}

// keyOf is where the record of a token stands in the bucket. Keys show in subjects, and tokens may have characters that
// subjects have not.
func keyOf(token []byte) string {
	sum := sha256.Sum256(token)
	return hex.EncodeToString(sum[:])
}

// table holds the stored tokens.
type table struct {
	mu       sync.RWMutex // for a look-up, or one change
	entries  map[string]entry
	revision uint64 // of the bucket, as far as it was seen
}

func (t *table) valid(token []byte) bool {
	_, ok := t.find(token)
	return ok
}

func (t *table) allows(token []byte, plugin string) bool {
	e, ok := t.find(token)
	return ok && (e.All || slices.Contains(e.Plugins, plugin))
}

// find returns a token's entry, whose plugins are shared: read only.
func (t *table) find(token []byte) (entry, bool) {
	key := keyOf(token)
	t.mu.RLock()
	defer t.mu.RUnlock()
	e, ok := t.entries[key]
	return e, ok
}

// all are the entries, in no order.
func (t *table) all() []entry {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]entry, 0, len(t.entries))
	for _, e := range t.entries {
		all = append(all, e)
	}
	return all
}

func (t *table) seen() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.revision
}

// apply takes in one change; a nil record is a removal.
func (t *table) apply(key string, revision uint64, r *record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r == nil {
		delete(t.entries, key)
	} else {
		t.entries[key] = entry{*r, revision}
	}
	t.revision = max(t.revision, revision)
}

// replace takes in the whole bucket.
func (t *table) replace(entries map[string]entry, revision uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries, t.revision = entries, revision
}
