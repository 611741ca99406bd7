// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/januscloud/januscloud/mediactl/janustest"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus/bustest"
	"github.com/januscloud/januscloud/scripts/lab"
)

// ask asks the media role's steward, and waits for the answer.
func (r *rig) ask(p messages.PluginRequest) messages.PluginReply {
	r.t.Helper()
	if p.Plugin == "" {
		p.Plugin = echotest
	}
	data, err := json.Marshal(p)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	m, err := r.net.A.Request(ctx, messages.MediaPlugin(r.media.Member()), data)
	if err != nil {
		r.t.Fatal(err)
	}
	var reply messages.PluginReply
	if err := json.Unmarshal(m.Data, &reply); err != nil {
		r.t.Fatalf("%s: %v", m.Data, err)
	}
	return reply
}

// asks asks on another goroutine.
func (r *rig) asks(p messages.PluginRequest) <-chan messages.PluginReply {
	reply := make(chan messages.PluginReply, 1)
	go func() { reply <- r.ask(p) }()
	return reply
}

func body(text string) json.RawMessage { return json.RawMessage(`{"request":"` + text + `"}`) }

// wantData wants what a plugin said.
func wantData(t *testing.T, r messages.PluginReply, want string) {
	t.Helper()
	if string(r.Data) != want || r.Error != nil || !r.Refused.IsZero() {
		t.Errorf("want %s, got %s, %v, %v", want, r.Data, r.Error, r.Refused)
	}
}

// wantFailure wants an error.
func wantFailure(t *testing.T, r messages.PluginReply, code messages.Code, reason string) {
	t.Helper()
	if r.Error == nil || r.Error.Code != code || !strings.Contains(r.Error.Reason, reason) || r.Data != nil {
		t.Errorf("want error %d %q, got %s, %v", code, reason, r.Data, r.Error)
	}
}

// stewardRig is a media role beside a scripted Janus.
func stewardRig(t *testing.T, o janustest.Options, changes ...func(*Options)) (*rig, *janustest.Server) {
	t.Helper()
	janus := janustest.Start(t, o)
	r := newRig(t, 0)
	r.start(janus.URL(), changes...)
	return r, janus
}

// stewardMessages are the requests of that kind, in order.
func stewardMessages(janus *janustest.Server, body string) int {
	n := 0
	for _, q := range janus.Requests() {
		if q.Janus == "message" && strings.Contains(string(q.Body), body) {
			n++
		}
	}
	return n
}

// TestStewardAnswers gets the data of a success, of an event, and the errors of Janus's core.
func TestStewardAnswers(t *testing.T) {
	r, janus := stewardRig(t, janustest.Options{Secret: secret}, func(o *Options) { o.APISecret = secret })
	janus.Script(func(c *janustest.Conn, q janustest.Request) bool {
		switch {
		case strings.Contains(string(q.Body), `"sync"`):
			c.Send(fmt.Sprintf(`{"janus":"success","session_id":%d,"transaction":%s,"sender":%d,"plugindata":{"plugin":"p","data":{"n":9007199254740993, "s":"<é>"}}}`,
				q.Session, janustest.Quote(q.Transaction), q.Handle))
		case strings.Contains(string(q.Body), "early"): // the event overtakes the ack, among others without a transaction
			c.Send(fmt.Sprintf(`{"janus":"event","session_id":%d,"sender":%d,"plugindata":{"plugin":"p","data":{"stray":true}}}`, q.Session, q.Handle))
			c.Send(q.Event(`{"early":1}`))
			c.Send(q.Ack())
		case strings.Contains(string(q.Body), "refused"):
			c.Send(q.Error(462, "no"))
		default:
			return false
		}
		return true
	})
	wantData(t, r.ask(messages.PluginRequest{Body: body("sync")}), `{"n":9007199254740993,"s":"<é>"}`)
	wantData(t, r.ask(messages.PluginRequest{Body: body("async")}), `{"echotest":"event","result":"ok"}`)
	wantData(t, r.ask(messages.PluginRequest{Body: body("early")}), `{"early":1}`)
	wantFailure(t, r.ask(messages.PluginRequest{Body: body("refused")}), 462, "no")
	for range 2 {
		wantFailure(t, r.ask(messages.PluginRequest{Plugin: "janus.plugin.none", Body: body("x")}), 460, "No such plugin")
	}
	wantFailure(t, r.ask(messages.PluginRequest{Partition: messages.Partitions, Body: body("x")}), 454, "")
	if handles := janus.Handles(janus.Sessions()[0]); len(janus.Sessions()) != 1 || len(handles) != 1 {
		t.Errorf("sessions %v, handles %v", janus.Sessions(), handles)
	}
	if r.metric("plugin_requests_total", "") != 6 || r.metric("plugin_errors_total", "janus") != 3 || r.metric("plugin_errors_total", "malformed") != 1 ||
		r.metric("handles", "") != 0 || r.metric("sessions", "") != 0 {
		t.Error("the metrics tell something else")
	}
	r.stop()
	if left := janus.Sessions(); len(left) != 0 {
		t.Errorf("sessions left: %v", left)
	}
}

// held answers messages with that text only when it is told to.
type held struct {
	mu      sync.Mutex
	waiting []func()
}

func (h *held) script(text string) janustest.Script {
	return func(c *janustest.Conn, q janustest.Request) bool {
		if q.Janus != "message" || !strings.Contains(string(q.Body), text) {
			return false
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.waiting = append(h.waiting, func() { c.Send(q.Event(`{"held":true}`)) })
		return true
	}
}

// await waits until so many messages are held.
func (h *held) await(t *testing.T, n int) {
	t.Helper()
	lab.WaitFor(t, patience, func() string {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.waiting) != n {
			return fmt.Sprintf("%d messages are with Janus, want %d", len(h.waiting), n)
		}
		return ""
	})
}

func (h *held) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, answer := range h.waiting {
		answer()
	}
	h.waiting = nil
}

// TestStewardRepeats runs a request once, however often it is sent, and answers all who sent it.
func TestStewardRepeats(t *testing.T) {
	r, janus := stewardRig(t, janustest.Options{})
	h := &held{}
	janus.Script(h.script("once"))
	p := messages.PluginRequest{ID: "a", Body: body("once")}
	first := r.asks(p)
	h.await(t, 1)
	second := r.asks(p)
	lab.WaitFor(t, patience, func() string {
		if r.metric("repeats_absorbed_total", "") != 1 {
			return "the repeat is not absorbed yet"
		}
		return ""
	})
	h.release()
	wantData(t, <-first, `{"held":true}`)
	wantData(t, <-second, `{"held":true}`)
	wantData(t, r.ask(p), `{"held":true}`)
	if n := stewardMessages(janus, "once"); n != 1 {
		t.Errorf("ran %d times", n)
	}
	for range 2 {
		r.ask(messages.PluginRequest{Body: body("unnamed")})
	}
	if n := stewardMessages(janus, "unnamed"); n != 2 {
		t.Errorf("without an id ran %d times, want 2", n)
	}
}

// TestStewardOrder sends the next message of a plugin when the one before was answered at all.
func TestStewardOrder(t *testing.T) {
	r, janus := stewardRig(t, janustest.Options{})
	h := &held{}
	janus.Script(h.script("first"))
	first := r.asks(messages.PluginRequest{Body: body("first")})
	h.await(t, 1)
	second := r.asks(messages.PluginRequest{Body: body("second")})
	wantFailure(t, r.ask(messages.PluginRequest{Plugin: "janus.plugin.none", Body: body("other")}), 460, "")
	if stewardMessages(janus, "second") != 0 {
		t.Error("the second overtakes the first")
	}
	h.release()
	wantData(t, <-first, `{"held":true}`)
	wantData(t, <-second, `{"echotest":"event","result":"ok"}`)
}

// TestStewardFence refuses who was deposed, and asks nobody who gives no epoch.
func TestStewardFence(t *testing.T) {
	r, janus := stewardRig(t, janustest.Options{})
	old, now := messages.Epoch{Number: 5, Node: "node-1"}, messages.Epoch{Number: 5, Node: "node-2"}
	const result = `{"echotest":"event","result":"ok"}`
	wantData(t, r.ask(messages.PluginRequest{Partition: 7, Epoch: now, Body: body("now")}), result)
	got := r.ask(messages.PluginRequest{Partition: 7, Epoch: old, Body: body("old")})
	if got.Refused != now || got.Data != nil || got.Error != nil || stewardMessages(janus, "old") != 0 {
		t.Errorf("deposed: %+v", got)
	}
	wantData(t, r.ask(messages.PluginRequest{Partition: 8, Epoch: old, Body: body("elsewhere")}), result)
	wantData(t, r.ask(messages.PluginRequest{Partition: 7, Body: body("nobody")}), result)
}

// TestStewardLosesConnection answers what Janus may have run, and runs what it surely did not on the next connection.
func TestStewardLosesConnection(t *testing.T) {
	r, janus := stewardRig(t, janustest.Options{})
	h := &held{}
	janus.Script(h.script("sent"))
	p := messages.PluginRequest{ID: "sent", Body: body("sent")}
	sent := r.asks(p)
	h.await(t, 1)
	queued := r.asks(messages.PluginRequest{ID: "queued", Body: body("queued")})
	wantFailure(t, r.ask(messages.PluginRequest{Plugin: "janus.plugin.none", Body: body("behind")}), 460, "")
	janus.Cut()
	wantFailure(t, <-sent, 490, "Outcome unknown")
	wantData(t, <-queued, `{"echotest":"event","result":"ok"}`)
	wantFailure(t, r.ask(p), 490, "Outcome unknown")
	if n := stewardMessages(janus, "queued"); n != 1 || len(janus.Sessions()) != 1 {
		t.Errorf("ran %d times, sessions %v", n, janus.Sessions())
	}
}

// TestStewardLosesSession begins anew when Janus has forgotten the session, or the handle.
func TestStewardLosesSession(t *testing.T) {
	r, janus := stewardRig(t, janustest.Options{})
	const result = `{"echotest":"event","result":"ok"}`
	wantData(t, r.ask(messages.PluginRequest{Body: body("before")}), result)
	session := janus.Sessions()[0]
	janus.Forget(session)
	wantData(t, r.ask(messages.PluginRequest{Body: body("after")}), result)
	next := janus.Sessions()[0]
	if next == session {
		t.Fatal("the session was not forgotten")
	}
	for _, forgets := range []string{"detached", "timeout"} {
		session := janus.Sessions()[0]
		before := fmt.Sprint(janus.Handles(session))
		for handle := range janus.Handles(session) {
			janus.Say(fmt.Sprintf(`{"janus":"%s","session_id":%d,"sender":%d}`, forgets, session, handle))
		}
		lab.WaitFor(t, patience, func() string {
			// The first may have left before the word came.
			got := r.ask(messages.PluginRequest{Body: body(forgets)})
			if now := fmt.Sprint(janus.Handles(janus.Sessions()[0])); string(got.Data) != result || now == before {
				return fmt.Sprintf("%s: got %s, %v on %s", forgets, got.Data, got.Error, now)
			}
			return ""
		})
	}
	gone := false
	janus.Script(func(c *janustest.Conn, q janustest.Request) bool {
		if q.Janus == "message" && !gone {
			gone = true
			c.Send(q.Error(459, "No such handle"))
			return true
		}
		return false
	})
	wantData(t, r.ask(messages.PluginRequest{Body: body("no handle")}), result)
	janus.Script(func(c *janustest.Conn, q janustest.Request) bool {
		if q.Janus == "message" {
			c.Send(q.Error(459, "No such handle"))
		}
		return q.Janus == "message"
	})
	wantFailure(t, r.ask(messages.PluginRequest{Body: body("never a handle")}), 459, "")
	if n := stewardMessages(janus, "never a handle"); n != 2 {
		t.Errorf("tried %d times, want 2", n)
	}
}

// TestStewardDown answers at once when there is no Janus.
func TestStewardDown(t *testing.T) {
	r, janus := stewardRig(t, janustest.Options{})
	r.ask(messages.PluginRequest{Body: body("up")})
	h := &held{}
	janus.Script(h.script("hangs"))
	sent := r.asks(messages.PluginRequest{Body: body("hangs")})
	h.await(t, 1)
	janus.Hang(true)
	r.wantJanus(messages.JanusDown, patience)
	wantFailure(t, <-sent, 490, "Outcome unknown")
	wantFailure(t, r.ask(messages.PluginRequest{Body: body("down")}), 490, "has lost its Janus")
	janus.Hang(false)
	r.wantJanus(messages.JanusUp, patience)
	wantData(t, r.ask(messages.PluginRequest{Body: body("again")}), `{"echotest":"event","result":"ok"}`)
}

// TestStewardStop answers what is under way, refuses the rest, and is over in time though Janus does not answer.
func TestStewardStop(t *testing.T) {
	r, janus := stewardRig(t, janustest.Options{})
	h := &held{}
	janus.Script(h.script("stays"))
	running := r.asks(messages.PluginRequest{Body: body("stays")})
	h.await(t, 1)
	waiting := r.asks(messages.PluginRequest{Body: body("waits")})
	wantFailure(t, r.ask(messages.PluginRequest{Plugin: "janus.plugin.none", Body: body("behind")}), 460, "")
	r.stop()
	wantFailure(t, <-running, 490, "in time")
	wantFailure(t, <-waiting, 490, "lost")
	if left := janus.Sessions(); len(left) != 0 {
		t.Errorf("sessions left: %v", left)
	}
}

// TestStewardAndJanus makes rooms on a real Janus, and asks for what is answered with an event, over every way the two
// sides can be connected.
func TestStewardAndJanus(t *testing.T) {
	janus := lab.Janus(t, withSecrets)
	for i, layout := range bustest.Layouts() {
		t.Run(layout.Name, func(t *testing.T) {
			r := newRig(t, i)
			r.start(janus.WSURL(), func(o *Options) { o.APISecret = "sesame" })
			for _, x := range []struct{ request, want string }{
				{`{"request":"create","room":4321}`, `{"videoroom":"created","room":4321,"permanent":false}`},
				{`{"request":"exists","room":4321}`, `{"videoroom":"success","room":4321,"exists":true}`},
				{`{"request":"create","room":4321}`, `"error_code":427`},
				{`{"request":"list"}`, `"room":4321`},
				{`{"request":"destroy","room":4321}`, `{"videoroom":"destroyed","room":4321,"permanent":false}`},
				{`{"request":"exists","room":4321}`, `{"videoroom":"success","room":4321,"exists":false}`},
			} {
				got := r.ask(messages.PluginRequest{Plugin: "janus.plugin.videoroom", Body: json.RawMessage(x.request)})
				if got.Error != nil || !strings.Contains(string(got.Data), x.want) {
					t.Errorf("%s: %s, %v, want %s", x.request, got.Data, got.Error, x.want)
				}
			}
			list := r.ask(messages.PluginRequest{Plugin: "janus.plugin.videocall", Body: body("list")})
			wantData(t, list, `{"videocall":"event","result":{"list":[]}}`)
			wantFailure(t, r.ask(messages.PluginRequest{Plugin: "janus.plugin.none", Body: body("x")}), 460, "No such plugin")
			r.stop()
			wantNothingLeft(t, janus)
		})
	}
}
