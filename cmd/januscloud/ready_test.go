// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"

	"github.com/januscloud/januscloud/scripts/lab"
)

func TestReadyLine(t *testing.T) {
	for _, tt := range []struct {
		line readyLine
		want string
	}{
		{readyLine{role: "session", name: "a"}, "ready role=session name=a"},
		{readyLine{role: "edge", name: "e-1", ws: "ws://127.0.0.1:8188", nats: "nats://n1:4222", health: "http://127.0.0.1:9100"},
			"ready role=edge name=e-1 ws=ws://127.0.0.1:8188 nats=nats://n1:4222 health=http://127.0.0.1:9100"},
		{readyLine{role: "dev", name: "dev", ws: "a", wss: "b", http: "c", https: "h", admin: "d", nats: "e", demo: "f", health: "g"},
			"ready role=dev name=dev ws=a wss=b http=c https=h admin=d nats=e demo=f health=g"},
		{readyLine{role: "edge", name: "a", nats: " two words\n"}, "ready role=edge name=a nats=two_words"},
	} {
		var b bytes.Buffer
		if err := tt.line.print(&b); err != nil {
			t.Fatal(err)
		}
		if b.String() != tt.want+"\n" {
			t.Errorf("%q, want %q", b.String(), tt.want)
		}
		if _, err := lab.ParseReady(tt.want); err != nil {
			t.Error(err)
		}
	}
}
