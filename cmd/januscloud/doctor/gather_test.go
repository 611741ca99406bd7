// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/bustest"
	"github.com/januscloud/januscloud/messages/bus/embedded"
	"github.com/januscloud/januscloud/messages/roster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T, jetStream bool) *bus.Bus {
	t.Helper()
	server := bustest.Start(t, embedded.Options{Name: "n1", JetStream: jetStream})
	return bustest.Connect(t, bus.Options{URLs: []string{server.ClientURL()}})
}

func beat(t *testing.T, b *bus.Bus, beat messages.Beat) {
	t.Helper()
	beater := roster.NewBeater(b, func() messages.Beat { return beat })
	t.Cleanup(beater.Stop)
}

func TestGather(t *testing.T) {
	b := connect(t, true)
	js, err := jetstream.New(b.Conn())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: recordBucket}); err != nil {
		t.Fatal(err)
	}
	up, mute, down := messages.NewMember("up"), messages.NewMember("mute"), messages.NewMember("down")
	for m, state := range map[messages.Member]messages.JanusState{up: messages.JanusUp, mute: messages.JanusUp, down: messages.JanusDown} {
		beat(t, b, messages.Beat{Role: messages.RoleMedia, Member: m, State: messages.StateReady, Media: &messages.MediaBeat{Janus: state}})
	}
	for range 2 {
		beat(t, b, messages.Beat{Role: messages.RoleEdge, Member: messages.NewMember("twin"), State: messages.StateReady, Edge: &messages.EdgeBeat{}})
	}
	answer := func(m messages.Member, body string) {
		sub, err := b.Own(messages.MediaPrefix(m), 0, func(msg *bus.Msg) { _ = b.Publish(msg.Reply, "", []byte(body)) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sub.Cancel)
	}
	answer(up, `{"janus":"server_info","version_string":"1.1.2","static-event-loops":4,"reclaim-session-timeout":90}`)
	answer(mute, `{"janus":"error","error":{"code":490,"reason":"Media server lost"}}`)

	f, err := gather(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, beat := range f.beats {
		names = append(names, beat.Member.Name)
	}
	if got := strings.Join(names, " "); got != "twin twin down mute up" {
		t.Errorf("members %s", got)
	}
	if j := f.janus[up]; j.err != nil || j.EventLoops != 4 || j.Reclaim != 90 || j.Version != "1.1.2" {
		t.Errorf("%+v", j)
	}
	if j := f.janus[mute]; j.err == nil || !strings.Contains(j.err.Error(), "Media server lost") {
		t.Errorf("%+v", j)
	}
	if _, asked := f.janus[down]; asked {
		t.Error("a Janus that is down was asked")
	}
	n := f.nats
	if n.jetStream != nil || n.replicas != 1 || n.servers != 1 || n.server != "n1" || n.rtt <= 0 || !n.skewKnown || n.skew.Abs() > time.Second {
		t.Errorf("%+v", n)
	}
	if f.nofile == 0 {
		t.Error("no descriptor limit")
	}
}

func TestExamineWithoutJetStream(t *testing.T) {
	r, err := Examine(t.Context(), connect(t, false))
	if err != nil {
		t.Fatal(err)
	}
	wrong := map[string]bool{}
	for _, f := range r.Findings {
		wrong[f.What] = f.Level == Wrong
	}
	for _, what := range []string{"jetstream", "edge", "session", "media"} {
		if !wrong[what] {
			t.Errorf("%s is not wrong: %+v", what, r.Findings)
		}
	}
}

func TestExamineCancelled(t *testing.T) {
	b := connect(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Examine(ctx, b); err == nil {
		t.Error("no error")
	}
}
