// SPDX-License-Identifier: Apache-2.0

package administration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/januscloud/januscloud/edge"
	"github.com/januscloud/januscloud/scripts/lab"
)

// pair is the two systems, each with an administrator and a client: a Janus, and a cluster with two of the same version.
type pair struct {
	t         *testing.T
	janus     *talk
	cluster   *talk
	ofJanus   *call
	ofCluster *call
}

// versions are the Janus that clusters are made of here, and compared with.
func versions(t *testing.T) map[string]changes {
	return map[string]changes{"Debian 12": nil, "Debian 14": {lab.Forky(t)}}
}

// withPairs runs a test with each version of Janus, over each transport of the Admin API.
func withPairs(t *testing.T, test func(p *pair), more ...func(*edge.Options)) {
	t.Parallel()
	for name, version := range versions(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, version, more...)
			for _, overHTTP := range []bool{false, true} {
				p.janus.overHTTP, p.cluster.overHTTP = overHTTP, overHTTP
				p.ofJanus, p.ofCluster = p.janus.call(t), p.cluster.call(t)
				test(p)
				p.ofJanus.end()
				p.ofCluster.end()
			}
		})
	}
}

func newPair(t *testing.T, version changes, more ...func(*edge.Options)) *pair {
	t.Helper()
	c := newCluster(t, more...)
	c.janus = version
	c.media("first")
	c.media("second")
	ofJanus := version
	if tokens := (edge.Options{}); len(more) > 0 {
		more[0](&tokens)
		ofJanus = append(changes{func(c *lab.JanusConfig) { c.TokenAuth, c.APISecret = tokens.TokenAuth, tokens.APISecret }}, version...)
	}
	return &pair{t: t, janus: alone(t, ofJanus).administrate(t), cluster: c.administrate(t)}
}

// end lets a client go: its session is destroyed if it is there.
func (k *call) end() {
	k.t.Helper()
	k.try(m{"janus": "destroy", "session_id": k.session, "apisecret": apiSecret})
	_ = k.Close()
}

func (k *call) words() map[uint64]string {
	return map[uint64]string{k.session: "SESSION", k.used: "USED", k.idle: "IDLE"}
}

// both asks both systems the same; the ids are those of the named session and handle.
func (p *pair) both(fields map[string]any) (want, got any) {
	p.t.Helper()
	one := func(k *talk, c *call) any {
		request := map[string]any{}
		for name, value := range fields {
			switch value {
			case "SESSION":
				value = c.session
			case "USED":
				value = c.used
			case "IDLE":
				value = c.idle
			}
			request[name] = value
		}
		if request["admin_secret"] == "NONE" {
			request["admin_secret"] = nil // which JSON has, and Janus takes for none
		}
		if request["transaction"] == nil {
			request["transaction"] = "t" + k.next()
		}
		m := k.ask(request)
		words := c.words()
		return bare(normalise(m.Raw, words))
	}
	return one(p.janus, p.ofJanus), one(p.cluster, p.ofCluster)
}

// bare is an answer without what differs each time: the transaction, and the name that each Janus has.
func bare(v any) any {
	if o, ok := v.(map[string]any); ok {
		delete(o, "transaction")
		delete(o, "server-name")
		sortLists(o)
	}
	return v
}

// sortLists puts lists in order that Janus has in that of a hash table.
func sortLists(v any) {
	o, _ := v.(map[string]any)
	for name, value := range o {
		switch name {
		case "sessions", "handles", "plugins", "allowed_plugins", "tokens", "list":
			list, _ := value.([]any)
			for _, x := range list {
				sortLists(x)
			}
			slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		default:
			sortLists(value)
		}
	}
}

func (p *pair) equal(fields map[string]any) {
	p.t.Helper()
	want, got := p.both(fields)
	p.same(fmt.Sprint(fields), want, got)
}

// soonEqual is equal for what a Janus does behind its answers, on threads of its handles: it is asked until it is done.
func (p *pair) soonEqual(fields map[string]any) {
	p.t.Helper()
	eventually(p.t, fmt.Sprint(fields), func() error {
		want, got := p.both(fields)
		if all := differences("", want, got); all != nil {
			return errors.New(strings.Join(all, "\n"))
		}
		return nil
	})
}

// same reports where two answers differ.
func (p *pair) same(what string, want, got any) {
	p.t.Helper()
	for _, d := range differences("", want, got) {
		p.t.Errorf("%s:%s", what, d)
	}
}

// differences are the places where two values differ.
func differences(at string, want, got any) (all []string) {
	a, isObject := want.(map[string]any)
	b, too := got.(map[string]any)
	if !isObject || !too {
		if !reflect.DeepEqual(want, got) {
			return []string{fmt.Sprintf(" %s: Janus has %v, the cluster %v", at, want, got)}
		}
		return nil
	}
	for name := range a {
		all = append(all, differences(at+"."+name, a[name], b[name])...)
	}
	for name := range b {
		if _, has := a[name]; !has {
			all = append(all, differences(at+"."+name, nil, b[name])...)
		}
	}
	return all
}

type m = map[string]any

// Every reply that the cluster makes equals that of a Janus, but for ids and times.
func TestAnswersLikeJanus(t *testing.T) {
	withPairs(t, answersLikeJanus)
}

func answersLikeJanus(p *pair) {
	for _, verb := range []string{"ping", "info", "PING", "get_status", "list_sessions", "loops_info", "list_tokens", "add_token", "remove_token", "allow_token",
		"disallow_token", "nonsense", "handle_info", "list_handles", "", "create", "start_pcap", "message_plugin", "query_transport",
		"query_eventhandler", "query_logger", "custom_event", "custom_logline", "resolve_address", "test_stun", "set_session_timeout",
		"set_log_level", "set_locking_debug", "set_refcount_debug", "set_log_timestamps", "set_log_colors", "set_libnice_debug",
		"set_min_nack_queue", "set_nack_optimizations", "set_no_media_timer", "set_slowlink_threshold", "accept_new_sessions"} {
		p.equal(m{"janus": verb})
		p.equal(m{"janus": verb, "admin_secret": "wrong"})
		p.equal(m{"janus": verb, "admin_secret": 5})
		p.equal(m{"janus": verb, "admin_secret": "NONE"})
		p.equal(m{"janus": verb, "session_id": 5})
		p.equal(m{"janus": verb, "session_id": "SESSION", "handle_id": 77})
		p.equal(m{"janus": verb, "session_id": "SESSION", "handle_id": 0})
		p.equal(m{"janus": verb, "handle_id": 77})
		p.equal(m{"janus": verb, "session_id": "SESSION", "admin_secret": "wrong"})
	}
	for _, verb := range []string{"list_handles", "nonsense", "message_plugin", "set_session_timeout", "LIST_handles"} {
		p.equal(m{"janus": verb, "session_id": "SESSION"})
	}
	for _, handle := range []string{"USED", "IDLE"} {
		for _, verb := range []string{"nonsense", "list_handles", "stop_pcap", "stop_text2pcap", "hangup_webrtc", "destroy_session"} {
			p.equal(m{"janus": verb, "session_id": "SESSION", "handle_id": handle})
		}
		p.equal(m{"janus": "handle_info", "session_id": "SESSION", "handle_id": handle, "plugin_only": 5})
		p.equal(m{"janus": "start_pcap", "session_id": "SESSION", "handle_id": handle, "truncate": -1})
		p.equal(m{"janus": "start_pcap", "session_id": "SESSION", "handle_id": handle, "folder": 5})
	}
}

// Settings answer alike, hold at once, and are refused alike.
func TestSettingsLikeJanus(t *testing.T) {
	withPairs(t, settingsLikeJanus)
}

func settingsLikeJanus(p *pair) {
	for _, x := range []struct {
		verb, field string
		values      []any
	}{
		{"set_session_timeout", "timeout", []any{30, 0, -1, "x", 1.5, 4294967295, 60}},
		{"set_log_level", "level", []any{5, 0, 7, 8, -1, "x", 4}},
		{"set_locking_debug", "debug", []any{true, false, 1}},
		{"set_refcount_debug", "debug", []any{true, false, "true"}},
		{"set_log_timestamps", "timestamps", []any{true, false, nil}},
		{"set_log_colors", "colors", []any{true, false, 0}},
		{"set_libnice_debug", "debug", []any{true, false, m{}}},
		{"set_min_nack_queue", "min_nack_queue", []any{100, 1000, -1, 200}},
		{"set_nack_optimizations", "nack_optimizations", []any{true, false, "x"}},
		{"set_no_media_timer", "no_media_timer", []any{5, 0, -5, 1}},
		{"set_slowlink_threshold", "slowlink_threshold", []any{7, 0, -7, 4}},
		{"accept_new_sessions", "accept", []any{false, "x", true}},
	} {
		for _, value := range x.values {
			p.equal(m{"janus": x.verb, x.field: value})
			p.equal(m{"janus": "get_status"})
			p.equal(m{"janus": "info"})
		}
	}
	p.equal(m{"janus": "set_session_timeout", "session_id": "SESSION", "timeout": 50})
	p.equal(m{"janus": "set_session_timeout", "session_id": "SESSION", "timeout": -2})
	p.equal(m{"janus": "set_session_timeout", "session_id": "SESSION", "timeout": "x"})
	p.equal(m{"janus": "handle_info", "session_id": "SESSION", "handle_id": "USED"})
	p.equal(m{"janus": "set_session_timeout", "session_id": "SESSION", "timeout": -1})
	p.equal(m{"janus": "handle_info", "session_id": "SESSION", "handle_id": "USED"})
}

// What a Janus does for the administrator, the right Janus of the cluster does, too.
func TestWorkLikeJanus(t *testing.T) {
	withPairs(t, workLikeJanus)
}

func workLikeJanus(p *pair) {
	t, folder := p.t, p.t.TempDir()
	p.equal(m{"janus": "message_plugin", "plugin": "janus.plugin.nonesuch"})
	p.equal(m{"janus": "message_plugin", "plugin": echotest, "request": m{}})
	p.equal(m{"janus": "message_plugin", "plugin": "janus.plugin.videoroom", "request": m{"request": "list"}})
	p.equal(m{"janus": "message_plugin", "plugin": "janus.plugin.videoroom", "request": m{"request": "exists", "room": 99}})
	p.equal(m{"janus": "message_plugin", "plugin": "janus.plugin.videoroom"})
	p.equal(m{"janus": "message_plugin", "plugin": 5})
	p.equal(m{"janus": "message_plugin", "plugin": echotest, "request": 5})
	p.equal(m{"janus": "query_transport", "transport": "janus.transport.nonesuch"})
	p.equal(m{"janus": "query_transport", "transport": 5})
	p.equal(m{"janus": "query_eventhandler", "handler": "janus.eventhandler.nonesuch"})
	p.equal(m{"janus": "query_logger", "logger": "janus.logger.nonesuch"})
	p.equal(m{"janus": "custom_event", "schema": "s", "data": m{"a": 1}})
	p.equal(m{"janus": "custom_event", "schema": "s", "data": 5})
	p.equal(m{"janus": "custom_logline", "line": "said by an administrator"})
	p.equal(m{"janus": "custom_logline", "line": "said by an administrator", "level": 99})
	p.equal(m{"janus": "custom_logline", "line": "x", "level": -1})
	p.equal(m{"janus": "resolve_address", "address": "127.0.0.1"})
	p.equal(m{"janus": "resolve_address", "address": "nowhere.invalid"})
	p.equal(m{"janus": "resolve_address", "address": 5})
	p.equal(m{"janus": "test_stun", "address": "nowhere.invalid", "port": 3478})
	p.equal(m{"janus": "test_stun", "address": "127.0.0.1", "port": -1})
	p.equal(m{"janus": "test_stun", "address": "127.0.0.1", "port": "x"})
	p.equal(m{"janus": "test_stun", "address": "127.0.0.1", "port": 9, "localport": -1})
	p.equal(m{"janus": "loops_info"})
	p.equal(m{"janus": "handle_info", "session_id": "SESSION", "handle_id": "USED"})
	p.equal(m{"janus": "handle_info", "session_id": "SESSION", "handle_id": "USED", "plugin_only": true})
	for _, verb := range []string{"pcap", "text2pcap"} {
		start := m{"janus": "start_" + verb, "session_id": "SESSION", "handle_id": "USED", "folder": folder, "filename": "dump"}
		p.equal(start)
		p.equal(start)
		p.equal(m{"janus": "handle_info", "session_id": "SESSION", "handle_id": "USED"})
		p.equal(m{"janus": "stop_" + verb, "session_id": "SESSION", "handle_id": "USED"})
		p.equal(m{"janus": "stop_" + verb, "session_id": "SESSION", "handle_id": "USED"})
	}
	p.equal(m{"janus": "list_handles", "session_id": "SESSION"})
	p.equal(m{"janus": "detach_handle", "session_id": "SESSION", "handle_id": "IDLE"})
	p.equal(m{"janus": "list_handles", "session_id": "SESSION"})
	p.equal(m{"janus": "detach_handle", "session_id": "SESSION", "handle_id": "USED"})
	eventually(t, "the handle is gone from both", func() error {
		want, got := p.both(m{"janus": "list_handles", "session_id": "SESSION"})
		if !reflect.DeepEqual(want, got) {
			return fmt.Errorf("%v and %v", want, got)
		}
		return nil
	})
	p.equal(m{"janus": "destroy_session", "session_id": "SESSION"})
	p.equal(m{"janus": "destroy_session", "session_id": "SESSION"})
	p.equal(m{"janus": "list_sessions"})
}

// A handle that was not used yet is one of Janus, too, for an administrator: he may look at it, capture it, hang it up.
func TestUnusedHandle(t *testing.T) {
	withPairs(t, func(p *pair) {
		idle := func(verb string, fields m) m {
			of := m{"janus": verb, "session_id": "SESSION", "handle_id": "IDLE"}
			maps.Copy(of, fields)
			return of
		}
		p.soonEqual(idle("handle_info", m{"plugin_only": true}))
		p.soonEqual(idle("handle_info", nil))
		for range 2 {
			p.ofJanus.idle, p.ofCluster.idle = p.ofJanus.attach(), p.ofCluster.attach()
			p.equal(idle("hangup_webrtc", nil))
			p.equal(idle("stop_pcap", nil))
			p.equal(idle("start_pcap", m{"folder": p.t.TempDir(), "filename": "dump"}))
			p.soonEqual(idle("handle_info", nil))
			p.equal(idle("stop_pcap", nil))
			p.equal(idle("detach_handle", nil))
			p.equal(idle("handle_info", nil))
		}
	})
}

// A handle of a room is not bound by a look at it: it looks like one of Janus, but for what its plugin would tell.
func TestUnboundHandle(t *testing.T) {
	withPairs(t, func(p *pair) {
		for _, k := range []*call{p.ofJanus, p.ofCluster} {
			k.idle = k.must(m{"janus": "attach", "session_id": k.session, "plugin": "janus.plugin.videoroom"}).Number("data", "id")
		}
		want, got := p.both(m{"janus": "handle_info", "session_id": "SESSION", "handle_id": "IDLE"})
		of := want.(m)["info"].(m)
		delete(of, "plugin_specific") // the plugin has not heard of the handle
		of["loop-running"] = false    // nor is there anything to run
		p.same("handle_info", want, got)
	})
}

// Stored tokens are added, changed, listed and removed as by Janus, and refused alike.
func TestTokensLikeJanus(t *testing.T) {
	withPairs(t, tokensLikeJanus, func(o *edge.Options) { o.TokenAuth, o.APISecret = true, apiSecret })
}

func tokensLikeJanus(p *pair) {
	const room = "janus.plugin.videoroom"
	for _, verb := range []string{"add_token", "allow_token", "disallow_token", "remove_token"} {
		for _, token := range []any{5, nil, m{}} {
			p.equal(m{"janus": verb, "token": token})
		}
		for _, plugins := range []any{"x", m{}, 5} {
			p.equal(m{"janus": verb, "token": "abc", "plugins": plugins})
		}
		p.equal(m{"janus": verb, "plugins": []any{echotest}})
		p.equal(m{"janus": verb, "token": "abc", "admin_secret": "wrong"})
		p.equal(m{"janus": "list_tokens"})
	}
	for _, x := range []m{
		{"janus": "add_token", "token": "one", "plugins": []any{echotest}},
		{"janus": "add_token", "token": "one", "plugins": []any{room, echotest}},
		{"janus": "add_token", "token": "odd", "plugins": []any{5, "janus.plugin.nonesuch", room, nil}},
		{"janus": "add_token", "token": "none", "plugins": []any{"janus.plugin.nonesuch"}},
		{"janus": "add_token", "token": "all"},
		{"janus": "add_token", "token": "all too", "plugins": []any{}},
		{"janus": "add_token", "token": ""},
		{"janus": "remove_token", "token": ""},
		{"janus": "allow_token", "token": "one", "plugins": []any{}},
		{"janus": "allow_token", "token": "one"},
		{"janus": "allow_token", "token": "nobody's", "plugins": []any{echotest}},
		{"janus": "allow_token", "token": "one", "plugins": []any{5}},
		{"janus": "allow_token", "token": "one", "plugins": []any{echotest, "janus.plugin.nonesuch"}},
		{"janus": "allow_token", "token": "none", "plugins": []any{echotest}},
		{"janus": "disallow_token", "token": "one", "plugins": []any{echotest}},
		{"janus": "disallow_token", "token": "one", "plugins": []any{echotest}},
		{"janus": "disallow_token", "token": "one", "plugins": []any{"janus.plugin.nonesuch"}},
		{"janus": "disallow_token", "token": "nobody's", "plugins": []any{echotest}},
		{"janus": "disallow_token", "token": "all", "plugins": []any{room}},
		{"janus": "remove_token", "token": "nobody's"},
		{"janus": "REMOVE_token", "token": "odd"},
		{"janus": "remove_token", "token": "odd"},
	} {
		p.equal(x)
		p.equal(m{"janus": "list_tokens"})
		p.admitted()
	}
	for _, token := range []string{"one", "none", "all", "all too"} {
		p.equal(m{"janus": "remove_token", "token": token})
	}
	p.equal(m{"janus": "list_tokens"})
	p.equal(m{"janus": "get_status"})
	p.admitted()
}

// admitted compares what clients with these tokens are allowed.
func (p *pair) admitted() {
	p.t.Helper()
	for _, token := range []string{"one", "odd", "none", "all", "all too", "abc", ""} {
		said := func(k *call) string {
			words := ""
			for _, plugin := range []string{echotest, "janus.plugin.videoroom"} {
				r := k.try(m{"janus": "attach", "session_id": k.session, "plugin": plugin, "token": token})
				if words += " " + r.Janus; r.Error != nil {
					words += " " + r.Error.Error()
				}
			}
			return words
		}
		if want, got := said(p.ofJanus), said(p.ofCluster); want != got {
			p.t.Errorf("token %q: Janus says %s, the cluster %s", token, want, got)
		}
	}
}

// The transports of an edge answer queries as those of Janus, but for the numbers.
func TestQueryTransport(t *testing.T) {
	withPairs(t, func(p *pair) {
		for _, transport := range []string{"janus.transport.http", "janus.transport.websockets"} {
			for _, query := range []any{
				"NONE", m{}, 5, m{"request": 5}, m{"request": "nonsense"}, m{"request": "Configure"}, m{"request": "configure", "events": false},
				m{"request": "configure", "events": true}, m{"request": "configure", "events": true, "json": "odd"}, m{"request": "configure", "events": 5},
				m{"request": "configure", "json": "Compact"}, m{"request": "configure", "json": 5}, m{"request": "configure", "logging": "none"},
				m{"request": "configure", "logging": 5}, m{"request": "configure", "json": "indented", "events": false},
			} {
				request := m{"janus": "query_transport", "transport": transport, "request": query}
				if query == "NONE" {
					delete(request, "request")
				}
				p.equal(request)
			}
			counts := m{"janus": "query_transport", "transport": transport, "request": m{"request": "connections"}}
			want, got := p.both(counts)
			if names(want) != names(got) {
				p.t.Errorf("%s: Janus counts %v, the cluster %v", transport, want, got)
			}
		}
	})
}

// names are the keys of an object, and of those in it.
func names(v any) string {
	o, _ := v.(m)
	var all []string
	for name, value := range o {
		all = append(all, name+"{"+names(value)+"}")
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// Frames that are no good requests are answered alike over WebSocket.
func TestFramesLikeJanus(t *testing.T) {
	t.Parallel()
	for name, version := range versions(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, version)
			for _, frame := range []string{
				`{}`, `[]`, `nonsense`, `{"janus":"ping"}`, `{"janus":"list_sessions","admin_secret":"x"}`, `{"transaction":"t"}`,
				`{"transaction":5,"janus":"ping"}`, `{"transaction":"t","janus":5}`, `{"transaction":"t","janus":null}`, `{"transaction":"","janus":"ping"}`,
				`{"transaction":"t","janus":"list_handles","session_id":"5"}`, `{"transaction":"t","janus":"list_handles","session_id":-5}`,
				`{"janus":"ping","session_id":7}`, `{"transaction":"t","janus":"ping","session_id":7,"handle_id":8}`, `{"transaction":"t","janus":"ping","handle_id":8}`,
				`{"transaction":"t","janus":"ping","admin_secret":"x"}`, `{"transaction":"t","janus":"p\u0069ng"}`, `{"transaction":"t","janus":"a","janus":"ping"}`,
				`{"transaction":"t","janus":"list_handles","session_id":18446744073709551615}`, `{"transaction":"t","janus":"ping","session_id":0.5}`,
				`{"transaction":"t\u00e9\"","janus":"ping"}`, `{"transaction":"t","janus":"<&>"}`,
			} {
				one := func(k *talk) any {
					check(t, k.SendRaw(ws.OpText, []byte(frame)))
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					answer, err := k.Next(ctx, func(lab.Message) bool { return true })
					check(t, err)
					return normalise(answer.Raw, nil)
				}
				p.same(frame, one(p.janus), one(p.cluster))
			}
		})
	}
}

// What an administrator does to a client's handles, the client hears of as from Janus.
func TestClientHears(t *testing.T) {
	withPairs(t, func(p *pair) {
		for _, handle := range []string{"USED", "IDLE"} {
			for _, verb := range []string{"hangup_webrtc", "handle_info", "hangup_webrtc", "detach_handle"} {
				request := m{"janus": verb, "session_id": "SESSION", "handle_id": handle, "plugin_only": true}
				if want, got := p.both(request); want.(m)["janus"] != got.(m)["janus"] {
					p.t.Errorf("%v: Janus says %v, the cluster %v", request, want, got)
				}
			}
		}
		hears := func(k *call) (all []any) {
			ctx, cancel := context.WithTimeout(p.t.Context(), patience)
			defer cancel()
			for _, handle := range []uint64{k.used, k.idle} {
				_, err := k.Next(ctx, func(r lab.Message) bool { return r.Janus == "detached" && r.Handle == handle })
				check(p.t, err)
				for _, r := range k.Events(handle) {
					all = append(all, bare(normalise(r.Raw, k.words())))
				}
			}
			return all
		}
		want, got := hears(p.ofJanus), hears(p.ofCluster)
		if !reflect.DeepEqual(want, got) {
			p.t.Errorf("who was hung up and detached hears\n of Janus: %v\n of the cluster: %v", want, got)
		}
	})
}

// Over HTTP, paths and bodies are understood as by Janus.
func TestHTTPLikeJanus(t *testing.T) {
	withPairs(t, httpLikeJanus)
}

func httpLikeJanus(p *pair) {
	t := p.t
	for _, x := range []struct{ method, path, body string }{
		{"GET", "/admin/info", ""}, {"GET", "/admin/ping", ""}, {"POST", "/admin/ping", "{}"}, {"GET", "/admin/5/6/7", ""}, {"OPTIONS", "/admin", ""},
		{"OPTIONS", "/nowhere", ""}, {"POST", "/admin/info", `{"janus":"ping","transaction":"t"}`}, {"PATCH", "/nowhere", ""},
		{"POST", "/admin", `{"janus":"list_sessions","admin_secret":"SECRET"}`}, {"POST", "/admin", `{"transaction":"t"}`}, {"POST", "/admin", "{\"\xff\":1}"},
		{"POST", "/admin/SESSION/77", `{"janus":"handle_info","transaction":"t","admin_secret":"SECRET"}`},
		{"POST", "/admin//USED", `{"janus":"list_sessions","transaction":"t","admin_secret":"SECRET"}`},
		{"POST", "/admin/SESSION", `{"janus":"list_handles","transaction":"t","admin_secret":"wrong"}`},
		{"POST", "/admin/5", `{"janus":"list_handles","transaction":"t"}`},
		{"GET", "/admin", ""}, {"GET", "/admin/", ""}, {"GET", "/nowhere", ""}, {"POST", "/nowhere", "{}"}, {"PUT", "/admin", "{}"},
		{"DELETE", "/admin", ""}, {"POST", "/admin", ""}, {"POST", "/admin", "{"}, {"POST", "/admin", "[]"}, {"POST", "/admin", "{}"},
		{"POST", "/admin", `{"janus":"ping","transaction":"t"}`}, {"POST", "/admin/info", "{}"}, {"GET", "/admin/5", ""},
		{"POST", "/admin", `{"janus":"list_sessions","transaction":"t"}`}, {"POST", "/admin", `{"janus":5,"transaction":"t"}`},
		{"POST", "/admin", `{"janus":"list_sessions","transaction":"t","admin_secret":"SECRET"}`},
		{"POST", "/admin/SESSION", `{"janus":"list_handles","transaction":"t","admin_secret":"SECRET"}`},
		{"POST", "/admin/SESSION/USED", `{"janus":"handle_info","transaction":"t","admin_secret":"SECRET"}`},
		{"POST", "/admin/SESSION/USED/more", `{"janus":"handle_info","transaction":"t","admin_secret":"SECRET"}`},
		{"POST", "/admin/5", `{"janus":"list_handles","transaction":"t","admin_secret":"SECRET"}`},
		{"POST", "/admin/SESSION", `{"janus":"list_handles","session_id":6,"transaction":"t","admin_secret":"SECRET"}`},
		{"POST", "/admin/SESSION/USED", `{"janus":"handle_info","handle_id":6,"transaction":"t","admin_secret":"SECRET"}`},
		{"POST", "/admin", `{"janus":"list_handles","session_id":SESSION,"transaction":"t","admin_secret":"SECRET"}`},
		{"POST", "/admin/abc", `{"janus":"list_sessions","transaction":"t","admin_secret":"SECRET"}`},
	} {
		one := func(s system, c *call) any {
			fill := strings.NewReplacer("SESSION", fmt.Sprint(c.session), "USED", fmt.Sprint(c.used), "SECRET", s.secret)
			status, text := s.post(t, x.method, fill.Replace(x.path), fill.Replace(x.body))
			v := normalise([]byte(text), c.words())
			if x.method == "GET" { // then Janus makes a transaction up
				v = bare(v)
			}
			sortLists(v)
			return m{"status": status, "body": v}
		}
		p.same(x.method+" "+x.path+" "+x.body, one(p.janus.system, p.ofJanus), one(p.cluster.system, p.ofCluster))
	}
}
