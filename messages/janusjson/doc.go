// SPDX-License-Identifier: Apache-2.0

// Package janusjson scans and splices raw Janus JSON.
//
// No hop of the cluster decodes a message and encodes it again. A hop scans the
// top level of one JSON object, gets the keys it cares about as spans of the
// bytes it received, and splices other ids or another transaction into them:
//
//	var m janusjson.Message
//	if err := janusjson.Scan(frame, &m); err != nil { ... }
//	session, ok := m.Uint(janusjson.KeySessionID)
//	out = m.AppendSplice(out, janusjson.Edit{Key: janusjson.KeyTransaction, Value: t})
//
// The package is also the security boundary. The sessions of many clients share
// one trusted connection to a Janus, and Janus's parser (jansson) takes the last
// of duplicate keys, understands escapes in keys, and runs every JSON text of a
// WebSocket message. A reader that disagrees with it on any of these lets one
// client speak for another. Hence two paths:
//
//   - [Scan] accepts the plain form only: one object, every known key at most
//     once and spelled without escapes, everything in it valid for jansson.
//   - [Decode] and [DecodeOne] take whatever jansson takes and write it anew in
//     plain form. What jansson refuses yields a [SyntaxError] with jansson's own
//     words and position, so that the reply equals that of a Janus.
//
// So an edge tries Scan on whatever comes in. On an error it asks Decode (a
// WebSocket message) or DecodeOne (an HTTP body), scans what these return, or
// answers with the reason of their error. Everything behind the edge scans, and
// treats an error as a fault of its peer.
//
// What jansson accepts and refuses was read in its src/load.c and src/utf.c
// (2.14 and later are alike) and is held to by a corpus that the real library
// wrote, and by what a real Janus answered, both in testdata.
package janusjson
