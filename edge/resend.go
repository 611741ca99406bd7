// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// askedAgain hears that an owner misses requests of a connection: it has later ones.
func (e *Edge) askedAgain(m *bus.Msg) {
	if m.NoResponders {
		return
	}
	var x messages.Resend
	if err := json.Unmarshal(m.Data, &x); err != nil || x.Session == 0 {
		e.malformed(m, err)
		return
	}
	e.repeater.resend(x)
}

// resend publishes what the owner misses of a connection and is not answered, and then that nothing else is missing: the rest was
// answered, or given up.
func (e *Edge) resend(x messages.Resend) {
	p := &e.partitions[messages.PartitionOf(x.Session)]
	for _, r := range p.between(x, e.now()) {
		if !e.publish(p, r) {
			return // the owner asks again
		}
	}
	subject := messages.SessionSubject{
		Partition: messages.PartitionOf(x.Session), Session: x.Session,
		Kind: messages.SessionWhole, Arg: strconv.FormatUint(x.Before, 10),
	}
	from := messages.Transport{Edge: e.member, Connection: x.Connection}
	if e.bus.Publish(subject.String(), from.String(), nil) != nil {
		e.log.Debug("owner not told what is missing", "session", x.Session) // it asks again
	}
}

// between takes the requests that an owner misses, in order.
func (p *partition) between(x messages.Resend, now time.Duration) []repeat {
	p.mu.Lock()
	defer p.mu.Unlock()
	var missing []repeat
	for r := p.oldest; r != nil; r = r.newer {
		if r.session == x.Session && r.conn.number == x.Connection && !r.isPoll() && r.n > x.After && r.n < x.Before {
			r.repeatFrom(now)
			missing = append(missing, r.repeat())
		}
	}
	return missing
}
