// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// names are the transactions of what a client was sent.
func names(texts []string) string {
	var all []string
	for _, text := range texts {
		_, rest, _ := strings.Cut(text, `"transaction":"`)
		name, _, _ := strings.Cut(rest, `"`)
		all = append(all, name)
	}
	return strings.Join(all, " ")
}

func success(session uint64, transaction string) string {
	return fmt.Sprintf(`{"janus":"success","session_id":%d,"transaction":"%s"}`, session, transaction)
}

// TestTurns: what the edge answers by itself waits for the answers to the requests before it, but not for messages.
func TestTurns(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		c, client := r.connect()
		for _, request := range []string{
			`{"janus":"message","session_id":7,"handle_id":9,"body":{},"transaction":"m"}`,
			`{"janus":"ping","transaction":"p1"}`,
			`{"janus":"keepalive","session_id":7,"transaction":"k1"}`,
			`{"janus":"keepalive","session_id":7,"handle_id":"x","transaction":"bad"}`,
			`{"janus":"keepalive","session_id":8,"transaction":"k2"}`,
			`{"janus":"ping","transaction":"p2"}`,
		} {
			r.serve(c, []byte(request))
		}
		sent := r.bus.take()
		expect(t, "published", bodies(sent), "m k1 k2")
		expect(t, "at once", names(client.take()), "p1")
		r.answers(sent[2], 1, success(8, "k2"))
		expect(t, "out of turn", names(client.take()), "k2")
		r.answers(sent[1], 1, success(7, "k1"))
		expect(t, "in turn", names(client.take()), "k1 bad p2")
		r.serve(c, []byte(`{"janus":"ping","transaction":"p3"}`))
		r.answers(sent[0], 1, success(7, "m"))
		expect(t, "afterwards", names(client.take()), "p3 m")
		if c.turns != nil {
			t.Errorf("turns are left: %+v", c.turns)
		}
	})
}

// TestTurnOfRedrawn: a create that is sent again keeps its turn.
func TestTurnOfRedrawn(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		c, client := r.connect()
		r.serve(c, []byte(`{"janus":"create","transaction":"c"}`))
		r.serve(c, []byte(`{"janus":"ping","transaction":"p"}`))
		r.answers(r.bus.take()[0], 1, failure("", "c", 468, "Session ID already in use"))
		expect(t, "while it is drawn again", names(client.take()), "")
		r.answers(r.bus.take()[0], 1, `{"janus":"success","transaction":"c","data":{"id":1032}}`)
		expect(t, "in turn", names(client.take()), "c p")
	})
}

// TestTurnOfUnanswered: nothing waits longer than the requests before it, and no more than a bound.
func TestTurnOfUnanswered(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		c, client := r.connect()
		r.serve(c, []byte(`{"janus":"keepalive","session_id":7,"transaction":"k"}`))
		for range maxTurns {
			r.serve(c, []byte(`{"janus":"ping","transaction":"p"}`))
		}
		r.serve(c, []byte(`{"janus":"ping","transaction":"beyond"}`))
		expect(t, "beyond the bound", names(client.take()), "beyond")
		after(r.opts.Deadline + time.Second)
		texts := client.take()
		expect(t, "after the deadline", len(texts), maxTurns+1)
		if !strings.Contains(texts[0], "timed out") {
			t.Errorf("first %s", texts[0])
		}
	})
}
