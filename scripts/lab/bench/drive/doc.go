// SPDX-License-Identifier: Apache-2.0

// Package drive makes load for a Janus, or for whatever claims to be one: many clients over WebSocket, each with one request
// in flight, in a closed loop (Load), and clients that do nothing at all (Idle).
//
// It is made to cost little, since it runs on the machine that it measures: a few threads wait with epoll for raw
// descriptors, buffers are used again, nothing is allocated per request. It believes nothing all the same: each answer has
// to be the expected one, with the right ids and the right transaction, no more and no less, or the run fails.
package drive
