// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages"
)

const (
	p2pcall = "janus.plugin.p2pcall"
	offer   = `{"type":"offer","sdp":"v=0 offer"}`
	answer  = `{"type":"answer","sdp":"v=0 answer"}`
)

// peers lets a node serve the plugin.
func peers(o *Options) { o.Routers = plugin.Of(plugin.P2PCall()) }

// peerCluster is two session nodes and an edge. No Janus is needed.
func peerCluster(t *testing.T) (*client, [2]*Node) {
	t.Helper()
	c := newCluster(t)
	nodes := [2]*Node{c.node("node-1", peers), c.node("node-2", peers)}
	return c.client(), nodes
}

// peerUser is a session with a handle that has a name.
func (k *client) peerUser(name string) *user {
	k.t.Helper()
	u := k.peerHandle()
	if got := u.says(`{"request":"register","username":%q}`, name); got != "registered" {
		k.t.Fatalf("register %s: %s", name, got)
	}
	return u
}

func (k *client) peerHandle() *user {
	s := k.create()
	return &user{client: k, session: s, handle: k.attachTo(s, p2pcall)}
}

// postWith sends a message with a jsep and returns its transaction.
func (u *user) postWith(jsep, body string, args ...any) string {
	u.t.Helper()
	u.n++
	transaction := fmt.Sprintf("t%d", u.n)
	u.send(u.session, `{"janus":"message","transaction":%q,"session_id":%d,"handle_id":%d,"body":%s,"jsep":%s}`,
		transaction, u.session, u.handle, fmt.Sprintf(body, args...), jsep)
	return transaction
}

// hears awaits what a client is told of its own accord: an event of the plugin, or a message of this kind.
func (u *user) hears(what string) map[string]any {
	u.t.Helper()
	return u.await(fmt.Sprintf("%s for handle %d", what, u.handle), func(d delivered) bool {
		if d.body["sender"] != float64(u.handle) || d.body["transaction"] != nil {
			return false
		}
		return d.body["janus"] == what || d.body["janus"] == "event" && result(d.body)["event"] == what
	}).body
}

func result(body map[string]any) map[string]any {
	plugindata, _ := body["plugindata"].(map[string]any)
	data, _ := plugindata["data"].(map[string]any)
	out, _ := data["result"].(map[string]any)
	return out
}

func (u *user) sends(verb, rest string) map[string]any {
	u.t.Helper()
	return u.ask(u.session, `{"janus":%q,"transaction":"x","session_id":%d,"handle_id":%d%s}`, verb, u.session, u.handle, rest)
}

// call has one call another, and the other accept.
func (u *user) call(callee *user, name string) {
	u.t.Helper()
	if got := u.told(u.postWith(offer, `{"request":"call","username":%q}`, name)); got != "calling" {
		u.t.Fatalf("call: %s", got)
	}
	if in := callee.hears("incomingcall"); in["jsep"].(map[string]any)["sdp"] != "v=0 offer" {
		u.t.Errorf("incoming: %v", in)
	}
	if got := callee.told(callee.postWith(answer, `{"request":"accept"}`)); got != "accepted" {
		u.t.Errorf("accept: %s", got)
	}
	if accepted := u.hears("accepted"); accepted["jsep"].(map[string]any)["sdp"] != "v=0 answer" || result(accepted)["username"] != name {
		u.t.Errorf("accepted: %v", accepted)
	}
}

// Two call each other, exchange candidates, negotiate anew and hang up; sessions are of either node.
func TestPeersCall(t *testing.T) {
	k, _ := peerCluster(t)
	for i := range 6 {
		a, b := k.peerUser(fmt.Sprintf("a%d", i)), k.peerUser(fmt.Sprintf("b%d", i))
		a.sends("trickle", `,"candidate":{"candidate":"early"}`)
		a.call(b, fmt.Sprintf("b%d", i))
		b.sends("trickle", `,"candidates":[{"candidate":"b1"},{"completed":true}]`)
		for u, want := range map[*user][]string{b: {"early"}, a: {"b1", "<nil>"}} {
			for _, candidate := range want {
				got := u.hears("trickle")
				if c := got["candidate"].(map[string]any); fmt.Sprint(c["candidate"]) != candidate || got["session_id"] != float64(u.session) {
					t.Errorf("heard %v, want %s", got, candidate)
				}
			}
		}
		if got := b.told(b.postWith(offer, `{"request":"set"}`)); got != "set" || a.hears("update")["jsep"] == nil {
			t.Errorf("update: %s", got)
		}
		if got := a.says(`{"request":"hangup","reason":"enough"}`); got != "hangup" || a.hears("hangup") == nil {
			t.Errorf("hangup: %s", got)
		}
		if got := result(b.await("end of the call", func(d delivered) bool {
			return d.body["janus"] == "event" && d.body["sender"] == float64(b.handle) && result(d.body)["event"] == "hangup"
		}).body); got["reason"] != "enough" || got["username"] != fmt.Sprintf("a%d", i) {
			t.Errorf("heard %v", got)
		}
		if got := b.hears("hangup"); got["reason"] != "Close PC" {
			t.Errorf("heard %v", got)
		}
		b.call(a, fmt.Sprintf("a%d", i))
	}
}

// Of two who call each other at once, one gets through.
func TestPeersCallEachOther(t *testing.T) {
	const pairs = 8
	k, _ := peerCluster(t)
	name := func(i, side int) string { return fmt.Sprintf("%c%d", 'a'+side, i) }
	var who [pairs][2]*user
	for i := range pairs {
		who[i] = [2]*user{k.peerUser(name(i, 0)), k.peerUser(name(i, 1))}
	}
	var calls [pairs][2]string
	for i, pair := range who {
		for side, u := range pair {
			calls[i][side] = u.postWith(offer, `{"request":"call","username":%q}`, name(i, 1-side))
		}
	}
	for i, pair := range who {
		told := [2]string{pair[0].told(calls[i][0]), pair[1].told(calls[i][1])}
		caller := slices.Index(told[:], "calling")
		if caller < 0 || told[1-caller] != "480" && told[1-caller] != "hangup" {
			t.Fatalf("pair %d was told %q", i, told)
		}
		a, b := pair[caller], pair[1-caller]
		b.hears("incomingcall")
		if got := b.told(b.postWith(answer, `{"request":"accept"}`)); got != "accepted" {
			t.Errorf("accept: %s", got)
		}
		a.hears("accepted")
		if got := a.says(`{"request":"hangup"}`); got != "hangup" {
			t.Errorf("hangup: %s", got)
		}
		b.hears("hangup")
	}
}

// What comes to nothing is refused as by the videocall plugin.
func TestPeerErrors(t *testing.T) {
	k, _ := peerCluster(t)
	u, busy := k.peerHandle(), k.peerUser("busy")
	partner := k.peerUser("partner")
	partner.call(busy, "busy")
	for _, test := range []struct{ jsep, body, want string }{
		{"", `{}`, "475"}, {"", `{"request":1}`, "474"}, {"", `{"request":"x"}`, "472"},
		{offer, `{"request":"call","username":"busy"}`, "473"}, {"", `{"request":"register"}`, "475"},
		{"", `{"request":"register","username":1}`, "474"}, {"", `{"request":"register","username":"busy"}`, "476"},
		{"", `{"request":"Register","username":"u"}`, "registered"}, {"", `{"request":"register","username":"v"}`, "477"},
		{offer, `{"request":"call","username":"u"}`, "479"}, {offer, `{"request":"call"}`, "475"}, {offer, `{"request":"call","username":{}}`, "474"},
		{offer, `{"request":"call","username":"nobody"}`, "478"}, {offer, `{"request":"call","username":"busy"}`, "hangup"},
		{answer, `{"request":"accept"}`, "481"}, {"", `{"request":"set","audio":1}`, "474"}, {"", `{"request":"set","bitrate":-1}`, "474"},
		{"", `{"request":"set","audio":true}`, "set"}, {"", `{"request":"hangup"}`, "hangup"},
	} {
		transaction := ""
		if test.jsep != "" {
			transaction = u.postWith(test.jsep, "%s", test.body)
		} else {
			transaction = u.post("%s", test.body)
		}
		if got := u.told(transaction); got != test.want {
			t.Errorf("%s: %s, want %s", test.body, got, test.want)
		}
	}
	free := k.peerUser("free")
	if got := u.says(`{"request":"call","username":"free"}`); got != "482" {
		t.Errorf("call without SDP: %s", got)
	}
	if got := busy.told(busy.postWith(offer, `{"request":"call","username":"free"}`)); got != "480" {
		t.Errorf("call while in one: %s", got)
	}
	if got := free.says(`{"request":"accept"}`); got != "481" {
		t.Errorf("accept of nothing: %s", got)
	}
	for jsep, code := range map[string]float64{`5`: 455, `{}`: 456, `{"type":"offer","sdp":1}`: 467, `{"type":"x","sdp":"y"}`: 464} {
		got := u.sends("message", `,"body":{"request":"list"},"jsep":`+jsep)
		if e, _ := got["error"].(map[string]any); e["code"] != code {
			t.Errorf("jsep %s: %v", jsep, got)
		}
	}
	if list := result(map[string]any{"plugindata": map[string]any{"data": u.outcome(u.post(`{"request":"list"}`))}})["list"].([]any); len(list) != 4 {
		t.Errorf("listed: %v", list)
	}
}

// However a handle ends, the other side hears of it, and its name is free.
func TestPeerLeaves(t *testing.T) {
	k, _ := peerCluster(t)
	for i, leave := range []func(u *user){
		func(u *user) { u.sends("detach", "") },
		func(u *user) { u.ask(u.session, `{"janus":"destroy","transaction":"x","session_id":%d}`, u.session) },
	} {
		name := fmt.Sprintf("leaves%d", i)
		a, b := k.peerUser(name), k.peerUser(fmt.Sprintf("stays%d", i))
		a.call(b, fmt.Sprintf("stays%d", i))
		leave(a)
		if got := b.hears("hangup"); got == nil {
			t.Error("the other side heard nothing")
		}
		waitFor(t, func() string {
			if got := k.peerHandle().says(`{"request":"register","username":%q}`, name); got != "registered" {
				return "the name is taken: " + got
			}
			return ""
		})
	}
	if got := k.peerHandle().says(`{"request":"register","username":"stays0"}`); got != "476" {
		t.Errorf("a name that is held: %s", got)
	}
}

// Who says nothing for too long has hung up.
func TestPeerTimesOut(t *testing.T) {
	c := newCluster(t)
	c.node("node-1", func(o *Options) {
		peers(o)
		o.SessionTimeout = 2 * time.Second
	})
	k := c.client()
	a, b := k.peerUser("a"), k.peerUser("b")
	a.call(b, "b")
	waitFor(t, func() string {
		b.ask(b.session, `{"janus":"keepalive","transaction":"k","session_id":%d}`, b.session)
		if _, heard := b.take(func(d delivered) bool {
			return d.body["sender"] == float64(b.handle) && result(d.body)["event"] == "hangup" && result(d.body)["reason"] == "Remote WebRTC hangup"
		}); !heard {
			return "the other side is still there"
		}
		return ""
	})
	waitFor(t, func() string {
		if got := b.says(`{"request":"list"}`); got != "<nil>" {
			t.Fatalf("list: %s", got)
		}
		data := b.outcome(b.post(`{"request":"list"}`))
		if list := data["result"].(map[string]any)["list"].([]any); len(list) != 1 {
			return fmt.Sprintf("listed: %v", list)
		}
		return ""
	})
}

// A name whose holder is gone without a word is free; of many who want it, one gets it.
func TestPeerNames(t *testing.T) {
	k, nodes := peerCluster(t)
	name := messages.RoomName{Plugin: p2pcall, Key: `"ghost"`}
	ghost := messages.RoomMember{Session: messages.NewSessionID(7), Handle: 9}
	got := nodes[0].askRoom(t.Context(), name, messages.RoomAsk{ID: "x", Claim: messages.ClaimNew, Member: &ghost})
	if got.Member == nil || *got.Member != ghost {
		t.Fatalf("claimed: %+v", got)
	}
	u := k.peerUser("caller")
	if got := u.told(u.postWith(offer, `{"request":"call","username":"ghost"}`)); got != "478" {
		t.Errorf("call of who is gone: %s", got)
	}
	var all []*user
	for range 8 {
		all = append(all, k.peerHandle())
	}
	posted := make([]string, len(all))
	for i, u := range all {
		posted[i] = u.post(`{"request":"register","username":"ghost"}`)
	}
	has := 0
	for i, u := range all {
		switch told := u.told(posted[i]); told {
		case "registered":
			has++
		case "476":
		default:
			t.Errorf("told %s", told)
		}
	}
	if has != 1 {
		t.Errorf("%d have the name", has)
	}
}

// A call goes on when the owner of its sessions does not.
func TestPeersOutliveOwner(t *testing.T) {
	c := newCluster(t)
	first := c.node("node-1", peers)
	k := c.client()
	a, b := k.peerUser("a<&>"), k.peerUser("b")
	a.call(b, "b")
	c.node("node-2", peers)
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.sends("trickle", `,"candidate":{"candidate":"late"}`)
	if got := b.hears("trickle"); got["candidate"].(map[string]any)["candidate"] != "late" {
		t.Errorf("heard %v", got)
	}
	if got := k.peerHandle().says(`{"request":"register","username":"a<&>"}`); got != "476" {
		t.Errorf("a name that is held: %s", got)
	}
	b.sends("detach", "")
	if got := a.hears("hangup"); got == nil {
		t.Error("the other side heard nothing")
	}
}
