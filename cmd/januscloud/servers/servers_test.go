// SPDX-License-Identifier: Apache-2.0

package servers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/bustest"
	"github.com/januscloud/januscloud/messages/bus/embedded"
	"github.com/januscloud/januscloud/messages/roster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func connect(t *testing.T) *bus.Bus {
	t.Helper()
	server := bustest.Start(t, embedded.Options{Name: "n1"})
	return bustest.Connect(t, bus.Options{URLs: []string{server.ClientURL()}})
}

// fake is a role that beats, and heeds orders.
type fake struct {
	mu     sync.Mutex
	beat   messages.Beat
	orders []messages.DrainOrder
	beater *roster.Beater
}

// play has a role be there until the test ends. heed changes its beat when it gets an order.
func play(t *testing.T, b *bus.Bus, beat messages.Beat, heed func(*messages.Beat, messages.DrainOrder)) *fake {
	t.Helper()
	f := &fake{beat: beat}
	f.beater = roster.NewBeater(b, func() messages.Beat {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.beat
	})
	t.Cleanup(f.beater.Stop)
	subject := messages.DrainSubject(beat.Role, beat.Member)
	sub, err := b.Own(strings.TrimSuffix(subject, ".drain"), 0, func(m *bus.Msg) {
		answer := messages.AnswerDrain(m.Data, func(o messages.DrainOrder) (messages.State, error) { return f.obey(o, heed) })
		if err := b.Publish(m.Reply, "", answer); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Cancel)
	return f
}

func (f *fake) obey(o messages.DrainOrder, heed func(*messages.Beat, messages.DrainOrder)) (state messages.State, err error) {
	defer f.beater.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders = append(f.orders, o)
	if state, err = o.From(f.beat.State); err == nil {
		f.beat.State = state
		heed(&f.beat, o)
	}
	return state, err
}

func media(name string, handles int) messages.Beat {
	return messages.Beat{
		Role: messages.RoleMedia, Member: messages.Member{Name: name, Inc: "i1"}, State: messages.StateReady, Host: "h", Load: 0.254,
		Media: &messages.MediaBeat{Janus: messages.JanusUp, Version: "1.1.2", Sessions: 1, Handles: handles},
	}
}

func node(name string) messages.Beat {
	return messages.Beat{
		Role: messages.RoleSession, Member: messages.Member{Name: name, Inc: "i2"}, State: messages.StateReady,
		Session: &messages.SessionBeat{Sessions: 5, Owned: []messages.OwnedRange{{Partitions: messages.AllPartitions()}}},
	}
}

func listen(t *testing.T, b *bus.Bus) *Watch {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w, err := Listen(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

func ignore(*messages.Beat, messages.DrainOrder) {}

func TestList(t *testing.T) {
	b := connect(t)
	play(t, b, media("alpha", 3), ignore)
	play(t, b, node("alpha"), ignore)
	edge := messages.Beat{
		Role: messages.RoleEdge, Member: messages.Member{Name: "e", Inc: "i3"}, State: messages.StateDraining, Region: "eu",
		Edge: &messages.EdgeBeat{Connections: 2},
	}
	play(t, b, edge, ignore)
	list := listen(t, b).List()
	var text, data strings.Builder
	if err := errors.Join(WriteText(&text, list), WriteJSON(&data, list)); err != nil {
		t.Fatal(err)
	}
	want := `ROLE     NAME   STATE     LOAD  CONNECTIONS  PARTITIONS  SESSIONS  HANDLES  JANUS     REGION  HOST
edge     e      draining  0%    2            -           -         -        -         eu      -
session  alpha  ready     0%    -            1024        5         -        -         -       -
media    alpha  ready     25%   -            -           1         3        1.1.2 up  -       h
`
	if text.String() != want {
		t.Errorf("got\n%swant\n%s", &text, want)
	}
	var read []Server
	if err := json.Unmarshal([]byte(data.String()), &read); err != nil || len(read) != 3 || *read[2].Handles != 3 || read[2].Incarnation != "i1" {
		t.Errorf("%v: %s", err, &data)
	}
}

// TestDrainTellsProgress drains a name with two roles, one of which takes its time.
func TestDrainTellsProgress(t *testing.T) {
	b := connect(t)
	m := play(t, b, media("alpha", 2), ignore)
	play(t, b, node("alpha"), func(beat *messages.Beat, _ messages.DrainOrder) { beat.Session = &messages.SessionBeat{} })
	play(t, b, media("beta", 2), func(*messages.Beat, messages.DrainOrder) { t.Error("another one was told") })
	w := listen(t, b)
	var told []string
	all, err := w.Drain(t.Context(), "alpha", Options{Timeout: patience}, func(o Outcome) {
		told = append(told, o.String())
		if o.What == "handles" && o.Left > 0 && o.State == messages.StateDraining { // a call ends
			m.mu.Lock()
			m.beat.Media = &messages.MediaBeat{Handles: o.Left - 1}
			m.mu.Unlock()
		}
	})
	if err != nil || len(all) != 2 || !all[0].Drained || !all[1].Drained {
		t.Fatalf("%v: %v", err, all)
	}
	for _, want := range []string{"media alpha drains: 2 handles left", "media alpha drains: 1 handles left", "media alpha is drained", "session alpha is drained"} {
		if !slices.Contains(told, want) {
			t.Errorf("%q is missing in %q", want, told)
		}
	}
	all, err = w.Undrain(t.Context(), "alpha", messages.RoleMedia)
	if err != nil || fmt.Sprint(all) != "[media alpha is ready]" {
		t.Errorf("%v: %v", err, all)
	}
}

// TestDrainByForce ends what is left when the time is up.
func TestDrainByForce(t *testing.T) {
	b := connect(t)
	m := play(t, b, media("alpha", 2), func(beat *messages.Beat, o messages.DrainOrder) {
		if o.End {
			beat.Media = &messages.MediaBeat{}
		}
	})
	w := listen(t, b)
	quietly := func(Outcome) {}
	if _, err := w.Drain(t.Context(), "alpha", Options{Timeout: time.Millisecond}, quietly); !errors.Is(err, ErrLeft) {
		t.Errorf("without force: %v", err)
	}
	all, err := w.Drain(t.Context(), "alpha", Options{Timeout: time.Millisecond, Force: true}, quietly)
	if err != nil || fmt.Sprint(all) != "[media alpha is drained]" {
		t.Errorf("%v: %v", err, all)
	}
	if last := m.orders[len(m.orders)-1]; !last.End {
		t.Errorf("told %+v", m.orders)
	}
	all, err = w.Drain(t.Context(), "alpha", Options{NoWait: true}, quietly)
	if err != nil || len(all) != 1 || all[0].State != messages.StateDraining {
		t.Errorf("%v: %v", err, all)
	}
}

func TestDrainUnknown(t *testing.T) {
	b := connect(t)
	w := listen(t, b)
	if _, err := w.Drain(t.Context(), "alpha", Options{}, nil); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "right NATS") {
		t.Error(err)
	}
	play(t, b, media("beta", 0), ignore)
	w = listen(t, b)
	_, err := w.Undrain(t.Context(), "alpha", messages.RoleEdge)
	if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), `"edge alpha" (there are: media beta)`) {
		t.Error(err)
	}
}

// TestDrainRefused tells why a role does not heed an order.
func TestDrainRefused(t *testing.T) {
	b := connect(t)
	beat := media("alpha", 0)
	beat.State = messages.StateJoining
	play(t, b, beat, ignore)
	if _, err := listen(t, b).Drain(t.Context(), "alpha", Options{}, nil); err == nil || err.Error() != "media alpha: the role is joining" {
		t.Error(err)
	}
}
