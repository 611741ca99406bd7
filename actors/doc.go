// SPDX-License-Identifier: Apache-2.0

// Package actors is the session role: the actors that own the clients' sessions, the partitions they live in, and the
// choice of the media server for each handle.
//
// Every message enters at a partition (partition.go), which belongs to one node at a time and refuses to act when it
// may not be the owner; it hands the message to the session's actor (session.go). Which partitions a node takes, and
// from whom, is the keeper's business (keeper.go, takeover.go); where a handle goes is the placer's (placement.go).
// Who shares a room, or a name, is brought together by that room's own actor (room.go, roomname.go, routing.go); the one plugin
// that needs no Janus is served by the sessions themselves (peer.go, peercall.go).
// Each of these is an actor: it owns its state, handles one message at a time and never blocks.
package actors
