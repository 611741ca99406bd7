// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// AgainTime is how far before an edge's end an event may have come that comes again: edges tell what they have written every
	// 100 ms at least, and the other half is for a machine that is busy.
	AgainTime = 200 * time.Millisecond
	// kept is how long what is settled is remembered, so that a second answer is told from one that nobody asked for.
	kept = 2 * time.Minute
	// maxProblems bounds the descriptions that a ledger keeps until they are taken.
	maxProblems = 20
)

// Ledger is what one client asked and what it got. Its methods may be called from any goroutine.
type Ledger struct {
	name string

	mu       sync.Mutex // guards the rest: clients write, whoever judges them reads
	entries  map[string]*entry
	order    []*entry // as sent
	newest   int      // number of the latest entry whose event came
	numbers  int
	brokeAt  time.Time // when the connection ended last
	faultAt  time.Time
	waiting  time.Time // since when the client has no connection; zero: it has one
	served   time.Time // when the youngest request that was served in full was sent
	counts   Counts
	problems []string
}

// entry is one request, or one event that was not asked for.
type entry struct {
	id      string
	number  int
	sent    time.Time
	reply   bool // is due
	event   bool // is due, unless the request is refused
	replied time.Time
	refused bool
	came    time.Time // the event
	doubt   bool      // the connection ended before the reply
	settled bool      // nothing is waited for any more
}

// New makes the ledger of a client.
func New(name string) *Ledger { return &Ledger{name: name, entries: make(map[string]*entry)} }

// Sent notes a request. event: one with its id must come once it is acknowledged.
func (l *Ledger) Sent(id string, event bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Requests++
	l.add(&entry{id: id, sent: now, reply: true, event: event})
}

// Allow notes that an event may come that this client did not ask for, in its turn. Confirm makes it due.
func (l *Ledger) Allow(id string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(&entry{id: id, sent: now})
}

// Confirm notes that an event that was allowed must come, or have come.
func (l *Ledger) Confirm(id string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[id]; e != nil {
		e.event, e.sent = true, now
	}
}

func (l *Ledger) add(e *entry) {
	l.numbers++
	e.number = l.numbers
	l.entries[e.id] = e
	l.order = append(l.order, e)
}

// Replied notes the direct answer to a request; code 0 stands for one that is no error.
func (l *Ledger) Replied(id string, code int, reason string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[id]
	switch {
	case e == nil || !e.reply:
		l.counts.Doubled++
		l.problem("a reply to %s, which was not asked", id)
		return
	case !e.replied.IsZero():
		l.repeated(e, e.replied, "reply")
		return
	}
	e.replied = now
	if !e.doubt {
		l.late(e, "reply", now)
	}
	if code != 0 {
		e.refused = true
		l.refused(e, code, reason)
	}
	l.finish(e)
}

// refused counts an error. What came by a connection that the client had left may have been overtaken by what it asked on the next
// one: two connections have no common order, with one Janus neither.
func (l *Ledger) refused(e *entry, code int, reason string) {
	switch {
	case strings.Contains(strings.ToLower(reason), "outcome unknown"):
		l.counts.Unknown++
		return
	case e.doubt:
		l.counts.InDoubt++
		return
	}
	l.problem("%s was refused: %d %s", e.id, code, reason)
	if l.counts.Refused == nil {
		l.counts.Refused = make(map[string]int)
	}
	l.counts.Refused[fmt.Sprint(code)]++
}

// Event notes an event.
func (l *Ledger) Event(id string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[id]
	switch {
	case e == nil:
		l.counts.Doubled++
		l.problem("event %s, which nobody waits for", id)
		return
	case !e.came.IsZero():
		l.repeated(e, e.came, "event")
		return
	}
	l.counts.Events++
	e.came = now
	if e.number < l.newest && !e.doubt {
		l.counts.Disordered++
		l.problem("event %s came after a later one", id)
	}
	l.newest = max(l.newest, e.number)
	if e.settled && e.event {
		l.problem("event %s came after it was given up, %v late", id, now.Sub(e.sent).Round(time.Millisecond))
		return
	}
	if e.event && !e.dubious() {
		l.late(e, "event", now)
	}
	l.finish(e)
}

// repeated counts what came twice, by when it came first.
func (l *Ledger) repeated(e *entry, first time.Time, what string) {
	for _, end := range []time.Time{l.faultAt, l.brokeAt} {
		if before := end.Sub(first); !end.IsZero() && before < AgainTime && before > -AgainTime {
			l.counts.Again++
			return
		}
	}
	l.counts.Doubled++
	l.problem("%s %s came twice, first %v after the fault", what, e.id, first.Sub(l.faultAt).Round(time.Millisecond))
}

// late notes how long the client waited for something. For what became of a request that was in doubt when its connection ended nobody
// waits, but for a connection: an edge that was frozen runs it when it wakes.
func (l *Ledger) late(e *entry, what string, now time.Time) {
	if d := now.Sub(e.sent); d > l.counts.Pause {
		l.counts.wait(d, what+" "+e.id)
	}
}

// finish looks whether a request has all that it is due.
func (l *Ledger) finish(e *entry) {
	if e.open() {
		return
	}
	e.settled = true
	if e.sent.After(l.served) && !e.refused {
		l.served = e.sent
	}
}

// open reports whether something is still due.
func (e *entry) open() bool {
	return !e.settled && (e.reply && e.replied.IsZero() || e.event && !e.refused && e.came.IsZero())
}

// unanswered reports whether a reply is due.
func (e *entry) unanswered() bool { return e.open() && e.reply && e.replied.IsZero() }

// dubious reports whether nobody can tell what became of a request.
func (e *entry) dubious() bool { return e.doubt && e.replied.IsZero() }

// Broken notes that the connection ended. What had no reply by then is in doubt.
func (l *Ledger) Broken(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.brokeAt = now
	since := now
	for _, e := range l.order {
		if e.open() && e.reply && e.replied.IsZero() {
			if !e.doubt && e.sent.Before(since) {
				since = e.sent
			}
			e.doubt = true
		}
	}
	if l.waiting.IsZero() {
		l.waiting = since
	}
}

// Interrupted notes that events cannot come at the moment; requests go another way.
func (l *Ledger) Interrupted(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.brokeAt = now
	if l.waiting.IsZero() {
		l.waiting = now
	}
}

// Doubt notes that the connection of one request ended before its reply came.
func (l *Ledger) Doubt(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[id]; e != nil && e.open() {
		e.doubt = true
	}
}

// Resumed notes that the client has a connection again, and its session on it.
func (l *Ledger) Resumed(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.waiting.IsZero() {
		l.counts.wait(now.Sub(l.waiting), "connection of "+l.name)
		l.waiting = time.Time{}
	}
}

// Unanswered notes that a request is not waited for any longer.
func (l *Ledger) Unanswered(id string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[id]; e != nil && e.open() {
		l.giveUp(e, now)
	}
}

// HungUp notes that a handle lost its Janus, and why: what that owed is lost.
func (l *Ledger) HungUp(reason string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Hangups++
	l.problem("hung up: %s", reason)
	for _, e := range l.order {
		if e.open() && (!e.reply || !e.replied.IsZero()) {
			l.giveUp(e, now)
		}
	}
}

// SessionLost notes that the session is gone, and with it all that was due.
func (l *Ledger) SessionLost(why string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Sessions++
	l.problem("session lost: %s", why)
	l.closeBooks(now, now.Add(time.Hour))
	l.waiting = time.Time{}
}

// RunTwice notes an answer that gives away that its request was run before.
func (l *Ledger) RunTwice(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.RunTwice++
	l.problem("run twice: %s", what)
}

// Wrong notes an answer that is not true.
func (l *Ledger) Wrong(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Wrong++
	l.problem("not true: %s", what)
}

// Fault notes that something is about to be broken.
func (l *Ledger) Fault(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faultAt = now
}

// Clean reports whether the client has a connection, a request that it sent after since was served in full, and nothing of
// before is due; else what is wrong.
func (l *Ledger) Clean(since time.Time) (reason string) { return l.lacks(since, (*entry).open) }

// Served is Clean, but for events.
func (l *Ledger) Served(since time.Time) (reason string) { return l.lacks(since, (*entry).unanswered) }

func (l *Ledger) lacks(since time.Time, due func(*entry) bool) (reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.order {
		if due(e) && !e.dubious() && !e.sent.After(since) {
			return fmt.Sprintf("%s: %s is open", l.name, e.id)
		}
	}
	if !l.waiting.IsZero() {
		return l.name + " has no connection"
	}
	if !l.served.After(since) {
		return l.name + " was not served yet"
	}
	return ""
}

// Close gives up what was sent before and is still open.
func (l *Ledger) Close(before, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeBooks(now, before)
}

func (l *Ledger) closeBooks(now, before time.Time) {
	for _, e := range l.order {
		if e.open() && e.sent.Before(before) {
			l.giveUp(e, now)
		}
	}
}

// giveUp counts what is missing of an entry.
func (l *Ledger) giveUp(e *entry, now time.Time) {
	e.settled = true
	waited := now.Sub(e.sent).Round(time.Millisecond)
	switch {
	case e.dubious():
		if e.came.IsZero() {
			l.counts.InDoubt++
		}
	case e.reply && e.replied.IsZero():
		l.counts.Unanswered++
		l.problem("%s was not answered for %v", e.id, waited)
	default:
		l.counts.Lost++
		l.problem("event %s did not come for %v", e.id, waited)
	}
}

// Take returns what was counted since it was called last, with descriptions of what was wrong, and forgets what is old. What is
// in doubt by then stays so.
func (l *Ledger) Take(now time.Time) (Counts, []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := l.order[:0]
	for _, e := range l.order {
		if e.open() && e.dubious() {
			l.giveUp(e, now)
		}
		if !e.open() && now.Sub(e.sent) > kept {
			delete(l.entries, e.id)
			continue
		}
		rest = append(rest, e)
	}
	clear(l.order[len(rest):])
	l.order = rest
	counts, problems := l.counts, l.problems
	l.counts, l.problems = Counts{}, nil
	return counts, problems
}

func (l *Ledger) problem(format string, args ...any) {
	if len(l.problems) < maxProblems {
		l.problems = append(l.problems, l.name+": "+fmt.Sprintf(format, args...))
	}
}
