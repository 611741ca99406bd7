// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"context"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janustest"
	"github.com/januscloud/januscloud/scripts/lab"
)

// TestDialPauses has connections end as soon as they are made: they are made again, but not at once.
func TestDialPauses(t *testing.T) {
	janus := janustest.Start(t, janustest.Options{})
	told := make(chan any, 1000)
	d := &dialer{url: janus.URL(), tell: func(m any) { told <- m }, ask: make(chan struct{}, 1)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	d.work.Go(func() { d.run(ctx) })
	d.ask <- struct{}{}
	made := 0
	for ctx.Err() == nil {
		select {
		case m := <-told:
			switch m := m.(type) {
			case dialled:
				made++
				m.link.Close()
			case closed:
				d.ask <- struct{}{}
			}
		case <-ctx.Done():
		}
	}
	d.work.Wait()
	if made < 3 || made > 12 {
		t.Errorf("%d connections in a second", made)
	}
}

// TestEndedBeforeMade hears of the end of a connection before it hears of the connection.
func TestEndedBeforeMade(t *testing.T) {
	f := newFake(t)
	p := &peer{f: f}
	p.link = &link{carrier: p}
	f.receive(closed{p.link, errHangs})
	dials := f.dials
	f.receive(dialled{p.link})
	if f.link != nil || f.dials != dials+1 {
		t.Errorf("link %v, dialled %d times", f.link, f.dials-dials)
	}
}

// TestStop is idempotent, ends everything, and leaves the sessions to Janus.
func TestStop(t *testing.T) {
	r, janus, session := scripted(t, janustest.Options{})
	janus.Hang(true)
	waiting := r.request(session, 1, echoBody(session, "waiting"))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop()
	}()
	lab.WaitFor(t, patience, func() string {
		if r.media.Ready() == nil {
			return "not stopping yet"
		}
		return ""
	})
	janus.Hang(false)
	<-stopped
	r.stop()
	if m := r.reply(waiting); m.body.Janus != "ack" {
		t.Errorf("what was under way: %v", m)
	}
	if r.media.Ready() == nil {
		t.Error("ready though stopped")
	}
	if n := len(janus.Handles(session)); n != 1 {
		t.Errorf("%d handles are left", n)
	}
}
