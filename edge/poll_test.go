// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// call is an HTTP request at a rig, without sockets.
type call struct {
	*httptest.ResponseRecorder
	leave context.CancelFunc
	done  chan struct{} // closed when it is over
	hung  bool          // up on, without an answer; valid when done
}

// call sends a request and lets it come to rest.
func (r *rig) call(h *httpTransport, method, target, body string) *call {
	ctx, cancel := context.WithCancel(context.Background())
	c := &call{ResponseRecorder: httptest.NewRecorder(), leave: cancel, done: make(chan struct{})}
	request := httptest.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	go func() {
		defer close(c.done)
		defer cancel()
		defer func() { c.hung = recover() != nil }()
		h.ServeHTTP(c, request)
	}()
	synctest.Wait()
	return c
}

// over is what the call came to: status and body; "waits" before.
func (c *call) over() string {
	select {
	case <-c.done:
	default:
		return "waits"
	}
	if c.hung {
		return "nothing"
	}
	return strings.TrimSpace(fmt.Sprint(c.Code, " ", c.Body.String()))
}

// pollAt begins a long poll.
func pollAt(r *rig, query string) *call {
	return r.call(r.newHTTP(schemeHTTP), "GET", fmt.Sprintf("/janus/%d%s", session, query), "")
}

// sentTo are subjects and replies of what was published, without what all have in common.
func sentTo(sent []published) string {
	var all []string
	for _, p := range sent {
		all = append(all, strings.TrimPrefix(p.subject, "janus.session.7.1031.")+" from "+strings.TrimPrefix(p.reply, "janus.edge.e1~inc."))
	}
	return strings.Join(all, ", ")
}

// TestPollUntilDeadline is a poll that nobody answers: it ends as if nothing had happened, and its owner forgets it.
func TestPollUntilDeadline(t *testing.T) {
	for query, x := range map[string]struct{ answer, kind string }{
		"":         {`200 {"janus":"keepalive"}`, "poll.1"},
		"?maxev=3": {`200 [{"janus":"keepalive"}]`, "poll.3"},
	} {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			c := pollAt(r, query)
			expect(t, "polls", r.polls.Load(), 1)
			after(30900 * time.Millisecond)
			expect(t, "before", c.over(), "waits")
			after(200 * time.Millisecond)
			expect(t, "answer", c.over(), x.answer)
			expect(t, "kind", c.Header().Get("Content-Type"), "application/json")
			var at []string
			for _, p := range r.bus.take() {
				at = append(at, p.at.Round(100*time.Millisecond).String()+" "+sentTo([]published{p}))
			}
			poll := x.kind + " from h1.1031.1"
			again := " " + poll + ".r"
			expect(t, "published", strings.Join(at, ", "), strings.Join([]string{
				"0s " + poll, "500ms" + again, "1.5s" + again, "3.5s" + again, "7.5s" + again, "15.5s" + again, "31s unpoll.1 from h1.1031.1",
			}, ", "))
			expect(t, "polls after", r.polls.Load(), 0)
			expect(t, "memory in flight", r.Edge.bytes.Load(), 0)
			after(time.Second)
			expect(t, "armed", r.repeater.armed.Load(), false)
		})
	}
}

// TestPollIsAnswered are owners' answers, and what the client gets of them.
func TestPollIsAnswered(t *testing.T) {
	gone := string(messages.Reply{Session: session}.AppendError(nil, messages.ErrSessionNotFound(session)))
	for answer, want := range map[string]string{
		`{"janus":"event","sender":5}`:                               `200 {"janus":"event","sender":5}`,
		`[{"janus":"webrtcup"},{"janus":"timeout","session_id":9}]`:  `200 [{"janus":"webrtcup"},{"janus":"timeout","session_id":9}]`,
		`{"janus":"keepalive"}`:                                      `200 {"janus":"keepalive"}`,
		`{"janus":"error","error":{"code":490,"reason":"whatever"}}`: `200 {"janus":"error","error":{"code":490,"reason":"whatever"}}`,
		`{"janus":"event","error":{"code":458}}`:                     `200 {"janus":"event","error":{"code":458}}`,
		gone:                                                         "404",
	} {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			c := pollAt(r, "")
			sent := r.bus.take()
			r.answers(sent[0], 1, answer)
			synctest.Wait()
			expect(t, "answer", c.over(), want)
			r.answers(sent[0], 1, answer)
			c.leave()
			after(40 * time.Second)
			expect(t, "published later", sentTo(r.bus.take()), "")
			expect(t, "memory in flight", r.Edge.bytes.Load(), 0)
		})
	}
}

// TestSessionEndsWhilePolled is a session that is destroyed while a poll waits: the poll is not woken, and not asked about
// any more.
func TestSessionEndsWhilePolled(t *testing.T) {
	gone := string(messages.Reply{Session: session}.AppendError(nil, messages.ErrSessionNotFound(session)))
	t.Run("and waits", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			c := pollAt(r, "?maxev=2")
			after(600 * time.Millisecond)
			r.answers(r.bus.take()[1], 1, gone)
			after(30 * time.Second)
			expect(t, "before", c.over(), "waits")
			expect(t, "published meanwhile", sentTo(r.bus.take()), "")
			after(time.Second)
			expect(t, "answer", c.over(), `200 [{"janus":"keepalive"}]`)
			expect(t, "polls", r.polls.Load(), 0)
		})
	})
	t.Run("and leaves", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			c := pollAt(r, "")
			after(600 * time.Millisecond)
			r.answers(r.bus.take()[1], 1, gone)
			c.leave()
			synctest.Wait()
			expect(t, "memory in flight", r.Edge.bytes.Load(), 0)
		})
	})
	t.Run("before anybody received it", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			c := pollAt(r, "")
			r.nobody(r.bus.take()[0])
			after(100 * time.Millisecond)
			sent := r.bus.take()
			r.answers(sent[len(sent)-1], 1, gone)
			synctest.Wait()
			expect(t, "answer", c.over(), "404")
		})
	})
	t.Run("with its connection", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			c := r.openPolling(new(remembering), pollPatience)
			r.poll(c, session, 1)
			after(600 * time.Millisecond)
			p := &r.partitions[messages.PartitionOf(session)]
			taken, _ := p.take(c.number, session, 1)
			r.close(c) // between the answer and what comes of it
			expect(t, "kept", r.keepWaiting(taken), true)
			expect(t, "memory in flight", r.Edge.bytes.Load(), 0)
		})
	})
}

// TestPollerLeaves is a client that goes away: the owner hears of it, and after whatever it heard of the poll.
func TestPollerLeaves(t *testing.T) {
	t.Run("soon", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			c := pollAt(r, "")
			c.leave()
			synctest.Wait()
			expect(t, "published", sentTo(r.bus.take()), "poll.1 from h1.1031.1, unpoll.1 from h1.1031.1")
			expect(t, "polls", r.polls.Load(), 0)
			// Who only closed its end for sending hears that there is nothing new.
			expect(t, "answer", c.over(), `200 {"janus":"keepalive"}`)
		})
	})
	t.Run("without NATS", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			c := pollAt(r, "")
			r.bus.answer = func(published) error { return errDown }
			c.leave()
			synctest.Wait()
			expect(t, "published", sentTo(r.bus.take()), "poll.1 from h1.1031.1")
			r.bus.answer = nil
			r.busChanged(true)
			synctest.Wait()
			expect(t, "published later", sentTo(r.bus.take()), "unpoll.1 from h1.1031.1")
		})
	})
	t.Run("while it is repeated", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			c := r.openPolling(new(remembering), pollPatience)
			r.bus.answer = func(p published) error {
				if strings.HasSuffix(p.reply, ".r") {
					r.close(c)
				}
				return nil
			}
			r.poll(c, session, 1)
			r.bus.take()
			after(600 * time.Millisecond)
			expect(t, "published", sentTo(r.bus.take()), "unpoll.1 from h1.1031.1, poll.1 from h1.1031.1.r, unpoll.1 from h1.1031.1")
		})
	})
}

// TestPollAndNewOwner is a poll that outlives the owner of its session.
func TestPollAndNewOwner(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		c := pollAt(r, "?maxev=5")
		other := pollAt(r, "")
		r.bus.take()
		partition := messages.PartitionOf(session)
		r.partitions[partition].hear(messages.Epoch{Number: 2, Node: "n1"})
		r.repeater.repeatOne(partition)
		synctest.Wait()
		sent := r.bus.take()
		expect(t, "published", sentTo(sent), "poll.5 from h1.1031.1.r, poll.1 from h2.1031.1.r")
		r.answers(sent[0], 1, `[{"janus":"stale"}]`)
		r.answers(sent[0], 2, `[{"janus":"event"}]`)
		synctest.Wait()
		expect(t, "answer", c.over(), `200 [{"janus":"event"}]`)
		expect(t, "the other", other.over(), "waits")
		other.leave()
	})
}

// TestPollsEndWithTheEdge is an edge that stops: its polls end, and what is asked is answered yet.
func TestPollsEndWithTheEdge(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		h := r.newHTTP(schemeHTTP)
		target := fmt.Sprintf("/janus/%d", session)
		poll := r.call(h, "GET", target, "")
		request := r.call(h, "POST", target, `{"janus":"keepalive","transaction":"t"}`)
		sent := r.bus.take()
		close(h.leaving)
		synctest.Wait()
		expect(t, "poll", poll.over(), `200 {"janus":"keepalive"}`)
		expect(t, "published", sentTo(r.bus.take()), "unpoll.1 from h1.1031.1")
		expect(t, "request", request.over(), "waits")
		r.answers(sent[1], 1, `{"janus":"ack"}`)
		synctest.Wait()
		expect(t, "request", request.over(), `200 {"janus":"ack"}`)
		late := r.call(h, "POST", target, `{"janus":"keepalive","transaction":"t"}`)
		close(h.cut)
		synctest.Wait()
		expect(t, "late request", late.over(), "nothing")
	})
}

// TestRequestOverHTTP is a request that nobody answers, and one whose client left: neither says that a transport closed.
func TestRequestOverHTTP(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		h := r.newHTTP(schemeHTTP)
		create := r.call(h, "POST", "/janus", `{"janus":"create","transaction":"c"}`)
		create.leave()
		sent := r.bus.take()
		expect(t, "identity", sent[0].reply, "janus.edge.e1~inc.h1.1031.1")
		r.answers(sent[0], 1, `{"janus":"success","transaction":"c","data":{"id":1031}}`)
		synctest.Wait()
		expect(t, "created", create.over(), `200 {"janus":"success","transaction":"c","data":{"id":1031}}`)
		claim := r.call(h, "POST", fmt.Sprintf("/janus/%d", session), `{"janus":"claim","transaction":"t"}`)
		after(8900 * time.Millisecond)
		expect(t, "before", claim.over(), "waits")
		after(200 * time.Millisecond)
		expect(t, "answer", claim.over(), `200 {"janus":"error","session_id":1031,"transaction":"t","error":{"code":490,"reason":"Request timed out (no answer within 9s)"}}`)
		for _, p := range r.bus.take() {
			expect(t, "published", strings.Contains(p.subject, "gone"), false)
		}
		expect(t, "connections", r.connections.count(), 0)
		expect(t, "memory in flight", r.Edge.bytes.Load(), 0)
	})
}

// TestTakenIDIsDrawnAgain is a create over HTTP whose drawn id was taken.
func TestTakenIDIsDrawnAgain(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		c := r.call(r.newHTTP(schemeHTTP), "POST", "/janus", `{"janus":"create","transaction":"c"}`)
		r.answers(r.bus.take()[0], 1, failure("1031", "c", 468, "Session ID already in use"))
		sent := r.bus.take()
		expect(t, "identity", sent[0].reply, "janus.edge.e1~inc.h1.1032.1")
		r.answers(sent[0], 1, `{"janus":"success"}`)
		synctest.Wait()
		expect(t, "answer", c.over(), `200 {"janus":"success"}`)
	})
}

// TestTooManyPolls are polls that the edge has no memory for.
func TestTooManyPolls(t *testing.T) {
	bubble(t, Options{MaxInFlight: overhead}, func(t *testing.T, r *rig) {
		first := pollAt(r, "")
		expect(t, "second", pollAt(r, "").over(), "200 "+failure("1031", "", 490, "Too many requests in flight"))
		expect(t, "first", first.over(), "waits")
		first.leave()
	})
}

// TestFaultIsReported is a fault in the handling of a request: it ends this one only.
func TestFaultIsReported(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		r.draw = func() uint64 { panic("out of ids") }
		c := r.call(r.newHTTP(schemeHTTP), http.MethodPost, "/janus", `{"janus":"create","transaction":"c"}`)
		expect(t, "answer", c.over(), "nothing")
	})
}

// numbered answers a poll with an event that is to be acknowledged.
func (r *rig) numbered(p published, seq uint64, origin string) {
	d := messages.Delivery{
		Partition: messages.PartitionOf(session), Session: session, Epoch: messages.Epoch{Number: 1, Node: "n1"}, Seq: seq, Origin: origin,
	}
	r.receive(&bus.Msg{Subject: p.reply, Reply: d.String(), Data: []byte(`{"janus":"event"}`)})
	synctest.Wait()
}

// TestPollAcknowledgedAgain is an owner that did not hear that its answer was written: it is told when the answer comes again, and when
// there is a connection to NATS again. Of a poll that has no client any more it is told so.
func TestPollAcknowledgedAgain(t *testing.T) {
	for _, origin := range []string{"", "media-1~inc.7"} {
		bubble(t, Options{}, func(t *testing.T, r *rig) {
			r.owned()
			c := pollAt(r, "")
			poll := r.bus.take()[0]
			for range 2 {
				r.numbered(poll, 9, origin)
				expect(t, "acknowledged", r.acknowledged(t), "9/9")
			}
			expect(t, "answer", c.over(), `200 {"janus":"event"}`)
			r.numbered(poll, 10, origin) // NATS kept the poll back, and its owner took it for another one
			expect(t, "told of a poll that is over", sentTo(r.bus.take()), "unpoll.1 from h1.1031.1")
			r.busChanged(true)
			synctest.Wait()
			expect(t, "acknowledged to those who may have missed it", r.acknowledged(t), "9/9")

			left := pollAt(r, "")
			poll = r.bus.take()[0]
			left.leave()
			synctest.Wait()
			r.bus.take() // got lost
			r.numbered(poll, 10, origin)
			expect(t, "told of the poll that was left", sentTo(r.bus.take()), "unpoll.2 from h2.1031.1")
			r.busChanged(true)
			synctest.Wait()
			expect(t, "acknowledged", r.acknowledged(t), "9/9")
		})
	}
}
