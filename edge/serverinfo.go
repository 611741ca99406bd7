// SPDX-License-Identifier: Apache-2.0

package edge

// AppendInfo appends the answer to an info request with this transaction, a JSON string: what the cluster is, in the words
// of Janus (janus_info in src/janus.c). The Admin API answers with it, too.
func (e *Edge) AppendInfo(dst, transaction []byte) []byte { return e.info.append(dst, transaction) }
