// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// bubble runs a test in fake time, with an actor that lives on a goroutine and a wheel that turns. In do the actor
// handles something, and nothing else at the same time.
func bubble(t *testing.T, test func(t *testing.T, f *fake, do func(func()))) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(s *server) { s.wheel.Start() })
		f.told = make(chan any, 1<<16)
		f.receive(begin{}) // again: the first was before told
		work, done := make(chan func()), make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case m := <-f.told:
					f.receive(m)
				case w, ok := <-work:
					if !ok {
						return
					}
					w()
				}
			}
		}()
		test(t, f, func(w func()) {
			finished := make(chan struct{})
			work <- func() { w(); close(finished) }
			<-finished
		})
		synctest.Wait()
		f.wheel.Stop()
		close(work)
		<-done
	})
}

// TestKeepalives looks at a thousand sessions for two minutes: none is ever silent for 20 s, and neither after they were
// made together nor after they were claimed together do their keepalives come in one burst.
func TestKeepalives(t *testing.T) {
	const sessions = 1000
	bubble(t, func(t *testing.T, f *fake, do func(func())) {
		last := map[string]time.Time{} // when Janus last heard of a session
		perSecond := map[int64]int{}
		answer := func(p *peer, r map[string]any) {
			if id := fmt.Sprint(r["session_id"]); r["session_id"] != nil && id != fmt.Sprint(uint64(messages.MaxID)) {
				if heard, ok := last[id]; ok && time.Since(heard) > 20*time.Second {
					t.Errorf("session %s was silent for %v", id, time.Since(heard))
				}
				last[id] = time.Now()
			}
			if r["janus"] == "keepalive" {
				perSecond[time.Now().Unix()]++
			}
			polite(p, r)
		}
		var p *peer
		live := func(d time.Duration) {
			for range d / (100 * time.Millisecond) {
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				do(p.run)
			}
		}
		busiest := func() int {
			most := 0
			for _, n := range perSecond {
				most = max(most, n)
			}
			clear(perSecond)
			return most
		}
		do(func() {
			p = f.connect(answer)
			p.run()
			for id := range uint64(sessions) {
				p.bound(id + 1)
			}
		})
		live(60 * time.Second)
		busiest()
		live(60 * time.Second)
		if most := busiest(); most > sessions/5 {
			t.Errorf("%d keepalives in one second", most)
		}
		do(func() {
			f.receive(closed{p.link, errors.New("cut")})
			p = f.connect(answer)
			p.run()
		})
		live(60 * time.Second)
		if most := busiest(); most > sessions/5 {
			t.Errorf("%d keepalives in one second after a claim", most)
		}
		if len(last) != sessions || len(f.ours) != sessions {
			t.Errorf("%d sessions were heard of, %d handles are left", len(last), len(f.ours))
		}
	})
}

// TestDeadline waits for a Janus that answers pings and nothing else.
func TestDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, do func(func())) {
		var p *peer
		do(func() {
			p = f.connect(polite)
			p.run()
			p.bound(1)
			p.answer = func(p *peer, r map[string]any) {
				if r["janus"] == "ping" || r["janus"] == "keepalive" {
					polite(p, r)
				}
			}
			f.request(1, 1, client(1, 1), echo)
			f.request(1, 2, "bind", `{"janus":"attach","transaction":"a2","plugin":"janus.plugin.echotest"}`)
		})
		late := p.sent[0]
		started := time.Now()
		var published []bus.Msg
		for len(published) < 2 && time.Since(started) < time.Minute {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			do(func() { p.run(); published = append(published, f.take()...) })
		}
		if took := time.Since(started); took < deadline || took > deadline+time.Second {
			t.Errorf("answered after %v", took)
		}
		for i, tx := range []string{"m", "a2"} {
			if got := string(published[i].Data); !strings.Contains(got, `"code":490`) || !strings.Contains(got, `"transaction":"`+tx+`"`) {
				t.Errorf("answered %s", got)
			}
		}
		do(func() {
			polite(p, late)
			f.request(1, 1, client(1, 1)+".r", echo)
		})
		if got := f.take(); len(got) != 1 || string(got[0].Data) != string(published[0].Data) {
			t.Errorf("a late reply, and a repeat: %v", got)
		}
		if len(f.flight.byPrefix) != 1 {
			t.Errorf("%d requests wait, want the attach", len(f.flight.byPrefix))
		}
	})
}

// TestLateAttach ends a handle that Janus makes when nobody waits for it any more, and gives it to whoever does.
func TestLateAttach(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		bubble(t, func(t *testing.T, f *fake, do func(func())) {
			const attach = `{"janus":"attach","transaction":"a","plugin":"janus.plugin.echotest"}`
			var p *peer
			var late map[string]any
			do(func() {
				p = f.connect(polite)
				p.run()
				f.request(1, 1, "first", attach)
				p.answer = func(p *peer, r map[string]any) {
					if r["janus"] == "attach" {
						late = r
						return
					}
					polite(p, r)
				}
			})
			for range 350 {
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				do(p.run)
			}
			var after []bus.Msg
			do(func() {
				f.take()
				if wanted {
					f.request(1, 1, "second", attach)
				}
				polite(p, late)
				after = f.take()
			})
			if !wanted {
				if len(after) != 0 || len(p.sent) != 1 || p.sent[0]["janus"] != "detach" || fmt.Sprint(p.sent[0]["handle_id"]) != "1" {
					t.Errorf("published %v, sent %v", after, p.sent)
				}
				do(p.run)
				if len(f.ours) != 0 {
					t.Error("the handle is still mapped")
				}
				return
			}
			if len(after) != 1 || after[0].Reply != "second" || !strings.Contains(string(after[0].Data), `"id":1`) {
				t.Errorf("published %v", after)
			}
		})
	}
}

// TestBroken tells a client that it cannot be known what became of its message when not Janus but a write to it ended.
func TestBroken(t *testing.T) {
	for reason, err := range map[string]error{
		"Outcome unknown: the connection to Janus broke": fmt.Errorf("write: %w", os.ErrDeadlineExceeded),
		"Media server lost": io.EOF,
	} {
		bubble(t, func(t *testing.T, f *fake, do func(func())) {
			do(func() {
				p := f.connect(polite)
				p.run()
				p.bound(1)
				f.request(1, 1, client(1, 1), echo)
				f.take()
				f.receive(closed{p.link, err})
				if got := f.take(); len(got) != 1 || !strings.Contains(string(got[0].Data), reason) {
					t.Errorf("%v: published %v", err, got)
				}
			})
		})
	}
}

// TestHope gives a broken connection two seconds to come back, unless it is known to be in vain.
func TestHope(t *testing.T) {
	for _, tt := range []struct {
		name  string
		dial  error         // what dialling comes to, again and again
		back  time.Duration // when it succeeds; 0: never
		lost  time.Duration // when the handles are known to be lost; 0: never
		claim string        // Janus's answer to the claim
	}{
		{name: "back in time", dial: errors.New("no route"), back: 1500 * time.Millisecond},
		{name: "too late", dial: errors.New("no route"), back: 3 * time.Second, lost: hopeTime},
		{name: "never", lost: hopeTime},
		{name: "refused", dial: fmt.Errorf("dial: %w", syscall.ECONNREFUSED), lost: 100 * time.Millisecond},
		{name: "back, but without the session", back: 500 * time.Millisecond, lost: 500 * time.Millisecond, claim: "error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fake, do func(func())) {
				var p *peer
				do(func() {
					p = f.connect(polite)
					p.run()
					p.bound(1)
					f.receive(closed{p.link, errors.New("cut")})
					f.request(1, 1, client(1, 1), echo)
				})
				cut, lost := time.Now(), time.Duration(0)
				for time.Since(cut) < 4*time.Second {
					time.Sleep(100 * time.Millisecond)
					synctest.Wait()
					do(func() {
						switch {
						case tt.back > 0 && time.Since(cut) == tt.back:
							p = f.connect(func(p *peer, r map[string]any) {
								if r["janus"] == "claim" && tt.claim == "error" {
									p.say(`{"janus":"error","session_id":1,"transaction":"%s","error":{"code":458,"reason":"No such session 1"}}`, r["transaction"])
									return
								}
								polite(p, r)
							})
						case f.link == nil && tt.dial != nil:
							f.receive(dialFailed{tt.dial})
						}
						p.run()
						if lost == 0 && len(f.ours) == 0 {
							lost = time.Since(cut)
						}
					})
				}
				if lost < tt.lost || lost > tt.lost+200*time.Millisecond {
					t.Errorf("lost after %v, want %v", lost, tt.lost)
				}
				wantHope(t, f, tt.lost > 0)
			})
		})
	}
}

// wantHope wants what an owner hears when its handle was lost while a request was held, or was not.
func wantHope(t *testing.T, f *fake, lost bool) {
	t.Helper()
	var heard []string
	for _, m := range f.take() {
		subject, _ := messages.ParseSessionSubject(m.Subject)
		if subject.Session != 0 && subject.Kind != messages.SessionLast {
			heard = append(heard, string(m.Data))
		}
	}
	want := []string{`{"janus":"gap","session_id":1}`, `{"janus":"ack","session_id":1,"transaction":"m"}`}
	if lost {
		want = []string{
			`{"janus":"hangup","session_id":1,"sender":1,"reason":"Media server lost"}`,
			`{"janus":"unbound","session_id":1,"sender":1}`,
			`{"janus":"error","session_id":1,"transaction":"m","error":{"code":490,"reason":"Media server lost"}}`,
			`{"from":"media-1~inc1","missing":[1]}`,
		}
	}
	if strings.Join(heard, "\n") != strings.Join(want, "\n") {
		t.Errorf("heard\n%s\nwant\n%s", strings.Join(heard, "\n"), strings.Join(want, "\n"))
	}
}

// TestSilence tells a Janus that hangs from a role that did not listen.
func TestSilence(t *testing.T) {
	f, p := upAndServing(t)
	p.bound(1)
	now := f.now
	pass := func(d time.Duration, answer bool) {
		now = now.Add(d)
		f.onTick(now)
		if answer {
			p.run()
			f.heard = now
		}
	}
	pass(pingEvery, true)
	pass(10*time.Second, false) // as after a SIGSTOP
	if p.closed {
		t.Error("a Janus was given up that had no chance to answer")
	}
	for range 3 {
		pass(pingEvery, false)
	}
	if p.closed {
		t.Error("given up too early")
	}
	pass(pingEvery, false)
	if !p.closed || len(f.ours) != 0 || f.dials != 2 {
		t.Errorf("a Janus that hangs: closed %v, %d handles, %d dials", p.closed, len(f.ours), f.dials)
	}
}

// TestRestart has a Janus restarted that is there and of no use, and leaves one alone that is not there, or that only does
// not accept our secret.
func TestRestart(t *testing.T) {
	deaf := func(p *peer, r map[string]any) {}
	strict := func(p *peer, r map[string]any) {
		if r["janus"] == "keepalive" {
			p.say(`{"janus":"error","transaction":"%s","error":{"code":403,"reason":"Unauthorized"}}`, r["transaction"])
			return
		}
		polite(p, r)
	}
	for _, tt := range []struct {
		name   string
		dial   error
		answer func(*peer, map[string]any)
		want   int // in eleven seconds
	}{
		{"no handshake", errors.New("timed out"), nil, 2},
		{"nobody there", syscall.ECONNREFUSED, nil, 0},
		{"says nothing", nil, deaf, 2},
		{"does not accept us", nil, strict, 0},
		{"is well", nil, polite, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fake, do func(func())) {
				var p *peer
				for range 110 {
					do(func() {
						switch {
						case tt.dial != nil:
							f.receive(dialFailed{tt.dial})
						case f.link == nil:
							p = f.connect(tt.answer)
							fallthrough
						default:
							p.run()
						}
					})
					time.Sleep(100 * time.Millisecond)
					synctest.Wait()
				}
				do(func() {
					if f.restarts != tt.want {
						t.Errorf("restarted %d times, want %d", f.restarts, tt.want)
					}
				})
			})
		})
	}
}

// TestBlind runs a marked repeat only when it would be remembered, had it run.
func TestBlind(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, do func(func())) {
		var p *peer
		do(func() {
			met := false
			p = f.connect(func(p *peer, r map[string]any) {
				if r["janus"] == "create" && !met {
					met = true
					p.say(`{"janus":"error","session_id":1,"transaction":"%s","error":{"code":468,"reason":"taken"}}`, r["transaction"])
					return
				}
				polite(p, r)
			})
			p.run()
			p.bound(1)
		})
		repeat := func(n uint64) string {
			var got []bus.Msg
			do(func() {
				f.request(1, 1, client(1, n)+".r", echo)
				p.run()
				got = f.take()
			})
			if len(got) != 1 || got[0].Reply != client(1, n) {
				t.Fatalf("published %v", got)
			}
			return string(got[0].Data)
		}
		idle := func(d time.Duration) {
			for range d / (100 * time.Millisecond) {
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				do(p.run)
			}
		}
		idle(deadline - time.Second)
		if got := repeat(1); !strings.Contains(got, "Outcome unknown") {
			t.Error(got)
		}
		// What was not asked before this one cannot have been asked of another incarnation, nor can what comes behind it.
		do(func() {
			f.request(1, 1, client(1, 5), echo)
			p.run()
			f.take()
		})
		if got := repeat(6); !strings.Contains(got, `"ack"`) {
			t.Error(got)
		}
		if got := repeat(4); !strings.Contains(got, "Outcome unknown") {
			t.Error(got)
		}
		do(func() { // the first try, which a NATS server held up
			f.request(1, 1, client(1, 4), echo)
			p.run()
			if got := f.take(); len(got) != 1 || !strings.Contains(string(got[0].Data), "Outcome unknown") {
				t.Errorf("published %v", got)
			}
		})
		idle(2 * time.Second)
		if got := repeat(2); !strings.Contains(got, `"ack"`) {
			t.Error(got)
		}
	})
}

// TestIdleSession ends a Janus session in which nobody has had a handle for long.
func TestIdleSession(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake, do func(func())) {
		var p *peer
		var destroyed time.Time
		do(func() {
			p = f.connect(func(p *peer, r map[string]any) {
				if r["janus"] == "destroy" {
					destroyed = time.Now()
				}
				polite(p, r)
			})
			p.run()
			p.bound(1)
			f.request(1, 1, client(1, 1), `{"janus":"detach","transaction":"d"}`)
			p.run()
		})
		detached := time.Now()
		for destroyed.IsZero() && time.Since(detached) < 2*time.Minute {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			do(p.run)
		}
		if took := destroyed.Sub(detached); took < idleTime || took > idleTime+keepaliveEvery {
			t.Errorf("destroyed after %v", took)
		}
		if len(f.sessions) != 0 || len(f.gone) != 0 || len(f.janus) != 0 {
			t.Errorf("left: %d sessions, %d and %d handles", len(f.sessions), len(f.gone), len(f.janus))
		}
	})
}

// What a plugin says behind its acknowledgement is waited for by a role that stops: nobody could ever hear it later. A Janus that
// always has something to say is not waited for.
func TestStopHearsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := upAndServing(t)
		p.bound(1)
		f.request(1, 1, client(1, 1), echo)
		idle := make(chan struct{})
		isIdle := func() bool {
			f.receive(idleDue{})
			select {
			case <-idle:
				return true
			default:
				return false
			}
		}
		f.receive(quiesce{idle})
		time.Sleep(talkTime)
		if isIdle() {
			t.Fatal("a request is under way")
		}
		p.run()
		began := time.Now()
		for time.Since(began) < talkTime-quietTime {
			if isIdle() {
				t.Fatalf("nobody listens %v after the acknowledgement", time.Since(began))
			}
			time.Sleep(quietTime / 2)
			p.say(`{"janus":"event","session_id":1,"sender":1,"plugindata":{}}`)
		}
		time.Sleep(quietTime)
		if !isIdle() {
			t.Error("a quiet Janus is waited for")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f, p := upAndServing(t)
		p.bound(1)
		idle := make(chan struct{})
		f.receive(quiesce{idle})
		for began := time.Now(); time.Since(began) < talkTime; time.Sleep(quietTime / 4) {
			p.say(`{"janus":"event","session_id":1,"sender":1,"plugindata":{}}`)
			f.receive(idleDue{})
		}
		f.receive(idleDue{})
		select {
		case <-idle:
		default:
			t.Error("it waits for a Janus that is never quiet")
		}
	})
}
