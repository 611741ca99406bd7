// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bytes"
	"crypto/subtle"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// guard decides whether a request may pass, as janus_request_check_secret of src/janus.c does.
type guard struct {
	apiSecret []byte // empty: everybody may
}

// admits reports whether the request carries what it must. The comparison takes the same time for every wrong secret of
// the right length.
func (g guard) admits(m *janusjson.Message) bool {
	if len(g.apiSecret) == 0 {
		return true
	}
	if m.Kind(janusjson.KeyAPISecret) != janusjson.KindString {
		return false
	}
	raw := m.Bytes(janusjson.KeyAPISecret)
	given := raw[1 : len(raw)-1]
	if bytes.IndexByte(given, '\\') >= 0 {
		text, _ := m.Text(janusjson.KeyAPISecret)
		given = []byte(text)
	}
	return g.knows(given)
}

// knows reports whether somebody who shows this secret may pass, which is asked for a long poll.
func (g guard) knows(secret []byte) bool {
	return len(g.apiSecret) == 0 || subtle.ConstantTimeCompare(secret, g.apiSecret) == 1
}
