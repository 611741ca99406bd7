// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// Request makes one request of a body and the ids in its target: it scans into m what the body says, with the ids
// inserted where the body has none. m refers to body, or to fresh bytes. The error is what Janus answers; one without a
// reason is to be sent without (see janusjson.SyntaxError.HTTPReason).
func Request(body []byte, t Target, m *janusjson.Message) *messages.Error {
	if err := janusjson.Scan(body, m); err != nil {
		text, err := janusjson.DecodeOne(body)
		if err == nil {
			err = janusjson.Scan(text, m)
		}
		if err != nil {
			return refusal(err)
		}
	}
	edits, err := insert(m, t)
	if err != nil || len(edits) == 0 {
		return err
	}
	if err := janusjson.Scan(m.AppendSplice(nil, edits...), m); err != nil {
		return refusal(err)
	}
	return nil
}

// insert decides which ids are inserted: an id that is 0 or of another type counts as none.
func insert(m *janusjson.Message, t Target) (edits []janusjson.Edit, err *messages.Error) {
	for _, x := range [...]struct {
		key        janusjson.Key
		text, name string
	}{{janusjson.KeySessionID, t.Session, "session"}, {janusjson.KeyHandleID, t.Handle, "handle"}} {
		said, _ := m.Uint(x.key)
		named := parseID(x.text)
		switch {
		case said != 0 && x.text != "" && said != named:
			return nil, messages.Errorf(messages.CodeInvalidRequestPath, "Conflicting %s ID (payload and path)", x.name)
		case said == 0 && named != 0:
			edits = append(edits, janusjson.Edit{Key: x.key, Value: janusjson.AppendUint(nil, named)})
		}
	}
	return edits, nil
}

func refusal(err error) *messages.Error {
	var syntax *janusjson.SyntaxError
	if !errors.As(err, &syntax) {
		return messages.Errorf(messages.CodeInvalidJSONObject, "JSON error: not an object")
	}
	reason, ok := syntax.HTTPReason()
	if !ok {
		reason = ""
	}
	return &messages.Error{Code: messages.CodeInvalidJSON, Reason: reason}
}

// Transaction is what Janus gives a request that it makes of a GET.
func Transaction() string {
	const charset = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	var b [11]byte
	for i := range b {
		b[i] = charset[rand.IntN(len(charset))]
	}
	return string(b[:])
}

// Refusal is the answer of the transport itself. A reason that Janus cannot write as JSON is left out, as it does.
func Refusal(e *messages.Error) []byte {
	if e.Reason == "" {
		return fmt.Appendf(nil, `{"janus":"error","error":{"code":%d}}`, e.Code)
	}
	return messages.Reply{}.AppendError(nil, e)
}
