// SPDX-License-Identifier: Apache-2.0

package roster

import (
	"log/slog"
	"testing"
	"time"

	"github.com/januscloud/januscloud/messages"
)

// listener is a roster that is fed by hand, on a clock of its own.
type listener struct {
	*Roster
	now       time.Time
	connected bool
}

func newListener() *listener {
	l := &listener{Roster: newRoster(Options{Log: slog.New(slog.DiscardHandler)}), now: time.Unix(1, 0), connected: true}
	l.online = func() bool { return l.connected }
	l.lastTick = l.now
	return l
}

// pass lets ticks pass during which the given members beat.
func (l *listener) pass(ticks int, beating ...messages.Beat) {
	for i := range ticks {
		l.now = l.now.Add(tick)
		if i%2 == 0 {
			for _, b := range beating {
				l.hear(b, l.now)
			}
		}
		l.count(l.now)
	}
	l.publish()
}

func node(name string, epoch uint64, partitions ...int) messages.Beat {
	var set messages.PartitionSet
	for _, p := range partitions {
		set.Add(p)
	}
	return messages.Beat{
		Role: messages.RoleSession, Member: messages.Member{Name: name, Inc: "1"}, State: messages.StateReady,
		Session: &messages.SessionBeat{Owned: []messages.OwnedRange{{Epoch: messages.Epoch{Number: epoch, Node: name}, Partitions: set}}},
	}
}

func (l *listener) expect(t *testing.T, name string, silent bool) {
	t.Helper()
	p, ok := l.View().Find(messages.RoleSession, name)
	if !ok || p.Silent != silent {
		t.Errorf("%s: known %v, silent %v; want silent %v", name, ok, p.Silent, silent)
	}
}

// Three missed beats make a member silent, and one beat brings it back.
func TestSilence(t *testing.T) {
	l := newListener()
	a, b := node("a", 1, 0, 1), node("b", 1, 2)
	l.pass(3, a, b)
	l.pass(silentTicks-2, a)
	l.expect(t, "b", false)
	l.pass(2, a)
	l.expect(t, "b", true)
	if o, ok := l.View().Owner(2); !ok || !o.Silent {
		t.Errorf("what the silent one owns: %+v, %v", o, ok)
	}
	if o, _ := l.View().Owner(0); o.Silent {
		t.Error("the living one's partitions are marked silent")
	}
	l.pass(2, a, b)
	l.expect(t, "b", false)
	if o, _ := l.View().Owner(2); o.Silent {
		t.Error("a node that is heard again is still marked silent")
	}
}

// A listener that was frozen or cut off hears nobody; it must not hold the living for dead.
func TestSilenceOfTheListener(t *testing.T) {
	for name, gap := range map[string]func(*listener){
		"frozen":  func(l *listener) { l.now = l.now.Add(time.Minute) },
		"cut off": func(l *listener) { l.connected = false; l.pass(int(outageTime / tick)); l.connected = true },
	} {
		l := newListener()
		a := node("a", 1, 0)
		l.pass(1, a)
		l.pass(silentTicks - 2)
		gap(l)
		l.pass(silentTicks - 1)
		l.expect(t, "a", false)
		l.pass(2)
		l.expect(t, "a", true)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// Who hears nobody any more, not even itself, is deaf: its NATS server is frozen. It holds nobody for dead, nor itself for one of the
// majority. When all others stay away, they are gone.
func TestDeaf(t *testing.T) {
	l := newListener()
	a, b, c := node("a", 1, 0), node("b", 1, 1), node("c", 1, 2)
	all := []string{"a", "b", "c"}
	l.pass(4, a, b, c)
	l.hear(a, l.now) // a little later than the others
	l.pass(int(deafMost/tick) - 2)
	for _, name := range all {
		l.expect(t, name, false)
	}
	if l.View().Majority() {
		t.Error("a deaf one counts itself for the majority")
	}
	l.pass(1, c)
	l.pass(silentTicks-2, c)
	if l.expect(t, "a", false); !l.View().Majority() {
		t.Error("no majority, though nobody is held for dead")
	}
	l.pass(2, c)
	l.expect(t, "a", true)
	l = newListener()
	l.pass(4, a, b, c)
	l.pass(int(deafMost/tick) + silentTicks)
	for _, name := range all {
		l.expect(t, name, true)
	}
}

// When all of NATS was away, its servers need a while to find one another: who is at another one is not held for dead meanwhile,
// whatever requests met no responder.
func TestSilenceAfterOutage(t *testing.T) {
	l := newListener()
	a, b := node("a", 1, 0), node("b", 1, 1)
	l.pass(1, a, b)
	l.connected = false
	l.pass(int(outageTime/tick) + 2)
	l.connected = true
	l.pass(2, a)
	for _, p := range l.peers {
		p.suspected = true
	}
	l.pass(int(settleTime/tick)-2, a)
	l.expect(t, "b", false)
	l.pass(silentTicks+2, a)
	l.expect(t, "b", true)
	l.expect(t, "a", false)
}

// A suspicion halves the patience, and proves nothing alone.
func TestSuspicion(t *testing.T) {
	l := newListener()
	a := node("a", 1, 0)
	l.pass(1, a)
	for _, p := range l.peers {
		p.suspected = true
	}
	l.pass(1)
	l.expect(t, "a", false)
	l.pass(2)
	l.expect(t, "a", true)
}

// The highest epoch owns, whoever says what later; a new incarnation owns nothing by its predecessor's word.
func TestOwners(t *testing.T) {
	l := newListener()
	l.pass(2, node("a", 5, 7), node("b", 6, 7))
	l.pass(2, node("b", 6, 7), node("a", 5, 7))
	if o, _ := l.View().Owner(7); o.Node.Name != "b" {
		t.Errorf("the owner is %v, want the one with the higher epoch", o)
	}
	again := node("b", 1)
	again.Member.Inc = "2"
	l.pass(2, again)
	if o, _ := l.View().Owner(7); !o.Silent || o.Node.Inc != "1" {
		t.Errorf("after a restart: %+v", o)
	}
	l.pass(2, node("b", 9, 7))
	if o, _ := l.View().Owner(7); o.Epoch.Number != 6 {
		t.Error("the last words of the old incarnation were taken")
	}
}

// Who leaves in order is gone at once, who is silent is forgotten after a minute.
func TestLeaving(t *testing.T) {
	l := newListener()
	a, b := node("a", 1, 0), node("b", 1, 1)
	l.pass(2, a, b)
	b.State = messages.StateLeaving
	l.pass(2, a, b)
	if _, ok := l.View().Find(messages.RoleSession, "b"); ok {
		t.Error("who left is still known")
	}
	if o, ok := l.View().Owner(1); !ok || !o.Silent {
		t.Errorf("what the leaver owned: %+v, %v", o, ok)
	}
	if !l.View().Majority() {
		t.Error("who left counts for the majority")
	}
	l.pass(forgetTicks + 2)
	if len(l.View().Nodes()) != 0 {
		t.Error("the silent one was not forgotten")
	}
}

// A media server that leaves in order is silent, and remembered: its Janus goes on, and waits for it.
func TestMediaLeaves(t *testing.T) {
	l := newListener()
	b := messages.Beat{Role: messages.RoleMedia, Member: messages.Member{Name: "m", Inc: "1"}, State: messages.StateReady, Media: &messages.MediaBeat{}}
	l.pass(2, b)
	b.State = messages.StateLeaving
	l.hear(b, l.now)
	l.pass(1)
	if p, ok := l.View().Find(messages.RoleMedia, "m"); !ok || !p.Silent || p.Beat.State != messages.StateLeaving {
		t.Errorf("after it has left: %+v, %v", p, ok)
	}
	b.Member.Inc, b.State = "2", messages.StateReady
	l.pass(1, b)
	if p, _ := l.View().Find(messages.RoleMedia, "m"); p.Silent || p.Beat.Member != b.Member {
		t.Errorf("after its return: %+v", p)
	}
	b.State = messages.StateLeaving
	l.hear(b, l.now)
	l.pass(forgetTicks + 2)
	if len(l.View().Media()) != 0 {
		t.Error("it was not forgotten")
	}
}

// Half of the known nodes is no majority.
func TestMajority(t *testing.T) {
	l := newListener()
	a, b, c := node("a", 1), node("b", 1), node("c", 1)
	l.pass(2, a, b, c)
	l.pass(silentTicks+1, a, b)
	if !l.View().Majority() {
		t.Error("two of three are a majority")
	}
	l.pass(silentTicks+1, a)
	if l.View().Majority() {
		t.Error("one of three is no majority")
	}
}

// Who is cut off finds the others silent one after the other: it is not sure of a majority when it comes to the first.
func TestSureOfMajority(t *testing.T) {
	l := newListener()
	a, b, c := node("a", 1), node("b", 1), node("c", 1)
	l.pass(3, a, b, c)
	l.pass(1, c)
	l.hear(b, l.now) // between a's beats
	l.pass(silentTicks-1, c)
	l.expect(t, "a", true)
	l.expect(t, "b", false)
	if !l.View().Majority() || l.View().Sure() {
		t.Errorf("majority %v, sure %v, with one silent and one about to be", l.View().Majority(), l.View().Sure())
	}
	l.pass(2, b, c)
	if !l.View().Sure() {
		t.Error("not sure, though two of three are heard")
	}
	l.pass(silentTicks+2, c)
	if l.View().Majority() {
		t.Error("a majority of one of three")
	}
	l.pass(1, b, c)
	if !l.View().Majority() || l.View().Sure() {
		t.Errorf("majority %v, sure %v, when the second is heard again and the third may be", l.View().Majority(), l.View().Sure())
	}
	l.pass(4, b, c)
	if !l.View().Sure() {
		t.Error("not sure after a while")
	}
}
