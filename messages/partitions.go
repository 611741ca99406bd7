// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"strconv"
	"strings"
)

// PartitionSet is a set of partitions. The zero value is empty. It is written in JSON as ranges ("0-340,512,600-602"),
// which a heartbeat can carry five times a second and a person can read.
type PartitionSet struct {
	words [Partitions / 64]uint64
}

// AllPartitions is the full set.
func AllPartitions() PartitionSet {
	var s PartitionSet
	for i := range s.words {
		s.words[i] = ^uint64(0)
	}
	return s
}

// Add puts partition p (0 to Partitions-1) into the set.
func (s *PartitionSet) Add(p int) { s.words[p/64] |= 1 << (p % 64) }

// Remove takes partition p out of the set.
func (s *PartitionSet) Remove(p int) { s.words[p/64] &^= 1 << (p % 64) }

// Union is the set of partitions that are in s or in o.
func (s PartitionSet) Union(o PartitionSet) PartitionSet {
	for i, w := range o.words {
		s.words[i] |= w
	}
	return s
}

// Has reports whether partition p is in the set.
func (s PartitionSet) Has(p int) bool { return s.words[p/64]&(1<<(p%64)) != 0 }

// Len counts the partitions in the set.
func (s PartitionSet) Len() int {
	n := 0
	for _, w := range s.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// All yields the partitions in ascending order.
func (s PartitionSet) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for p := range Partitions {
			if s.Has(p) && !yield(p) {
				return
			}
		}
	}
}

// String writes the set as ascending ranges; empty for the empty set.
func (s PartitionSet) String() string {
	var b []byte
	for p := 0; p < Partitions; p++ {
		if !s.Has(p) {
			continue
		}
		last := p
		for last+1 < Partitions && s.Has(last+1) {
			last++
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(p), 10)
		if last > p {
			b = append(b, '-')
			b = strconv.AppendInt(b, int64(last), 10)
		}
		p = last
	}
	return string(b)
}

// ErrPartitions says that a text is not a set of partitions.
var ErrPartitions = errors.New("not a set of partitions (want ranges as 0-3,7)")

// ParsePartitions reads what PartitionSet.String wrote.
func ParsePartitions(text string) (PartitionSet, error) {
	var s PartitionSet
	if text == "" {
		return s, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		a, errA := strconv.ParseUint(from, 10, 16)
		b, errB := strconv.ParseUint(to, 10, 16)
		if errA != nil || errB != nil || a > b || b >= Partitions {
			return PartitionSet{}, fmt.Errorf("%q: %w", part, ErrPartitions)
		}
		for p := a; p <= b; p++ {
			s.Add(int(p))
		}
	}
	return s, nil
}

// MarshalText writes the set as String does.
func (s PartitionSet) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *PartitionSet) UnmarshalText(b []byte) error {
	v, err := ParsePartitions(string(b))
	if err == nil {
		*s = v
	}
	return err
}
