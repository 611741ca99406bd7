// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// The log hears of so many refusals within so long.
const (
	refusalsMost   = 10
	refusalsWindow = time.Second
)

// Refusals tell the log of who is turned away: somebody who guesses secrets must be seen, and must not fill disks. They may
// be used from any goroutine. What was shown, right or wrong, is never said: it may be a good secret, somewhere or with one
// letter changed.
type Refusals struct {
	log *slog.Logger

	mu     sync.Mutex // for the rest, and no longer than it takes to count
	window time.Time  // when the present one began
	said   int        // within it
	unsaid int        // since the log last heard of one
}

// NewRefusals makes an account with nothing in it.
func NewRefusals(log *slog.Logger) *Refusals { return &Refusals{log: log} }

// Note takes a refusal down; why and what go with it, as for slog.
func (r *Refusals) Note(why string, what ...slog.Attr) {
	if unsaid, ok := r.count(time.Now()); ok {
		r.log.LogAttrs(context.Background(), slog.LevelWarn, "refused: "+why, append(what, slog.Int("more_before", unsaid))...)
	}
}

// count reports whether the log is to hear of a refusal, and how many it did not hear of before.
func (r *Refusals) count(now time.Time) (unsaid int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.window) >= refusalsWindow {
		r.window, r.said = now, 0
	}
	if r.said == refusalsMost {
		r.unsaid++
		return 0, false
	}
	r.said++
	unsaid, r.unsaid = r.unsaid, 0
	return unsaid, true
}

// Origin takes down that a page from elsewhere was refused. Of what it says of itself the beginning must do.
func (r *Refusals) Origin(origin string) {
	const most = 200
	r.Note("foreign origin", slog.String("origin", origin[:min(len(origin), most)]))
}
