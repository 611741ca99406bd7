// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/scripts/lab"
)

// change is an admin request about tokens.
type change struct {
	verb, token string
	plugins     []any // as in the request; nil: none there
}

// changes are made one after the other.
func changes() []change {
	plugins := func(names ...any) []any { return append([]any{}, names...) }
	return []change{
		{"remove_token", "a", nil}, {"allow_token", "a", plugins(echotest)}, {"disallow_token", "a", plugins(echotest)},
		{"add_token", "a", nil}, {"add_token", "a", plugins(echotest)}, {"disallow_token", "a", plugins(echotest, videoroom)},
		{"add_token", "b", plugins(videoroom)}, {"add_token", "b", plugins(echotest, videoroom, echotest)},
		{"add_token", "c", plugins("no.such.plugin", 5, echotest)}, {"add_token", "d", plugins(nil, "none")},
		{"add_token", "e", plugins()}, {"add_token", "b", nil}, {"allow_token", "c", plugins()}, {"allow_token", "c", nil},
		{"allow_token", "c", plugins("none")}, {"allow_token", "c", plugins(videoroom, 5)}, {"allow_token", "d", plugins(videoroom)},
		{"allow_token", "x", plugins("none")}, {"disallow_token", "c", plugins("none")}, {"disallow_token", "c", plugins(videoroom)},
		{"disallow_token", "c", plugins(echotest)}, {"allow_token", "c", plugins(videoroom, echotest, videoroom)},
		{"remove_token", "b", nil}, {"remove_token", "b", nil}, {"add_token", "b", plugins(echotest)},
		{"add_token", "odd >*.\u00e4 \"token\"", plugins(echotest)}, {"remove_token", "a", nil}, {"add_token", "", plugins(echotest)},
	}
}

// outcome is what an admin request about tokens leads to: the plugins, sorted, or the error; and all tokens afterwards.
type outcome struct {
	allowed string
	list    string
}

// TestVerbsAreJanus makes changes to the tokens of a real Janus and to ours.
func TestVerbsAreJanus(t *testing.T) {
	janus := lab.Janus(t, func(c *lab.JanusConfig) { c.TokenAuth, c.AdminSecret = true, "admin" })
	admin := must[*lab.Client](t)(lab.DialAs(testContext(t), janus.Config.AdminWSURL(), "janus-admin-protocol"))
	t.Cleanup(func() { _ = admin.Close() })
	m := join(t, startNATS(t, t.TempDir(), 0).ClientURL(), "e1")
	serve(t, []*member{m}, pluginsOf(t, janus)...)
	for i, c := range changes() {
		want, got := c.ofJanus(t, admin), c.ofOurs(t, m.Tokens)
		if want != got {
			t.Errorf("%d, %+v:\nJanus says %+v\nwe say     %+v", i, c, want, got)
		}
	}
	for _, token := range []string{"a", "b", "c"} {
		if log := m.log.String(); strings.Contains(log, `"`+token+`"`) || strings.Contains(log, "odd") {
			t.Errorf("a token stands in the log:\n%s", log)
		}
	}
}

func pluginsOf(t *testing.T, janus *lab.JanusServer) (names []string) {
	t.Helper()
	c := must[*lab.Client](t)(lab.Dial(testContext(t), janus.WSURL()))
	defer func() { _ = c.Close() }()
	info := must[lab.Message](t)(c.Request(testContext(t), map[string]any{"janus": "info"}))
	var plugins map[string]any
	if err := json.Unmarshal(info.Get("plugins"), &plugins); err != nil {
		t.Fatal(err)
	}
	for name := range plugins {
		names = append(names, name)
	}
	return names
}

func (c change) ofJanus(t *testing.T, admin *lab.Client) (o outcome) {
	t.Helper()
	ask := func(fields map[string]any) lab.Message {
		fields["admin_secret"] = "admin"
		return must[lab.Message](t)(admin.Request(testContext(t), fields))
	}
	request := map[string]any{"janus": c.verb, "token": c.token}
	if c.plugins != nil {
		request["plugins"] = c.plugins
	}
	m := ask(request)
	if m.Error != nil {
		o.allowed = fmt.Sprint(m.Error.Code, " ", m.Error.Reason)
	} else {
		o.allowed = sorted(t, m.Get("data", "plugins"))
	}
	var list []struct {
		Token   string          `json:"token"`
		Allowed json.RawMessage `json:"allowed_plugins"`
	}
	if err := json.Unmarshal(ask(map[string]any{"janus": "list_tokens"}).Get("data", "tokens"), &list); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, l := range list {
		all = append(all, fmt.Sprintf("%q: %s", l.Token, sorted(t, l.Allowed)))
	}
	slices.Sort(all)
	o.list = strings.Join(all, "; ")
	return o
}

// sorted is a JSON list of names in order: Janus tells all plugins in the order of their hashes.
func sorted(t *testing.T, list json.RawMessage) string {
	t.Helper()
	var names []string
	if len(list) > 0 {
		if err := json.Unmarshal(list, &names); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func (c change) ofOurs(t *testing.T, tokens *Tokens) (o outcome) {
	t.Helper()
	ctx := testContext(t)
	var names []string
	for _, p := range c.plugins {
		name, _ := p.(string)
		names = append(names, name)
	}
	var allowed []string
	var err error
	switch c.verb {
	case "add_token":
		allowed, err = tokens.Add(ctx, c.token, names)
	case "allow_token":
		allowed, err = tokens.Allow(ctx, c.token, names)
	case "disallow_token":
		allowed, err = tokens.Disallow(ctx, c.token, names)
	default:
		err = tokens.Remove(ctx, c.token)
	}
	var janus *messages.Error
	switch {
	case errors.As(err, &janus):
		o.allowed = fmt.Sprint(int(janus.Code), " ", janus.Reason)
	case err != nil:
		t.Fatal(err)
	default:
		slices.Sort(allowed)
		o.allowed = strings.Join(allowed, " ")
	}
	list := must[[]Listed](t)(tokens.List())
	var all []string
	for _, l := range list {
		slices.Sort(l.Plugins)
		all = append(all, fmt.Sprintf("%q: %s", l.Token, strings.Join(l.Plugins, " ")))
	}
	slices.Sort(all)
	o.list = strings.Join(all, "; ")
	return o
}

// TestSwitchedOff is a server without stored tokens.
func TestSwitchedOff(t *testing.T) {
	var off *Tokens
	ctx := context.Background()
	_, add := off.Add(ctx, "a", nil)
	_, allow := off.Allow(ctx, "a", nil)
	_, disallow := off.Disallow(ctx, "a", nil)
	_, list := off.List()
	for _, err := range []error{add, allow, disallow, off.Remove(ctx, "a"), list} {
		if !reflect.DeepEqual(err, error(messages.Errorf(490, "Stored-Token based authentication disabled"))) {
			t.Error(err)
		}
	}
}

// TestChangesAreEverywhere makes changes at one edge, which are in force at the others when they return.
func TestChangesAreEverywhere(t *testing.T) {
	ctx := testContext(t)
	nats := startNATS(t, t.TempDir(), 0).ClientURL()
	edges := []*member{join(t, nats, "e1"), join(t, nats, "e2"), join(t, nats, "e3")}
	meet(t, edges...)
	serve(t, edges, echotest, videoroom)
	check := func(what string, valid, allows bool) {
		t.Helper()
		for i, e := range edges {
			expect(t, fmt.Sprint(what, " at ", i, ": valid"), e.valid([]byte("a")), valid)
			expect(t, fmt.Sprint(what, " at ", i, ": allows"), e.allows([]byte("a"), echotest), allows)
		}
	}
	for i := range 20 {
		from := edges[i%len(edges)].Tokens
		must[[]string](t)(from.Add(ctx, "a", nil))
		check("added", true, true)
		must[[]string](t)(edges[(i+1)%len(edges)].Disallow(ctx, "a", []string{echotest}))
		check("disallowed", true, false)
		must[[]string](t)(from.Allow(ctx, "a", []string{echotest}))
		check("allowed", true, true)
		if err := edges[(i+2)%len(edges)].Remove(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		check("removed", false, false)
	}
	must[[]string](t)(edges[0].Add(ctx, "b", []string{echotest}))
	late := join(t, nats, "e4")
	expect(t, "an edge that comes later", late.allows([]byte("b"), echotest), true)
	expect(t, "revision there", late.Revision(), edges[0].Revision())
}

// TestSilentEdge is an edge that is heard and does not see changes: the others do not wait for it for ever.
func TestSilentEdge(t *testing.T) {
	ctx := testContext(t)
	nats := startNATS(t, t.TempDir(), 0).ClientURL()
	e := join(t, nats, "e1")
	stuck := connect(t, nats)
	stuck.Tokens = &Tokens{opts: Options{Bus: stuck.bus, Roster: stuck.roster}}
	stuck.beat("stuck")
	t.Cleanup(stuck.beater.Stop)
	meet(t, e, stuck)
	must[[]string](t)(e.Add(ctx, "a", nil))
	expect(t, "valid", e.valid([]byte("a")), true)
	if log := e.log.String(); !strings.Contains(log, "stuck") {
		t.Errorf("log: %s", log)
	}
}

// TestAtOnce has several edges change the same token at the same time: no change is lost.
func TestAtOnce(t *testing.T) {
	t.Run("one server", func(t *testing.T) { changeAtOnce(t, startNATS(t, t.TempDir(), 0).ClientURL(), 1) })
	t.Run("three servers", func(t *testing.T) {
		cluster := lab.NATS(t, 3)
		cluster.WaitReady(t)
		changeAtOnce(t, cluster.URL(), 3)
	})
}

func changeAtOnce(t *testing.T, nats string, copies int) {
	ctx := testContext(t)
	edges := []*member{join(t, nats, "e1"), join(t, nats, "e2")}
	meet(t, edges...)
	var plugins []string
	for i := range 10 {
		plugins = append(plugins, fmt.Sprint("p", i))
	}
	serve(t, edges, plugins...)
	failures := make(chan error, len(plugins))
	for i, p := range plugins {
		go func() {
			_, err := edges[i%2].Add(ctx, "a", []string{p})
			failures <- err
		}()
	}
	for range plugins {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
	for _, p := range plugins {
		expect(t, p, edges[0].allows([]byte("a"), p), true)
	}
	s := must[jetstream.Stream](t)(edges[0].js.Stream(ctx, stream))
	expect(t, "copies", s.CachedInfo().Config.Replicas, copies)
}

// TestJetStreamAway is NATS that ends: tokens stay good, changes fail, and all goes on when it is back, even what was changed
// meanwhile by somebody else.
func TestJetStreamAway(t *testing.T) {
	ctx := testContext(t)
	folder := t.TempDir()
	server := startNATS(t, folder, 0)
	u := must[*url.URL](t)(url.Parse(server.ClientURL()))
	port := must[int](t)(strconv.Atoi(u.Port()))
	e1, e2 := join(t, u.String(), "e1"), join(t, u.String(), "e2")
	for _, e := range []*member{e1, e2} {
		e.bus.OnState(func(connected bool) {
			if connected {
				e.Refresh()
			}
		})
	}
	meet(t, e1, e2)
	must[[]string](t)(e1.Add(ctx, "a", nil))
	must[[]string](t)(e1.Add(ctx, "b", nil))
	server.Shutdown()
	lab.WaitFor(t, patience, func() string {
		if e1.bus.Connected() {
			return "still connected"
		}
		return ""
	})
	if _, err := e1.Add(ctx, "c", nil); err == nil {
		t.Error("a change without NATS succeeded")
	}
	expect(t, "valid meanwhile", e1.valid([]byte("a")), true)
	startNATS(t, folder, port)
	lab.WaitFor(t, 2*patience, func() string {
		if err := e2.Remove(ctx, "b"); err != nil {
			return err.Error()
		}
		return ""
	})
	lab.WaitFor(t, patience, func() string {
		if e1.valid([]byte("b")) {
			return "removed token is still good"
		}
		return ""
	})
	expect(t, "valid afterwards", e1.valid([]byte("a")), true)
}

// TestLeaderDies kills the server that leads the bucket: tokens stay good, and changes go on.
func TestLeaderDies(t *testing.T) {
	ctx := testContext(t)
	cluster := lab.NATS(t, 3)
	cluster.WaitReady(t)
	e1, e2 := join(t, cluster.URL(), "e1"), join(t, cluster.URL(), "e2")
	meet(t, e1, e2)
	must[[]string](t)(e1.Add(ctx, "a", nil))
	s := must[jetstream.Stream](t)(e1.js.Stream(ctx, stream))
	leader := s.CachedInfo().Cluster.Leader
	for _, server := range cluster.Servers {
		if server.Name == leader {
			server.Kill()
		}
	}
	expect(t, "valid meanwhile", e1.valid([]byte("a")) && e2.valid([]byte("a")), true)
	lab.WaitFor(t, 2*patience, func() string {
		if _, err := e2.Add(ctx, "b", nil); err != nil {
			return err.Error()
		}
		return ""
	})
	lab.WaitFor(t, patience, func() string {
		if !e1.valid([]byte("b")) || !e2.valid([]byte("b")) {
			return "a change is not in force"
		}
		return ""
	})
	if err := e1.Remove(ctx, "a"); err != nil {
		t.Error(err)
	}
	expect(t, "removed at the other", e2.valid([]byte("a")), false)
}

// TestOpenEnds is an edge that is told to stop while it waits for the tokens.
func TestOpenEnds(t *testing.T) {
	nats := startNATS(t, t.TempDir(), 0)
	e := join(t, nats.ClientURL(), "e1")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Open(ctx, e.opts); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestLag is an edge that finds others ahead of it: it reads the bucket anew.
func TestLag(t *testing.T) {
	nats := startNATS(t, t.TempDir(), 0).ClientURL()
	e := join(t, nats, "e1")
	ahead := connect(t, nats)
	ahead.Tokens = &Tokens{opts: Options{Bus: ahead.bus, Roster: ahead.roster}}
	ahead.table.replace(nil, 1000)
	ahead.beat("ahead")
	t.Cleanup(ahead.beater.Stop)
	lab.WaitFor(t, patience, func() string {
		if !strings.Contains(e.log.String(), errBehind.Error()) {
			return "not noticed"
		}
		return ""
	})
}

func FuzzRecord(f *testing.F) {
	for _, r := range []string{`{"token":"a"}`, `{"token":"a","all":true}`, `{"token":"a","plugins":["x"]}`, `{}`, `null`, `[]`, `{"token":5}`, ``} {
		f.Add(r)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseRecord(keyOf([]byte("a")), []byte(text))
		if err == nil && r.Token != "a" {
			t.Errorf("%q was taken for another token's record", text)
		}
	})
}
