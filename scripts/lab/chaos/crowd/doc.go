// SPDX-License-Identifier: Apache-2.0

// Package crowd is many clients of a cluster that ask a little each, believe nothing, and keep books of it (package ledger): echo
// tests over WebSocket and over long polls, members of video rooms, and peers with real media.
//
// They behave as good clients behind a load balancer do: one whose connection ends, or whose edge does not answer any more,
// goes to another edge and claims its session.
package crowd
