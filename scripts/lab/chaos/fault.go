// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"strings"
	"time"
)

// Ways to break a part.
const (
	kill   = "kill"
	freeze = "freeze"
	stop   = "stop"
	slow   = "slow"
	cut    = "cut"
)

// Parts of the cluster.
const (
	sessionPart = "session"
	nodePart    = "node"
	edgePart    = "edge"
	natsPart    = "nats"
	mediaPart   = "media"
	janusPart   = "janus"
)

// fault is one kind of fault.
type fault struct{ way, part string }

func (f fault) String() string { return f.way + " " + f.part }

// named reports whether a word of the command line means this fault, too.
func (f fault) named(word string) bool {
	word = strings.TrimSpace(word)
	return word == f.way || word == f.part || word == f.String()
}

// catalogue is all faults, in the order of the table.
func catalogue() []fault {
	var all []fault
	for _, part := range []string{sessionPart, natsPart, edgePart, mediaPart, nodePart, janusPart} {
		for _, way := range []string{kill, freeze, stop, slow, cut} {
			if part != janusPart || way == kill || way == freeze {
				all = append(all, fault{way, part})
			}
		}
	}
	return all
}

// strike is a fault that was drawn: everything about it that is left to chance.
type strike struct {
	fault
	// victim is which of the parts of that kind, counted from 0; the cluster takes it modulo how many there are.
	victim int
	// delay is how long after all clients were told to send it happens, lasts how long it takes.
	delay, lasts time.Duration
	// hard is for cuts: connections end and are refused, instead of standing still.
	hard bool
	// pulse and rest are for slow parts: how long they stand still and run in turns.
	pulse, rest time.Duration
}

// sequence draws faults: each of the chosen ones once, in any order, then again.
type sequence struct {
	rand   *rand.Rand
	chosen []fault
	bag    []fault
}

func newSequence(seed uint64, chosen []fault) *sequence {
	return &sequence{rand: rand.New(rand.NewPCG(seed, 0)), chosen: chosen}
}

// next is the next fault. It depends on the seed and the chosen faults alone.
func (s *sequence) next() strike {
	if len(s.bag) == 0 {
		s.bag = append(s.bag, s.chosen...)
		s.rand.Shuffle(len(s.bag), func(i, j int) { s.bag[i], s.bag[j] = s.bag[j], s.bag[i] })
	}
	f := s.bag[0]
	s.bag = s.bag[1:]
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(s.rand.Int64N(int64(most-least)))
	}
	// All are drawn whatever the fault, so that one kind does not shift what comes for the others.
	d := strike{
		fault: f, victim: s.rand.IntN(1 << 16), delay: between(0, 40*time.Millisecond), lasts: between(time.Second, 4*time.Second),
		hard: s.rand.IntN(2) == 0, pulse: between(30*time.Millisecond, 80*time.Millisecond), rest: between(50*time.Millisecond, 100*time.Millisecond),
	}
	return d
}

// exhausted reports whether every fault was drawn equally often.
func (s *sequence) exhausted() bool { return len(s.bag) == 0 }
