// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// maxEarlyBytes bounds the trickles that are stored with a handle. Those beyond it would be lost with its owner.
const maxEarlyBytes = 16 << 10

// trickleUnbound acknowledges candidates as Janus does before there is a PeerConnection, and keeps them for the bind: in the record,
// too, since what was acknowledged nobody repeats.
func (s *session) trickleUnbound(h *handle, r *request) {
	one, many := r.Has(janusjson.KeyCandidate), r.Has(janusjson.KeyCandidates)
	switch {
	case !one && !many:
		s.refuse(r, messages.ErrMissing("candidate|candidates"))
	case one && many:
		s.refuse(r, messages.Errorf(messages.CodeInvalidJSON, "Can't have both candidate and candidates"))
	case h.enqueue(queued{raw: withoutSecrets(r)}):
		s.owe(r)
		identity, ack := r.identity, s.replyTo(r).Append(nil, "ack")
		s.keep(&h.record, h.stored(s.epoch()), func() { s.settleOwed(identity, ack) })
	default:
		s.refuse(r, errTooMany)
	}
}

// withoutSecrets is the client's own text but for what shows that it may ask.
func withoutSecrets(r *request) []byte {
	return r.AppendSplice(nil, janusjson.Edit{Key: janusjson.KeyAPISecret}, janusjson.Edit{Key: janusjson.KeyToken})
}

// isEarly tells a trickle that was acknowledged before the handle was bound.
func (q *queued) isEarly() bool { return q.identity == "" && q.admin == "" }

// earlyTrickles are those that wait, as many as are stored.
func (h *handle) earlyTrickles() (early []json.RawMessage) {
	bytes := 0
	for i := range h.queue {
		q := &h.queue[i]
		if !q.isEarly() {
			continue
		}
		if bytes += len(q.raw); bytes > maxEarlyBytes {
			break
		}
		early = append(early, q.raw)
	}
	return early
}

// runEarly lets the trickles go that a former owner may have died with when it had bound their handle.
func (s *session) runEarly(h *handle) {
	if h.state == bound && len(h.queue) > 0 {
		s.runQueue(h)
	}
}

// keepEarly keeps a candidate for the Janus that the handle may be moved to.
func (h *handle) keepEarly(r *request) {
	if h.names != nil && !h.engaged && len(h.early) < maxEarly {
		h.early = append(h.early, withoutSecrets(r))
	}
}
