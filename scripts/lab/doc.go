// SPDX-License-Identifier: Apache-2.0

// Package lab is the rig that tests, bench and chaos stand on: it starts real Janus, NATS and januscloud processes on free
// ports, kills and freezes them, and speaks to whatever answers as a strict Janus client.
//
// Everything takes a TB instead of *testing.T, so that a program can use it as well as a test: see Run. What a TB started
// ends with it. Functions that end a test (Fatalf) must be called from the goroutine of that test, as ever.
package lab
