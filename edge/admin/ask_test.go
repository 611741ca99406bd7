// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"testing"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/roster"
)

// hearNode has a session node beat, and returns when the Admin API hears it.
func hearNode(t *testing.T, a *Admin, name string) messages.Member {
	t.Helper()
	member := messages.NewMember(name)
	beater := roster.NewBeater(a.opts.Bus, func() messages.Beat {
		return messages.Beat{Role: messages.RoleSession, Member: member, State: messages.StateReady, Session: &messages.SessionBeat{}}
	})
	t.Cleanup(beater.Stop)
	seen := make(chan struct{}, 1)
	t.Cleanup(a.opts.Roster.Watch(func(v *roster.View) {
		if _, heard := v.Find(messages.RoleSession, name); heard {
			select {
			case seen <- struct{}{}:
			default:
			}
		}
	}))
	<-seen
	return member
}

// A message to a plugin that a session node died with is looked after by the next one, under the same name.
func TestNodeDiesWithMessage(t *testing.T) {
	a, _ := start(t, nil)
	asked := make(chan messages.PluginMessage, 2)
	for _, name := range []string{"one", "two"} {
		member := hearNode(t, a, name)
		node, err := a.opts.Bus.Own(messages.NodePrefix(member), 0, func(m *bus.Msg) {
			var order messages.NodeOrder
			if json.Unmarshal(m.Data, &order) != nil || order.Message == nil {
				t.Errorf("asked %s", m.Data)
				return
			}
			asked <- *order.Message
			if len(asked) == 2 {
				_ = a.opts.Bus.Publish(m.Reply, "", []byte(`{"data":{"videoroom":"created"}}`))
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer node.Cancel()
	}
	answer := a.askRouting(t.Context(), messages.PluginMessage{ID: "x", Plugin: "janus.plugin.videoroom", Body: json.RawMessage(`{}`)})
	if string(answer.Data) != `{"videoroom":"created"}` {
		t.Fatalf("answered %+v", answer)
	}
	if one, two := <-asked, <-asked; one.ID != "x" || two.ID != "x" {
		t.Errorf("asked %v, then %v", one, two)
	}
}

// An edge that has just started, and heard no session node yet, waits for one with a message to a plugin.
func TestMessageBeforeNode(t *testing.T) {
	a, _ := start(t, nil)
	answered := make(chan messages.RoomAnswer)
	go func() {
		answered <- a.askRouting(t.Context(), messages.PluginMessage{ID: "x", Plugin: "janus.plugin.textroom", Body: json.RawMessage(`{}`)})
	}()
	member := hearNode(t, a, "late")
	node, err := a.opts.Bus.Own(messages.NodePrefix(member), 0, func(m *bus.Msg) {
		_ = a.opts.Bus.Publish(m.Reply, "", []byte(`{"data":{"textroom":"success"}}`))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Cancel()
	if answer := <-answered; string(answer.Data) != `{"textroom":"success"}` {
		t.Errorf("answered %+v", answer)
	}
}

// An order for an owner that has just died reaches the next one.
func TestOwnerDies(t *testing.T) {
	a, _ := start(t, nil)
	hearNode(t, a, "node")
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

// What an owner carried out and could not answer for was done: that there is nothing left of it is no error.
func TestOwnerDiesAfterwards(t *testing.T) {
	a, _ := start(t, nil)
	hearNode(t, a, "node")
	const session, answered = 78, 79
	for id, silent := range map[uint64]bool{session: true, answered: false} {
		owner, err := a.opts.Bus.Own(messages.SessionPrefix(messages.PartitionOf(id)), 0, func(m *bus.Msg) {
			if silent {
				silent = false
				return // it dies when it has ended the session
			}
			body, _ := json.Marshal(messages.AdminAnswer{Error: messages.ErrSessionNotFound(id)})
			_ = a.opts.Bus.Publish(m.Reply, "", body)
		})
		if err != nil {
			t.Fatal(err)
		}
		defer owner.Cancel()
	}
	destroy := messages.AdminOrder{Act: messages.AdminDestroy}
	if got := a.askOwner(t.Context(), session, 0, destroy); got.Error != nil {
		t.Errorf("a session that is gone at the second try: %v", got.Error)
	}
	if got := a.askOwner(t.Context(), answered, 0, destroy); got.Error == nil {
		t.Error("a session that was never there was ended")
	}
}
