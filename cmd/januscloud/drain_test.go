// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/cmd/januscloud/servers"
	"github.com/januscloud/januscloud/messages/bus/embedded"
)

// TestServersAndDrain looks at a cluster and drains its roles, as a person does.
func TestServersAndDrain(t *testing.T) {
	nats := "--nats=" + natsServer(t, embedded.Options{}).ClientURL()
	begin(t, nil, "session", nats, "--name", "s1").ready()
	begin(t, nil, "edge", nats, "--name", "e1", "--ws", "127.0.0.1:0", "--http", "off").ready()

	code, out, _ := try(t, nil, "servers", nats, "--json")
	var list []servers.Server
	if err := json.Unmarshal([]byte(out), &list); code != exitDone || err != nil || len(list) != 2 {
		t.Fatalf("servers: %d, %v: %s", code, err, out)
	}
	if code, out, _ := try(t, nil, "servers", nats); code != exitDone || !strings.Contains(out, "session  s1    ready") {
		t.Errorf("servers: %d\n%s", code, out)
	}
	code, out, problem := try(t, nil, "drain", nats, "s1", "--timeout", "300ms")
	if code != exitFailed || !strings.Contains(out, "session s1 drains: 1024 partitions left\n") || !strings.Contains(problem, "not drained in time") {
		t.Errorf("drained without another: %d\n%s%s", code, out, problem)
	}
	begin(t, nil, "session", nats, "--name", "s2").ready()
	for _, tt := range []struct {
		args []string
		code int
		last string
	}{
		{[]string{"drain", "s1"}, exitDone, "session s1 is drained"},
		{[]string{"undrain", "s1", "--role", "session"}, exitDone, "session s1 is ready"},
		{[]string{"drain", "e1"}, exitDone, "edge e1 is drained"},
		{[]string{"drain", "e1", "--no-wait"}, exitDone, "edge e1 is drained"},
		{[]string{"undrain", "e1"}, exitDone, "edge e1 is ready"},
		{[]string{"drain", "e2"}, exitFailed, ""},
	} {
		code, out, problem := try(t, nil, slices.Insert(tt.args, 1, nats)...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if code != tt.code || lines[len(lines)-1] != tt.last {
			t.Errorf("%q: %d\n%s%s", tt.args, code, out, problem)
		}
	}
	if _, _, problem := try(t, nil, "drain", nats, "e2"); !strings.Contains(problem, `no such role is heard: "e2" (there are: edge e1, session s1, session s2)`) {
		t.Errorf("an unknown one: %s", problem)
	}
}
