// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Delivery is the reply field of what an owner sends to an edge: it numbers what a session has to say to the connection that
// is its transport, replies and events alike, so that the edge can acknowledge what it wrote (Written), leave out what comes
// twice, and refuse an owner that was deposed.
type Delivery struct {
	Partition int
	Session   uint64
	Epoch     Epoch
	Seq       uint64 // counts up, per session and epoch; 0: it is not acknowledged. Of the answer to a long poll: of its last event
	// Behind is how many before this one were not acknowledged when it was sent: those before them are not waited for.
	Behind uint64
	// Origin is <server>.<seq> of the media server's event that is delivered; empty: it is none. Events of one server reach an
	// edge in the order of these numbers, so that one which comes twice can be told. The answer to a claim has the origins of
	// what was delivered before, that to a long poll those of its last events, see OriginSeparator.
	Origin string
}

const behindMark = "-"

// String writes the delivery.
func (d Delivery) String() string {
	b := make([]byte, 0, 128)
	b = strconv.AppendInt(b, int64(d.Partition), 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, d.Session, 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, d.Epoch.Number, 10)
	b = append(b, '-')
	b = append(b, d.Epoch.Node...)
	b = append(b, '.')
	b = strconv.AppendUint(b, d.Seq, 10)
	if d.Behind > 0 {
		b = append(b, behindMark...)
		b = strconv.AppendUint(b, d.Behind, 10)
	}
	if d.Origin != "" {
		b = append(b, '.')
		b = append(b, d.Origin...)
	}
	return string(b)
}

// ParseDelivery reads what Delivery.String wrote.
func ParseDelivery(s string) (Delivery, error) {
	var d Delivery
	partition, rest, _ := strings.Cut(s, ".")
	session, rest, _ := strings.Cut(rest, ".")
	epoch, rest, _ := strings.Cut(rest, ".")
	seq, origin, _ := strings.Cut(rest, ".")
	seq, behind, some := strings.Cut(seq, behindMark)
	d.Origin = origin
	var errs [5]error
	var p uint64
	p, errs[0] = strconv.ParseUint(partition, 10, 16)
	d.Session, errs[1] = strconv.ParseUint(session, 10, 64)
	d.Epoch, errs[2] = ParseEpoch(epoch)
	d.Seq, errs[3] = strconv.ParseUint(seq, 10, 64)
	if some {
		d.Behind, errs[4] = strconv.ParseUint(behind, 10, 64)
	}
	d.Partition = int(p)
	if errors.Join(errs[:]...) != nil || p >= Partitions || d.Behind > 0 && d.Behind >= d.Seq {
		return d, fmt.Errorf("%w: %s", ErrSubject, s)
	}
	return d, nil
}
