// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"strings"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// request is one request of an administrator.
type request struct {
	janusjson.Object
	verb            string // in lower case: Janus compares verbs without regard to case
	said            string // as the client wrote it, for errors
	transaction     []byte // a JSON string; nil: none
	session, handle uint64
	hasHandle       bool // there is a handle_id, whatever it is
}

// outcome is what a request comes to: the members of a success behind its transaction, or an error. sessionless is a
// success that does not carry the session's id at its head.
type outcome struct {
	whole       []byte // a reply that is complete already
	members     members
	sessionless bool
	err         *messages.Error
}

// members are the further members of a reply, in order.
type members []member

type member struct {
	name  string
	value []byte // JSON
}

func success(m ...member) outcome { return outcome{members: m} }

// plain is a success that Janus answers without the session's id.
func plain(m ...member) outcome { return outcome{members: m, sessionless: true} }

func failure(e *messages.Error) outcome { return outcome{err: e} }

func failed(code messages.Code, format string, args ...any) outcome {
	return failure(messages.Errorf(code, format, args...))
}

// run answers a request, an object in the plain form of janusjson. Its order of checks is that of Janus.
func (a *Admin) run(ctx context.Context, text []byte) []byte {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	default:
		a.metrics.requests.WithLabelValues("busy").Inc()
		return messages.Reply{}.AppendError(nil, messages.Errorf(messages.CodeUnknown, "Too many requests"))
	}
	o, err := janusjson.ParseObject(text)
	if err != nil {
		o, _ = janusjson.ParseObject([]byte("{}")) // as Janus takes what it cannot read
	}
	r := request{Object: o}
	r.session, _ = o.Get("session_id").Uint()
	r.handle, _ = o.Get("handle_id").Uint()
	r.hasHandle = o.Get("handle_id").Kind() != janusjson.KindAbsent
	out := a.check(ctx, &r)
	a.count(out)
	return out.reply(&r)
}

func (a *Admin) count(o outcome) {
	outcome := "answered"
	switch {
	case o.err != nil && o.err.Code == messages.CodeUnauthorized:
		outcome = "unauthorized"
	case o.err != nil:
		outcome = "refused"
	}
	a.metrics.requests.WithLabelValues(outcome).Inc()
}

// reply writes the answer.
func (o outcome) reply(r *request) []byte {
	head := messages.Reply{Session: r.session, Transaction: r.transaction}
	switch {
	case o.whole != nil:
		return o.whole
	case o.err != nil:
		return head.AppendError(nil, o.err)
	case o.sessionless:
		head.Session = 0
	}
	b := head.Append(nil, "success")
	return o.members.append(b[:len(b)-1], true)
}

// append writes the members and the closing brace; more: there are members before.
func (m members) append(b []byte, more bool) []byte {
	for _, f := range m {
		if more {
			b = append(b, ',')
		}
		more = true
		b = janusjson.AppendQuoted(b, f.name)
		b = append(b, ':')
		b = append(b, f.value...)
	}
	return append(b, '}')
}

func (m members) object() []byte { return m.append([]byte{'{'}, false) }

// set replaces a member where it stands, or adds it.
func (m members) set(name string, value []byte) members {
	for i := range m {
		if m[i].name == name {
			m[i].value = value
			return m
		}
	}
	return append(m, member{name, value})
}

func (m members) get(name string) []byte {
	for _, f := range m {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// membersOf takes an object apart; nothing, if it is none.
func membersOf(object []byte) members {
	o, err := janusjson.ParseObject(object)
	if err != nil {
		return nil
	}
	var m members
	for name, value := range o.All() {
		m = append(m, member{name, value.Bytes()})
	}
	return m
}

// check does what Janus does before it looks at the verb, and then hands the request to whom it concerns.
func (a *Admin) check(ctx context.Context, r *request) outcome {
	if e := validate(r.Object, parameters{{"transaction", isString, true}, {"janus", isString, true}}); e != nil {
		return failure(e)
	}
	r.transaction = r.Get("transaction").Bytes()
	r.said, _ = r.Get("janus").Text()
	r.verb = asciiLower(r.said)
	if r.session == 0 && r.handle == 0 {
		switch r.verb {
		case "info":
			return outcome{whole: a.info(r.transaction)}
		case "ping":
			return outcome{whole: messages.Reply{Transaction: r.transaction}.Append(nil, "pong")}
		}
		if !a.admits(r) {
			return failure(unauthorized())
		}
		return a.general(ctx, r)
	}
	switch {
	case r.session == 0:
		return failed(messages.CodeSessionNotFound, "Session not found")
	case r.hasHandle && r.handle == 0:
		return failed(messages.CodeSessionNotFound, "Session not found")
	case !a.admits(r):
		return failure(unauthorized())
	}
	return a.forSession(ctx, r)
}

func unauthorized() *messages.Error {
	return messages.Errorf(messages.CodeUnauthorized, "Unauthorized request (wrong or missing secret/token)")
}

// admits reports whether the request carries the secret. The comparison takes the same time for every wrong one of the
// right length.
func (a *Admin) admits(r *request) bool {
	given, ok := r.Get("admin_secret").Text()
	if ok && subtle.ConstantTimeCompare([]byte(given), a.secret) == 1 {
		return true
	}
	a.refusals.Note("wrong or missing secret", slog.Uint64("session", r.session), slog.Uint64("handle", r.handle))
	return false
}

// asciiLower is lower case as strcasecmp of C takes it, for letters of ASCII alone.
func asciiLower(s string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, s)
}

// unhandled is Janus's answer to a verb that has no meaning where it was sent.
func unhandled(r *request) outcome { return failure(messages.ErrUnhandled(r.said)) }

// fields are the members of the request that matter to who carries it out.
func (r *request) fields() members {
	var m members
	for name, value := range r.All() {
		switch name {
		case "janus", "transaction", "admin_secret", "apisecret", "token_secret", "session_id", "handle_id":
		default:
			m = append(m, member{name, value.Bytes()})
		}
	}
	return m
}
