// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/mediactl/janusapi"
	"github.com/januscloud/januscloud/messages"
)

// What Janus answers, refuses or does not answer comes back as such.
func TestAdminCall(t *testing.T) {
	answer := ""
	janus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) }))
	t.Cleanup(janus.Close)
	api, err := janusapi.NewAdmin(janus.URL, "secret")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	for _, x := range []struct {
		call, answer, reply string
		code                messages.Code
		failure             string
		none                bool
	}{
		{call: `{"verb":"ping"}`, answer: `{"janus":"pong"}`, reply: `{"janus":"pong"}`},
		{call: `{"verb":"x","fields":{"id":9007199254740993}}`, answer: `{"janus":"error","error":{"code":457,"reason":"no"}}`, code: 457},
		{call: `{"verb":"x"}`, answer: `gone`, failure: "does not answer"},
		{call: `{"verb":"x","fields":[]}`, failure: "malformed"},
		{call: `nonsense`, failure: "malformed"},
		{call: `{"verb":"ping"}`, failure: "no admin API", none: true},
	} {
		answer = x.answer
		m := &Media{log: slog.New(slog.DiscardHandler), admin: api}
		if x.none {
			m.admin = nil
		}
		a := newAdministrator(m)
		got := a.call([]byte(x.call))
		a.close()
		code := messages.Code(0)
		if got.Error != nil {
			code = got.Error.Code
		}
		if string(got.Reply) != x.reply || code != x.code || !strings.Contains(got.Failure, x.failure) || (got.Failure == "") != (x.failure == "") {
			t.Errorf("%s: %+v", x.call, got)
		}
	}
}
