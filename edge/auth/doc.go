// SPDX-License-Identifier: Apache-2.0

// Package auth decides who may send requests, as one Janus does (src/auth.c, janus_request_check_secret of src/janus.c): by
// the API secret, by a token that was stored through the admin API, or by one that somebody signed who knows the cluster's
// secret. Stored tokens are the same on all edges: they live in a key-value bucket of NATS that every edge watches, and are
// looked up in memory.
package auth
