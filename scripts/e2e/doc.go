// SPDX-License-Identifier: Apache-2.0

// Package e2e holds the tests of whole clusters: real NATS servers, real Janus, each role a process of its own, and clients
// that trust nothing. They need the programs that scripts/test installs, and fail where one is missing.
package e2e
