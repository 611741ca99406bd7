// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusapi"
	"github.com/januscloud/januscloud/mediactl/janusproc"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus/bustest"
	"github.com/januscloud/januscloud/scripts/lab"
)

const secret = `se"same`

func withSecrets(c *janusproc.Config) { c.APISecret, c.AdminSecret = "sesame", "open" }

// wantNothingLeft wants a Janus without sessions.
func wantNothingLeft(t *testing.T, j *lab.JanusServer) {
	t.Helper()
	admin, err := janusapi.NewAdmin(j.Config.AdminHTTPURL(), j.Config.AdminSecret)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	lab.WaitFor(t, patience, func() string {
		raw, err := admin.Do(ctx, "list_sessions", nil)
		if err != nil {
			return err.Error()
		}
		var list struct{ Sessions []uint64 }
		if err := json.Unmarshal(raw, &list); err != nil || len(list.Sessions) > 0 {
			return string(raw)
		}
		return ""
	})
}

// TestConversation is the whole life of a session, over every way an owner can be connected.
func TestConversation(t *testing.T) {
	janus := lab.Janus(t, withSecrets)
	for i, layout := range bustest.Layouts() {
		t.Run(layout.Name, func(t *testing.T) {
			r := newRig(t, i)
			r.start(janus.WSURL(), func(o *Options) { o.APISecret = "sesame" })
			session := r.session()
			const first, second = 11, 12
			ids := []uint64{r.attach(session, first), r.attach(session, second)}
			if ids[0] == ids[1] {
				t.Fatalf("two handles with the id %d", ids[0])
			}
			if m := r.tryAttach(session, 13, "janus.plugin.none"); m.body.Error == nil || m.body.Error.Code != 460 || *m.body.Transaction != "bind" {
				t.Errorf("attach to no plugin: %v", m)
			}
			r.echo(session, first)
			event := r.event(session, first, "event")
			if *event.body.Transaction != "echo" || event.body.Sender != first || event.body.PluginData.Data["result"] != "ok" ||
				event.Reply != r.server.String()+".1" {
				t.Errorf("event: %v", event)
			}
			trickle := r.reply(r.request(session, second, `{"janus":"trickle","transaction":"t|1","candidate":{"completed":true}}`))
			if trickle.body.Janus != "ack" || *trickle.body.Transaction != "t|1" {
				t.Errorf("trickle: %v", trickle)
			}
			if m := r.reply(r.request(session, second, `{"janus":"hangup","transaction":"h"}`)); m.body.Janus != "success" {
				t.Errorf("hangup: %v", m)
			}
			if m := r.reply(r.request(session, first, `{"janus":"detach","transaction":"d"}`)); m.body.Janus != "success" {
				t.Errorf("detach: %v", m)
			}
			if m := r.event(session, first, "detached"); m.body.Sender != first {
				t.Errorf("detached: %v", m)
			}
			gone := r.reply(r.request(session, first, echoBody(session, "late")))
			if gone.body.Error == nil || gone.body.Error.Code != 459 || *gone.body.Transaction != "late" {
				t.Errorf("message to a handle that is gone: %v", gone)
			}
			r.echo(session, second)
			r.destroy(session)
			r.destroy(session)
			wantNothingLeft(t, janus)
			r.stop()
		})
	}
}

// TestSeveralSessions keeps many sessions apart.
func TestSeveralSessions(t *testing.T) {
	janus := lab.Janus(t, withSecrets)
	r := newRig(t, 0)
	r.start(janus.WSURL(), func(o *Options) { o.APISecret = "sesame" })
	const handle = 1 // the same in each: ids of handles are unique in their session only
	var sessions []uint64
	for range 50 {
		session := r.session()
		sessions = append(sessions, session)
		r.attach(session, handle)
	}
	for _, session := range sessions {
		r.request(session, handle, echoBody(session, "all"))
	}
	for _, session := range sessions {
		if m := r.event(session, handle, "event"); m.body.Session != session || m.body.Sender != handle {
			t.Errorf("session %d: %v", session, m)
		}
	}
	lab.WaitFor(t, patience, func() string {
		p, ok := r.roster.View().Find(messages.RoleMedia, "media-1")
		if !ok || p.Beat.Media.Sessions != len(sessions) || p.Beat.Media.Handles != len(sessions) {
			return "heartbeat: " + string(mustJSON(t, p.Beat))
		}
		return ""
	})
	for _, session := range sessions {
		r.destroy(session)
	}
	wantNothingLeft(t, janus)
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestHeartbeat shows what the cluster learns of Janus.
func TestHeartbeat(t *testing.T) {
	janus := lab.Janus(t, func(c *janusproc.Config) { c.ReclaimSessionTimeout = 30 * time.Second; c.EventLoops = 2 })
	r := newRig(t, 0)
	r.start(janus.WSURL(), func(o *Options) { o.MaxHandles = AutoHandles })
	r.wantJanus(messages.JanusUnprotected, patience)
	p, _ := r.roster.View().Find(messages.RoleMedia, "media-1")
	m := p.Beat.Media
	if m.JanusName != janus.Config.Name || m.Version != "1.1.2" || m.Plugins[echotest] == "" || m.MaxHandles != autoHandlesLoops ||
		!slices.Contains(m.Transports, "janus.transport.websockets") || p.Beat.Region != "here" || m.Since.IsZero() {
		t.Errorf("heartbeat: %s", mustJSON(t, p.Beat))
	}
	if err := r.media.Ready(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reply, err := r.net.A.Request(ctx, messages.MediaInfo(r.server), nil)
	if err != nil || !strings.Contains(string(reply.Data), `"commit-hash"`) || strings.Contains(string(reply.Data), "transaction") {
		t.Errorf("info: %v, %v", reply, err)
	}
}

// TestSocketCut breaks the socket between two that live: nothing is lost but what was under way.
func TestSocketCut(t *testing.T) {
	janus := lab.Janus(t)
	proxy := bustest.NewProxy(t, janus.WSURL())
	r := newRig(t, 0)
	r.start(strings.Replace(proxy.URL(), "nats:", "ws:", 1))
	session, other := r.session(), r.session()
	r.attach(session, 1)
	r.attach(session, 2)
	r.attach(other, 1)
	for range 3 {
		proxy.Cut()
		held := r.request(session, 1, echoBody(session, "held"))
		proxy.Restore()
		if m := r.reply(held); m.body.Janus != "ack" && !(m.body.Error != nil && m.body.Error.Code == 490) {
			t.Errorf("what came while the socket was broken: %v", m)
		}
		r.echo(session, 1)
		r.echo(session, 2)
		r.echo(other, 1)
	}
	if !r.log.has("connection to Janus lost") || r.metric("handles_lost_total", "") != 0 {
		t.Errorf("the socket was not cut, or %v handles were lost", r.metric("handles_lost_total", ""))
	}
	for _, h := range [][2]uint64{{session, 1}, {session, 2}, {other, 1}} {
		if got := r.events(h[0], h[1]); slices.Contains(got, "hangup") || slices.Contains(got, messages.VerbUnbound) {
			t.Errorf("handle %v: events %q", h, got)
		}
	}
	r.destroy(session)
	r.destroy(other)
	wantNothingLeft(t, janus)
}

// lossOf waits until the owner has heard that a handle is lost.
func (r *rig) lossOf(session, handle uint64) {
	r.t.Helper()
	hangup := r.event(session, handle, "hangup")
	if hangup.body.Reason != "Media server lost" || hangup.body.Sender != handle || hangup.body.Session != session {
		r.t.Errorf("hangup: %v", hangup)
	}
	r.event(session, handle, messages.VerbUnbound)
	got := r.events(session, handle)
	if at := slices.Index(got, "hangup"); at < 0 || got[at+1] != messages.VerbUnbound {
		r.t.Errorf("events: %q", got)
	}
}

// TestKill kills Janus: who waits is answered, and every handle is known to be lost, at once.
func TestKill(t *testing.T) {
	janus := lab.Janus(t)
	r := newRig(t, 0)
	r.start(janus.WSURL())
	session := r.session()
	r.attach(session, 1)
	r.attach(session, 2)
	janus.Freeze() // so that a request is under way
	waiting := r.request(session, 1, echoBody(session, "waiting"))
	killed := time.Now()
	janus.Kill()
	m := r.reply(waiting)
	if m.body.Error == nil || m.body.Error.Code != 490 || m.body.Error.Reason != "Media server lost" || *m.body.Transaction != "waiting" {
		t.Errorf("reply: %v", m)
	}
	r.lossOf(session, 1)
	r.lossOf(session, 2)
	r.wantJanus(messages.JanusDown, patience)
	if took := time.Since(killed); took > 2*time.Second {
		t.Errorf("known after %v", took)
	}
	if err := r.media.Ready(); err == nil {
		t.Error("ready without a Janus")
	}
	if m := r.tryAttach(session, 3, echotest); m.body.Error == nil || m.body.Error.Code != 461 {
		t.Errorf("attach without a Janus: %v", m)
	}
	if m := r.reply(r.request(session, 1, echoBody(session, "lost"))); m.body.Error == nil || m.body.Error.Code != 490 {
		t.Errorf("message to a lost handle: %v", m)
	}
	r.destroy(session)
	janus.Restart()
	r.wantJanus(messages.JanusUp, patience)
	r.attach(session, 1)
	r.echo(session, 1)
	r.destroy(session)
	wantNothingLeft(t, janus)
}

// TestFreeze stops Janus from running: it is known in three seconds, and once it runs again, nothing of before is left.
func TestFreeze(t *testing.T) {
	janus := lab.Janus(t)
	r := newRig(t, 0)
	r.start(janus.WSURL())
	session := r.session()
	r.attach(session, 1)
	r.echo(session, 1)
	frozen := time.Now()
	janus.Freeze()
	waiting := r.request(session, 1, echoBody(session, "waiting"))
	r.lossOf(session, 1)
	if took := time.Since(frozen); took > 3*time.Second {
		t.Errorf("known after %v", took)
	}
	if m := r.reply(waiting); m.body.Error == nil || m.body.Error.Code != 490 {
		t.Errorf("reply: %v", m)
	}
	r.wantJanus(messages.JanusDown, time.Second)
	janus.Thaw()
	r.wantJanus(messages.JanusUp, patience)
	wantNothingLeft(t, janus)
}

// TestConflict meets a session of the same id that an earlier role left behind.
func TestConflict(t *testing.T) {
	janus := lab.Janus(t)
	r := newRig(t, 0)
	r.start(janus.WSURL())
	session := r.session()
	r.attach(session, 1)
	r.stop()
	r.start(janus.WSURL())
	first := r.request(session, 1, echoBody(session, "unknown"))
	if m := r.reply(first); m.body.Error == nil || m.body.Error.Code != 490 {
		t.Errorf("message to a handle of an earlier role: %v", m)
	}
	r.attach(session, 1)
	r.echo(session, 1)
	if !r.log.has("session exists on Janus") {
		t.Error("there was no conflict")
	}
	r.destroy(session)
	wantNothingLeft(t, janus)
}

// TestWrongSecret does not serve, and says why.
func TestWrongSecret(t *testing.T) {
	janus := lab.Janus(t, withSecrets)
	r := newRig(t, 0)
	o := r.options(janus.WSURL())
	o.APISecret = secret
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	if m, err := Start(ctx, o); !errors.Is(err, errSecret) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, %v", m, err)
	}
}

// TestExec keeps a Janus running: one that is killed is started again, and it outlives the role.
func TestExec(t *testing.T) {
	config, err := janusproc.Write(janusproc.Config{Folder: t.TempDir(), Name: "exec", ICEAddress: lab.Address(t)})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, 0)
	exec := func(o *Options) { o.Exec = "'" + strings.Join(config.CommandLine(), "' '") + "'" }
	r.start(config.WSURL(), exec)
	session := r.session()
	r.attach(session, 1)
	r.killJanus()
	r.lossOf(session, 1)
	lab.WaitFor(t, patience, func() string {
		if err := r.media.Ready(); err != nil {
			return err.Error()
		}
		return ""
	})
	r.attach(session, 1)
	r.echo(session, 1)
	r.stop()
	r.start(config.WSURL(), exec)
	if !r.log.has("state=adopted") {
		t.Error("the Janus that was left running was not adopted")
	}
	r.attach(session, 1)
	r.destroy(session)
	r.stop()
	r.killJanus()
}

// killJanus kills the process that the role started last.
func (r *rig) killJanus() {
	r.t.Helper()
	started := r.log.last("janus started")
	_, text, _ := strings.Cut(started, " pid=")
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		r.t.Fatalf("%q: %v", started, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
}
