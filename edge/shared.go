// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"github.com/januscloud/januscloud/edge/auth"
	"github.com/januscloud/januscloud/messages/settings"
)

// AppendInfo appends the answer to an info request with this transaction, a JSON string: what the cluster is, in the words
// of Janus (janus_info in src/janus.c). The Admin API answers with it, too.
func (e *Edge) AppendInfo(dst, transaction []byte) []byte { return e.info.append(dst, transaction) }

// Tokens are the stored tokens that clients authenticate with; nil when there are none. The Admin API changes them.
func (e *Edge) Tokens() *auth.Tokens { return e.tokens }

// Rules are what administrators set for all sessions, as far as this edge has heard. The Admin API tells of them.
func (e *Edge) Rules() *settings.Rules { return &e.info.rules }

// Pings reports whether GET /ping is answered over HTTP, which depends on the version of Janus.
func (e *Edge) Pings() bool { return e.info.pings.Load() }

// Clients tells of each transport, by scheme: how many connections it has and, over HTTP, how many requests are under way.
func (e *Edge) Clients(each func(scheme string, connections, requests int)) {
	for _, t := range e.transports {
		requests := 0
		if h, ok := t.(*httpTransport); ok {
			requests = int(h.requests.Load())
		}
		each(t.scheme(), t.clients(), requests)
	}
}
