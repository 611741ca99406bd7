// SPDX-License-Identifier: Apache-2.0

package edge

import "github.com/januscloud/januscloud/edge/auth"

// AppendInfo appends the answer to an info request with this transaction, a JSON string: what the cluster is, in the words
// of Janus (janus_info in src/janus.c). The Admin API answers with it, too.
func (e *Edge) AppendInfo(dst, transaction []byte) []byte { return e.info.append(dst, transaction) }

// Tokens are the stored tokens that clients authenticate with; nil when there are none. The Admin API changes them.
func (e *Edge) Tokens() *auth.Tokens { return e.tokens }
