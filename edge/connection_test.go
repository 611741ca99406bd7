// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// TestConnectionIsSmall holds what an idle client costs here: the connection, and its place in the table.
func TestConnectionIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(connection{}); size > 136 {
		t.Errorf("a connection takes %d bytes", size)
	}
}

// TestNumbers are the identities of one connection's requests: counted per session, and never given twice.
func TestNumbers(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		c, _ := r.connect()
		identities := func(sessions ...uint64) string {
			var all []string
			for _, s := range sessions {
				r.serve(c, keepalive(s, "t"))
				p := r.bus.take()[0]
				all = append(all, strings.TrimPrefix(p.reply, "janus.edge.e1~inc.1."))
				r.answers(p, 1, `{"janus":"error"}`)
			}
			return strings.Join(all, " ")
		}
		expect(t, "identities", identities(7, 7, 8, 7, 8), "7.1 7.2 8.1 7.3 8.2")
		// Somebody who tries many numbers does not make the edge remember them all, nor draw an identity twice.
		given := map[string]bool{}
		for n := range uint64(3) {
			for s := range uint64(200) {
				identity := identities(100 + s)
				if given[identity] {
					t.Fatalf("identity %s in round %d was given before", identity, n)
				}
				given[identity] = true
			}
		}
		if n := len(c.others.of); n > firstSweep {
			t.Errorf("%d sessions are remembered", n)
		}
		// What is owned or in flight is not forgotten.
		r.serve(c, []byte(`{"janus":"claim","session_id":9,"transaction":"t"}`))
		r.answers(r.bus.take()[0], 1, `{"janus":"success"}`)
		r.serve(c, keepalive(10, "waits"))
		r.bus.take()
		for s := range uint64(100) {
			identities(1000 + s)
		}
		for _, s := range []uint64{9, 10} {
			if c.find(s) == nil {
				t.Errorf("session %d was forgotten", s)
			}
		}
	})
}

// TestCloseTellsOwners is a client that goes away: whom the edge tells.
func TestCloseTellsOwners(t *testing.T) {
	const success, failure = `{"janus":"success"}`, `{"janus":"error","error":{"code":458}}`
	for name, test := range map[string]struct {
		requests []string // with the answer behind a space; without one it waits
		gone     []string
	}{
		"nothing done":       {},
		"only used":          {requests: []string{`{"janus":"keepalive","session_id":7,"transaction":"t"} ` + success}},
		"created":            {requests: []string{`{"janus":"create","id":7,"transaction":"t"} ` + success}, gone: []string{"7"}},
		"creating":           {requests: []string{`{"janus":"create","id":7,"transaction":"t"}`}, gone: []string{"7"}},
		"not created":        {requests: []string{`{"janus":"create","id":7,"transaction":"t"} ` + failure}},
		"claimed":            {requests: []string{`{"janus":"claim","session_id":7,"transaction":"t"} ` + success}, gone: []string{"7"}},
		"not claimed":        {requests: []string{`{"janus":"claim","session_id":7,"transaction":"t"} ` + failure}},
		"created, destroyed": {requests: []string{`{"janus":"create","id":7,"transaction":"t"} ` + success, `{"janus":"destroy","session_id":7,"transaction":"t"} ` + success}},
		"two": {requests: []string{
			`{"janus":"create","id":7,"transaction":"t"} ` + success,
			`{"janus":"create","id":8,"transaction":"t"} ` + success,
		}, gone: []string{"7", "8"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, r *rig) {
				c, _ := r.connect()
				for _, line := range test.requests {
					request, answer, _ := strings.Cut(line, " ")
					r.serve(c, []byte(request))
					if sent := r.bus.take(); answer != "" {
						r.answers(sent[0], 1, answer)
					}
				}
				r.close(c)
				var told []string
				for _, p := range r.bus.take() {
					s, err := messages.ParseSessionSubject(p.subject)
					if err != nil || s.Kind != messages.SessionGone || s.Arg != "1" || p.reply != "janus.edge.e1~inc.1" {
						t.Errorf("published %+v: %v", p, err)
					}
					told = append(told, fmt.Sprint(s.Session))
				}
				slices.Sort(told)
				if !slices.Equal(told, test.gone) {
					t.Errorf("told the owners of %v, want %v", told, test.gone)
				}
				expect(t, "requests in flight", r.waiting.Load(), 0)
				expect(t, "memory in flight", r.Edge.bytes.Load(), 0)
				expect(t, "connections", r.connections.count(), 0)
			})
		})
	}
}

// TestTimeoutEndsOwnership is a session that its owner ended.
func TestTimeoutEndsOwnership(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		c, to := r.connect()
		r.serve(c, []byte(`{"janus":"create","id":7,"transaction":"t"}`))
		p := r.bus.take()[0]
		r.answers(p, 1, `{"janus":"success"}`)
		timeout := messages.AppendNotice(nil, "timeout", 7, 0, "")
		r.event(c.number, &messages.Delivery{Session: 7}, timeout)
		expect(t, "last text", to.take()[1], string(timeout))
		r.close(c)
		expect(t, "published", bodies(r.bus.take()), "")
	})
}

// TestEventsOnce is an event that a new owner tells once more, since it may have got lost with the former one.
func TestEventsOnce(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		c, to := r.connect()
		r.serve(c, []byte(`{"janus":"create","id":7,"transaction":"t"}`))
		r.answers(r.bus.take()[0], 1, `{"janus":"success"}`)
		to.take()
		for _, origin := range []string{"a~1.5", "a~1.6", "b~2.1", "a~1.5", "a~1.6", "", "b~2.1", "a~1.7", "", "odd"} {
			r.event(c.number, &messages.Delivery{Session: 7, Origin: origin}, []byte(`"`+origin+`"`))
		}
		expect(t, "written", strings.Join(to.take(), " "), `"a~1.5" "a~1.6" "b~2.1" "" "a~1.7" "" "odd"`)
		// Another connection claims the session: what the first one was sent is not for it.
		other, mine := r.connect()
		r.serve(other, []byte(`{"janus":"claim","session_id":7,"transaction":"c"}`))
		claim := r.bus.take()[0]
		r.Edge.receive(&bus.Msg{
			Subject: claim.reply, Data: []byte(`{"janus":"success"}`),
			Reply: messages.Delivery{Partition: messages.PartitionOf(7), Session: 7, Epoch: messages.Epoch{Number: 1, Node: "n1"}, Seq: 1, Origin: "a~1.7,b~2.1"}.String(),
		})
		mine.take()
		for _, origin := range []string{"a~1.7", "b~2.1", "a~1.8", "b~2.2", "c~1.1"} {
			r.event(other.number, &messages.Delivery{Session: 7, Origin: origin}, []byte(`"`+origin+`"`))
		}
		expect(t, "written after the claim", strings.Join(mine.take(), " "), `"a~1.8" "b~2.2" "c~1.1"`)
		r.close(other)
		r.close(c)
		r.bus.take()
	})
}

// TestBounds are requests that nobody answers, until there is no room for more.
func TestBounds(t *testing.T) {
	request := keepalive(7, "t")
	size := len(request) + overhead
	t.Run("of a connection", func(t *testing.T) {
		bubble(t, Options{MaxConnectionInFlight: 3 * size}, func(t *testing.T, r *rig) {
			c, to := r.connect()
			for range 5 {
				r.serve(c, request)
			}
			sent := r.bus.take()
			expect(t, "published", len(sent), 3)
			expect(t, "refusals", strings.Join(to.take(), "\n"), strings.Repeat("\n"+
				`{"janus":"error","session_id":7,"transaction":"t","error":{"code":490,"reason":"Too many requests in flight"}}`, 2)[1:])
			r.answers(sent[0], 1, `{"janus":"ack"}`)
			r.serve(c, request)
			expect(t, "published", len(r.bus.take()), 1)
			other, _ := r.connect()
			r.serve(other, request)
			expect(t, "published of another connection", len(r.bus.take()), 1)
		})
	})
	t.Run("of all", func(t *testing.T) {
		bubble(t, Options{MaxInFlight: 3 * size}, func(t *testing.T, r *rig) {
			for range 5 {
				c, _ := r.connect()
				r.serve(c, request)
			}
			expect(t, "published", len(r.bus.take()), 3)
			expect(t, "memory in flight", r.Edge.bytes.Load(), int64(3*size))
		})
	})
}
