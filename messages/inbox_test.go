// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"strings"
	"testing"
)

// An inbox travels in the identities of its requests, whole.
func TestInboxIdentities(t *testing.T) {
	const inbox = "_INBOX.Ab3.x-7"
	i := Identity{Edge: Member{"e", "i1"}, Connection: 7, Inbox: inbox, Session: 1029, N: 2}
	if want := "janus.edge.e~i1.n7/_INBOX/Ab3/x-7.1029.2"; i.String() != want {
		t.Fatalf("%s, want %s", i, want)
	}
	for _, said := range []string{i.String(), i.String() + ".r"} {
		got, err := ParseTransport(said)
		if want := (Transport{Edge: i.Edge, Connection: 7, Inbox: inbox}); err != nil || got != want || !got.Stays() {
			t.Errorf("%s: %+v, %v", said, got, err)
		}
		s, err := ParseEdgeSubject(said)
		if want := (EdgeSubject{Connection: 7, Session: 1029, N: 2}); err != nil || s != want {
			t.Errorf("%s: %+v, %v", said, s, err)
		}
	}
	if stays := (Transport{Edge: i.Edge, Connection: 7}).Stays(); stays {
		t.Error("a connection stays")
	}
}

// Nobody but a client that speaks NATS has an inbox, and none that could not be answered.
func TestNoInbox(t *testing.T) {
	for _, connection := range []string{"7", "h7"} {
		if got, err := ParseTransport("janus.edge.e~i1." + connection + ".1029.2"); err != nil || got.Inbox != "" {
			t.Errorf("%s: %+v, %v", connection, got, err)
		}
	}
	for _, connection := range []string{"n7", "n7/", "n7//x", "n/x", "n7/janus/api", "n7/$JS/API", "n7/a/*"} {
		if got, err := ParseTransport("janus.edge.e~i1." + connection + ".1029.2"); err == nil {
			t.Errorf("%s is %+v", connection, got)
		}
	}
}

// An answer must not go where it would be taken for something else, nor where NATS or an identity cannot carry it.
func TestValidInbox(t *testing.T) {
	for _, s := range []string{"_INBOX.a.b", "backend", "replies.of.backend-1", "janusx.y", "a.janus.api", "a$", strings.Repeat("x", 256)} {
		if !ValidInbox(s) {
			t.Errorf("%q is refused", s)
		}
	}
	for _, s := range []string{
		"", ".", "a.", ".a", "a..b", "*", ">", "a.*", "a.>", "a b", "a\tb", "a\x7f", "a/b", "janus", "janus.api", "janus.session.5.5", "janus.>",
		"$JS.API.INFO", "$KV.b.k", "$SYS", strings.Repeat("x", 257),
	} {
		if ValidInbox(s) {
			t.Errorf("%q is taken", s)
		}
	}
}
