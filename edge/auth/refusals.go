// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// refusalsPause is how long after a refusal the log hears of no other.
const refusalsPause = time.Second

// Refusals tell the log of who is turned away: somebody who guesses secrets must be seen, and must not fill disks. They may
// be used from any goroutine. What was shown, right or wrong, is never said: it may be a good secret, somewhere or with one
// letter changed.
type Refusals struct {
	log    *slog.Logger
	start  time.Time
	next   atomic.Int64 // when the log may hear again, since start
	unsaid atomic.Int64 // refusals since it last did
}

// NewRefusals makes an account with nothing in it.
func NewRefusals(log *slog.Logger) *Refusals { return &Refusals{log: log, start: time.Now()} }

// Note takes a refusal down; why and what go with it, as for slog.
func (r *Refusals) Note(why string, what ...slog.Attr) {
	now, next := int64(time.Since(r.start)), r.next.Load()
	if now < next || !r.next.CompareAndSwap(next, now+int64(refusalsPause)) {
		r.unsaid.Add(1)
		return
	}
	what = append(what, slog.Int64("more_before", r.unsaid.Swap(0)))
	r.log.LogAttrs(context.Background(), slog.LevelWarn, "refused: "+why, what...)
}

// Origin takes down that a page from elsewhere was refused. Of what it says of itself the beginning must do.
func (r *Refusals) Origin(origin string) {
	const most = 200
	r.Note("foreign origin", slog.String("origin", origin[:min(len(origin), most)]))
}
