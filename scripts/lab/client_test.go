// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"testing"
	"time"
)

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// TestEchoConversation is the shortest whole conversation with a real Janus.
func TestEchoConversation(t *testing.T) {
	ctx := testContext(t)
	janus := Janus(t)
	c, err := Dial(ctx, janus.WSURL())
	if err != nil {
		t.Fatal(err)
	}
	session, err := c.Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	handle, err := c.Attach(ctx, session, "janus.plugin.echotest")
	if err != nil {
		t.Fatal(err)
	}
	tx, err := c.Send(map[string]any{
		"janus": "message", "session_id": session, "handle_id": handle, "body": map[string]any{"audio": true, "bitrate": 64000},
	})
	if err != nil {
		t.Fatal(err)
	}
	ack, err := c.Reply(ctx, tx)
	if err != nil || ack.Janus != "ack" || ack.Session != session {
		t.Fatalf("ack: %v, %v", ack, err)
	}
	event, err := c.Next(ctx, func(m Message) bool { return m.Transaction == tx })
	if err != nil || event.Handle != handle || event.Text("plugindata", "data", "result") != "ok" {
		t.Fatalf("event: %v, %v", event, err)
	}
	if err := c.Keepalive(ctx, session); err != nil {
		t.Fatal(err)
	}
	if err := c.Destroy(ctx, session); err != nil {
		t.Fatal(err)
	}
	if events := c.Events(handle); len(events) != 1 {
		t.Errorf("events of the handle: %v", events)
	}
	if v := c.Violations(); len(v) > 0 {
		t.Errorf("a real Janus violates: %q", v)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}
