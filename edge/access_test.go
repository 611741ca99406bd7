// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/embedded"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/scripts/lab"
)

const echotestPlugin = "janus.plugin.echotest"

// strict answers as a session owner does that has only the plugin echotest, and no session 77.
func strict(o *owner, s messages.SessionSubject, m *bus.Msg) {
	if s.Kind != messages.SessionRequest {
		return
	}
	var request janusjson.Message
	if err := janusjson.Scan(m.Data, &request); err != nil {
		panic(err)
	}
	plugin, named := request.Text(janusjson.KeyPlugin)
	var refusal *messages.Error
	switch {
	case s.Session == 77:
		refusal = messages.ErrSessionNotFound(77)
	case request.Verb() != janusjson.VerbAttach || plugin == echotestPlugin:
		obliging(o, s, m)
		return
	case request.Has(janusjson.KeyHandleID):
		refusal = messages.ErrUnhandled("attach")
	case !request.Has(janusjson.KeyPlugin):
		refusal = messages.ErrMissing("plugin")
	case !named:
		refusal = messages.ErrElementType("plugin", "a string")
	default:
		refusal = messages.Errorf(messages.CodePluginNotFound, "No such plugin '%s'", plugin)
	}
	identity, _ := messages.CutRepeat(m.Reply)
	reply := messages.Reply{Session: s.Session, Transaction: request.Bytes(janusjson.KeyTransaction)}
	o.send(s, identity, reply.AppendError(nil, refusal))
}

// startPlugins has a media server beat that has plugins, and waits until the edges know of it.
func startPlugins(t *testing.T, b *bus.Bus, edges ...*Edge) {
	t.Helper()
	member := messages.NewMember("m1")
	beater := roster.NewBeater(b, func() messages.Beat {
		return messages.Beat{
			Role: messages.RoleMedia, Member: member, State: messages.StateReady,
			Media: &messages.MediaBeat{Janus: messages.JanusUp, Plugins: map[string]string{echotestPlugin: "1"}},
		}
	})
	t.Cleanup(beater.Stop)
	for _, e := range edges {
		lab.WaitFor(t, patience, func() string { return unless(e.hasPlugin(echotestPlugin), "media server not heard") })
	}
}

func signed(data string) string {
	mac := hmac.New(sha1.New, []byte("signing"))
	mac.Write([]byte(data))
	return data + ":" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// TestDeniedAttach is what an attach gets whose token does not give access to the plugin: what is wrong besides comes first.
func TestDeniedAttach(t *testing.T) {
	server := startNATS(t)
	e := startEdge(t, server, func(o *Options) { o.TokenAuth, o.TokenAuthSecret = true, "signing" })
	b := connect(t, server)
	owner := startOwner(t, b, "n1", messages.AllPartitions(), strict)
	startPlugins(t, b, e)
	waitReady(t, e)
	c := dial(t, e)
	token := signed("4102444800,janus,janus.plugin.other")
	for name, x := range map[string]struct {
		fields string
		want   string
	}{
		"denied":         {`"session_id":5,"plugin":"` + echotestPlugin + `"`, "405 Provided token can't access plugin '" + echotestPlugin + "'"},
		"escaped":        {`"session_id":5,"plugin":"janus.plugin\u002eechotest"`, "405 Provided token can't access plugin '" + echotestPlugin + "'"},
		"no session":     {`"session_id":77,"plugin":"` + echotestPlugin + `"`, "458 No such session 77"},
		"handle":         {`"session_id":5,"handle_id":6,"plugin":"` + echotestPlugin + `"`, "457 Unhandled request 'attach' at this path"},
		"no plugin":      {`"session_id":5`, "456 Missing mandatory element (plugin)"},
		"number":         {`"session_id":5,"plugin":7`, "467 Invalid element type (plugin should be a string)"},
		"unknown plugin": {`"session_id":5,"plugin":"janus.plugin.none"`, "460 No such plugin 'janus.plugin.none'"},
		"allowed, gone":  {`"session_id":5,"plugin":"janus.plugin.other"`, "460 No such plugin 'janus.plugin.other'"},
	} {
		m := must[lab.Message](t)(c.Request(testContext(t), fmt.Sprintf(`{"janus":"attach","transaction":"%s",%s,"token":"%s"}`, name, x.fields, token)))
		got := m.Janus
		if m.Error != nil {
			got = fmt.Sprint(m.Error.Code, " ", m.Error.Reason)
		}
		expect(t, name, got, x.want)
	}
	ok := must[lab.Message](t)(c.Request(testContext(t), map[string]any{
		"janus": "attach", "session_id": 5, "plugin": echotestPlugin, "token": signed("4102444800,janus," + echotestPlugin),
	}))
	expect(t, "allowed", ok.Janus, "success")
	for _, m := range owner.received()[:8] {
		if strings.Contains(string(m.Data), echotestPlugin) {
			t.Errorf("the owner was asked for what was denied: %s", m.Data)
		}
	}
	expect(t, "requests in flight", e.waiting.Load(), 0)
}

// TestTokensOnTwoEdges changes stored tokens at one edge, and uses them at another.
func TestTokensOnTwoEdges(t *testing.T) {
	ctx := testContext(t)
	server := must[*embedded.Server](t)(embedded.Start(ctx, embedded.Options{JetStream: true}))
	t.Cleanup(server.Shutdown)
	first := startEdge(t, server, func(o *Options) { o.TokenAuth = true })
	second := startEdge(t, server, func(o *Options) { o.Name, o.TokenAuth, o.APISecret, o.HTTP = "e2", true, "secret", "127.0.0.1:0" })
	b := connect(t, server)
	startOwner(t, b, "n1", messages.AllPartitions(), strict)
	startPlugins(t, b, first, second)
	waitReady(t, second)
	lab.WaitFor(t, patience, func() string {
		return unless(len(first.opts.Roster.View().Edges()) == 2, "edges not heard")
	})
	c := dial(t, second)
	code := func(fields map[string]any) int {
		t.Helper()
		m := must[lab.Message](t)(c.Request(ctx, fields))
		if m.Error == nil {
			return 0
		}
		return m.Error.Code
	}
	alive := map[string]any{"janus": "keepalive", "session_id": 5, "token": "a"}
	attach := map[string]any{"janus": "attach", "session_id": 5, "plugin": echotestPlugin, "token": "a"}
	poll := func() int {
		t.Helper()
		request := must[*http.Request](t)(http.NewRequestWithContext(ctx, http.MethodGet, second.Addresses()[schemeHTTP]+"/7/8?token=a", nil))
		client := http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		answer := must[*http.Response](t)(client.Do(request))
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	expect(t, "before", code(alive), 403)
	expect(t, "poll before", poll(), 403)
	must[[]string](t)(first.tokens.Add(ctx, "a", nil))
	expect(t, "added", code(alive), 0)
	expect(t, "poll", poll(), http.StatusFound)
	expect(t, "attach", code(attach), 0)
	must[[]string](t)(first.tokens.Disallow(ctx, "a", []string{echotestPlugin}))
	expect(t, "disallowed", code(attach), 405)
	expect(t, "disallowed, but alive", code(alive), 0)
	if err := first.tokens.Remove(ctx, "a"); err != nil {
		t.Error(err)
	}
	expect(t, "removed", code(alive), 403)
	alive["apisecret"], attach["apisecret"] = "secret", "secret"
	expect(t, "removed, but a secret", code(alive), 0)
	expect(t, "attach with a secret and a bad token", code(attach), 405)
	delete(attach, "token")
	expect(t, "attach with a secret", code(attach), 0)
	info := must[lab.Message](t)(c.Request(ctx, map[string]any{"janus": "info"}))
	expect(t, "auth_token of info", string(info.Get("auth_token")), "true")
}

// TestTokenOptions are settings that contradict each other.
func TestTokenOptions(t *testing.T) {
	if err := (Options{Name: "e1", WS: ":0", TokenAuthSecret: "x"}).check(); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
}
