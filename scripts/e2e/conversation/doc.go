// SPDX-License-Identifier: Apache-2.0

// Package conversation plays written conversations with a Janus, and compares what two servers said in the same one.
//
// A conversation is a txtar file. Nothing in it says what is to be answered: the transcript of a real Janus is the
// expectation for everything that wants to be taken for one. Its script has one step per line; lines that begin with blanks
// continue the one before, lines that begin with # explain:
//
//	with session-timeout=4s       settings of the server, see Setup; before all steps
//	a > {"janus":"create",…}      connection a, opened when first named, sends a text and waits until all it sent is answered:
//	                              each text by one reply, and a message of this step that is acknowledged by the plugin's
//	                              event with its transaction
//	a 2> {"janus":…}{"janus":…}   the same, but the text is worth two replies
//	a +> {…}                      sends a text and goes on
//	a >> "{\"ja" "nus\"…"         sends fragments, quoted as in Go
//	a >> binary "{…}"             the same as a binary message
//	a until error > {…}           sends again and again until the reply is an error; only that reply is kept
//	a < detached                  waits for a message of that kind: one that no earlier step waited for
//	a close                       closes the connection; abort resets it
//	a connect /path protocol      opens it in another way than usual
//	idle 3s                       nobody sends anything for that long
//
// A connection may be one over HTTP instead: its requests go to the server's addresses by turns.
//
//	h POST /janus/$session {…}    sends a request and waits for its answer; a body may be quoted as fragments are, after >>
//	h +GET /janus/$session        the same, without waiting
//	h wait                        waits for the answers to those; the end of the conversation does, too
//	h until 404 GET /janus/…      sends again and again until the status, or the kind of the (first) message, is this
//	h poll 3 /janus/$session      polls until three events have come; what came in which answer does not count
//	h header Origin: http://x     sends a header with every request from now on
//
// The settings of a conversation are those of Setup, and of how it is played: "alone" where it changes the whole server,
// "slow" where it takes half a minute or more, "janus=1.1" where only that version has what it is about. A connection opened with
// the protocol janus-admin-protocol speaks to the Admin API, whose secret is "overlord".
//
// In texts, $name is the id that the reply to the transaction "name" gave in data.id; $name_room, $name_id and $name_stream are
// room, id and stream.id in what a plugin answered, with their quotes where they are texts; $fresh1 to $fresh9 are random ids that
// nobody has; $file.sdp is a file of the archive as a JSON string, its lines ended as SDP wants it; $$ is a dollar sign.
package conversation
