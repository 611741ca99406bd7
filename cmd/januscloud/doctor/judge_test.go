// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/messages"
)

// sound are the facts of a cluster in which nothing is wrong, and nothing to be noted.
func sound() *facts {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	member := func(name string) messages.Member {
		return messages.Member{Name: name, Inc: messages.NewIncarnation(now.Add(-time.Hour))}
	}
	var even, odd messages.PartitionSet
	for p := range messages.Partitions {
		if p%2 == 0 {
			even.Add(p)
		} else {
			odd.Add(p)
		}
	}
	epoch := messages.Epoch{Number: 7, Node: "n"}
	edge := func(name string) messages.Beat {
		return messages.Beat{Role: messages.RoleEdge, Member: member(name), State: messages.StateReady, Edge: &messages.EdgeBeat{Connections: 3, WS: "ws://h:1"}}
	}
	session := func(name string, owned messages.PartitionSet) messages.Beat {
		return messages.Beat{Role: messages.RoleSession, Member: member(name), State: messages.StateReady,
			Session: &messages.SessionBeat{Sessions: 2, Owned: []messages.OwnedRange{{Epoch: epoch, Partitions: owned}}}}
	}
	media := func(name string) messages.Beat {
		return messages.Beat{Role: messages.RoleMedia, Member: member(name), State: messages.StateReady, Load: 0.25,
			Media: &messages.MediaBeat{Janus: messages.JanusUp, Since: now.Add(-time.Minute), JanusName: "j", Version: "1.1.2", Handles: 4, MaxHandles: 100}}
	}
	f := &facts{
		now:    now,
		nats:   natsFacts{url: "nats://n1:4222", server: "n1", version: "2", servers: 3, replicas: 3, skewKnown: true},
		beats:  []messages.Beat{edge("e1"), edge("e2"), session("s1", even), session("s2", odd), media("m1"), media("m2")},
		janus:  map[messages.Member]janusFacts{},
		nofile: fewDescriptors,
	}
	for _, b := range f.beats[4:] {
		f.janus[b.Member] = janusFacts{EventLoops: 2, Reclaim: 90}
	}
	return f
}

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(f *facts)
		level  Level
		what   string
		text   string
	}{
		{"sound", func(*facts) {}, OK, "partitions", "all 1024 have one owner"},
		{"JetStream", func(f *facts) { f.nats.jetStream = errors.New("off") }, Wrong, "jetstream", "does not answer: off"},
		{"nothing stored", func(f *facts) { f.nats.replicas = 0 }, Note, "jetstream", "stored anything yet"},
		{"one copy", func(f *facts) { f.nats.replicas = 1 }, Note, "jetstream", "one copy of the session records on 3 servers"},
		{"one server", func(f *facts) { f.nats.servers, f.nats.replicas = 1, 1 }, Note, "nats", "1 known"},
		{"clock", func(f *facts) { f.nats.skew = -2 * time.Second }, Wrong, "clock", "differ by -2s"},
		{"clock, uncertain", func(f *facts) { f.nats.skew, f.nats.skewError = time.Second, time.Second }, OK, "clock", "± 1s"},
		{"member's clock", func(f *facts) {
			f.beats[0].Member.Inc = messages.NewIncarnation(f.now.Add(time.Minute))
		}, Wrong, "clock e1", "1m0s from now"},
		{"no edge", func(f *facts) { f.beats = f.beats[2:] }, Wrong, "edge", "none is ready"},
		{"edge drains", func(f *facts) { f.beats[0].State = messages.StateDraining }, Note, "edge", "1 ready; e1 is draining"},
		{"nobody ready", func(f *facts) {
			f.beats[2].State, f.beats[3].State = messages.StateJoining, messages.StateJoining
		}, Wrong, "session", "none is ready; s1 is joining; s2 is joining"},
		{"one media role", func(f *facts) { f.beats = f.beats[:5] }, Note, "media", "one is ready"},
		{"unreadable", func(f *facts) { f.unreadable = 3 }, Wrong, "heartbeats", "3 were not understood"},
		{"name twice", func(f *facts) {
			f.beats[1].Member.Name, f.beats[0].Host, f.beats[1].Host = "e1", "alpha", "beta"
		}, Wrong, "names", "two edge roles are called e1: on alpha and beta"},
		{"partition lost", func(f *facts) { f.beats[2].Session.Owned = nil }, Wrong, "partitions", "512 have no owner"},
		{"partition twice", func(f *facts) {
			f.beats[3].Session.Owned = append(f.beats[3].Session.Owned, f.beats[2].Session.Owned...)
		}, Note, "partitions", "512 are announced by more than one: s1 and s2"},
		{"Janus down", func(f *facts) { f.beats[4].Media.Janus = messages.JanusDown }, Wrong, "media m1", "its Janus is down since"},
		{"Janus silent", func(f *facts) { f.janus[f.beats[4].Member] = janusFacts{err: errors.New("time is up")} },
			Wrong, "media m1", "does not tell its info: time is up"},
		{"unprotected", func(f *facts) {
			f.beats[5].Media.Janus = messages.JanusUnprotected
			f.janus[f.beats[5].Member] = janusFacts{EventLoops: 1, Reclaim: 15}
		}, Wrong, "media m2", "unprotected: its Janus keeps the sessions of a lost connection for 15 s"},
		{"no event loops", func(f *facts) { f.janus[f.beats[4].Member] = janusFacts{Reclaim: 90} }, Note, "media m1", "no event_loops"},
		{"full", func(f *facts) { f.beats[4].Media.Handles = 95 }, Note, "media m1", "95 of at most 100 handles"},
		{"versions", func(f *facts) { f.beats[4].Media.Version = "1.4.1" }, Note, "versions", "1.1.2, 1.4.1"},
		{"descriptors", func(f *facts) { f.nofile = 1024 }, Note, "descriptors", "1024 open files"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := sound()
			tt.change(f)
			r := judge(f)
			found := false
			for _, finding := range r.Findings {
				found = found || finding.Level == tt.level && finding.What == tt.what && strings.Contains(finding.Text, tt.text)
				if finding.Level == Note && tt.level == OK {
					t.Errorf("noted: %+v", finding)
				}
			}
			if !found || r.Healthy() != (tt.level != Wrong) {
				t.Errorf("healthy %v, findings %+v", r.Healthy(), r.Findings)
			}
		})
	}
}

func TestEmptyCluster(t *testing.T) {
	r := judge(&facts{now: time.Now(), nats: natsFacts{servers: 1}})
	if r.Healthy() || len(r.Members) != 0 {
		t.Errorf("%+v", r)
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := judge(sound()).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"ROLE     NAME  STATE", "edge     e1    ready", "1h0m0s", "media    m1    ready", "25%", "4 handles, Janus j 1.1.2 up",
		"2 sessions, 512 partitions", "3 connections ws://h:1", "0 wrong\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
	f := sound()
	f.nofile = 1024
	b.Reset()
	if err := judge(f).WriteText(&b); err != nil || !strings.Contains(b.String(), "→ raise LimitNOFILE") {
		t.Errorf("lacks its advice: %v\n%s", err, b.String())
	}
}

func TestJSON(t *testing.T) {
	var b strings.Builder
	if err := judge(sound()).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Healthy  bool
		Members  []map[string]any
		Findings []Finding
	}
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil || !got.Healthy || len(got.Members) != 6 || len(got.Findings) < 5 {
		t.Errorf("%v: %s", err, b.String())
	}
	if r := Unreachable("nats://n1", errors.New("refused")); r.Healthy() || !strings.Contains(r.Findings[0].Text, "nats://n1 cannot be reached: refused") {
		t.Errorf("%+v", r)
	}
}
