// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janustest"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/scripts/lab"
)

// drain gives the role an order, and returns its answer.
func (r *rig) drain(order messages.DrainOrder) messages.DrainAnswer {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	m, err := r.net.A.Request(ctx, messages.DrainSubject(messages.RoleMedia, r.server), mustJSON(r.t, order))
	if err != nil {
		r.t.Fatal(err)
	}
	var answer messages.DrainAnswer
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		r.t.Fatal(err)
	}
	return answer
}

// wantState waits until the heartbeats tell a state of the role, and so many handles.
func (r *rig) wantState(want messages.State, handles int) {
	r.t.Helper()
	lab.WaitFor(r.t, patience, func() string {
		p, ok := r.roster.View().Find(messages.RoleMedia, "media-1")
		if !ok || p.Beat.State != want || p.Beat.Media.Handles != handles {
			return fmt.Sprintf("it beats %+v, %+v", p.Beat, p.Beat.Media)
		}
		return ""
	})
}

// TestDrain has a role that drains go on with what it has, until nothing is left of it.
func TestDrain(t *testing.T) {
	r, _, session := scripted(t, janustest.Options{})
	for range 2 { // draining twice is draining once
		if a := r.drain(messages.DrainOrder{}); a.State != messages.StateDraining || a.Error != "" {
			t.Fatalf("%+v", a)
		}
	}
	r.wantState(messages.StateDraining, 1)
	if r.media.Ready() == nil {
		t.Error("a role that drains says that it takes work")
	}
	r.echo(session, 1)
	r.attach(session, 2) // in a room that is here
	r.destroy(session)
	r.wantState(messages.StateDraining, 0)
	if a := r.drain(messages.DrainOrder{Off: true}); a.State != messages.StateReady {
		t.Fatalf("%+v", a)
	}
	r.wantState(messages.StateReady, 0)
}

// TestDrainByForce frees what is left for another Janus, and ends it here.
func TestDrainByForce(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	r.drain(messages.DrainOrder{End: true})
	r.lossOf(session, 1)
	r.wantState(messages.StateDraining, 0)
	lab.WaitFor(t, patience, func() string {
		if left := janus.Sessions(); len(left) > 0 {
			return fmt.Sprintf("Janus has %v", left)
		}
		return ""
	})
}

// TestDrainBeforeStop waits for calls to end, but not longer than it is told to.
func TestDrainBeforeStop(t *testing.T) {
	r, _, session := scripted(t, janustest.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	r.media.Drain(ctx)
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Error("it did not wait")
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		r.media.Drain(t.Context())
	}()
	r.destroy(session)
	select {
	case <-drained:
	case <-time.After(patience):
		t.Error("it waits for nothing")
	}
}
