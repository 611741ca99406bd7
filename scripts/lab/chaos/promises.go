// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// Longest pauses that are promised, by part; what a client waits while a part is frozen that no other can stand in for is not
// in them. Only --strict runs fail for them.
const (
	pauseKilled = time.Second     // a session node
	pauseFrozen = 2 * time.Second // a session node
	pauseEdge   = 3 * time.Second // or a NATS server
	pauseMedia  = 5 * time.Second
	// mediaGap is a packet interval and what a busy machine may add.
	mediaGap = 250 * time.Millisecond
)

// broken lists which promises of DESIGN.md (3) the faults of one kind broke.
func (r *row) broken(strict bool) (list []string) {
	never := func(what string, n int) {
		if n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, what))
		}
	}
	// Whatever dies, no request is run twice, no session ends, and who is still connected is answered.
	never("run twice", r.RunTwice)
	never("sessions lost", r.Sessions)
	never("unanswered", r.Unanswered)
	if r.part == janusPart {
		return list
	}
	never("packets lost", r.media.Lost)
	never("wrong", r.Wrong)
	never("handles hung up", r.Hangups)
	if r.losesEvents() {
		return append(list, r.slow(strict)...)
	}
	never("lost", r.Lost)
	never("doubled", r.Doubled)
	never("out of order", r.Disordered)
	never("refused", r.Refusals()+r.Unknown-r.young)
	if r.part != edgePart {
		never("in doubt", r.InDoubt)
	}
	if r.part == sessionPart { // while a NATS server is frozen, clients leave edges that depend on it
		never("again", r.Again)
	}
	return append(list, r.slow(strict)...)
}

// losesEvents reports whether events are lost that nobody keeps.
func (r *row) losesEvents() bool {
	return r.part == mediaPart || r.part == nodePart || r.part == janusPart
}

// slow lists what took too long.
func (r *row) slow(strict bool) (list []string) {
	if !strict || r.part == "" {
		return nil
	}
	if limit := r.pauseLimit(); limit > 0 && r.Pause > limit {
		list = append(list, fmt.Sprintf("a pause of %v", r.Pause.Round(time.Millisecond)))
	}
	if r.media.Gap > mediaGap {
		list = append(list, fmt.Sprintf("a gap of %v", r.media.Gap.Round(time.Millisecond)))
	}
	return list
}

// pauseLimit is 0 where nothing is promised.
func (r *row) pauseLimit() time.Duration {
	if r.way != kill && r.way != freeze {
		return 0
	}
	switch r.part {
	case sessionPart:
		if r.way == kill {
			return pauseKilled
		}
		return pauseFrozen
	case edgePart, natsPart:
		return pauseEdge
	case mediaPart, nodePart:
		return pauseMedia
	}
	return 0
}
