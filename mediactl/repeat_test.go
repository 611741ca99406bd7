// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestMemory compares the memory with a plain map, over replies of all sizes and a long time.
func TestMemory(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Now()
	m := newMemory(1<<20, now, func(int) { t.Error("forgotten too early") })
	type answer struct {
		body []byte
		at   time.Time
	}
	model := map[string]answer{}
	for i := range 5000 {
		now = now.Add(time.Duration(random.IntN(40)) * time.Millisecond)
		identity := client(uint64(i%7+1), uint64(i))
		body := bytes.Repeat([]byte{byte(i)}, random.IntN(300))
		if i%500 == 0 {
			body = make([]byte, 90_000) // a page of its own
		}
		m.keep(m.keyOf(identity), identity, body, now)
		model[identity] = answer{body, now}
		m.expire(now)
		if i%50 != 0 {
			continue
		}
		for identity, a := range model {
			got := m.reply(m.keyOf(identity), identity)
			age := now.Sub(a.at)
			switch {
			case got != nil && !bytes.Equal(got, a.body):
				t.Fatalf("%s: got %d bytes, want %d", identity, len(got), len(a.body))
			case got == nil && age <= deadline:
				t.Fatalf("%s is forgotten after %v", identity, age)
			}
			if got == nil {
				delete(model, identity)
			}
		}
	}
	now = now.Add(2 * deadline)
	m.expire(now)
	if m.bytes != 0 || len(m.kept) != 0 || len(m.pages) != 0 {
		t.Errorf("%d bytes, %d replies and %d pages are left", m.bytes, len(m.kept), len(m.pages))
	}
	if m.blind(now, false) {
		t.Error("blind, though nothing was forgotten")
	}
}

// TestMemoryLimit forgets the oldest when the room is used up, says so, and is blind for what it forgot.
func TestMemoryLimit(t *testing.T) {
	now := time.Now()
	forgotten := 0
	m := newMemory(4*pageSize, now, func(n int) { forgotten += n })
	if !m.blind(now, false) || m.blind(now, true) {
		t.Fatal("a young memory does not tell who can have had predecessors")
	}
	now = now.Add(time.Hour)
	if m.blind(now, false) {
		t.Fatal("blind from the beginning")
	}
	const count = 2000
	body := []byte(strings.Repeat("x", 200))
	for i := range uint64(count) {
		m.keep(m.keyOf(client(1, i)), client(1, i), body, now)
	}
	kept := 0
	for i := range uint64(count) {
		if m.reply(m.keyOf(client(1, i)), client(1, i)) != nil {
			kept++
		} else if kept > 0 {
			t.Fatalf("reply %d is forgotten, an older one is not", i)
		}
	}
	if kept+forgotten != count || kept == 0 || forgotten == 0 || m.bytes > m.limit || len(m.kept) != kept {
		t.Errorf("%d kept, %d forgotten, %d bytes", kept, forgotten, m.bytes)
	}
	if !m.blind(now.Add(deadline-time.Second), true) || m.blind(now.Add(deadline+time.Second), false) {
		t.Error("blind for another time than the deadline")
	}
	forgotten = 0
	m.keep(m.keyOf("huge"), "huge", make([]byte, m.limit), now)
	if forgotten != 1 || m.reply(m.keyOf("huge"), "huge") != nil {
		t.Error("a reply that is larger than the memory was kept")
	}
}

// TestMemoryRunning tells requests that run from those that are answered, also where two have one key.
func TestMemoryRunning(t *testing.T) {
	m := newMemory(0, time.Now(), func(int) {})
	const key = 5
	a, b := &request{identity: "a"}, &request{identity: "b"}
	m.start(key, a)
	if !m.runs(key, "a") || m.runs(key, "b") {
		t.Error("a is not what runs")
	}
	m.start(key, b)
	m.stop(a)
	if !m.runs(key, "b") {
		t.Error("b does not run any more")
	}
	m.stop(b)
	m.keep(key, "a", []byte("1"), time.Now())
	if m.reply(key, "a") == nil || m.reply(key, "b") != nil || m.runs(key, "b") {
		t.Error("a was not what was answered")
	}
}

func BenchmarkMemory(b *testing.B) {
	now := time.Now()
	m := newMemory(0, now, func(int) {})
	identities := make([]string, 1<<16)
	for i := range identities {
		identities[i] = client(1234567890123, uint64(i)+100_000_000)
	}
	body := []byte(fmt.Sprintf(`{"janus":"ack","session_id":1234567890123,"transaction":"%12d"}`, 1))
	var r request
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.identity = identities[i%len(identities)]
		key := m.keyOf(r.identity)
		if m.runs(key, r.identity) || i < len(identities) && m.reply(key, r.identity) != nil {
			b.Fatal("known")
		}
		m.start(key, &r)
		m.stop(&r)
		m.keep(key, r.identity, body, now)
	}
}
