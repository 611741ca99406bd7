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
		if got := InboxOf(said); got != inbox {
			t.Errorf("%s: inbox %q", said, got)
		}
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
	for _, identity := range []string{
		"", "janus.edge", "janus.edge.e~i1", "janus.edge.e~i1.", "janus.edge.e~i1.7.1029.2", "janus.edge.e~i1.h7.1029.2", "janus.session.5.5.own.3.4",
	} {
		if got := InboxOf(identity); got != "" {
			t.Errorf("%s: inbox %q", identity, got)
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
