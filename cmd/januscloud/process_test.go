// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus/embedded"
)

// fakeRole is a role that records what is done to it.
type fakeRole struct {
	name  string
	notes *[]string
	stuck bool
}

func (f fakeRole) Member() messages.Member { return messages.Member{Name: f.name, Inc: "1"} }
func (f fakeRole) Ready() error            { return nil }
func (f fakeRole) Stop(ctx context.Context) error {
	*f.notes = append(*f.notes, "stop "+f.name)
	if f.stuck {
		select {}
	}
	return nil
}

func fakeWorld() (w *world, signals chan os.Signal, exits *[]int, out *sink) {
	signals, exits, out = make(chan os.Signal, 2), new([]int), newSink()
	return &world{
		stdout: out, stderr: io.Discard, signals: signals, exit: func(code int) { *exits = append(*exits, code) }, stopBound: 5 * time.Second,
	}, signals, exits, out
}

func general() config.General { return config.General{LogLevel: "info", LogFormat: "text"} }

func TestServeStopsInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, signals, _, out := fakeWorld()
		var notes []string
		done := make(chan error)
		go func() {
			done <- w.serve(general(), config.Health{}, func(_ context.Context, p *process) (readyLine, error) {
				p.add("a", fakeRole{name: "a", notes: &notes})
				p.add("b", fakeRole{name: "b", notes: &notes})
				p.onStop("c", func(context.Context) error { notes = append(notes, "stop c"); return errors.New("no way") })
				return readyLine{role: "edge", name: "a"}, nil
			})
		}()
		synctest.Wait()
		if out.String() != "ready role=edge name=a\n" {
			t.Errorf("wrote %q", out)
		}
		signals <- syscall.SIGTERM
		err := <-done
		if err == nil || err.Error() != "stop c: no way" {
			t.Error(err)
		}
		if want := []string{"stop c", "stop b", "stop a"}; !slices.Equal(notes, want) {
			t.Errorf("%q, want %q", notes, want)
		}
	})
}

// TestServeDrains drains everything at once, each for its own time, before anything is stopped.
func TestServeDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, signals, _, _ := fakeWorld()
		var notes []string
		done, drained := make(chan error), make(chan string, 3)
		go func() {
			done <- w.serve(general(), config.Health{}, func(_ context.Context, p *process) (readyLine, error) {
				p.onStop("drains", func(context.Context) error { close(drained); return nil })
				for within, what := range map[time.Duration]string{0: "never", time.Second: "short", time.Hour: "long"} {
					p.onDrain(within, func(ctx context.Context) {
						<-ctx.Done()
						drained <- what
					})
				}
				return readyLine{role: "edge", name: "a"}, nil
			})
		}()
		start := time.Now()
		signals <- syscall.SIGTERM
		if err := <-done; err != nil {
			t.Error(err)
		}
		for what := range drained {
			notes = append(notes, what)
		}
		if want := []string{"short", "long"}; !slices.Equal(notes, want) || time.Since(start) != time.Hour {
			t.Errorf("%q drained before the stop, after %v, want %q", notes, time.Since(start), want)
		}
	})
}

func TestServeUndoesAFailedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, _, out := fakeWorld()
		var notes []string
		err := w.serve(general(), config.Health{}, func(_ context.Context, p *process) (readyLine, error) {
			p.add("a", fakeRole{name: "a", notes: &notes})
			return readyLine{}, errors.New("no luck")
		})
		if err == nil || err.Error() != "no luck" || out.String() != "" || !slices.Equal(notes, []string{"stop a"}) {
			t.Errorf("%v, %q, %q", err, out, notes)
		}
	})
}

// Whoever is told to end before it serves ends without an error.
func TestSignalWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, signals, _, out := fakeWorld()
		done := make(chan error)
		go func() {
			done <- w.serve(general(), config.Health{}, func(ctx context.Context, _ *process) (readyLine, error) {
				<-ctx.Done()
				return readyLine{}, ctx.Err()
			})
		}()
		signals <- syscall.SIGINT
		if err := <-done; err != nil || out.String() != "" {
			t.Errorf("%v, %q", err, out)
		}
	})
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, signals, exits, _ := fakeWorld()
		release, done := make(chan struct{}), make(chan error)
		go func() {
			done <- w.serve(general(), config.Health{}, func(_ context.Context, p *process) (readyLine, error) {
				p.onStop("slow", func(context.Context) error { <-release; return nil })
				return readyLine{role: "edge", name: "a"}, nil
			})
		}()
		signals <- syscall.SIGTERM
		signals <- syscall.SIGTERM // an echo of the first
		synctest.Wait()
		if len(*exits) != 0 {
			t.Error("an echo of the signal was taken for a second one")
		}
		time.Sleep(time.Second)
		signals <- syscall.SIGTERM
		synctest.Wait()
		if !slices.Equal(*exits, []int{exitFailed}) {
			t.Errorf("exits: %v", *exits)
		}
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Something that does not stop does not keep the process.
func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, signals, _, _ := fakeWorld()
		release, done := make(chan struct{}), make(chan error)
		begun := time.Now()
		go func() {
			done <- w.serve(general(), config.Health{}, func(_ context.Context, p *process) (readyLine, error) {
				p.onStop("deaf", func(context.Context) error { <-release; return nil })
				return readyLine{role: "edge", name: "a"}, nil
			})
		}()
		signals <- syscall.SIGTERM
		if err := <-done; !errors.Is(err, errStop) {
			t.Error(err)
		}
		if took := time.Since(begun); took != 6*time.Second {
			t.Errorf("took %v", took)
		}
		close(release)
		synctest.Wait()
	})
}

func TestLogForms(t *testing.T) {
	out := newSink()
	for _, form := range []string{"text", "json"} {
		log, err := newLog(out, config.General{LogLevel: "warn", LogFormat: form})
		if err != nil {
			t.Fatal(err)
		}
		log.Info("silent")
		log.Warn("told", "node", form)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "msg=told node=text") || !strings.Contains(lines[1], `"msg":"told","node":"json"`) {
		t.Errorf("%q", lines)
	}
	if _, err := newLog(out, config.General{LogLevel: "loud"}); err == nil {
		t.Error("an unknown level was taken")
	}
}

// fetch asks the health address.
func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// A role that loses NATS is not ready and not unhealthy; it goes on when NATS is there again.
func TestLosingNATS(t *testing.T) {
	t.Parallel()
	store := t.TempDir()
	server := natsServer(t, embedded.Options{StoreDir: store})
	url := server.ClientURL()
	p := begin(t, nil, "session", "--nats", url, "--health", "127.0.0.1:0")
	ready := p.ready()
	health := ready.Fields["health"]
	expect := func(status int, contains string) {
		t.Helper()
		eventually(t, func() string {
			got, body := fetch(t, health+"/readyz")
			if got != status || !strings.Contains(body, contains) {
				return body
			}
			return ""
		})
		if status, body := fetch(t, health+"/healthz"); status != http.StatusOK {
			t.Errorf("healthz: %d %s", status, body)
		}
	}
	expect(http.StatusOK, `"ready":true`)
	server.Shutdown()
	expect(http.StatusServiceUnavailable, `"session":"not connected to NATS"`)
	port, err := portOf(url)
	if err != nil {
		t.Fatal(err)
	}
	natsServer(t, embedded.Options{StoreDir: store, Port: port})
	expect(http.StatusOK, `"ready":true`)
	if status, body := fetch(t, health+"/metrics"); status != http.StatusOK ||
		!strings.Contains(body, "go_goroutines") || !strings.Contains(body, "januscloud_build_info{") {
		t.Errorf("metrics: %d %s", status, body)
	}
	p.stop()
}

// A role waits for NATS; it lives meanwhile, and can be told to end.
func TestStartingWithoutNATS(t *testing.T) {
	p := begin(t, nil, "edge", "--nats", "127.0.0.1:1", "--ws", "127.0.0.1:0", "--http", "127.0.0.1:0", "--health", "127.0.0.1:0", "--log-level", "debug")
	eventually(t, func() string {
		if !strings.Contains(p.err.String(), "no connection to NATS") {
			return "no attempt to connect"
		}
		return ""
	})
	p.signals <- syscall.SIGTERM
	if code := p.exit(); code != exitDone || p.out.String() != "" {
		t.Errorf("%d, %q", code, p.out)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	server := natsServer(t, embedded.Options{})
	edge := func(args ...string) *program {
		return begin(t, nil, append([]string{"edge", "--nats", server.ClientURL(), "--ws", "127.0.0.1:0", "--http", "127.0.0.1:0"}, args...)...)
	}
	first := edge()
	name := first.ready().Name
	if !strings.HasSuffix(name, "-edge") {
		t.Errorf("default name %q", name)
	}
	if second := edge().ready().Name; second != name+"-2" {
		t.Errorf("the second edge is called %q", second)
	}
	clash := edge("--name", name)
	if code := clash.exit(); code != exitFailed || !strings.Contains(clash.err.String(), "name is taken by a living member: "+name) {
		t.Errorf("%d: %s", code, clash.err)
	}
	// A session role of the same name is another member.
	begin(t, nil, "session", "--nats", server.ClientURL(), "--name", name).ready()
	// Who left in good order leaves the name free.
	first.stop()
	if again := edge("--name", name).ready(); again.Name != name {
		t.Errorf("%+v", again)
	}
}

func TestNoticeIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newSink()
		stop := notice(slog.New(slog.NewTextHandler(out, nil)), "waiting")
		time.Sleep(3*waitNotice + time.Second)
		synctest.Wait()
		stop()
		if n := strings.Count(out.String(), "msg=waiting"); n != 3 {
			t.Errorf("%d notices", n)
		}
	})
}
