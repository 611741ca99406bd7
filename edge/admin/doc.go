// SPDX-License-Identifier: Apache-2.0

// Package admin is the Admin API of the cluster: that of one Janus (janus_process_incoming_admin_request in src/janus.c),
// over HTTP, over WebSocket with the subprotocol janus-admin-protocol, and over NATS.
//
// What a request needs decides who answers it:
//
//   - the edge itself answers what concerns it, and what the whole cluster would answer alike;
//   - what concerns all sessions is asked of all session nodes, what concerns all Janus of all media servers, and the
//     answers are merged;
//   - what is set for good goes to all, and into the settings bucket for those who join later;
//   - what concerns a session goes to its owner, what concerns a handle from there to the Janus it is bound to, with the
//     handle's id on that Janus in its place, and back. A handle that no Janus knows of yet is answered for here, or gets
//     its Janus then (needsJanus).
//
// Every wait has a deadline, and the number of requests under way a bound. Whoever reaches this API commands the cluster:
// without a secret it does not listen at all.
package admin
