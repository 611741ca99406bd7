// SPDX-License-Identifier: Apache-2.0

package janusapi

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

const patience = 10 * time.Second

// listen serves each WebSocket that comes to a loopback port with serve, and returns its address.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			u := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) != "refused" }}
			if _, err := u.Upgrade(conn); err == nil {
				serve(conn)
			}
			_ = conn.Close()
		}
	}()
	return "ws://" + l.Addr().String()
}

// peer is our end of a connection whose other end a test scripts.
type peer struct {
	*Conn
	messages chan string
	closed   chan error
}

func dial(t *testing.T, url string, o Options) *peer {
	t.Helper()
	p := &peer{messages: make(chan string, 100), closed: make(chan error, 10)}
	o.OnMessage = func(raw []byte) { p.messages <- string(raw) }
	o.OnClose = func(err error) { p.closed <- err }
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := Dial(ctx, url, o)
	if err != nil {
		t.Fatal(err)
	}
	p.Conn = conn
	t.Cleanup(func() { conn.Close(); <-conn.Done() })
	return p
}

func (p *peer) wantMessage(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-p.messages:
		if got != want {
			t.Fatalf("message of %d bytes %.40q, want %d bytes %.40q", len(got), got, len(want), want)
		}
	case err := <-p.closed:
		t.Fatalf("closed: %v", err)
	case <-time.After(patience):
		t.Fatal("no message")
	}
}

// wantClose waits for OnClose and checks that it was called once, with an error that is want.
func (p *peer) wantClose(t *testing.T, want error) {
	t.Helper()
	select {
	case err := <-p.closed:
		if want != nil && !errors.Is(err, want) {
			t.Errorf("closed with %v, want %v", err, want)
		}
	case <-time.After(patience):
		t.Fatal("OnClose was not called")
	}
	select {
	case <-p.Done():
	case <-time.After(patience):
		t.Fatal("not done after OnClose")
	}
	if len(p.closed) > 0 {
		t.Error("OnClose was called twice")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
