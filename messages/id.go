// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Partitions is the number of partitions that sessions, rooms and users are spread over. It is part of the wire:
// all processes of a cluster must agree on it.
const Partitions = 1024

// MaxID is the largest session or handle id that we draw: what a JavaScript number holds exactly (Janus draws its
// ids in the same range, janus_random_uint64_full in src/utils.c aside).
const MaxID = 1<<53 - 1

// PartitionOf tells the partition (0 to Partitions-1) that owns a session id, drawn by us or chosen by a client.
func PartitionOf(session uint64) int { return int(session % Partitions) }

// NewSessionID draws a random session id of 1 to MaxID in the given partition.
func NewSessionID(partition int) uint64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		id := binary.LittleEndian.Uint64(b[:])&(MaxID>>10)<<10 | uint64(partition)
		if id != 0 {
			return id
		}
	}
}

// HandleID derives the id of a handle from the identity of the attach request and its session: a repeat of the
// request, at this owner or its successor, gives the same handle. The result is 1 to MaxID.
func HandleID(session uint64, identity string) uint64 {
	h := sha256.New()
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], session)
	h.Write(b[:])
	h.Write([]byte(identity))
	var sum [sha256.Size]byte
	if id := binary.LittleEndian.Uint64(h.Sum(sum[:0])) & MaxID; id != 0 {
		return id
	}
	return 1
}

// Member is one incarnation of a process in a role: the name it was given and the incarnation it drew at start.
// Two processes that bear one name, one after the other, are two members: the second never receives what was
// meant for the first.
type Member struct {
	Name string // subject-safe, see ValidName
	Inc  string // see NewIncarnation; a later start compares greater
}

// NewMember gives a name a fresh incarnation.
func NewMember(name string) Member { return Member{Name: name, Inc: NewIncarnation(time.Now())} }

// IsZero reports whether m names nobody.
func (m Member) IsZero() bool { return m.Name == "" }

// String is the member as one token of a subject: name~incarnation.
func (m Member) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Name + "~" + m.Inc
}

// ErrMember says that a text does not name a member.
var ErrMember = errors.New("not a member (want name~incarnation)")

// ParseMember reads what Member.String wrote.
func ParseMember(s string) (Member, error) {
	name, inc, ok := strings.Cut(s, "~")
	if !ok || !ValidName(name) || inc == "" {
		return Member{}, fmt.Errorf("%q: %w", s, ErrMember)
	}
	return Member{Name: name, Inc: inc}, nil
}

// MarshalText writes the member as String does, for JSON.
func (m Member) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText wrote; an empty text is the zero member.
func (m *Member) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*m = Member{}
		return nil
	}
	v, err := ParseMember(string(b))
	if err == nil {
		*m = v
	}
	return err
}

// NewIncarnation draws an incarnation: the start time in milliseconds (eight characters until 2059), then four random
// ones, so that of two incarnations of one name the later start compares greater as a string.
func NewIncarnation(start time.Time) string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	const digits = "0123456789abcdefghijklmnopqrstuv"
	for i := range b {
		b[i] = digits[b[i]&31]
	}
	return strconv.FormatInt(start.UnixMilli(), 36) + string(b[:])
}

// ValidName reports whether s can be the name of a role: 1 to 64 letters, digits, '-' or '_', so that it is one
// token of a subject and needs no quoting in a shell.
func ValidName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// Epoch numbers the ownerships of a partition. Of two owners the one with the greater epoch is right; everybody
// refuses the lower one. An epoch is drawn as the greater of (highest seen + 1, Unix milliseconds): after a restart
// of everything, numbers do not begin again below what media servers remember.
type Epoch struct {
	Number uint64
	Node   string // name of the owning node: settles ties
}

// Next draws the epoch that node takes over with, having seen e as the highest.
func (e Epoch) Next(node string, now time.Time) Epoch {
	return Epoch{Number: max(e.Number+1, uint64(now.UnixMilli())), Node: node}
}

// Compare orders epochs: by number, then by node name.
func (e Epoch) Compare(o Epoch) int {
	return cmp.Or(cmp.Compare(e.Number, o.Number), strings.Compare(e.Node, o.Node))
}

// Less reports whether e is older than o.
func (e Epoch) Less(o Epoch) bool { return e.Compare(o) < 0 }

// IsZero reports whether no epoch was seen yet.
func (e Epoch) IsZero() bool { return e == Epoch{} }

// String is the epoch as one token of a subject: number-node; empty when zero.
func (e Epoch) String() string {
	if e.IsZero() {
		return ""
	}
	return strconv.FormatUint(e.Number, 10) + "-" + e.Node
}

// ErrEpoch says that a text is not an epoch.
var ErrEpoch = errors.New("not an epoch (want number-node)")

// ParseEpoch reads what Epoch.String wrote.
func ParseEpoch(s string) (Epoch, error) {
	number, node, ok := strings.Cut(s, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil || !ValidName(node) {
		return Epoch{}, fmt.Errorf("%q: %w", s, ErrEpoch)
	}
	return Epoch{Number: n, Node: node}, nil
}

// MarshalText writes the epoch as String does, for JSON.
func (e Epoch) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what MarshalText wrote; an empty text is the zero epoch.
func (e *Epoch) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*e = Epoch{}
		return nil
	}
	v, err := ParseEpoch(string(b))
	if err == nil {
		*e = v
	}
	return err
}
