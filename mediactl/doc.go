// SPDX-License-Identifier: Apache-2.0

// Package mediactl is the media role: the actor beside one Janus. It holds the only connection to that Janus, gives every
// client session a Janus session of the same id, maps the cluster's handle ids to those of Janus, and sees to it that no
// request runs twice.
//
// A request comes in at server.go, which is the last hop before Janus; what Janus says goes back through reply.go.
// Sessions and handles are made and ended in structural.go. The life of the connection (dialling, greeting, claiming,
// loss) is janus.go; what is remembered of requests is repeat.go, and who may send any, takeover.go.
//
// Beside the actor, and apart from it, work the administrator (admin.go), which puts requests to Janus's admin API, and the
// steward (steward.go), which puts messages to plugins on handles of its own.
//
// The actor owns all state and handles one message at a time, on the goroutine of whoever sends it: nothing in it blocks.
package mediactl
