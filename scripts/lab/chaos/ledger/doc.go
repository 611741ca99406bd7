// SPDX-License-Identifier: Apache-2.0

// Package ledger keeps the books of clients that believe nothing: what one asked, what it was answered, which events came for
// it. A Ledger says what was lost, came twice or out of order, and how long its client waited; Counts are that, summed up.
//
// A ledger is told the time of everything, so that tests of it need no clock.
package ledger
