// SPDX-License-Identifier: Apache-2.0

package wheel

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFiresWithinOneTickAfterTheDelay(t *testing.T) {
	const tick = 50 * time.Millisecond
	delays := []time.Duration{
		-time.Second, 0, 1, tick - 1, tick, tick + 1, 3 * tick, 255 * tick, 256 * tick, 256*tick + 1,
		257 * tick, 300 * tick, 65535 * tick, 65536 * tick, 65537*tick - 1,
	}
	// The phase within a tick, and within a turn of the lower levels, at which the timer is armed.
	phases := []time.Duration{0, 1, tick - 1, 254*tick + 7}
	for _, phase := range phases {
		for _, d := range delays {
			synctest.Test(t, func(t *testing.T) {
				w := New(tick)
				w.Start()
				defer w.Stop()
				time.Sleep(phase)
				armed, fired := time.Now(), time.Time{}
				var timer Timer
				w.Arm(&timer, d, func() { fired = time.Now() })
				time.Sleep(max(d, 0) + tick)
				synctest.Wait()
				if fired.IsZero() {
					t.Fatalf("phase %v delay %v: not fired after %v", phase, d, time.Since(armed))
				}
				if got := fired.Sub(armed); got < d || got > max(d, 0)+tick {
					t.Fatalf("phase %v: delay %v fired after %v", phase, d, got)
				}
			})
		}
	}
}
