// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"testing"
	"time"
)

// TestTrack: what is missing of numbered packets is seen, and so is silence.
func TestTrack(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var k track
	if got := k.take(at(0)); got != (Media{}) {
		t.Errorf("before anything came: %+v", got)
	}
	for i, n := range []uint64{1, 2, 5, 4, 6} {
		k.packet(n, at(20*i))
	}
	if got, want := k.take(at(100)), (Media{Packets: 5, Lost: 1, Gap: 40 * time.Millisecond}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := k.take(at(580)), (Media{Gap: 500 * time.Millisecond}); got != want {
		t.Errorf("in silence got %+v, want %+v", got, want)
	}
	k.renew()
	k.packet(1, at(600))
	if got, want := k.take(at(600)), (Media{Packets: 1, Gap: 520 * time.Millisecond}); got != want {
		t.Errorf("on another connection got %+v, want %+v", got, want)
	}
}
