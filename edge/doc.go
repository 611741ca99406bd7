// SPDX-License-Identifier: Apache-2.0

// Package edge is the edge role: where clients connect. It keeps nothing that outlives a connection but the requests that
// wait for an answer.
//
// A request enters at a transport (websocket.go; http.go and exchange.go), is judged as Janus judges it (request.go), gets a
// number on its connection (connection.go), is kept with its partition (pending.go) and published for the owner of its
// session. The answer comes back on the subject that is the request's identity (reply.go). What stays unanswered is
// repeated under the same identity until its deadline (repeat.go). Over HTTP each request is a connection of its own, and a
// long poll is a request that waits (poll.go); over NATS, too, where events go straight to the client (natsapi.go). The edge is the security boundary: what it publishes is one JSON object in
// the plain form of package janusjson.
package edge
