// SPDX-License-Identifier: Apache-2.0

package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/scripts/lab/chaos/crowd"
	"github.com/januscloud/januscloud/scripts/lab/chaos/ledger"
)

// TestSequence: a seed gives one sequence, in which each fault comes equally often; another seed gives another.
func TestSequence(t *testing.T) {
	draw := func(seed uint64) (all []strike) {
		s := newSequence(seed, catalogue())
		for range 2 * len(catalogue()) {
			all = append(all, s.next())
		}
		if !s.exhausted() {
			t.Error("some faults were drawn more often than others")
		}
		return all
	}
	first := draw(1)
	if !reflect.DeepEqual(first, draw(1)) {
		t.Error("a seed gave two sequences")
	}
	if reflect.DeepEqual(first, draw(2)) {
		t.Error("two seeds gave one sequence")
	}
	for _, f := range catalogue() {
		n := 0
		for _, s := range first {
			if s.fault == f {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%s was drawn %d times, want 2", f, n)
		}
	}
}

func TestChoose(t *testing.T) {
	for words, want := range map[string]int{"": len(catalogue()), "kill": 6, "janus": 2, "freeze session": 1, "kill,slow edge": 7} {
		o := options{Time: time.Minute, Sessions: 60, Rate: 60}
		if words != "" {
			o.Faults = strings.Split(words, ",")
		}
		if err := o.Validate(); err != nil || len(o.chosen) != want {
			t.Errorf("%q chose %v (%v), want %d", words, o.chosen, err, want)
		}
	}
	o := options{Time: time.Minute, Sessions: 60, Rate: 60, Faults: []string{"maim"}}
	if o.Validate() == nil {
		t.Error("a fault was chosen that there is not")
	}
}

// TestBroken: each promise, and what breaks it.
func TestBroken(t *testing.T) {
	slow := 10 * time.Second
	for _, tt := range []struct {
		faults  []fault
		counts  ledger.Counts
		media   crowd.Media
		want    string // for these faults
		nothing []fault
	}{
		{[]fault{{kill, sessionPart}, {freeze, natsPart}, {kill, edgePart}, {}}, ledger.Counts{Lost: 1}, crowd.Media{}, "1 lost", []fault{{kill, mediaPart}, {kill, janusPart}}},
		{[]fault{{kill, sessionPart}, {kill, edgePart}}, ledger.Counts{Doubled: 2}, crowd.Media{}, "2 doubled", []fault{{kill, mediaPart}}},
		{[]fault{{kill, sessionPart}}, ledger.Counts{Again: 1}, crowd.Media{}, "1 again", []fault{{kill, edgePart}, {freeze, natsPart}}},
		{[]fault{{kill, sessionPart}, {kill, edgePart}}, ledger.Counts{Disordered: 1}, crowd.Media{}, "1 out of order", nil},
		{[]fault{{kill, sessionPart}, {kill, edgePart}, {kill, mediaPart}, {kill, janusPart}, {}}, ledger.Counts{RunTwice: 1}, crowd.Media{}, "1 run twice", nil},
		{[]fault{{kill, sessionPart}, {kill, mediaPart}, {kill, janusPart}}, ledger.Counts{Sessions: 1}, crowd.Media{}, "1 sessions lost", nil},
		{[]fault{{kill, mediaPart}, {kill, edgePart}}, ledger.Counts{Unanswered: 1}, crowd.Media{}, "1 unanswered", nil},
		{[]fault{{kill, sessionPart}, {kill, natsPart}}, ledger.Counts{InDoubt: 1}, crowd.Media{}, "1 in doubt", []fault{{kill, edgePart}}},
		{[]fault{{kill, sessionPart}}, ledger.Counts{Unknown: 1}, crowd.Media{}, "1 refused", []fault{{kill, nodePart}, {kill, janusPart}}},
		{[]fault{{kill, mediaPart}, {kill, edgePart}}, ledger.Counts{}, crowd.Media{Lost: 1}, "1 packets lost", []fault{{kill, janusPart}}},
		{[]fault{{kill, sessionPart}}, ledger.Counts{Pause: slow}, crowd.Media{}, "a pause of 10s", []fault{{cut, sessionPart}, {kill, janusPart}, {}}},
		{[]fault{{kill, mediaPart}}, ledger.Counts{}, crowd.Media{Gap: slow}, "a gap of 10s", []fault{{kill, janusPart}}},
	} {
		for _, f := range append(slices.Clone(tt.faults), tt.nothing...) {
			want := tt.want
			if slices.Contains(tt.nothing, f) {
				want = ""
			}
			r := row{fault: f, Counts: tt.counts, media: tt.media}
			if got := strings.Join(r.broken(true), ", "); got != want {
				t.Errorf("%s: %q is broken, want %q", f, got, want)
			}
		}
	}
	forgetful := row{fault: fault{kill, sessionPart}, Counts: ledger.Counts{Unknown: 3}, young: 3}
	if got := forgetful.broken(true); len(got) > 0 {
		t.Errorf("just after the restart of a media role %q is broken", got)
	}
	lenient := row{fault: fault{kill, sessionPart}, Counts: ledger.Counts{Pause: slow}}
	if got := lenient.broken(false); len(got) > 0 {
		t.Errorf("a run that is not strict is broken by %q", got)
	}
}

func TestReport(t *testing.T) {
	f := fault{kill, sessionPart}
	r := &run{options: options{Seed: 7, Sessions: 60, Rate: 50}, rows: map[fault]*row{
		f: {fault: f, times: 2, Counts: ledger.Counts{Requests: 9, Lost: 1, Refused: map[string]int{"490": 3}, Pause: 70 * time.Millisecond}},
	}}
	text := r.report()
	for _, want := range []string{
		"--seed 7: 60 sessions, 50 requests/s",
		"| kill session | 2 | 9 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 3×490 | 0 | 0 | 0 | 0 | 0 | 70 | 0 | 0 | BROKEN: 1 lost, 3 refused |\n",
		"| nothing | 0 | 0 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if got := strings.Join(r.broken(), "; "); got != "kill session: 1 lost; kill session: 3 refused" {
		t.Errorf("broken: %s", got)
	}
}
