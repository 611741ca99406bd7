// SPDX-License-Identifier: Apache-2.0

// Package janusproc runs a Janus beside a media role: it writes a complete configuration folder, starts the process, keeps it
// running, and asks whether a Janus answers at an address.
//
// Config and Write make the folder; Start runs one process; Supervisor restarts it when it ends and adopts a Janus that is
// already there. Nothing here speaks for a session: the connection that does is package janusapi.
package janusproc
