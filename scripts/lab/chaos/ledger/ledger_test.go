// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// at is a moment of a test, in milliseconds from its start.
func at(ms int) time.Time { return time.Unix(1_000_000, 0).Add(time.Duration(ms) * time.Millisecond) }

// ask has a ledger see a message that was sent at a moment, acknowledged 1 ms later and answered after 2 ms.
func ask(l *Ledger, id string, ms int) {
	l.Sent(id, true, at(ms))
	l.Replied(id, 0, "", at(ms+1))
	l.Event(id, at(ms+2))
}

// TestLedger is what a ledger sees, and what it sees in that. The last message is always sent at 9000 and is in order.
func TestLedger(t *testing.T) {
	for _, tt := range []struct {
		name string
		live func(l *Ledger)
		want Counts
	}{
		{"all is well", func(l *Ledger) { ask(l, "a", 0) }, Counts{Events: 1, Pause: 2 * time.Millisecond}},
		{"an event before its acknowledgement", func(l *Ledger) {
			l.Sent("a", true, at(0))
			l.Event("a", at(1))
			l.Replied("a", 0, "", at(2))
		}, Counts{Events: 1, Pause: 2 * time.Millisecond}},
		{"an event that is lost", func(l *Ledger) {
			l.Sent("a", true, at(0))
			l.Replied("a", 0, "", at(1))
		}, Counts{Lost: 1, Pause: time.Millisecond}},
		{"an event that comes twice", func(l *Ledger) { ask(l, "a", 0); l.Event("a", at(3)) }, Counts{Events: 1, Doubled: 1, Pause: 2 * time.Millisecond}},
		{"a reply that comes twice", func(l *Ledger) { ask(l, "a", 0); l.Replied("a", 0, "", at(3)) }, Counts{Events: 1, Doubled: 1, Pause: 2 * time.Millisecond}},
		{"an event that nobody asked for", func(l *Ledger) { l.Event("a", at(3)) }, Counts{Doubled: 1}},
		{"a reply that nobody asked for", func(l *Ledger) { l.Replied("a", 0, "", at(3)) }, Counts{Doubled: 1}},
		{"an event again after the edge died", func(l *Ledger) {
			ask(l, "a", 0)
			l.Fault(at(90))
			l.Broken(at(95))
			l.Resumed(at(145))
			l.Event("a", at(150))
		}, Counts{Events: 1, Again: 1, Pause: 50 * time.Millisecond}},
		{"an event again that is older", func(l *Ledger) {
			ask(l, "a", 0)
			l.Fault(at(2000))
			l.Broken(at(2000))
			l.Resumed(at(2000))
			l.Event("a", at(2001))
		}, Counts{Events: 1, Doubled: 1, Pause: 2 * time.Millisecond}},
		{"what an edge that woke asked late, when the client had left it", func(l *Ledger) {
			l.Sent("a", true, at(0))
			l.Sent("b", false, at(0))
			l.Broken(at(1))
			l.Resumed(at(1))
			ask(l, "c", 2)
			l.Replied("a", 0, "", at(5))
			l.Event("a", at(6))
			l.Replied("b", 459, "No such handle", at(7))
		}, Counts{Events: 2, InDoubt: 1, Pause: 6 * time.Millisecond}},
		{"events in the wrong order", func(l *Ledger) {
			l.Sent("a", true, at(0))
			l.Replied("a", 0, "", at(1))
			ask(l, "b", 2)
			l.Event("a", at(5))
		}, Counts{Events: 2, Disordered: 1, Pause: 5 * time.Millisecond}},
		{"a refusal", func(l *Ledger) {
			l.Sent("a", true, at(0))
			l.Replied("a", 490, "Too bad", at(1))
		}, Counts{Refused: map[string]int{"490": 1}, Pause: time.Millisecond}},
		{"outcome unknown", func(l *Ledger) {
			l.Sent("a", true, at(0))
			l.Replied("a", 490, "Outcome unknown: the media server was restarted", at(1))
		}, Counts{Unknown: 1, Pause: time.Millisecond}},
		{"no reply", func(l *Ledger) { l.Sent("a", true, at(0)) }, Counts{Unanswered: 1}},
		{"no reply, and the connection ended", func(l *Ledger) {
			l.Sent("a", true, at(0))
			l.Broken(at(5))
			l.Resumed(at(12))
		}, Counts{InDoubt: 1, Pause: 12 * time.Millisecond}},
		{"the reply comes on another connection", func(l *Ledger) {
			l.Sent("a", true, at(0))
			l.Broken(at(5))
			l.Resumed(at(6))
			l.Event("a", at(8))
			l.Replied("a", 0, "", at(9))
		}, Counts{Events: 1, Pause: 6 * time.Millisecond}},
		{"acknowledged, then the connection ended, then nothing", func(l *Ledger) {
			l.Sent("a", true, at(0))
			l.Replied("a", 0, "", at(1))
			l.Broken(at(5))
			l.Resumed(at(6))
		}, Counts{Lost: 1, Pause: time.Millisecond}},
		{"an event that was allowed, and did not come", func(l *Ledger) { l.Allow("a", at(0)) }, Counts{}},
		{"an event that was allowed, then due, and did not come", func(l *Ledger) { l.Allow("a", at(0)); l.Confirm("a", at(1)) }, Counts{Lost: 1}},
		{"an event that was allowed, came, then was due", func(l *Ledger) {
			l.Allow("a", at(0))
			l.Event("a", at(1))
			l.Confirm("a", at(2))
		}, Counts{Events: 1}},
		{"a session that is lost", func(l *Ledger) {
			l.Sent("a", true, at(0))
			l.Replied("a", 0, "", at(1))
			l.SessionLost("gone", at(2))
		}, Counts{Sessions: 1, Lost: 1, Pause: time.Millisecond}},
		{"a Janus that is lost", func(l *Ledger) {
			l.Sent("a", true, at(0))
			l.Replied("a", 0, "", at(1))
			l.HungUp("lost", at(2))
		}, Counts{Hangups: 1, Lost: 1, Pause: time.Millisecond}},
		{"run twice", func(l *Ledger) { l.RunTwice("create") }, Counts{RunTwice: 1}},
		{"not true", func(l *Ledger) { l.Wrong("3, not 4") }, Counts{Wrong: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := New("client")
			tt.live(l)
			before := l.numbers
			ask(l, "last", 9000)
			if reason := l.Clean(at(8000)); tt.want.Lost+tt.want.Unanswered > 0 && tt.want.Sessions+tt.want.Hangups == 0 {
				if !strings.Contains(reason, "a is open") {
					t.Errorf("clean though something is missing: %q", reason)
				}
			} else if reason != "" {
				t.Errorf("not clean: %s", reason)
			}
			l.Close(at(8000), at(9010))
			got, problems := l.Take(at(9010))
			tt.want.Events++
			tt.want.Pause = max(tt.want.Pause, 2*time.Millisecond)
			tt.want.Requests = got.Requests // counted below
			tt.want.Slowest = got.Slowest   // see TestSlowest
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v\n%q", got, tt.want, problems)
			}
			if before > 3 || got.Requests > before+1 {
				t.Errorf("%d requests", got.Requests)
			}
			if again, _ := l.Take(at(9010)); !reflect.DeepEqual(again, Counts{}) {
				t.Errorf("counted twice: %+v", again)
			}
		})
	}
}

// TestClean: a client is whole when a request of its own was served after the fault, and it has a connection.
func TestClean(t *testing.T) {
	l := New("client")
	ask(l, "a", 0)
	if l.Clean(at(5)) == "" {
		t.Error("clean without having been served")
	}
	l.Broken(at(10))
	if reason := l.Clean(time.Time{}); !strings.Contains(reason, "no connection") {
		t.Errorf("clean without a connection: %q", reason)
	}
	l.Resumed(at(11))
	ask(l, "b", 12)
	if reason := l.Clean(at(5)); reason != "" {
		t.Error(reason)
	}
	l.Sent("c", true, at(20))
	l.Replied("c", 490, "Too bad", at(21))
	if l.Clean(at(15)) == "" {
		t.Error("to be refused is not to be served")
	}
}

// TestForget: what is old is forgotten, and no more than that.
func TestForget(t *testing.T) {
	l := New("client")
	ask(l, "old", 0)
	l.Sent("open", true, at(1))
	ask(l, "young", int(kept/time.Millisecond))
	l.Take(at(int(kept/time.Millisecond) + 100))
	if len(l.entries) != 2 || len(l.order) != 2 || l.entries["old"] != nil {
		t.Errorf("kept %v", l.entries)
	}
}

func TestCountsAdd(t *testing.T) {
	c := Counts{Requests: 1, Refused: map[string]int{"490": 1}, Pause: 2}
	o := Counts{Requests: 2, Refused: map[string]int{"490": 1, "458": 3}, Pause: 1}
	c.Add(o)
	if fmt.Sprint(c.Refused) != "map[458:3 490:2]" || c.Requests != 3 || c.Pause != 2 || c.Refusals() != 5 || o.Refusals() != 4 {
		t.Errorf("%+v, %+v", c, o)
	}
}

// TestServed: of an event that does not come the client is not whole, but it is served.
func TestServed(t *testing.T) {
	l := New("client")
	l.Sent("a", true, at(0))
	if !strings.Contains(l.Served(at(0)), "a is open") {
		t.Error("served without a reply")
	}
	l.Replied("a", 0, "", at(1))
	ask(l, "b", 2)
	if reason := l.Served(at(1)); reason != "" {
		t.Errorf("not served: %s", reason)
	}
	if l.Clean(at(1)) == "" {
		t.Error("whole without the event")
	}
}

// TestSlowest tells who waited longest, of several clients, and for what.
func TestSlowest(t *testing.T) {
	var sum Counts
	for name, wait := range map[string]int{"quick": 3, "slow": 9, "slower": 12} {
		l := New(name)
		ask(l, name+"-1", 0)
		l.Sent(name+"-2", true, at(10))
		l.Replied(name+"-2", 0, "", at(11))
		l.Event(name+"-2", at(10+wait))
		if name == "slower" {
			l.Broken(at(100))
			l.Resumed(at(120))
		}
		got, _ := l.Take(at(200))
		sum.Add(got)
	}
	if sum.Slowest != "connection of slower" || sum.Pause != 20*time.Millisecond {
		t.Errorf("%v for the %s", sum.Pause, sum.Slowest)
	}
}
