// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"testing"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/roster"
)

// An order for an owner that has just died reaches the next one.
func TestOwnerDies(t *testing.T) {
	a, _ := start(t, nil)
	beater := roster.NewBeater(a.opts.Bus, func() messages.Beat {
		return messages.Beat{Role: messages.RoleSession, Member: messages.NewMember("node"), State: messages.StateReady, Session: &messages.SessionBeat{}}
	})
	t.Cleanup(beater.Stop)
	seen := make(chan struct{}, 1)
	t.Cleanup(a.opts.Roster.Watch(func(v *roster.View) {
		if len(v.Nodes()) > 0 {
			select {
			case seen <- struct{}{}:
			default:
			}
		}
	}))
	<-seen
	const session = 77
	orders := 0
	owner, err := a.opts.Bus.Own(messages.SessionPrefix(messages.PartitionOf(session)), 0, func(m *bus.Msg) {
		if orders++; orders == 1 {
			return // it dies with this in hand
		}
		if err := a.opts.Bus.Publish(m.Reply, "", []byte(`{"timeout":5}`)); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Cancel()
	if got := a.askOwner(t.Context(), session, 0, messages.AdminOrder{}); got.Error != nil || got.Timeout != 5 {
		t.Errorf("the next owner's answer: %+v", got)
	}
}
