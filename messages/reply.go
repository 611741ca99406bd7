// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"strconv"
	"unicode/utf8"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// maxReason is the length at which Janus cuts the reason of an error (error_buf[512] in src/janus.c).
const maxReason = 511

// Reply names the request that an answer is for.
type Reply struct {
	Session     uint64 // 0: the answer carries no session_id
	Transaction []byte // as it stood in the request, quotes included; nil: the answer carries none
}

// Append writes an answer without a body ("ack", "success", "pong"), in Janus's order of keys. It returns the extended
// buffer, as do the others.
func (r Reply) Append(dst []byte, verb string) []byte {
	return append(r.appendHead(dst, verb), '}')
}

// AppendID writes the success of a create or an attach.
func (r Reply) AppendID(dst []byte, id uint64) []byte {
	dst = r.appendHead(dst, "success")
	dst = append(dst, `,"data":{"id":`...)
	dst = appendID(dst, id)
	return append(dst, "}}"...)
}

// AppendError writes an error.
func (r Reply) AppendError(dst []byte, e *Error) []byte {
	dst = r.appendHead(dst, "error")
	dst = append(dst, `,"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(e.Code), 10)
	dst = append(dst, `,"reason":`...)
	dst = janusjson.AppendQuoted(dst, cutReason(e.Reason))
	return append(dst, "}}"...)
}

func (r Reply) appendHead(dst []byte, verb string) []byte {
	dst = append(dst, `{"janus":"`...)
	dst = append(dst, verb...)
	dst = append(dst, '"')
	if r.Session != 0 {
		dst = append(dst, `,"session_id":`...)
		dst = appendID(dst, r.Session)
	}
	if r.Transaction != nil {
		dst = append(dst, `,"transaction":`...)
		dst = append(dst, r.Transaction...)
	}
	return dst
}

// appendID writes an id as jansson does, which knows signed integers only: what a client sent as -1 goes back as -1.
func appendID(dst []byte, id uint64) []byte { return strconv.AppendInt(dst, int64(id), 10) }

// AppendNotice writes an unsolicited message about a session, or one of its handles (0: none): "timeout", "hangup",
// "detached". An empty reason is left out.
func AppendNotice(dst []byte, verb string, session, handle uint64, reason string) []byte {
	dst = Reply{Session: session}.appendHead(dst, verb)
	if handle != 0 {
		dst = append(dst, `,"sender":`...)
		dst = appendID(dst, handle)
	}
	if reason != "" {
		dst = append(dst, `,"reason":`...)
		dst = janusjson.AppendQuoted(dst, reason)
	}
	return append(dst, '}')
}

// cutReason cuts a reason where Janus would, but not within a character: jansson drops a string that is not UTF-8.
func cutReason(s string) string {
	if len(s) <= maxReason {
		return s
	}
	n := maxReason
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
