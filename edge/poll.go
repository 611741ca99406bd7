// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bytes"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// pollPatience is how long a long poll waits here: its owner answers it after 30 s, as Janus does
// (src/transports/janus_http.c).
const pollPatience = 31 * time.Second

// poll asks the owner of a session for its events, at most so many at once. It is kept and repeated like any other request;
// the answer is what the client gets.
func (e *Edge) poll(c *connection, session uint64, events int) {
	e.forward(&request{conn: c, session: session, poll: events}, messages.Reply{Session: session})
}

// keepWaiting keeps a poll whose session the owner does not know any more. It reports false where the session was not there
// when the poll began: a Janus answers that, but does not wake a poll whose session ends while it waits.
func (e *Edge) keepWaiting(r *request) bool {
	p := &e.partitions[messages.PartitionOf(r.session)]
	if !p.park(r) {
		return false
	}
	if r.conn.isClosed() { // it may not have been found there
		e.close(r.conn)
	}
	return true
}

// endedSession reports whether the answer to a poll says that there is no such session, or none that polls.
func endedSession(answer []byte) bool {
	if !bytes.HasPrefix(answer, []byte(`{"janus":"error"`)) { // as messages.Reply writes it
		return false
	}
	var m janusjson.Message
	return janusjson.Scan(answer, &m) == nil && codeOf(&m) == messages.CodeSessionNotFound
}

// keepaliveOf is what a poll for so many events gets when there are none.
func keepaliveOf(events int) []byte {
	if events > 1 {
		return []byte(`[{"janus":"keepalive"}]`)
	}
	return []byte(`{"janus":"keepalive"}`)
}
