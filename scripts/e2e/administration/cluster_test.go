// SPDX-License-Identifier: Apache-2.0

package administration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/edge"
	"github.com/januscloud/januscloud/mediactl/janusapi"
	"github.com/januscloud/januscloud/scripts/lab"
)

// status is what a Janus itself says of its settings.
func status(t *testing.T, j *lab.JanusServer) lab.Message {
	t.Helper()
	a, err := janusapi.NewAdmin(j.Config.AdminWSURL(), ownSecret)
	check(t, err)
	defer a.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	raw, err := a.Do(ctx, "get_status", nil)
	check(t, err)
	return lab.Message{Raw: raw}
}

// A setting reaches every Janus, those that join later, and those that start anew.
func TestSettingsReachAll(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	first, second := c.media("first"), c.media("second")
	k := c.administrate(t)
	if r := k.ask(m{"janus": "set_log_level", "level": 3}); r.Error != nil || r.Number("level") != 3 {
		t.Fatalf("set_log_level: %s", r)
	}
	if r := k.ask(m{"janus": "set_slowlink_threshold", "slowlink_threshold": 11}); r.Error != nil {
		t.Fatalf("set_slowlink_threshold: %s", r)
	}
	has := func(j *lab.JanusServer) func() error {
		return func() error {
			s := status(t, j)
			if s.Number("status", "log_level") == 3 && s.Number("status", "slowlink_threshold") == 11 {
				return nil
			}
			return fmt.Errorf("it says %s", s)
		}
	}
	for _, j := range []*lab.JanusServer{first, second} { // at once
		if err := has(j)(); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "one that joins later is set, too", has(c.media("third")))
	second.Restart()
	eventually(t, "one that was restarted is set again", has(second))
}

// What is set at one edge is told by every edge as soon as it is answered, and by those that join later; session nodes that
// join later heed it from their first session on.
func TestEveryEdgeTells(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.media("first")
	c.media("second")
	other := c.edge("other")
	here, there := c.administrate(t), other.administrate(t)
	for _, k := range []*talk{here, there} {
		eventually(t, "the edge has heard the others", func() error {
			if r := k.ask(m{"janus": "info"}); r.Number("version") == 0 || string(r.Get("accepting-new-sessions")) != "true" {
				return fmt.Errorf("info is %s", r)
			}
			return nil
		})
	}
	tells := func(k *talk, timeout uint64, accepting bool) error {
		client, err := lab.Dial(t.Context(), k.api)
		check(t, err)
		defer func() { _ = client.Close() }()
		for _, info := range []lab.Message{(&call{Client: client, t: t}).try(m{"janus": "info"}), k.ask(m{"janus": "info"})} {
			if info.Number("session-timeout") != timeout || string(info.Get("accepting-new-sessions")) != fmt.Sprint(accepting) ||
				info.Number("min-nack-queue") != timeout || string(info.Get("nack-optimizations")) != fmt.Sprint(!accepting) {
				return fmt.Errorf("info is %s", info)
			}
		}
		if r := k.ask(m{"janus": "get_status"}); r.Number("status", "session_timeout") != timeout || r.Number("status", "min_nack_queue") != timeout {
			return fmt.Errorf("get_status is %s", r)
		}
		return nil
	}
	for n := range uint64(10) {
		k, further := here, there
		if n%2 == 1 {
			k, further = there, here
		}
		for _, set := range []m{
			{"janus": "set_session_timeout", "timeout": 100 + n}, {"janus": "set_min_nack_queue", "min_nack_queue": 100 + n},
			{"janus": "set_nack_optimizations", "nack_optimizations": n%2 == 1}, {"janus": "accept_new_sessions", "accept": n%2 == 0},
		} {
			if r := k.ask(set); r.Error != nil {
				t.Fatalf("%v: %s", set, r)
			}
		}
		for _, k := range []*talk{k, further} { // at once
			if err := tells(k, 100+n, n%2 == 0); err != nil {
				t.Error(err)
			}
		}
	}
	late := c.edge("late").administrate(t)
	eventually(t, "an edge that joins later has heard the Janus, and tells what was set", func() error { return tells(late, 109, false) })
	c.node("late") // takes partitions at once
	c.settle(2)
	client, err := lab.Dial(t.Context(), c.api)
	check(t, err)
	t.Cleanup(func() { _ = client.Close() })
	for range 20 {
		if r := (&call{Client: client, t: t}).try(m{"janus": "create"}); r.Error == nil || r.Error.Code != 472 {
			t.Fatalf("create: %s", r)
		}
	}
}

// A setting that was made while no Janus was there waits for the first.
func TestSettingWithoutJanus(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	k := c.administrate(t)
	for _, x := range []struct{ verb, field, echo string }{
		{"set_locking_debug", "debug", "locking_debug"}, {"set_log_colors", "colors", "log_colors"},
		{"set_nack_optimizations", "nack_optimizations", "nack-optimizations"},
	} {
		if r := k.ask(m{"janus": x.verb, x.field: true}); string(r.Get(x.echo)) != "true" {
			t.Errorf("%s: %s", x.verb, r)
		}
	}
	if r := k.ask(m{"janus": "get_status"}); r.Number("status", "session_timeout") != 60 {
		t.Errorf("get_status: %s", r)
	}
	if r := k.ask(m{"janus": "resolve_address", "address": "127.0.0.1"}); r.Error == nil {
		t.Errorf("resolved by nobody: %s", r)
	}
	j := c.media("late")
	eventually(t, "the settings were told", func() error {
		if s := status(t, j); string(s.Get("status", "nack-optimizations")) != "true" || string(s.Get("status", "log_colors")) != "true" {
			return fmt.Errorf("it says %s", s)
		}
		return nil
	})
}

// No new sessions means that a create is refused as by Janus, while those that are there go on.
func TestAcceptNewSessions(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.media("media")
	k, caller := c.administrate(t), c.call(t)
	if r := k.ask(m{"janus": "accept_new_sessions", "accept": false}); r.Error != nil {
		t.Fatal(r)
	}
	if r := caller.try(m{"janus": "create"}); r.Error == nil || r.Error.Code != 472 || r.Error.Reason != "Currently not accepting new sessions" {
		t.Errorf("create: %s", r)
	}
	caller.must(m{"janus": "keepalive", "session_id": caller.session})
	if r := k.ask(m{"janus": "info"}); string(r.Get("accepting-new-sessions")) != "false" {
		t.Errorf("info: %s", r)
	}
	if r := k.ask(m{"janus": "accept_new_sessions", "accept": true}); r.Error != nil {
		t.Fatal(r)
	}
	caller.must(m{"janus": "create"})
}

// A time-out that is set ends sessions that are silent, of the cluster or of one session.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.media("media")
	k := c.administrate(t)
	one, other, spared := c.call(t), c.call(t), c.call(t)
	ended := func(who *call) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := who.Next(ctx, func(m lab.Message) bool { return m.Janus == "timeout" && m.Session == who.session }); err != nil {
			t.Error(err)
		}
	}
	k.ask(m{"janus": "set_session_timeout", "session_id": one.session, "timeout": 1})
	ended(one)
	k.ask(m{"janus": "set_session_timeout", "session_id": spared.session, "timeout": 0})
	k.ask(m{"janus": "set_session_timeout", "timeout": 1})
	ended(other)
	spared.must(m{"janus": "keepalive", "session_id": spared.session})
	if r := k.ask(m{"janus": "get_status"}); r.Number("status", "session_timeout") != 1 {
		t.Errorf("get_status: %s", r)
	}
}

// Sessions of all nodes are listed; one that an administrator ends is gone, its client hears so when it asks.
func TestSessionsOfAll(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.media("first")
	c.media("second")
	c.node("another")
	c.settle(2)
	k := c.administrate(t)
	var want []uint64
	callers := map[uint64]*call{}
	for range 8 {
		caller := c.call(t)
		want = append(want, caller.session)
		callers[caller.session] = caller
	}
	slices.Sort(want)
	list := func() string { return string(k.ask(m{"janus": "list_sessions"}).Get("sessions")) }
	if got := list(); got != strings.ReplaceAll(fmt.Sprint(want), " ", ",") {
		t.Errorf("sessions %s, want %v", got, want)
	}
	for _, id := range want {
		for _, handle := range []uint64{callers[id].used, callers[id].idle} {
			r := k.ask(m{"janus": "handle_info", "session_id": id, "handle_id": handle})
			if r.Number("handle_id") != handle || r.Number("info", "handle_id") != handle || r.Number("info", "session_id") != id {
				t.Errorf("handle_info: %s", r)
			}
		}
	}
	if r := k.ask(m{"janus": "hangup_webrtc", "session_id": want[0], "handle_id": callers[want[0]].used}); r.Janus != "success" {
		t.Errorf("hangup_webrtc: %s", r)
	}
	if r := k.ask(m{"janus": "destroy_session", "session_id": want[0]}); r.Janus != "success" {
		t.Errorf("destroy_session: %s", r)
	}
	if got := list(); strings.Contains(got, fmt.Sprint(want[0])) {
		t.Errorf("an ended session is listed: %s", got)
	}
	if r := callers[want[0]].try(m{"janus": "keepalive", "session_id": want[0]}); r.Error == nil || r.Error.Code != 458 {
		t.Errorf("keepalive: %s", r)
	}
}

// A handle that an administrator detaches tells its client so, used or not.
func TestDetachTellsTheClient(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.media("media")
	k, caller := c.administrate(t), c.call(t)
	for _, handle := range []uint64{caller.used, caller.idle} {
		if r := k.ask(m{"janus": "detach_handle", "session_id": caller.session, "handle_id": handle}); r.Janus != "success" {
			t.Fatalf("detach_handle: %s", r)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := caller.Next(ctx, func(m lab.Message) bool { return m.Janus == "detached" && m.Handle == handle })
		cancel()
		check(t, err)
	}
	if r := k.ask(m{"janus": "list_handles", "session_id": caller.session}); string(r.Get("handles")) != "[]" {
		t.Errorf("handles left: %s", r)
	}
}

// Neither the cluster's secret nor that of its Janus is ever logged, nor what an administrator tried for one.
func TestSecretsAreNotLogged(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.media("media")
	k, caller := c.administrate(t), c.call(t)
	for _, verb := range []string{"list_sessions", "set_log_level", "handle_info", "resolve_address", "nonsense"} {
		for _, given := range []string{secret, "wrong-but-secret"} {
			k.ask(m{"janus": verb, "admin_secret": given})
			k.ask(m{"janus": verb, "admin_secret": given, "session_id": caller.session, "handle_id": caller.used, "level": 4, "address": "x.invalid"})
			c.post(t, "POST", "/admin", fmt.Sprintf(`{"janus":%q,"admin_secret":%q,"transaction":`, verb, given))
		}
	}
	for _, text := range []string{secret, ownSecret, "wrong-but-secret"} {
		if strings.Contains(c.logged.String(), text) {
			t.Errorf("%q was logged", text)
		}
	}
}

// Tokens that an administrator adds let clients in, and those that were removed do not.
func TestTokens(t *testing.T) {
	t.Parallel()
	c := newCluster(t, func(o *edge.Options) { o.TokenAuth = true })
	c.media("media")
	k := c.administrate(t)
	client, err := lab.Dial(t.Context(), c.api)
	check(t, err)
	t.Cleanup(func() { _ = client.Close() })
	caller := &call{Client: client, t: t}
	create := m{"janus": "create", "token": "let-me-in"}
	if r := caller.try(create); r.Error == nil || r.Error.Code != 403 {
		t.Errorf("before: %s", r)
	}
	if r := k.ask(m{"janus": "add_token", "token": "let-me-in", "plugins": []string{echotest, "janus.plugin.nonesuch"}}); string(r.Get("data", "plugins")) != `["`+echotest+`"]` {
		t.Errorf("add_token: %s", r)
	}
	session := caller.must(create).Number("data", "id")
	attach := m{"janus": "attach", "session_id": session, "plugin": echotest, "token": "let-me-in"}
	caller.must(attach)
	if r := k.ask(m{"janus": "allow_token", "token": "let-me-in", "plugins": []string{"janus.plugin.videoroom"}}); r.Error != nil {
		t.Errorf("allow_token: %s", r)
	}
	if r := k.ask(m{"janus": "disallow_token", "token": "let-me-in", "plugins": []string{echotest}}); string(r.Get("data", "plugins")) != `["janus.plugin.videoroom"]` {
		t.Errorf("disallow_token: %s", r)
	}
	if r := caller.try(attach); r.Error == nil || r.Error.Code != 405 {
		t.Errorf("attach without access: %s", r)
	}
	if r := k.ask(m{"janus": "list_tokens"}); string(r.Get("data", "tokens")) != `[{"token":"let-me-in","allowed_plugins":["janus.plugin.videoroom"]}]` {
		t.Errorf("list_tokens: %s", r)
	}
	for verb, code := range map[string]int{"allow_token": 470, "remove_token": 490} {
		if r := k.ask(m{"janus": verb, "token": "nobody's", "plugins": []string{echotest}}); r.Error == nil || r.Error.Code != code {
			t.Errorf("%s: %s", verb, r)
		}
	}
	if r := k.ask(m{"janus": "remove_token", "token": "let-me-in"}); r.Error != nil {
		t.Errorf("remove_token: %s", r)
	}
	if r := caller.try(create); r.Error == nil || r.Error.Code != 403 {
		t.Errorf("after: %s", r)
	}
	if r := k.ask(m{"janus": "get_status"}); string(r.Get("status", "token_auth")) != "true" {
		t.Errorf("get_status: %s", r)
	}
	if strings.Contains(c.logged.String(), "let-me-in") {
		t.Error("a token was logged")
	}
}
