// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// request is a client's request on its way: it is kept until it is answered, its time is up or its connection closes.
type request struct {
	conn    *connection
	session uint64
	n       uint64
	body    []byte          // as the client sent it, in plain form; shared with whoever receives it: never changed
	refusal *messages.Error // what the client gets instead of an answer without another objection, see deniedAttach
	verb    janusjson.Verb
	poll    int  // most events that a long poll takes, which has no body; 0: it is no poll
	drawn   bool // the edge drew the session id of this create
	redraws uint8
	turn    uint64 // among the connection's requests; 0: answered in any order

	// The rest is guarded by the partition's mu.
	published uint16        // times the bus took it
	refused   uint16        // times that nobody received it
	arrival   uint64        // orders the requests of a partition
	until     time.Duration // when its time is up, since the edge started; so due
	due       time.Duration // when it is repeated next
	pause     time.Duration // from that repeat to the one after
	older     *request
	newer     *request
}

// overhead is what a request costs beside its body.
const overhead = 256

func (r *request) size() int { return len(r.body) + overhead }

// reply names the request to the client.
func (r *request) reply() messages.Reply {
	var m janusjson.Message
	_ = janusjson.Scan(r.body, &m) // was scanned before it was kept
	reply := messages.Reply{Session: r.session, Transaction: m.Bytes(janusjson.KeyTransaction)}
	if r.verb == janusjson.VerbCreate {
		reply.Session = 0
	}
	return reply
}

// isPoll reports whether the request is a long poll.
func (r *request) isPoll() bool { return r.poll > 0 }

// subject is where the request is published.
func (r *request) subject() string {
	if !r.isPoll() {
		return messages.RequestSubject(r.session)
	}
	return messages.SessionSubject{
		Partition: messages.PartitionOf(r.session), Session: r.session, Kind: messages.SessionPoll, Arg: strconv.Itoa(r.poll),
	}.String()
}

// opens reports whether the request makes its connection the owner of a session, once it succeeds.
func (r *request) opens() bool {
	return r.verb == janusjson.VerbCreate || r.verb == janusjson.VerbClaim
}

// repeat is a request that is to be published, for the first time or again.
type repeat struct {
	*request
	again bool // somebody may have received it before
}

// partition is what the edge keeps of a partition: how far its ownership has come, and the requests that wait.
type partition struct {
	mu       sync.Mutex // for list links and counters; never held while publishing
	fence    messages.Epoch
	oldest   *request
	newest   *request
	arrivals uint64
	quiet    time.Duration // no request is due, and none's time is up, before this
	lost     uint64        // requests up to this arrival may not have reached the present owner
	held     bool          // nobody took a request: new ones queue behind those that wait
	refused  bool          // nobody took one since the last repeat
	probing  bool          // the oldest was repeated to find out
}

// add keeps a request and reports whether to publish it now. If not, it waits behind others and is published with them.
func (p *partition) add(r *request, now time.Duration) (publish bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.until = now + r.conn.patience
	r.repeatFrom(now)
	p.link(r)
	if p.held {
		return false
	}
	r.published = 1
	return true
}

// take hands out the request with this identity, which is then not kept any more; nil when there is none. held reports
// that others wait to be published.
func (p *partition) take(connection, session, n uint64) (r *request, held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r = p.find(connection, session, n); r != nil {
		p.unlink(r)
	}
	return r, p.held
}

// find is called with mu held. Answers come nearly in order, so it looks from the oldest.
func (p *partition) find(connection, session, n uint64) *request {
	for r := p.oldest; r != nil; r = r.newer {
		if r.session == session && r.n == n && r.conn.number == connection {
			return r
		}
	}
	return nil
}

// link puts a request behind the others. It is called with mu held.
func (p *partition) link(r *request) {
	p.arrivals++
	r.arrival = p.arrivals
	r.older = p.newest
	if r.older == nil {
		p.oldest = r
	} else {
		r.older.newer = r
	}
	p.newest = r
	p.quiet = min(p.quiet, r.due, r.until)
}

// park keeps a long poll that was taken, without repeating it, until its time is up. It reports false, and keeps nothing,
// where the owner can have received it but once.
func (p *partition) park(r *request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.published <= r.refused+1 {
		return false
	}
	r.due = r.until
	p.link(r)
	return true
}

// unlink is called with mu held.
func (p *partition) unlink(r *request) {
	if r.older == nil {
		p.oldest = r.newer
	} else {
		r.older.newer = r.newer
	}
	if r.newer == nil {
		p.newest = r.older
	} else {
		r.newer.older = r.older
	}
	r.older, r.newer = nil, nil
}

// unserved notes that nobody received the request with this identity. It reports whether that is news.
func (p *partition) unserved(connection, session, n uint64) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.find(connection, session, n)
	if r == nil {
		return false
	}
	r.refused++
	news = !p.refused
	p.held, p.refused = true, true
	return news
}

// unpublished notes that the bus did not take a request.
func (p *partition) unpublished(r *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.published--
	p.held, p.refused = true, true
}

// drop gives up what a connection asked of a session.
func (p *partition) drop(c *connection, session uint64) []*request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var dropped []*request
	for r := p.oldest; r != nil; {
		newer := r.newer
		if r.conn == c && r.session == session {
			p.unlink(r)
			dropped = append(dropped, r)
		}
		r = newer
	}
	return dropped
}

// hear takes note of an owner's epoch. stale: a greater one is known, its owner was deposed. news: it is the greatest so
// far; its owner needs a repeat of the requests that wait.
func (p *partition) hear(epoch messages.Epoch) (stale, news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch order := epoch.Compare(p.fence); {
	case order < 0:
		return true, false
	case order == 0:
		return false, false
	}
	// The name may be part of a whole subject, which would be kept with it.
	p.fence = messages.Epoch{Number: epoch.Number, Node: strings.Clone(epoch.Node)}
	p.lost = p.arrivals
	return false, true
}

// lose notes that requests may have been lost on their way.
func (p *partition) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = p.arrivals
}

// seen is the greatest epoch heard of.
func (p *partition) seen() messages.Epoch {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fence
}

// sweep takes out the requests whose time is up, and those that are to be repeated because they waited long enough. flush
// asks to repeat all of them.
func (p *partition) sweep(now time.Duration) (expired []*request, due []repeat, flush bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.held && now < p.quiet {
		return nil, nil, false
	}
	p.quiet = math.MaxInt64
	for r, newer := p.oldest, (*request)(nil); r != nil; r = newer {
		newer = r.newer
		if r.until <= now {
			p.unlink(r)
			expired = append(expired, r)
			continue
		}
		if !p.held && r.due <= now {
			r.due = now + r.pause
			r.pause = r.nextPause()
			due = append(due, r.repeat())
		}
		p.quiet = min(p.quiet, r.due, r.until)
	}
	switch {
	case !p.held:
	case p.oldest == nil:
		p.held, p.probing = false, false
	case p.probing && !p.refused:
		flush = true
	default:
		p.probing, p.refused = true, false
		due = append(due, p.oldest.repeat())
	}
	return expired, due, flush
}

// repeatFrom begins the waits before repeats anew.
func (r *request) repeatFrom(now time.Duration) { r.due, r.pause = now+firstRepeat, 2*firstRepeat }

// nextPause is the pause after the present one. A long poll waits long by its nature.
func (r *request) nextPause() time.Duration {
	if r.isPoll() {
		return 2 * r.pause
	}
	return min(2*r.pause, longestPause)
}

// repeat is called with mu held, just before r is published.
func (r *request) repeat() repeat {
	again := r.published > r.refused
	r.published++
	return repeat{r, again}
}

// hold begins to repeat: new requests queue behind the old. It returns up to which arrival they may have been lost.
func (p *partition) hold() (lost uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost, p.lost = p.lost, 0
	p.held, p.refused, p.probing = true, false, false
	return lost
}

// giveUp ends what hold began: the bus took nothing any more, and so not these.
func (p *partition) giveUp(repeats []repeat, lost uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range repeats {
		x.published--
	}
	p.refused = true
	p.lost = max(p.lost, lost)
}

// batch is how many requests are taken from a partition at once.
const batch = 128

// next appends those requests behind a certain one that were not published, were not received by anybody, or may have been
// lost. When none is left it lets new ones pass again, unless somebody was refused meanwhile.
func (p *partition) next(behind, lost uint64, now time.Duration, repeats []repeat) []repeat {
	p.mu.Lock()
	defer p.mu.Unlock()
	for r := p.oldest; r != nil && len(repeats) < batch; r = r.newer {
		if r.arrival <= behind || r.arrival > lost && r.published > r.refused {
			continue
		}
		r.repeatFrom(now)
		repeats = append(repeats, r.repeat())
	}
	if len(repeats) == 0 {
		p.held = p.refused
	}
	return repeats
}
