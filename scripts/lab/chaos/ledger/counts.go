// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"maps"
	"time"
)

// Counts are what clients got in some span of time.
type Counts struct {
	// Requests and Events are how many were sent, and how many came for the first time.
	Requests, Events int
	// Lost are events that were due and did not come.
	Lost int
	// Doubled are replies and events that came a second time, or that nobody waited for.
	Doubled int
	// Again are events that came a second time after an edge died or its connection ended, and had come within AgainTime before.
	Again int
	// Disordered are events that came after one that was due later.
	Disordered int
	// RunTwice are requests of whose answer it can be told that they had been run before.
	RunTwice int
	// Wrong are answers that are not true.
	Wrong int
	// Refused are errors, by code and reason.
	Refused map[string]int
	// Unknown are errors of the kind "outcome unknown".
	Unknown int
	// Unanswered are requests without a reply, though the connection that they were sent on lived.
	Unanswered int
	// InDoubt are requests without a reply whose connection ended: nobody can tell whether they were run.
	InDoubt int
	// Sessions are those that were gone before their client ended them.
	Sessions int
	// Hangups are handles that lost their Janus.
	Hangups int
	// Pause is the longest time that a client waited for a reply, an event or a new connection.
	Pause time.Duration
	// Slowest tells who waited so long, and for what.
	Slowest string
}

// Add sums up; of the pauses the longest stays.
func (c *Counts) Add(o Counts) {
	c.Requests += o.Requests
	c.Events += o.Events
	c.Lost += o.Lost
	c.Doubled += o.Doubled
	c.Again += o.Again
	c.Disordered += o.Disordered
	c.RunTwice += o.RunTwice
	c.Wrong += o.Wrong
	c.Unknown += o.Unknown
	c.Unanswered += o.Unanswered
	c.InDoubt += o.InDoubt
	c.Sessions += o.Sessions
	c.Hangups += o.Hangups
	c.wait(o.Pause, o.Slowest)
	refused := maps.Clone(c.Refused)
	for reason, n := range o.Refused {
		if refused == nil {
			refused = make(map[string]int)
		}
		refused[reason] += n
	}
	c.Refused = refused
}

// wait notes how long somebody waited.
func (c *Counts) wait(d time.Duration, who string) {
	if d > c.Pause {
		c.Pause, c.Slowest = d, who
	}
}

// Refusals is how many requests were refused, for whatever reason but "outcome unknown".
func (c *Counts) Refusals() (n int) {
	for _, times := range c.Refused {
		n += times
	}
	return n
}
