// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// sayNumbered publishes an event with a number.
func (s *server) sayNumbered(kind messages.SessionKind, session, handle uint64, n int) {
	s.sayBehind(kind, session, handle, n, 0)
}

// sayBehind is sayNumbered for an event before which there was another.
func (s *server) sayBehind(kind messages.SessionKind, session, handle uint64, n, before int) {
	body := fmt.Appendf(nil, `{"janus":"event","session_id":%d,"sender":%d,"transaction":"%d"}`, session, handle, n)
	_ = s.p.bus.Publish(messages.HandleSubject(session, kind, handle), string(messages.AppendOrigin(nil, s.member.String(), uint64(n), uint64(before))), body)
}

// replay tells the recent events once more. In the middle of that another one happens.
func (s *server) replay(m *bus.Msg) {
	var ask messages.Replay
	if json.Unmarshal(m.Data, &ask) != nil {
		return
	}
	s.mu.Lock()
	recent, handles, retell := s.recent, s.holds[ask.Session], s.retell
	s.mu.Unlock()
	if retell != nil {
		retell()
	}
	for handle := range handles {
		for i, n := range recent {
			s.sayNumbered(messages.SessionAgain, ask.Session, handle, n)
			if i == 0 {
				s.sayNumbered(messages.SessionEvent, ask.Session, handle, recent[len(recent)-1])
				s.sayNumbered(messages.SessionEvent, ask.Session, handle, recent[len(recent)-1]+1)
			}
		}
	}
	_ = s.p.bus.Publish(messages.HandleSubject(ask.Session, messages.SessionCaught, 0), s.member.String(), nil)
}

// A new owner tells the client what its predecessor may have died with, in order, and what comes meanwhile behind it.
func TestEventsOfFormerOwner(t *testing.T) {
	x := converse(t)
	media, k := x.media, x.k
	second := x.c.node("node-2", nil)
	waitServers(t, second, 1)
	media.mu.Lock()
	media.recent = []int{101, 102, 103}
	media.mu.Unlock()
	if err := x.node.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	waitFor(t, func() string {
		for {
			d, ok := k.take(func(d delivered) bool {
				return d.body["janus"] == "event" && strings.HasPrefix(fmt.Sprint(d.body["transaction"]), "10")
			})
			if !ok {
				break
			}
			delivery, err := messages.ParseDelivery(d.delivery)
			if want := fmt.Sprintf("%v.%v", media.member, d.body["transaction"]); err != nil || delivery.Origin != want {
				t.Errorf("delivered as %s, want the origin %s (%v)", d.delivery, want, err)
			}
			got = append(got, d.body["transaction"].(string))
		}
		if want := []string{"101", "102", "103", "104"}; !slices.Equal(got, want) {
			return fmt.Sprintf("the client heard %v", got)
		}
		return ""
	})
}

// hears waits until the client was told the events of these numbers, in order, and nothing else. As an edge it leaves out what it has
// written already.
func (k *client) hears(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	waitFor(t, func() string {
		for {
			d, ok := k.take(func(d delivered) bool { return d.body["janus"] == "event" })
			if !ok {
				break
			}
			if delivery, err := messages.ParseDelivery(d.delivery); err != nil || !k.twice(delivery.Origin) {
				got = append(got, d.body["transaction"].(string))
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Sprintf("the client heard %v, want %v", got, want)
		}
		return ""
	})
}

// twice reports whether an event, or a later one, came before.
func (k *client) twice(origin string) bool {
	server, seq, ok := messages.CutOrigin(origin)
	if !ok {
		return false
	}
	if k.last == nil {
		k.last = map[string]uint64{}
	}
	was := k.last[server]
	k.last[server] = max(was, seq)
	return seq <= was
}

// An event that got lost between media server and owner is missed when the next one comes, or when the media server has had no
// acknowledgement for long; then it is asked for. What the server does not have any more holds nothing up.
func TestEventsLost(t *testing.T) {
	x := converse(t)
	media, k, s, h := x.media, x.k, x.session, x.handle
	k.hears(t, "m")
	has := func(numbers ...int) {
		media.mu.Lock()
		defer media.mu.Unlock()
		media.recent = numbers
	}
	media.sayNumbered(messages.SessionEvent, s, h, 101)
	k.hears(t, "101")
	has(101, 102, 103) // and 104 will come meanwhile
	media.sayBehind(messages.SessionEvent, s, h, 103, 102)
	k.hears(t, "102", "103", "104")
	has(105, 106) // and 107
	media.sayNumbered(messages.SessionLast, s, h, 105)
	k.hears(t, "105", "106", "107")
	has()
	media.sayBehind(messages.SessionEvent, s, h, 109, 108)
	k.hears(t, "109")
	media.sayNumbered(messages.SessionEvent, s, h, 109)
	media.sayBehind(messages.SessionEvent, s, h, 110, 109)
	k.hears(t, "110")
}
