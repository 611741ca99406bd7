// SPDX-License-Identifier: Apache-2.0

package actors

import "time"

type (
	busBack     struct{}                 // there is a connection to NATS again
	storeOpened struct{ made time.Time } // the records are there; when their stream was made
	rewrite     struct{}                 // to partitions, sessions and rooms: what was stored is gone
)

// onBusBack looks whether the records are there still.
func (k *keeper) onBusBack() {
	if k.left || k.opening {
		return
	}
	k.opening = true
	n := k.node
	n.errands.work.Go(func() {
		if made, err := n.store.open(n.errands.ctx); err == nil {
			n.tell(k.self, storeOpened{made})
		}
	})
}

// onStoreOpened has everything stored anew when the records that were there are gone.
func (k *keeper) onStoreOpened(m storeOpened) {
	k.opening = false
	if m.made.Equal(k.made) {
		return
	}
	k.node.Log.Warn("the records were lost: storing them anew", "made", k.made, "made_anew", m.made)
	k.made = m.made
	k.tellParts(rewrite{})
}

// rewrite stores the session with its handles anew.
func (s *session) rewrite() {
	if s.ending != nil {
		return
	}
	s.keep(&s.record, s.stored(), nil)
	for _, h := range s.handles {
		s.keep(&h.record, h.stored(s.epoch()), nil)
	}
}

// rewrite stores the room anew. One that is busy is stored when that ends, if it was for the record.
func (r *room) rewrite() {
	if r.record.revision > 0 && !r.busy {
		r.keep(func() {})
	}
}
