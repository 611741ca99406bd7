// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/scripts/lab"
)

// TestInfo is the info of a cluster whose servers come and go.
func TestInfo(t *testing.T) {
	ctx := testContext(t)
	server := startNATS(t)
	e := startEdge(t, server, func(o *Options) {
		o.APISecret, o.ServerName, o.SessionTimeout = "secret", "cluster", time.Minute
	})
	c := dial(t, e)
	info := func(check func(m lab.Message) string) {
		t.Helper()
		lab.WaitFor(t, patience, func() string {
			m, err := c.Request(ctx, map[string]any{"janus": "info"})
			if err != nil || m.Janus != "server_info" {
				t.Fatalf("info: %v, %v", m, err)
			}
			if reason := check(m); reason != "" {
				return reason + " in " + m.String()
			}
			return ""
		})
	}
	plugins := func(want string) func(lab.Message) string {
		return func(m lab.Message) string {
			fields, err := members(m.Get("plugins"))
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, f := range fields {
				names = append(names, f.name)
			}
			return unless(strings.Join(names, " ") == want, "not the plugins "+want)
		}
	}
	info(func(m lab.Message) string {
		for path, want := range map[string]string{
			"name": `"Janus WebRTC Server"`, "accepting-new-sessions": "false", "session-timeout": "60", "server-name": `"cluster"`,
			"api_secret": "true", "auth_token": "false", "plugins": "{}",
		} {
			if got := string(m.Get(path)); got != want {
				return path + " is " + got
			}
		}
		return plugins("")(m)
	})
	b := connect(t, server)
	startOwner(t, b, "n1", messages.AllPartitions(), obliging)
	info(func(m lab.Message) string {
		return unless(string(m.Get("accepting-new-sessions")) == "true", "no new sessions")
	})
	stop := startMedia(t, b, "m1", []byte(`{"janus":"server_info","transaction":"x","name":"Janus","version":1102,`+
		`"session-timeout":90,"server-name":"one","api_secret":false,"transports":{"janus.transport.http":{}},"plugins":{"a":{"version":1},"b":{}}}`))
	info(plugins("a b"))
	startMedia(t, b, "m2", []byte(`{"janus":"server_info","name":"Janus","version":1401,"plugins":{"b":{},"c":{}}}`))
	info(plugins("a b c"))
	info(func(m lab.Message) string {
		return unless(m.Number("version") == 1102 && m.Number("session-timeout") == 60 && m.Text("server-name") == "cluster" &&
			m.Get("transports", "janus.transport.websockets") != nil && m.Get("transports", "janus.transport.http") == nil, "other words")
	})
	stop()
	info(plugins("b c"))
	serves := roster.NewBeater(b, func() messages.Beat {
		return messages.Beat{Role: messages.RoleSession, Member: messages.NewMember("n2"), State: messages.StateReady,
			Session: &messages.SessionBeat{Plugins: map[string]string{"d": "0.0.6", "b": "1"}}}
	})
	defer serves.Stop()
	info(plugins("b c d"))
	info(func(m lab.Message) string {
		return unless(string(m.Get("plugins", "d", "version")) == "6" && m.Text("plugins", "d", "version_string") == "0.0.6", "no version")
	})
	startMedia(t, b, "m3", []byte(`broken`)) // is asked again, and harms nobody
	info(plugins("b c d"))
}

// TestInfoIsPlain holds the bytes of an info to the form that everything else from here has.
func TestInfoIsPlain(t *testing.T) {
	o := Options{}.withDefaults()
	i := newCluster(&o, nil, o.Log)
	text := i.append(nil, []byte(`"t\"t"`))
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil || m["transaction"] != `t"t` {
		t.Errorf("%s: %v", text, err)
	}
}
