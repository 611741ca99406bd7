// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"hash/fnv"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/roster"
)

// heirs names, for every partition, the node that should own it: the one with the highest rendezvous hash. Each node
// computes it alone from the same heartbeats; where two disagree for a moment, the epoch decides.
type heirs [messages.Partitions]string

// heirsOf gives each partition to one of the candidates; to nobody when there are none.
func heirsOf(candidates []string) *heirs {
	var h heirs
	for p := range h {
		var best uint64
		for _, name := range candidates {
			if score := rendezvous(p, name); h[p] == "" || score > best {
				h[p], best = name, score
			}
		}
	}
	return &h
}

func rendezvous(partition int, name string) uint64 {
	f := fnv.New64a()
	_, _ = f.Write([]byte(name)) // never fails (hash.Hash)
	_, _ = f.Write([]byte{0, byte(partition), byte(partition >> 8)})
	// FNV's high bits hardly depend on the last bytes: mix them (finalizer of MurmurHash3).
	x := f.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// takers are the names of the session nodes that can be given partitions.
func takers(v *roster.View) []string {
	var names []string
	for _, p := range v.Nodes() {
		if p.Takes() {
			names = append(names, p.Beat.Member.Name)
		}
	}
	return names
}

// orphans are the partitions that nobody owns whom anybody hears, and that fall to the node self.
func orphans(v *roster.View, self messages.Member, h *heirs) messages.PartitionSet {
	var set messages.PartitionSet
	for p := range messages.Partitions {
		owner, known := v.Owner(p)
		if h[p] == self.Name && (!known || owner.Silent) && owner.Node != self {
			set.Add(p)
		}
	}
	return set
}

// highest is the highest epoch that anybody announced for one of the partitions.
func highest(v *roster.View, set messages.PartitionSet) messages.Epoch {
	var top messages.Epoch
	for p := range set.All() {
		if o, ok := v.Owner(p); ok && top.Less(o.Epoch) {
			top = o.Epoch
		}
	}
	return top
}
