// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

const videocall = "janus.plugin.videocall"

// scriptedCalls is what a scripted Janus knows of users, and what it was told, in order.
type scriptedCalls struct {
	users map[string]uint64 // handles by name
	heard []string
}

func (c *scriptedCalls) list() string {
	var names []string
	for name := range c.users {
		names = append(names, fmt.Sprintf("%q", name))
	}
	slices.Sort(names)
	return `{"videocall":"event","result":{"list":[` + strings.Join(names, ",") + `]}}`
}

// run runs a message for a handle, and returns the data of the event that answers it.
func (c *scriptedCalls) run(at messages.MediaSubject, r *janusjson.Message) string {
	if r.Verb() == janusjson.VerbTrickle {
		c.heard = append(c.heard, "trickle")
		return ""
	}
	body, _ := r.Object(janusjson.KeyBody)
	request, _ := body.Get("request").Text()
	name, _ := body.Get("username").Text()
	if request != "register" && request != "call" && request != "hangup" {
		return "{}"
	}
	c.heard = append(c.heard, request+" "+name)
	_, known := c.users[name]
	switch {
	case request == "hangup":
		return `{"videocall":"event","result":{"event":"hangup"}}`
	case request == "call" && !known:
		return `{"videocall":"event","error_code":478}`
	case request == "call":
		return `{"videocall":"event","result":{"event":"calling"}}`
	case known:
		return `{"videocall":"event","error_code":476}`
	}
	for _, handle := range c.users {
		if handle == at.Handle {
			return `{"videocall":"event","error_code":477}`
		}
	}
	if c.users == nil {
		c.users = map[string]uint64{}
	}
	c.users[name] = at.Handle
	return fmt.Sprintf(`{"videocall":"event","result":{"event":"registered","username":%q}}`, name)
}

func (c *scriptedCalls) leave(at messages.MediaSubject) {
	for name, handle := range c.users {
		if handle == at.Handle {
			delete(c.users, name)
		}
	}
}

// user is a session with a videocall handle.
type user struct {
	*client
	session, handle uint64
	n               int
}

func (k *client) user() *user {
	s := k.create()
	return &user{client: k, session: s, handle: k.attachTo(s, videocall)}
}

// post sends a message and returns its transaction.
func (u *user) post(body string, args ...any) string {
	u.t.Helper()
	u.n++
	transaction := fmt.Sprintf("t%d", u.n)
	u.send(u.session, `{"janus":"message","transaction":%q,"session_id":%d,"handle_id":%d,"body":%s}`, transaction, u.session, u.handle, fmt.Sprintf(body, args...))
	return transaction
}

// outcome awaits the acknowledgement and the event of a message, and returns its data.
func (u *user) outcome(transaction string) map[string]any {
	u.t.Helper()
	of := func(kind string) func(delivered) bool {
		return func(d delivered) bool {
			return d.body["janus"] == kind && d.body["transaction"] == transaction && d.body["session_id"] == float64(u.session)
		}
	}
	u.await("acknowledgement of "+transaction, of("ack"))
	d := u.await("event for "+transaction, of("event"))
	if d.body["sender"] != float64(u.handle) {
		u.t.Fatalf("heard %s", d.raw)
	}
	return d.body["plugindata"].(map[string]any)["data"].(map[string]any)
}

func (u *user) says(body string, args ...any) string {
	u.t.Helper()
	return u.told(u.post(body, args...))
}

// told is the outcome in short: an error's code, or the event.
func (u *user) told(transaction string) string {
	u.t.Helper()
	data := u.outcome(transaction)
	if code, failed := data["error_code"]; failed {
		return fmt.Sprint(code)
	}
	result, _ := data["result"].(map[string]any)
	return fmt.Sprint(result["event"])
}

// serverOf is the server that has the handle; it must be one.
func serverOf(t *testing.T, media [2]*server, u *user) *server {
	t.Helper()
	var found *server
	waitFor(t, func() string {
		n := 0
		for _, m := range media {
			m.mu.Lock()
			if m.holds[u.session][u.handle] {
				found, n = m, n+1
			}
			m.mu.Unlock()
		}
		if n != 1 {
			return fmt.Sprintf("the handle is on %d servers", n)
		}
		return ""
	})
	return found
}

// users registers people until each server has some, and returns one of each.
func (k *client) users(media [2]*server) (all []*user, a, b *user) {
	k.t.Helper()
	for i := 0; a == nil || b == nil; i++ {
		u := k.user()
		if got := u.says(`{"request":"register","username":"u%d"}`, i); got != "registered" {
			k.t.Fatalf("register: %s", got)
		}
		all = append(all, u)
		if serverOf(k.t, media, u) == media[0] {
			a = u
		} else {
			b = u
		}
		if i > 40 {
			k.t.Fatal("all are on one server")
		}
	}
	return all, a, b
}

func nameOf(all []*user, u *user) string { return fmt.Sprintf("u%d", slices.Index(all, u)) }

// A name is one handle's in the cluster, and all are listed.
func TestNamesAreUnique(t *testing.T) {
	k, _, media := roomCluster(t)
	all, _, _ := k.users(media)
	for i := range all {
		if got := k.user().says(`{"request":"REGISTER","username":"u%d"}`, i); got != "476" {
			t.Errorf("u%d again: %s", i, got)
		}
	}
	u := k.user()
	data := u.outcome(u.post(`{"request":"list"}`))
	if list := data["result"].(map[string]any)["list"].([]any); len(list) != len(all) || data["videocall"] != "event" {
		t.Errorf("listed: %v", data)
	}
	if got := all[0].says(`{"request":"register","username":"other"}`); got != "477" {
		t.Errorf("a second name: %s", got)
	}
	if got := k.user().says(`{"request":"register","username":"other"}`); got != "registered" {
		t.Errorf("the name that was not given: %s", got)
	}
}

// Of many who want a name at once, one gets it; when he leaves, the next may have it at once.
func TestNameIsNotSplit(t *testing.T) {
	k, _, media := roomCluster(t)
	var all []*user
	for range 12 {
		all = append(all, k.user())
	}
	posted := make([]string, len(all))
	for i, u := range all {
		posted[i] = u.post(`{"request":"register","username":"x"}`)
	}
	var has *user
	for i, u := range all {
		switch got := u.told(posted[i]); {
		case got == "registered" && has == nil:
			has = u
		case got != "476":
			t.Errorf("told %s", got)
		}
	}
	if has == nil {
		t.Fatal("nobody got the name")
	}
	serverOf(t, media, has)
	k.ask(has.session, `{"janus":"detach","transaction":"d","session_id":%d,"handle_id":%d}`, has.session, has.handle)
	if got := k.user().says(`{"request":"register","username":"x"}`); got != "registered" {
		t.Errorf("after its end: %s", got)
	}
}

// Who calls is brought to who is called, with his name and his candidates, and hears nothing of it.
func TestCallerMoves(t *testing.T) {
	k, _, media := roomCluster(t)
	all, a, b := k.users(media)
	from, to := serverOf(t, media, a), serverOf(t, media, b)
	k.ask(a.session, `{"janus":"trickle","transaction":"c","session_id":%d,"handle_id":%d,"candidate":{}}`, a.session, a.handle)
	call := a.post(`{"request":"call","username":%q}`, nameOf(all, b))
	k.send(a.session, `{"janus":"trickle","transaction":"c","session_id":%d,"handle_id":%d,"candidate":{}}`, a.session, a.handle)
	if got := a.told(call); got != "calling" {
		t.Fatalf("call: %s", got)
	}
	if serverOf(t, media, a) != to {
		t.Error("the caller is not where the callee is")
	}
	k.await("acknowledgement of the candidate", func(d delivered) bool { return d.body["transaction"] == "c" && d.body["janus"] == "ack" })
	to.mu.Lock()
	want := []string{"register " + nameOf(all, a), "trickle", "call " + nameOf(all, b), "trickle"}
	if n := len(to.calls.heard); n < 4 || !slices.Equal(to.calls.heard[n-4:], want) {
		t.Errorf("heard %q, want %q at the end", to.calls.heard, want)
	}
	to.mu.Unlock()
	from.mu.Lock()
	if _, still := from.calls.users[nameOf(all, a)]; still {
		t.Error("the name is on both")
	}
	from.mu.Unlock()
	if d, heard := k.take(func(d delivered) bool { return d.body["transaction"] == renewal || d.body["janus"] == "detached" }); heard {
		t.Errorf("the client heard %s", d.raw)
	}
	if got := k.user().says(`{"request":"register","username":%q}`, nameOf(all, a)); got != "476" {
		t.Errorf("the name of who moved: %s", got)
	}
}

// Two who call each other at once, from one Janus to another, do not miss each other: one of them moves.
func TestCallEachOther(t *testing.T) {
	const pairs = 5
	k, _, media := roomCluster(t)
	var all []*user
	var at [2][]*user
	for len(at[0]) < pairs || len(at[1]) < pairs {
		u := k.user()
		if got := u.says(`{"request":"register","username":"u%d"}`, len(all)); got != "registered" {
			t.Fatalf("register: %s", got)
		}
		all = append(all, u)
		on := slices.Index(media[:], serverOf(t, media, u))
		at[on] = append(at[on], u)
	}
	var calls [2][pairs]string
	for i := range pairs {
		a, b := at[0][i], at[1][i]
		calls[0][i] = a.post(`{"request":"call","username":%q}`, nameOf(all, b))
		calls[1][i] = b.post(`{"request":"call","username":%q}`, nameOf(all, a))
	}
	for i := range pairs {
		a, b := at[0][i], at[1][i]
		told := [2]string{a.told(calls[0][i]), b.told(calls[1][i])}
		if told != [2]string{"calling", "calling"} || serverOf(t, media, a) != serverOf(t, media, b) {
			t.Errorf("pair %d: told %q, on %s and %s", i, told, serverOf(t, media, a).member.Name, serverOf(t, media, b).member.Name)
		}
	}
}

// Who is in a call stays where he is, whomever he calls; afterwards he moves again.
func TestCallerInCallStays(t *testing.T) {
	k, _, media := roomCluster(t)
	all, a, b := k.users(media)
	here := serverOf(t, media, a)
	partner := k.user()
	partner.says(`{"request":"register","username":"partner"}`)
	for serverOf(t, media, partner) != here {
		partner = k.user()
		partner.says(`{"request":"register","username":"partner%d"}`, partner.handle)
	}
	here.mu.Lock()
	var name string
	for n, handle := range here.calls.users {
		if handle == partner.handle {
			name = n
		}
	}
	here.mu.Unlock()
	if got := a.says(`{"request":"call","username":%q}`, name); got != "calling" {
		t.Fatalf("call: %s", got)
	}
	if got := a.says(`{"request":"call","username":%q}`, nameOf(all, b)); got != "478" || serverOf(t, media, a) != here {
		t.Errorf("call while in one: %s", got)
	}
	a.says(`{"request":"hangup"}`)
	calls := []string{a.post(`{"request":"call","username":"nobody"}`), a.post(`{"request":"call","username":%q}`, nameOf(all, b))}
	if got := a.told(calls[0]); got != "478" {
		t.Errorf("call of nobody: %s", got)
	}
	if got := a.told(calls[1]); got != "calling" || serverOf(t, media, a) == here {
		t.Errorf("call afterwards: %s", got)
	}
}

// What is sent in one breath is understood one after the other.
func TestNameAndCallAtOnce(t *testing.T) {
	k, _, media := roomCluster(t)
	all, a, b := k.users(media)
	for _, callee := range []*user{a, b} {
		u := k.user()
		posted := []string{u.post(`{"request":"register","username":"v%d"}`, u.handle), u.post(`{"request":"set"}`),
			u.post(`{"request":"call","username":%q}`, nameOf(all, callee))}
		if got := u.told(posted[0]); got != "registered" {
			t.Errorf("register: %s", got)
		}
		if got := u.told(posted[2]); got != "calling" || serverOf(t, media, u) != serverOf(t, media, callee) {
			t.Errorf("call: %s", got)
		}
	}
}

// What records say of a name, a room or a call is believed until something newer is known.
func TestNameOfRecord(t *testing.T) {
	routers := plugin.Standard()
	restored := func(pkg string) *handle {
		h := &handle{plugin: pkg, state: bound}
		h.engaged = true
		h.adopt(routers)
		return h
	}
	late := &messages.HandleRecord{Name: `"x"`}
	h := restored(videocall)
	if h.recall(nil) || !h.engaged {
		t.Error("without a record, the handle may be in a call")
	}
	if !h.recall(late) || h.name != `"x"` || h.engaged {
		t.Errorf("recalled: %q, in a call: %v", h.name, h.engaged)
	}
	if h.recall(&messages.HandleRecord{Name: `"y"`, Engaged: true}) || h.name != `"x"` || h.engaged {
		t.Errorf("recalled again: %q", h.name)
	}
	if h := restored(videoroom); h.recall(late) && h.name != "" || h.engaged {
		t.Errorf("a handle in no room: %q, %v", h.name, h.engaged)
	}
	if h := restored(videoroom); h.recall(&messages.HandleRecord{Engaged: true}) || !h.engaged {
		t.Errorf("a handle in a room: %q, %v", h.name, h.engaged)
	}
}

// Who has a name has it again, on another Janus, when his is lost.
func TestNameOutlivesJanus(t *testing.T) {
	k, _, media := roomCluster(t)
	all, a, b := k.users(media)
	lost, other := serverOf(t, media, a), serverOf(t, media, b)
	lost.beater.Stop()
	lost.mu.Lock()
	lost.mute, lost.janus.deaf = true, true
	lost.mu.Unlock()
	for _, u := range all {
		lost.say(t, u.session, u.handle, messages.VerbUnbound)
	}
	waitFor(t, func() string {
		other.mu.Lock()
		defer other.mu.Unlock()
		if _, has := other.calls.users[nameOf(all, a)]; !has {
			return "the name is not there"
		}
		return ""
	})
	if got := b.says(`{"request":"call","username":%q}`, nameOf(all, a)); got != "calling" {
		t.Errorf("call: %s", got)
	}
}

// The next owner of a session knows that its handle has a name, and is in no call.
func TestNameOutlivesOwner(t *testing.T) {
	c := newCluster(t)
	media := [2]*server{c.server("media-a"), c.server("media-b")}
	first := c.node("node-1", nil)
	waitServers(t, first, 2)
	k := c.client()
	all, a, b := k.users(media)
	second := c.node("node-2", nil)
	waitServers(t, second, 2)
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.ask(a.session, `{"janus":"keepalive","transaction":"k","session_id":%d}`, a.session)
	if got := a.says(`{"request":"call","username":%q}`, nameOf(all, b)); got != "calling" {
		t.Errorf("call: %s", got)
	}
	if serverOf(t, media, a) != serverOf(t, media, b) {
		t.Error("the caller is not where the callee is")
	}
}
