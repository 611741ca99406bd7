// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"
)

// shards bounds what one change of the table copies: a node that takes over a thousand
// partitions adds three thousand prefixes at once.
const shards = 64

// table maps prefixes to their owners in this process. Looking up takes no lock; a change
// copies one shard, under the lock.
type table struct {
	seed  maphash.Seed
	mu    sync.Mutex // serialises changes
	shard [shards]atomic.Pointer[map[string]*Subscription]
}

func (t *table) init() {
	t.seed = maphash.MakeSeed()
	t.clear()
}

func (t *table) of(prefix string) *atomic.Pointer[map[string]*Subscription] {
	return &t.shard[maphash.String(t.seed, prefix)%shards]
}

// find answers the owner of a prefix, or nil.
func (t *table) find(prefix string) *Subscription {
	return (*t.of(prefix).Load())[prefix]
}

// add makes s the owner of its prefix, or answers false if there is one.
func (t *table) add(prefix string, s *Subscription) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	shard := t.of(prefix)
	old := *shard.Load()
	if _, taken := old[prefix]; taken {
		return false
	}
	next := maps.Clone(old)
	next[prefix] = s
	shard.Store(&next)
	return true
}

// remove ends the ownership of s, if it still has it.
func (t *table) remove(prefix string, s *Subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	shard := t.of(prefix)
	old := *shard.Load()
	if old[prefix] != s {
		return
	}
	next := maps.Clone(old)
	delete(next, prefix)
	shard.Store(&next)
}

// clear forgets all owners.
func (t *table) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.shard {
		t.shard[i].Store(&map[string]*Subscription{})
	}
}
