// SPDX-License-Identifier: Apache-2.0

// Package administration holds the tests of the Admin API through all roles, which run in one process here, against a real
// Janus: what the cluster answers must be what that Janus answers.
package administration
