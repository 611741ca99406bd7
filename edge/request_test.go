// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// refusal is a message that the edge answers by itself, in the words of Janus. TestRefusalsAreJanus asks a real one for
// the same.
type refusal struct {
	frame  string
	answer string // several on lines of their own
	secret bool   // with the API secret "secret" configured
}

func failure(session, transaction string, code int, reason string) string {
	if session != "" {
		session = `,"session_id":` + session
	}
	if transaction != "" {
		transaction = `,"transaction":"` + transaction + `"`
	}
	return fmt.Sprintf(`{"janus":"error"%s%s,"error":{"code":%d,"reason":"%s"}}`, session, transaction, code, reason)
}

// refusals are in the order of the checks of janus_process_incoming_request.
func refusals() map[string]refusal {
	const unauthorized = "Unauthorized request (wrong or missing secret/token)"
	long := strings.Repeat("x", 600)
	return map[string]refusal{
		"empty":           {frame: "", answer: failure("", "", 454, `Invalid Janus API request - <string>(1,0): '[' or '{' expected near end of file`)},
		"no JSON":         {frame: "hello", answer: failure("", "", 454, `Invalid Janus API request - <string>(1,5): '[' or '{' expected near 'hello'`)},
		"a scalar":        {frame: "7", answer: failure("", "", 454, `Invalid Janus API request - <string>(1,1): '[' or '{' expected near '7'`)},
		"half an object":  {frame: `{"janus":"info"`, answer: failure("", "", 454, `Invalid Janus API request - <string>(1,15): '}' expected near end of file`)},
		"second is none":  {frame: `{"janus":"ping","transaction":"t"}{`, answer: failure("", "", 454, `Invalid Janus API request - <string>(1,1): string or '}' expected near end of file`)},
		"an array":        {frame: `[1]`, answer: failure("", "", 456, "Missing mandatory element (transaction)")},
		"nothing in it":   {frame: `{}`, answer: failure("", "", 456, "Missing mandatory element (transaction)")},
		"no transaction":  {frame: `{"janus":"info"}`, answer: failure("", "", 456, "Missing mandatory element (transaction)")},
		"transaction":     {frame: `{"janus":"info","transaction":7}`, answer: failure("", "", 467, "Invalid element type (transaction should be a string)")},
		"transaction nil": {frame: `{"janus":"info","transaction":null}`, answer: failure("", "", 467, "Invalid element type (transaction should be a string)")},
		"no verb":         {frame: `{"transaction":"t"}`, answer: failure("", "", 456, "Missing mandatory element (janus)")},
		"verb":            {frame: `{"transaction":"t","janus":true}`, answer: failure("", "", 467, "Invalid element type (janus should be a string)")},
		"with session":    {frame: `{"session_id":77,"janus":"message"}`, answer: failure("77", "", 456, "Missing mandatory element (transaction)")},
		"with signed":     {frame: `{"session_id":-1,"janus":"message"}`, answer: failure("-1", "", 456, "Missing mandatory element (transaction)")},
		"with real":       {frame: `{"session_id":7.0,"janus":"message"}`, answer: failure("", "", 456, "Missing mandatory element (transaction)")},
		"id":              {frame: `{"janus":"create","transaction":"t","id":"7"}`, answer: failure("", "", 467, "Invalid element type (id should be a positive integer)")},
		"id null":         {frame: `{"janus":"create","transaction":"t","id":null}`, answer: failure("", "", 467, "Invalid element type (id should be a positive integer)")},
		"id negative":     {frame: `{"janus":"create","transaction":"t","id":-7}`, answer: failure("", "", 467, "Invalid element type (id should be a positive integer)")},
		"id of others":    {frame: `{"janus":"keepalive","transaction":"t","id":"7","session_id":77}`, answer: failure("77", "", 467, "Invalid element type (id should be a positive integer)")},
		"no session":      {frame: `{"janus":"attach","transaction":"t"}`, answer: failure("", "t", 457, "Unhandled request 'attach' at this path")},
		"session a text":  {frame: `{"janus":"keepalive","transaction":"t","session_id":"77"}`, answer: failure("", "t", 457, "Unhandled request 'keepalive' at this path")},
		"session null":    {frame: `{"janus":"keepalive","transaction":"t","session_id":null}`, answer: failure("", "t", 457, "Unhandled request 'keepalive' at this path")},
		"own words":       {frame: `{"janus":"KeepAlive \"x\"","transaction":"t"}`, answer: failure("", "t", 457, `Unhandled request 'KeepAlive \"x\"' at this path`)},
		"long words":      {frame: `{"janus":"` + long + `","transaction":"t"}`, answer: failure("", "t", 457, "Unhandled request '"+long[:511-len("Unhandled request '")])},
		"only a handle":   {frame: `{"janus":"message","transaction":"t","handle_id":5}`, answer: failure("", "t", 458, "Session not found")},
		"handle a text":   {frame: `{"janus":"message","transaction":"t","handle_id":"5","session_id":77}`, answer: failure("77", "t", 459, "Handle not found")},
		"handle 0":        {frame: `{"janus":"message","transaction":"t","handle_id":0,"session_id":77}`, answer: failure("77", "t", 459, "Handle not found")},
		"last one counts": {frame: `{"janus":"ping","transaction":"a","transaction":5}`, answer: failure("", "", 467, "Invalid element type (transaction should be a string)")},
		"escaped key":     {frame: `{"janus":"message","transaction":"t","session\u005fid":77,"handle_id":0}`, answer: failure("77", "t", 459, "Handle not found")},
		"several":         {frame: `{"janus":"ping","transaction":"1"}{"janus":"x","transaction":"2"} {"transaction":"3"}`, answer: `{"janus":"pong","transaction":"1"}` + "\n" + failure("", "2", 457, "Unhandled request 'x' at this path") + "\n" + failure("", "", 456, "Missing mandatory element (janus)")},

		"secret missing":    {secret: true, frame: `{"janus":"create","transaction":"t"}`, answer: failure("", "t", 403, unauthorized)},
		"secret wrong":      {secret: true, frame: `{"janus":"create","transaction":"t","apisecret":"Secret"}`, answer: failure("", "t", 403, unauthorized)},
		"secret a number":   {secret: true, frame: `{"janus":"create","transaction":"t","apisecret":7}`, answer: failure("", "t", 403, unauthorized)},
		"secret empty":      {secret: true, frame: `{"janus":"create","transaction":"t","apisecret":""}`, answer: failure("", "t", 403, unauthorized)},
		"secret of session": {secret: true, frame: `{"janus":"keepalive","transaction":"t","session_id":77}`, answer: failure("77", "t", 403, unauthorized)},
		"secret, but path":  {secret: true, frame: `{"janus":"attach","transaction":"t"}`, answer: failure("", "t", 457, "Unhandled request 'attach' at this path")},
		"secret, but id":    {secret: true, frame: `{"janus":"message","transaction":"t","session_id":77,"handle_id":[]}`, answer: failure("77", "t", 459, "Handle not found")},
		"secret, but ping":  {secret: true, frame: `{"janus":"PING","transaction":"t"}`, answer: `{"janus":"pong","transaction":"t"}`},
		"secret escaped":    {secret: true, frame: `{"janus":"ping","transaction":"t","apisecret":"\u0073ecret"}`, answer: `{"janus":"pong","transaction":"t"}`},
	}
}

func TestRefusals(t *testing.T) {
	for name, x := range refusals() {
		t.Run(name, func(t *testing.T) {
			var o Options
			if x.secret {
				o.APISecret = "secret"
			}
			bubble(t, o, func(t *testing.T, r *rig) {
				c, to := r.connect()
				r.serve(c, []byte(x.frame))
				expect(t, "answer", strings.Join(to.take(), "\n"), x.answer)
				expect(t, "published", bodies(r.bus.take()), "")
			})
		})
	}
}

// TestPassedOn are requests that the edge sends to the owner of the session, and where.
func TestPassedOn(t *testing.T) {
	for name, x := range map[string]struct {
		frame   string
		subject string
		body    string // empty: as it came
		options Options
	}{
		"create":         {frame: `{"janus":"create","transaction":"t"}`, subject: "janus.session.7.1031"},
		"create, id 0":   {frame: `{"janus":"create","transaction":"t","id":0}`, subject: "janus.session.7.1031"},
		"create, id":     {frame: `{"janus":"create","transaction":"t","id":2050}`, subject: "janus.session.2.2050"},
		"in any case":    {frame: `{"janus":"CREATE","transaction":"t","id":2050}`, subject: "janus.session.2.2050"},
		"odd handle":     {frame: `{"janus":"create","transaction":"t","handle_id":"x"}`, subject: "janus.session.7.1031"},
		"session":        {frame: `{"janus":"keepalive","transaction":"t","session_id":77}`, subject: "janus.session.77.77"},
		"signed session": {frame: `{"janus":"keepalive","transaction":"t","session_id":-1}`, subject: "janus.session.1023.18446744073709551615"},
		"handle null":    {frame: `{"janus":"attach","transaction":"t","session_id":77,"handle_id":null}`, subject: "janus.session.77.77"},
		"handle":         {frame: `{"janus":"message","transaction":"t","session_id":77,"handle_id":5,"body":{}}`, subject: "janus.session.77.77"},
		"unknown verb":   {frame: `{"janus":"fly","transaction":"t","session_id":77}`, subject: "janus.session.77.77"},
		"info in session": {
			frame: `{"janus":"info","transaction":"t","session_id":77}`, subject: "janus.session.77.77",
		},
		"white space": {
			frame: ` {"janus": "keepalive", "transaction": "t", "session_id": 77 }` + "\r\n", subject: "janus.session.77.77",
			body: `{"janus": "keepalive", "transaction": "t", "session_id": 77 }`,
		},
		"odd": {
			frame: `{"janus":"keepalive","transaction":"t","session_id":78,"session\u005fid":77}`, subject: "janus.session.77.77",
			body: `{"janus":"keepalive","transaction":"t","session_id":77}`,
		},
		"secret": {
			frame: `{"janus":"create","transaction":"t","apisecret":"secret"}`, subject: "janus.session.7.1031", options: Options{APISecret: "secret"},
		},
		"secret, escaped": {
			frame: `{"janus":"create","transaction":"t","apisecret":"s\u0065cret"}`, subject: "janus.session.7.1031", options: Options{APISecret: "secret"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, x.options, func(t *testing.T, r *rig) {
				if x.body == "" {
					x.body = x.frame
				}
				c, to := r.connect()
				frame := []byte(x.frame)
				r.serve(c, frame)
				clear(frame) // it is the transport's again
				sent := r.bus.take()
				if len(sent) != 1 {
					t.Fatalf("published %v, answered %v", sent, to.take())
				}
				expect(t, "subject", sent[0].subject, x.subject)
				expect(t, "body", sent[0].body, x.body)
			})
		})
	}
}

// TestOrderOfTexts is one frame with several requests.
func TestOrderOfTexts(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		c, _ := r.connect()
		var frame []byte
		for _, name := range []string{"a", "b", "c", "d"} {
			frame = append(frame, keepalive(session, name)...)
		}
		r.serve(c, frame)
		sent := r.bus.take()
		expect(t, "published", bodies(sent), "a b c d")
		for i, p := range sent {
			expect(t, "identity", p.reply, fmt.Sprintf("janus.edge.e1~inc.1.1031.%d", i+1))
		}
		r.serve(c, append(frame, '{'))
		expect(t, "published of a frame with a broken text", bodies(r.bus.take()), "")
	})
}

// TestTrailingSpace is the quirk of Janus 1.1.0 to 1.1.3.
func TestTrailingSpace(t *testing.T) {
	bubble(t, Options{Quirks: janusjson.Quirks{TrailingSpaceBroken: true}}, func(t *testing.T, r *rig) {
		c, to := r.connect()
		r.serve(c, append(keepalive(session, "a"), '\n'))
		expect(t, "answer", strings.Join(to.take(), "\n"),
			failure("", "", 454, `Invalid Janus API request - <string>(2,0): '[' or '{' expected near end of file`))
		r.serve(c, keepalive(session, "b"))
		expect(t, "published", bodies(r.bus.take()), "b")
	})
}

// TestTooLarge is a request that NATS does not take.
func TestTooLarge(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		r.bus.answer = func(published) error { return bus.ErrTooLarge }
		c, to := r.connect()
		r.serve(c, keepalive(session, "a"))
		expect(t, "answer", strings.Join(to.take(), "\n"), failure("1031", "a", 490, "Request too large (57 bytes)"))
		expect(t, "requests in flight", r.waiting.Load(), 0)
	})
}

// FuzzIntake sends any frame on one connection: it is answered or published, and what is published is one JSON object in
// plain form.
func FuzzIntake(f *testing.F) {
	for _, x := range refusals() {
		f.Add([]byte(x.frame))
	}
	f.Add([]byte(`{"janus":"create","transaction":"t"}{"janus":"attach","transaction":"u","session_id":1031,"plugin":"p"}`))
	f.Add([]byte(`{"janus":"keepalive","transaction":"t","session_id":78,"session\u005fid":77,"handle_id":-5}`))
	f.Fuzz(func(t *testing.T, frame []byte) {
		r := newRig(Options{})
		defer r.stop()
		c, to := r.connect()
		r.serve(c, bytes.Clone(frame))
		sent := r.bus.take()
		for _, p := range sent {
			var m janusjson.Message
			if err := janusjson.Scan([]byte(p.body), &m); err != nil {
				t.Errorf("published %q: %v", p.body, err)
			}
			s, err := messages.ParseSessionSubject(p.subject)
			if err != nil {
				t.Errorf("published on %q: %v", p.subject, err)
			}
			if id, _ := m.Uint(janusjson.KeySessionID); id != 0 && id != s.Session {
				t.Errorf("published %q for session %d", p.body, s.Session)
			}
			r.answers(p, 1, `{"janus":"ack"}`)
		}
		for _, text := range to.take() {
			var m janusjson.Message
			if err := janusjson.Scan([]byte(text), &m); err != nil {
				t.Errorf("answered %q: %v", text, err)
			}
		}
		if n := r.waiting.Load(); n != 0 {
			t.Errorf("%d requests are left", n)
		}
		r.close(c)
	})
}
