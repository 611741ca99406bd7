// SPDX-License-Identifier: Apache-2.0

package crowd

import "sync"

// bell wakes all who listen at that moment.
type bell struct {
	mu   sync.Mutex // guards rung
	rung chan struct{}
}

func newBell() *bell { return &bell{rung: make(chan struct{})} }

// heard is closed when the bell rings next.
func (b *bell) heard() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rung
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.rung)
	b.rung = make(chan struct{})
}
