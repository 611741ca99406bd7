// SPDX-License-Identifier: Apache-2.0

package websocket

// Buffers above this size are left to the garbage collector, so that one large
// message does not stay in the pool for ever.
const maxPooled = 64 << 10

// buffer is a queue of bytes: appended at the end, taken from the front.
type buffer struct {
	bytes []byte
	taken int
}

func (b *buffer) len() int {
	if b == nil {
		return 0
	}
	return len(b.bytes) - b.taken
}

func (b *buffer) rest() []byte { return b.bytes[b.taken:] }

// take drops n bytes from the front. Room is reclaimed when the dead part
// outweighs the living, which keeps the copying below the bytes sent.
func (b *buffer) take(n int) {
	b.taken += n
	if b.taken > len(b.bytes)/2 {
		b.bytes = append(b.bytes[:0], b.bytes[b.taken:]...)
		b.taken = 0
	}
}

func (s *Server) getBuffer() *buffer {
	if b, ok := s.buffers.Get().(*buffer); ok {
		return b
	}
	return new(buffer)
}

func (s *Server) putBuffer(b *buffer) {
	if cap(b.bytes) > maxPooled {
		return
	}
	b.bytes, b.taken = b.bytes[:0], 0
	s.buffers.Put(b)
}
