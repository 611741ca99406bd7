// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"time"

	"github.com/januscloud/januscloud/messages"
)

// refusedTime is how long a node that was refused listens for the owner with the greater epoch: it may have been cut off until now, and
// a whole beat must have passed.
const refusedTime = messages.BeatInterval + messages.BeatInterval/2

// honoured is a greater epoch than ours that somebody honours, and since when that is known.
type honoured struct {
	epoch messages.Epoch
	since time.Time
}

// onRefused handles that a media server or a record honours a greater epoch than ours. If a rival announces it, the
// heartbeats depose us; if nobody does for a while, we go on with the next epoch.
func (k *keeper) onRefused(m partitionRefused) {
	if !k.outdone(m.index, m.epoch) {
		return
	}
	r, known := k.refused[m.index]
	if !known {
		r.since = time.Now()
	}
	if r.epoch.Less(m.epoch) {
		r.epoch = m.epoch
	}
	k.refused[m.index] = r
}

// outdone reports whether a partition is ours by a lower epoch, and nobody is heard who owns it by a greater one.
func (k *keeper) outdone(index int, greater messages.Epoch) bool {
	epoch, ok := k.owned[index]
	if !ok || !epoch.Less(greater) {
		return false
	}
	if o, known := k.node.Roster.View().Owner(index); known && o.Node != k.node.member && !o.Silent && epoch.Less(o.Epoch) {
		k.review()
		return false
	}
	return true
}

// raiseRefused takes the next epoch for the partitions of which no rival was heard.
func (k *keeper) raiseRefused(now time.Time) {
	changed := false
	for index, r := range k.refused {
		if now.Sub(r.since) < refusedTime {
			continue
		}
		delete(k.refused, index)
		if k.left || k.node.stale() || !k.outdone(index, r.epoch) {
			continue
		}
		epoch := k.owned[index]
		k.owned[index] = r.epoch.Next(k.node.Name, now)
		for _, t := range k.takeovers {
			if t.set.Has(index) && t.epochOf(index) == epoch {
				t.raised[index] = k.owned[index]
			}
		}
		k.node.tell(k.parts[index], raise{k.owned[index]})
		changed = true
	}
	if changed {
		k.announce()
	}
}
