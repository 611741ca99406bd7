// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseReady(t *testing.T) {
	r, err := ParseReady("ready role=edge name=e1 ws=127.0.0.1:8188 http=:8088 admin=127.0.0.1:7188 nats=nats://h:4222,nats://i:4222 extra=1")
	if err != nil {
		t.Fatal(err)
	}
	if r.Role != "edge" || r.Name != "e1" || r.WS != "127.0.0.1:8188" || r.NATS != "nats://h:4222,nats://i:4222" || r.Fields["extra"] != "1" {
		t.Errorf("%+v", r)
	}
	p := RoleProcess{Ready: r}
	if p.WSURL() != "ws://127.0.0.1:8188" || p.HTTPURL() != "http://127.0.0.1:8088" {
		t.Errorf("addresses %s and %s", p.WSURL(), p.HTTPURL())
	}
	p.Ready = Ready{WS: "ws://h:1/x", HTTP: "[::]:80"}
	if p.WSURL() != "ws://h:1/x" || p.HTTPURL() != "http://127.0.0.1:80" {
		t.Errorf("addresses %s and %s", p.WSURL(), p.HTTPURL())
	}
	for _, line := range []string{
		"", "ready", "Ready role=a name=b", "ready role=a", "ready name=b", "ready role=a name=b ", "ready role=a name=b ws",
		"ready role=a name=b ws=", "ready role=a name=b =x", "ready role=a name=b name=c", "ready  role=a name=b",
	} {
		if r, err := ParseReady(line); !errors.Is(err, ErrReady) {
			t.Errorf("%q gave %+v, %v", line, r, err)
		}
	}
}

// FuzzParseReady: what is accepted says the same when it is written again.
func FuzzParseReady(f *testing.F) {
	f.Add("ready role=edge name=e1 ws=127.0.0.1:8188")
	f.Add("ready role==")
	f.Fuzz(func(t *testing.T, line string) {
		r, err := ParseReady(line)
		if err != nil {
			return
		}
		again := "ready"
		for _, key := range slices.Sorted(maps.Keys(r.Fields)) {
			again += " " + key + "=" + r.Fields[key]
		}
		if s, err := ParseReady(again); err != nil || !maps.Equal(s.Fields, r.Fields) {
			t.Fatalf("%q gave %v, %q gave %v, %v", line, r.Fields, again, s.Fields, err)
		}
	})
}

// script is a program of the rig's that stands for januscloud.
func script(t testing.TB, text string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "role")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return []string{file, "edge"}
}

const (
	says   = "trap 'exit 0' TERM\necho log line >&2\necho \"ready role=$1 name=e-$$ ws=127.0.0.1:1\"\n"
	serves = says + "while :; do sleep 0.01; done\n"
)

func TestRoleLife(t *testing.T) {
	ctx := testContext(t)
	r := startRole(t, script(t, serves))
	r.waitReady()
	if r.Ready.Role != "edge" || !r.Running() || !strings.Contains(r.Log(), "log line") {
		t.Errorf("ready %+v, log %q", r.Ready, r.Log())
	}
	name := r.Ready.Name
	r.Restart()
	if r.Ready.Name == name {
		t.Error("the ready line of the first start was taken for that of the second")
	}
	r.Freeze()
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := r.Wait(short); err == nil {
		t.Error("a frozen process ended")
	}
	r.Thaw()
	r.Stop()
	if err := r.Wait(ctx); err != nil || r.Running() {
		t.Errorf("stopped with %v", err)
	}
	r.Kill()
}

// TestRoleFaults is everything a role may be caught at.
func TestRoleFaults(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"ends at once":     {"exit 3", "ended: exit status 3"},
		"not ready":        {"echo hello; sleep 10", "not a ready line"},
		"talks":            {says + "echo more; echo told >&2; sleep 10", `more than a ready line on standard output: "more\n"`},
		"data race":        {"echo WARNING: DATA RACE >&2; " + serves, "DATA RACE"},
		"panics":           {"echo; echo 'panic: here' >&2; " + serves, "not a ready line"},
		"panics when told": {"printf '\\npanic: here\\n' >&2; " + serves, "panic:"},
		"stops with error": {strings.Replace(serves, "exit 0", "exit 9", 1), "stopped with exit status 9"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeTB{TB: t}
			got := f.run(func(tb TB) {
				r := startRole(tb, script(t, tt.text))
				r.waitReady()
				switch name {
				case "stops with error":
					r.Stop()
				case "talks":
					WaitFor(tb, 10*time.Second, func() string {
						if !strings.Contains(r.Log(), "told") {
							return "still silent"
						}
						return ""
					})
				}
			})
			if !strings.Contains(got, tt.want) {
				t.Errorf("failed with %q, want %q", got, tt.want)
			}
			if !strings.Contains(strings.Join(f.logs, ""), "log of edge") {
				t.Errorf("the log was not shown: %q", f.logs)
			}
		})
	}
}

// TestEnvironment: what is set for januscloud in the tester's shell does not reach the roles under test.
func TestEnvironment(t *testing.T) {
	t.Setenv("JANUSCLOUD_WS", ":1")
	t.Setenv("LAB_SEEN", "1")
	env := environment()
	if slices.Contains(env, "JANUSCLOUD_WS=:1") || !slices.Contains(env, "LAB_SEEN=1") {
		t.Errorf("environment %q", env)
	}
}
