// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"strconv"
	"strings"
	"time"
)

const (
	// deadline is how long a request may be repeated, and so how long it is remembered (WIRE.md: 30 s for WebSocket).
	deadline = 30 * time.Second
	// defaultMemory bounds the remembered replies, in bytes.
	defaultMemory = 16 << 20
	// pageSize is the unit in which replies are kept and forgotten.
	pageSize = 64 << 10
	// entryHead is the fixed part of a kept reply: key, length of the identity, length of the reply.
	entryHead = 8 + 2 + 4
)

// memory knows which requests run and how those of the last 30 s were answered, so that a repeat is never run a second
// time. Replies lie in pages, one after another, and are forgotten a page at a time: keeping one costs a copy and an entry
// in a map without pointers.
type memory struct {
	seed    maphash.Seed
	limit   int // of the pages, in bytes
	running map[uint64]*request
	kept    map[uint64]place
	pages   []*page // the oldest first
	first   uint64  // number of pages[0]
	bytes   int
	spare   []byte
	// born is when the memory began. What ran before it does not know.
	born time.Time
	// gap is the age of the youngest reply that had to be forgotten before its time; zero: there was none.
	gap       time.Time
	forgotten func(replies int) // is told of replies that were forgotten before their time
}

type place struct {
	page   uint64
	offset uint32
}

type page struct {
	data   []byte
	newest time.Time
}

// newMemory makes an empty memory. What was before now it does not know.
func newMemory(limit int, now time.Time, forgotten func(int)) *memory {
	if limit <= 0 {
		limit = defaultMemory
	}
	return &memory{
		seed: maphash.MakeSeed(), limit: limit, born: now, forgotten: forgotten,
		running: make(map[uint64]*request), kept: make(map[uint64]place),
	}
}

// keyOf is the key of an identity; never 0.
func (m *memory) keyOf(identity string) uint64 { return maphash.String(m.seed, identity) | 1 }

// runs reports whether the request is with Janus at this moment.
func (m *memory) runs(key uint64, identity string) bool {
	r := m.running[key]
	return r != nil && r.identity == identity
}

// start remembers that r runs, until keep or drop.
func (m *memory) start(key uint64, r *request) {
	r.key = key
	m.running[key] = r
}

// stop forgets that r runs: with it goes whatever else there is, unless keep follows.
func (m *memory) stop(r *request) {
	if m.running[r.key] == r {
		delete(m.running, r.key)
	}
}

// reply is the kept reply to a request, a copy; nil when there is none.
func (m *memory) reply(key uint64, identity string) []byte {
	at, ok := m.kept[key]
	if !ok {
		return nil
	}
	id, reply, _ := entryAt(m.pages[at.page-m.first].data, at.offset)
	if string(id) != identity {
		return nil
	}
	return bytes.Clone(reply)
}

// keep remembers the reply to a request.
func (m *memory) keep(key uint64, identity string, reply []byte, now time.Time) {
	size := entryHead + len(identity) + len(reply)
	if size > m.limit || len(identity) > 1<<16-1 {
		m.gap = now
		m.forgotten(1)
		return
	}
	p := m.page(size)
	m.kept[key] = place{m.first + uint64(len(m.pages)) - 1, uint32(len(p.data))}
	p.data = binary.LittleEndian.AppendUint64(p.data, key)
	p.data = binary.LittleEndian.AppendUint16(p.data, uint16(len(identity)))
	p.data = binary.LittleEndian.AppendUint32(p.data, uint32(len(reply)))
	p.data = append(p.data, identity...)
	p.data = append(p.data, reply...)
	p.newest = now
}

// page is the newest page, with room for size more bytes. Older ones go where the limit wants it.
func (m *memory) page(size int) *page {
	if n := len(m.pages); n > 0 {
		if p := m.pages[n-1]; cap(p.data)-len(p.data) >= size {
			return p
		}
	}
	size = max(size, min(pageSize, m.limit))
	for m.bytes+size > m.limit {
		m.gap = m.pages[0].newest
		m.forgotten(m.forgetPage())
	}
	p := &page{data: m.spare}
	m.spare = nil
	if cap(p.data) < size {
		p.data = make([]byte, 0, size)
	}
	m.bytes += cap(p.data)
	m.pages = append(m.pages, p)
	return p
}

// expire forgets the pages whose last reply is older than the deadline.
func (m *memory) expire(now time.Time) {
	for len(m.pages) > 0 && now.Sub(m.pages[0].newest) > deadline {
		m.forgetPage()
	}
}

// forgetPage forgets the oldest page and returns how many replies went with it.
func (m *memory) forgetPage() int {
	data, n := m.pages[0].data, 0
	for offset := uint32(0); int(offset) < len(data); n++ {
		_, _, next := entryAt(data, offset)
		key := binary.LittleEndian.Uint64(data[offset:])
		if m.kept[key] == (place{m.first, offset}) {
			delete(m.kept, key)
		}
		offset = next
	}
	m.bytes -= cap(data)
	if cap(data) <= pageSize {
		m.spare = data[:0]
	}
	m.pages[0] = nil
	m.pages = m.pages[1:]
	m.first++
	return n
}

// blind reports whether a repeat that is not known may all the same have been run: by an earlier incarnation of this role,
// unless it is certain that there was none, or by this one, whose reply had to be forgotten.
func (m *memory) blind(now time.Time, first bool) bool {
	return !first && m.young(now) || now.Sub(m.gap) < deadline
}

// young reports whether requests may still come that an earlier incarnation was asked.
func (m *memory) young(now time.Time) bool { return now.Sub(m.born) < deadline }

// heardFirst is the first message to a handle on a connection that this incarnation was asked, and nobody before it: it is no
// repeat. Messages to a handle come in the order of their numbers; so those with a greater one were not asked before, either.
type heardFirst struct{ connection, number uint64 }

func (f *heardFirst) note(m *memory, identity string) {
	if connection, number := m.numbered(identity); connection != f.connection {
		*f = heardFirst{connection, number}
	}
}

func (f *heardFirst) before(m *memory, identity string) bool {
	connection, number := m.numbered(identity)
	return connection == f.connection && number > f.number
}

// numbered cuts an identity into a key of what numbers requests, a connection for one session, and the number.
func (m *memory) numbered(identity string) (connection, number uint64) {
	i := strings.LastIndexByte(identity, '.')
	if i < 0 {
		return 0, 0
	}
	number, _ = strconv.ParseUint(identity[i+1:], 10, 64)
	return m.keyOf(identity[:i]), number
}

// entryAt reads the entry at an offset of a page.
func entryAt(data []byte, offset uint32) (identity, reply []byte, next uint32) {
	id := uint32(binary.LittleEndian.Uint16(data[offset+8:]))
	length := binary.LittleEndian.Uint32(data[offset+10:])
	from := offset + entryHead
	next = from + id + length
	return data[from : from+id], data[from+id : next], next
}
