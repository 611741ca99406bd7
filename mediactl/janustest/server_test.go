// SPDX-License-Identifier: Apache-2.0

package janustest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/mediactl/janusproc"
	"github.com/januscloud/januscloud/mediactl/janustest"
	"github.com/januscloud/januscloud/scripts/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "sesame"

// TestLikeJanus holds one conversation with the scripted Janus and with a real one.
func TestLikeJanus(t *testing.T) {
	scripted := converse(t, janustest.Start(t, janustest.Options{Secret: secret}).URL())
	pieces := converse(t, janustest.Start(t, janustest.Options{Secret: secret, Fragment: 7}).URL())
	real := converse(t, lab.Janus(t, func(c *janusproc.Config) { c.APISecret = secret }).WSURL())
	for i := range real {
		if scripted[i] != real[i] || pieces[i] != real[i] {
			t.Errorf("step %d:\nscripted %s\nreal     %s", i, scripted[i], real[i])
		}
	}
}

// talk is a conversation under way: each step adds what was answered, with ids that differ from run to run left out.
type talk struct {
	t          *testing.T
	client     *lab.Client
	transcript []string
	hidden     []string // pairs for a strings.Replacer
}

func converse(t *testing.T, url string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := lab.Dial(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	talk := &talk{t: t, client: c}
	talk.outside(ctx)
	talk.inside(ctx)
	if v := c.Violations(); len(v) > 0 {
		t.Errorf("violations: %q", v)
	}
	return talk.transcript
}

const session = 12345678901

// outside is what needs no session, or has none.
func (k *talk) outside(ctx context.Context) {
	k.ask(ctx, `{"janus":"ping","transaction":"p"}`)
	k.ask(ctx, `{"janus":"create","transaction":"no secret"}`)
	k.ask(ctx, `{"janus":"keepalive","session_id":99,"transaction":"no secret, no session"}`)
	k.ask(ctx, `{"janus":"keepalive","session_id":99,"transaction":"no session","apisecret":"sesame"}`)
	k.ask(ctx, `{"janus":"attach","transaction":"nowhere","apisecret":"sesame"}`)
	k.ask(ctx, fmt.Sprintf(`{"janus":"create","id":%d,"transaction":"c","apisecret":"sesame"}`, session))
	k.ask(ctx, fmt.Sprintf(`{"janus":"create","id":%d,"transaction":"again","apisecret":"sesame"}`, session))
	for _, verb := range []string{"claim", "keepalive", "ping", "message", "detach"} {
		k.ask(ctx, fmt.Sprintf(`{"janus":"%s","session_id":%d,"transaction":"s-%s","apisecret":"sesame"}`, verb, session, verb))
	}
}

// inside is the life of a handle.
func (k *talk) inside(ctx context.Context) {
	at := fmt.Sprintf(`"session_id":%d,"apisecret":"sesame"`, session)
	k.ask(ctx, `{"janus":"attach","transaction":"a1",`+at+`}`)
	k.ask(ctx, `{"janus":"attach","transaction":"a2","plugin":"janus.plugin.none",`+at+`}`)
	handle := k.ask(ctx, `{"janus":"attach","transaction":"a3","plugin":"`+janustest.Plugin+`",`+at+`}`).Number("data", "id")
	k.hidden = append(k.hidden, fmt.Sprint(handle), "HANDLE")
	on := fmt.Sprintf(`"handle_id":%d,`, handle) + at
	k.ask(ctx, `{"janus":"attach","transaction":"a4","plugin":"`+janustest.Plugin+`",`+on+`}`)
	k.ask(ctx, `{"janus":"destroy","transaction":"d0",`+on+`}`)
	k.ask(ctx, `{"janus":"message","transaction":"m0",`+on+`}`)
	k.ask(ctx, `{"janus":"message","transaction":"m1","body":{"audio":true},`+on+`}`)
	k.event(ctx, func(m lab.Message) bool { return m.Transaction == "m1" })
	k.ask(ctx, `{"janus":"trickle","transaction":"t1","candidate":{"completed":true},`+on+`}`)
	k.ask(ctx, `{"janus":"hangup","transaction":"h1",`+on+`}`)
	k.ask(ctx, `{"janus":"dance","transaction":"u1",`+on+`}`)
	k.ask(ctx, `{"janus":"detach","transaction":"d1",`+on+`}`)
	k.event(ctx, func(m lab.Message) bool { return m.Janus == "detached" })
	k.ask(ctx, `{"janus":"trickle","transaction":"t2",`+on+`}`)
	k.ask(ctx, `{"janus":"destroy","transaction":"d2",`+at+`}`)
	k.ask(ctx, `{"janus":"claim","transaction":"gone",`+at+`}`)
}

func (k *talk) ask(ctx context.Context, request string) lab.Message {
	k.t.Helper()
	reply, err := k.client.Request(ctx, request)
	if err != nil {
		k.t.Fatalf("%s: %v", request, err)
	}
	k.note(reply)
	return reply
}

func (k *talk) event(ctx context.Context, match func(lab.Message) bool) {
	k.t.Helper()
	event, err := k.client.Next(ctx, match)
	if err != nil {
		k.t.Fatal(err)
	}
	k.note(event)
}

// note adds a message to the transcript: compact, with its keys in their order.
func (k *talk) note(m lab.Message) {
	hidden := k.hidden
	if id := m.Number("data", "id"); id != 0 && id != session {
		hidden = append(slices.Clone(hidden), fmt.Sprint(id), "ID")
	}
	var compact strings.Builder
	decoder := json.NewDecoder(strings.NewReader(string(m.Raw)))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		fmt.Fprintf(&compact, "%v ", token)
	}
	k.transcript = append(k.transcript, strings.NewReplacer(hidden...).Replace(compact.String()))
}

// TestFaults is what only a scripted Janus does.
func TestFaults(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s := janustest.Start(t, janustest.Options{})
	dial := func() *lab.Client {
		c, err := lab.Dial(ctx, s.URL())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := dial()
	s.Script(func(conn *janustest.Conn, r janustest.Request) bool {
		if r.Janus != "ping" {
			return false
		}
		conn.Send(r.Error(490, "not today"))
		return true
	})
	if m, err := c.Request(ctx, map[string]any{"janus": "ping"}); err != nil || m.Error.Code != 490 {
		t.Fatalf("%v, %v", m, err)
	}
	s.Script(nil)
	if _, err := c.Create(ctx); err != nil {
		t.Fatal(err)
	}
	if len(s.Sessions()) != 1 || len(s.Requests()) != 1 {
		t.Errorf("sessions %v, %d requests", s.Sessions(), len(s.Requests()))
	}
	s.Cut()
	<-c.Closed()
	if len(s.Sessions()) != 1 {
		t.Error("a cut destroyed a session")
	}
	c = dial()
	s.Hang(true)
	if _, err := c.Send(map[string]any{"janus": "ping", "transaction": "late"}); err != nil {
		t.Fatal(err)
	}
	if len(c.Replies("late")) != 0 {
		t.Error("a server that hangs answers")
	}
	s.Hang(false)
	if _, err := c.Reply(ctx, "late"); err != nil {
		t.Error(err)
	}
	s.Restart()
	<-c.Closed()
	if len(s.Sessions()) != 0 {
		t.Errorf("sessions %v after a restart", s.Sessions())
	}
}
