// SPDX-License-Identifier: Apache-2.0

// Package janustest is a scripted Janus for tests: a WebSocket server that answers the core of the Janus API as a real one
// does, and whatever a test tells it to answer instead: late, broken, in pieces, in the wrong order, or not at all.
//
// It knows sessions, handles and one plugin, the echo test; media it has none. A test of its own holds the same conversation
// with it and with a real Janus, and wants the same answers.
package janustest
