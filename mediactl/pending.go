// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"time"

	"github.com/januscloud/januscloud/messages/janusjson"
)

const (
	// maxInFlight bounds the requests that wait for a reply of Janus.
	maxInFlight = 1 << 16
	// maxSpare bounds the requests kept for reuse.
	maxSpare = 1024
)

// request is a message to Janus that waits for its reply. It belongs to inFlight and is used again after free.
type request struct {
	prefix  uint64 // before the transaction
	verb    janusjson.Verb
	session uint64
	handle  uint64 // the cluster's; 0 where there is none
	// identity is where the reply is addressed to, in its first form; empty for a request of our own.
	identity string
	key      uint64 // of the identity in the memory; 0: not remembered
	// transaction is the client's, a JSON string with its quotes, for answers that Janus did not write.
	transaction []byte
	since       time.Time // to the precision of a tick
	target      *session  // of our own requests about a session
	binding     *handle   // of an attach

	older, newer *request
}

// inFlight keeps the requests that wait, by prefix and by age. All have the same deadline, so the oldest is the next due.
type inFlight struct {
	byPrefix       map[uint64]*request
	oldest, newest *request
	spare          []*request
	last           uint64 // prefix
}

func newInFlight() inFlight { return inFlight{byPrefix: make(map[uint64]*request)} }

// open makes a request with a new prefix; nil when too many wait.
func (f *inFlight) open(verb janusjson.Verb, now time.Time) *request {
	if len(f.byPrefix) >= maxInFlight {
		return nil
	}
	var r *request
	if n := len(f.spare); n > 0 {
		r, f.spare = f.spare[n-1], f.spare[:n-1]
	} else {
		r = new(request)
	}
	f.last++
	r.prefix, r.verb, r.since = f.last, verb, now
	f.byPrefix[r.prefix] = r
	if r.older = f.newest; r.older != nil {
		r.older.newer = r
	} else {
		f.oldest = r
	}
	f.newest = r
	return r
}

// take removes the request with that prefix; nil when there is none. The caller frees it.
func (f *inFlight) take(prefix uint64) *request {
	r := f.byPrefix[prefix]
	if r == nil {
		return nil
	}
	delete(f.byPrefix, prefix)
	if r.older != nil {
		r.older.newer = r.newer
	} else {
		f.oldest = r.newer
	}
	if r.newer != nil {
		r.newer.older = r.older
	} else {
		f.newest = r.older
	}
	r.older, r.newer = nil, nil
	return r
}

// free gives a taken request back for reuse.
func (f *inFlight) free(r *request) {
	if len(f.spare) < maxSpare {
		*r = request{transaction: r.transaction[:0]}
		f.spare = append(f.spare, r)
	}
}
