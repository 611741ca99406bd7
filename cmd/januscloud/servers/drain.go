// SPDX-License-Identifier: Apache-2.0

package servers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/roster"
)

const (
	// orderTime bounds one order to a role, which is given up to orderTries times.
	orderTime  = 2 * time.Second
	orderTries = 3
	// lookEvery is how often progress is looked at.
	lookEvery = messages.BeatInterval
	// endTime is how long what was ended by force may take to be gone.
	endTime = 10 * time.Second
)

// The ways in which draining fails.
var (
	ErrUnknown = errors.New("no such role is heard")
	ErrLeft    = errors.New("not drained in time")
)

// Outcome is how far a role came.
type Outcome struct {
	Role    messages.Role  `json:"role"`
	Name    string         `json:"name"`
	State   messages.State `json:"state"`
	Drained bool           `json:"drained"`
	Left    int            `json:"left"`
	What    string         `json:"what"`           // is left: connections, partitions, handles
	Gone    bool           `json:"gone,omitempty"` // it has stopped meanwhile
}

func (o Outcome) String() string {
	who := fmt.Sprintf("%s %s", o.Role, o.Name)
	switch {
	case o.Gone:
		return who + " has stopped"
	case o.Drained:
		return who + " is drained"
	case o.State != messages.StateDraining:
		return fmt.Sprintf("%s is %s", who, o.State)
	}
	return fmt.Sprintf("%s drains: %d %s left", who, o.Left, o.What)
}

// Options say how to drain.
type Options struct {
	Role    messages.Role // empty: every role of the name
	Timeout time.Duration // how long to wait
	Force   bool          // end then what is left
	NoWait  bool          // do not wait at all
}

// target is a role that is told to drain, or not to.
type target struct {
	role   messages.Role
	member messages.Member
}

func (t target) String() string { return fmt.Sprintf("%s %s", t.role, t.member.Name) }

// find returns the roles of a name.
func (w *Watch) find(name string, role messages.Role) ([]target, error) {
	var targets []target
	var heard []string
	for _, p := range w.peers() {
		if p.Silent {
			continue
		}
		t := target{p.Beat.Role, p.Beat.Member}
		heard = append(heard, t.String())
		if t.member.Name == name && (role == "" || role == t.role) {
			targets = append(targets, t)
		}
	}
	switch {
	case len(targets) > 0:
		return targets, nil
	case len(heard) == 0:
		return nil, fmt.Errorf("%w: %q, nor any other: is this the right NATS?", ErrUnknown, name)
	}
	return nil, fmt.Errorf("%w: %q (there are: %s)", ErrUnknown, strings.TrimSpace(string(role)+" "+name), strings.Join(heard, ", "))
}

// orderAll gives an order to one role after the other, until one does not heed it.
func (w *Watch) orderAll(ctx context.Context, targets []target, order messages.DrainOrder) error {
	for _, t := range targets {
		if err := w.order(ctx, t, order); err != nil {
			return err
		}
	}
	return nil
}

// order gives a role an order.
func (w *Watch) order(ctx context.Context, t target, order messages.DrainOrder) error {
	data, err := json.Marshal(order)
	if err != nil {
		return err
	}
	var reply *bus.Msg
	for range orderTries { // an order heeded twice is heeded once
		try, cancel := context.WithTimeout(ctx, orderTime)
		reply, err = w.bus.Request(try, messages.DrainSubject(t.role, t.member), data)
		cancel()
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", t, err)
	}
	var answer messages.DrainAnswer
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	if answer.Error != "" {
		return fmt.Errorf("%s: %s", t, answer.Error)
	}
	return nil
}

// Undrain has every role of a name, or the one, take work again.
func (w *Watch) Undrain(ctx context.Context, name string, role messages.Role) ([]Outcome, error) {
	targets, err := w.find(name, role)
	if err != nil {
		return nil, err
	}
	err = w.orderAll(ctx, targets, messages.DrainOrder{Off: true})
	out := w.outcomes(targets)
	if err != nil {
		return out, err
	}
	for i := range out {
		out[i].State, out[i].Drained = messages.StateReady, false // the beat that says so is under way
	}
	return out, nil
}

// Drain has every role of a name, or the one, drain, and waits until they have. progress is told whenever something has changed.
func (w *Watch) Drain(ctx context.Context, name string, o Options, progress func(Outcome)) ([]Outcome, error) {
	targets, err := w.find(name, o.Role)
	if err != nil {
		return nil, err
	}
	if err := w.orderAll(ctx, targets, messages.DrainOrder{}); err != nil || o.NoWait {
		return w.told(targets), err
	}
	all, err := w.wait(ctx, targets, o.Timeout, progress)
	if errors.Is(err, ErrLeft) && o.Force {
		if err := w.orderAll(ctx, targets, messages.DrainOrder{End: true}); err != nil {
			return all, err
		}
		return w.wait(ctx, targets, endTime, progress)
	}
	return all, err
}

// told is the state of roles that were just told to drain, whose beats may not say so yet.
func (w *Watch) told(targets []target) []Outcome {
	all := w.outcomes(targets)
	for i := range all {
		all[i].State = messages.StateDraining
	}
	return all
}

// wait waits until all have drained, or stopped.
func (w *Watch) wait(ctx context.Context, targets []target, timeout time.Duration, progress func(Outcome)) ([]Outcome, error) {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var last []Outcome
	for {
		all := w.outcomes(targets)
		for i, o := range all {
			if last == nil || last[i] != o {
				progress(o)
			}
		}
		last = all
		if !slices.ContainsFunc(all, func(o Outcome) bool { return !o.Drained && !o.Gone }) {
			return all, nil
		}
		select {
		case <-ticker.C:
		case <-deadline.C:
			return all, fmt.Errorf("%w: %s", ErrLeft, left(all))
		case <-ctx.Done():
			return all, context.Cause(ctx)
		}
	}
}

// left says what keeps roles from being drained.
func left(all []Outcome) string {
	var texts []string
	for _, o := range all {
		if !o.Drained && !o.Gone {
			texts = append(texts, o.String())
		}
	}
	return strings.Join(texts, "; ")
}

// outcomes is how far the roles are by their last heartbeats.
func (w *Watch) outcomes(targets []target) []Outcome {
	v := w.roster.View()
	all := make([]Outcome, len(targets))
	for i, t := range targets {
		all[i] = Outcome{Role: t.role, Name: t.member.Name}
		p, ok := v.Find(t.role, t.member.Name)
		if all[i].Gone = !ok || p.Beat.Member != t.member; !all[i].Gone {
			all[i].fill(p)
		}
	}
	return all
}

func (o *Outcome) fill(p roster.Peer) {
	o.State, o.Drained = p.Beat.State, p.Beat.Drained() && !p.Silent
	o.Left, o.What = p.Beat.Left()
}
