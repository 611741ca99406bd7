// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/januscloud/januscloud/messages"
)

// Rules are the settings for sessions as somebody knows them. The zero value is that nothing was set. They may be used
// from any goroutine.
type Rules struct {
	now atomic.Pointer[rules]
}

// rules never change; those that are in force are replaced.
type rules struct {
	timeout             int32 // seconds; 0: for ever
	closed              bool
	timeoutAt, closedAt uint64 // revisions; 0: not set
}

// Heed takes a setting in, and reports whether it was news. It may come late or twice: the highest revision counts.
func (r *Rules) Heed(s messages.Setting) (news bool) {
	var fields struct {
		Timeout int32 `json:"timeout"`
		Accept  *bool `json:"accept"`
	}
	if !ForSessions(s.Verb) || json.Unmarshal(s.Fields, &fields) != nil {
		return false
	}
	for {
		old := r.now.Load()
		next := r.get()
		switch {
		case s.Verb == SessionTimeout && fields.Timeout >= 0 && s.Revision > next.timeoutAt:
			next.timeout, next.timeoutAt = fields.Timeout, s.Revision
		case s.Verb == AcceptNewSessions && fields.Accept != nil && s.Revision > next.closedAt:
			next.closed, next.closedAt = !*fields.Accept, s.Revision
		default:
			return false
		}
		if r.now.CompareAndSwap(old, &next) {
			return true
		}
	}
}

// SessionTimeout is how long sessions may be silent that have no time-out of their own, where configured is what holds
// while nothing was set; 0: for ever.
func (r *Rules) SessionTimeout(configured time.Duration) time.Duration {
	if now := r.get(); now.timeoutAt > 0 {
		return time.Duration(now.timeout) * time.Second
	}
	return configured
}

// Accepting reports whether new sessions are wanted.
func (r *Rules) Accepting() bool { return !r.get().closed }

func (r *Rules) get() rules {
	if now := r.now.Load(); now != nil {
		return *now
	}
	return rules{}
}
