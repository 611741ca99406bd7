// SPDX-License-Identifier: Apache-2.0

package administration

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// the two systems, each with an administrator and a client.
type pair struct {
	t         *testing.T
	janus     *talk
	cluster   *talk
	ofJanus   *call
	ofCluster *call
}

func newPair(t *testing.T) (*pair, *cluster) {
	c := newCluster(t)
	c.media("media")
	j := alone(t)
	return &pair{t, j.administrate(t), c.administrate(t), j.call(t), c.call(t)}, c
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
		if request["transaction"] == nil {
			request["transaction"] = "t" + k.next()
		}
		m := k.ask(request)
		words := c.words()
		v := normalise(m.Raw, words)
		if o, ok := v.(map[string]any); ok {
			delete(o, "transaction")
			sortLists(o)
		}
		return v
	}
	return one(p.janus, p.ofJanus), one(p.cluster, p.ofCluster)
}

// sortLists puts lists of ids in order: Janus lists them in that of a hash table.
func sortLists(o map[string]any) {
	for _, name := range []string{"sessions", "handles"} {
		if list, ok := o[name].([]any); ok {
			slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
	}
}

func (p *pair) equal(fields map[string]any) {
	p.t.Helper()
	want, got := p.both(fields)
	if !reflect.DeepEqual(want, got) {
		p.t.Errorf("%v\n   Janus: %v\n cluster: %v", fields, want, got)
	}
}

type m = map[string]any

// Every reply that the cluster makes equals that of a Janus, but for ids and times.
func TestAnswersLikeJanus(t *testing.T) {
	t.Parallel()
	p, _ := newPair(t)
	for _, verb := range []string{"ping", "PING", "get_status", "list_sessions", "loops_info", "list_tokens", "add_token", "remove_token", "allow_token",
		"disallow_token", "nonsense", "handle_info", "list_handles", "", "create", "start_pcap", "message_plugin", "query_transport",
		"query_eventhandler", "query_logger", "custom_event", "custom_logline", "resolve_address", "test_stun", "set_session_timeout",
		"set_log_level", "set_locking_debug", "set_refcount_debug", "set_log_timestamps", "set_log_colors", "set_libnice_debug",
		"set_min_nack_queue", "set_nack_optimizations", "set_no_media_timer", "set_slowlink_threshold", "accept_new_sessions"} {
		p.equal(m{"janus": verb})
		p.equal(m{"janus": verb, "admin_secret": "wrong"})
		p.equal(m{"janus": verb, "admin_secret": 5})
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
	t.Parallel()
	p, _ := newPair(t)
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
		{"accept_new_sessions", "accept", []any{"x", true}},
	} {
		for _, value := range x.values {
			p.equal(m{"janus": x.verb, x.field: value})
			p.equal(m{"janus": "get_status"})
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
	t.Parallel()
	p, _ := newPair(t)
	folder := t.TempDir()
	p.equal(m{"janus": "message_plugin", "plugin": "janus.plugin.nonesuch"})
	p.equal(m{"janus": "message_plugin", "plugin": echotest, "request": m{}})
	p.equal(m{"janus": "message_plugin", "plugin": "janus.plugin.videoroom", "request": m{"request": "list"}})
	p.equal(m{"janus": "message_plugin", "plugin": "janus.plugin.videoroom", "request": m{"request": "exists", "room": 99}})
	p.equal(m{"janus": "message_plugin", "plugin": "janus.plugin.videoroom"})
	p.equal(m{"janus": "query_transport", "transport": "janus.transport.nonesuch"})
	p.equal(m{"janus": "query_eventhandler", "handler": "janus.eventhandler.nonesuch"})
	p.equal(m{"janus": "query_logger", "logger": "janus.logger.nonesuch"})
	p.equal(m{"janus": "custom_event", "schema": "s", "data": m{"a": 1}})
	p.equal(m{"janus": "custom_event", "schema": "s", "data": 5})
	p.equal(m{"janus": "custom_logline", "line": "said by an administrator"})
	p.equal(m{"janus": "custom_logline", "line": "said by an administrator", "level": 99})
	p.equal(m{"janus": "custom_logline", "line": "x", "level": -1})
	p.equal(m{"janus": "resolve_address", "address": "127.0.0.1"})
	p.equal(m{"janus": "resolve_address", "address": "nowhere.invalid"})
	p.equal(m{"janus": "test_stun", "address": "nowhere.invalid", "port": 3478})
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

// A handle that was not used yet looks like one of Janus, but for what the plugin would tell.
func TestUnusedHandle(t *testing.T) {
	t.Parallel()
	p, _ := newPair(t)
	want, got := p.both(m{"janus": "handle_info", "session_id": "SESSION", "handle_id": "IDLE"})
	of := want.(m)["info"].(m)
	delete(of, "plugin_specific") // the plugin has not heard of the handle
	of["loop-running"] = false    // nor is there anything to run
	if !reflect.DeepEqual(want, got) {
		t.Errorf("Janus: %v\n cluster: %v", want, got)
	}
}

// Over HTTP, paths and bodies are understood as by Janus.
func TestHTTPLikeJanus(t *testing.T) {
	t.Parallel()
	p, _ := newPair(t)
	for _, x := range []struct{ method, path, body string }{
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
			if o, ok := v.(m); ok {
				sortLists(o)
			}
			return []any{status, v}
		}
		want, got := one(p.janus.system, p.ofJanus), one(p.cluster.system, p.ofCluster)
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%s %s %s\n   Janus: %v\n cluster: %v", x.method, x.path, x.body, want, got)
		}
	}
}
