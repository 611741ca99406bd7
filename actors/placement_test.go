// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"math/rand/v2"
	"testing"

	"github.com/januscloud/januscloud/messages"
)

func TestLighter(t *testing.T) {
	idle, busy := candidate{load: 0.1, handles: 50}, candidate{load: 0.9, handles: 1}
	few, many := candidate{load: 0.31, handles: 1}, candidate{load: 0.29, handles: 2}
	beside := candidate{load: 0.31, handles: 1, beside: true}
	for name, test := range map[string]struct {
		a, b candidate
		want bool
	}{
		"load before handles":               {idle, busy, true},
		"the same step of load: handles":    {few, many, true},
		"many handles":                      {many, few, false},
		"equal: the one beside the actor":   {beside, few, true},
		"equal and beside neither: neither": {few, few, false},
	} {
		if got := test.a.lighter(test.b); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A server that is heavier than all others gets nothing, as of two it is never the lighter; the others share.
func TestChooseSpreads(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	servers := []candidate{{member: messages.Member{Name: "a"}}, {member: messages.Member{Name: "b"}}, {member: messages.Member{Name: "c"}, load: 0.8}}
	got := map[string]int{}
	for range 1000 {
		c, reason := choose(servers, r)
		if reason == "" {
			t.Fatal("a choice without a reason")
		}
		got[c.member.Name]++
		for i := range servers {
			if servers[i].member == c.member {
				servers[i].handles++
			}
		}
	}
	if got["c"] != 0 || got["a"] < 450 || got["b"] < 450 {
		t.Errorf("choices: %v", got)
	}
}

// Every partition has one heir; a node that comes or goes moves only what falls to it.
func TestHeirs(t *testing.T) {
	two, three := heirsOf([]string{"a", "b"}), heirsOf([]string{"a", "b", "c"})
	count := map[string]int{}
	for p := range two {
		count[three[p]]++
		if three[p] != "c" && three[p] != two[p] {
			t.Errorf("partition %d moved from %s to %s because c came", p, two[p], three[p])
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		if n := count[name]; n < messages.Partitions/5 || n > messages.Partitions/2 {
			t.Errorf("%s is the heir of %d partitions", name, n)
		}
	}
	if none := heirsOf(nil); none[0] != "" {
		t.Error("somebody inherits though nobody is there")
	}
}
