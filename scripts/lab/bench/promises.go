// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"

	"github.com/januscloud/januscloud/scripts/lab/bench/drive"
	"github.com/januscloud/januscloud/scripts/lab/bench/table"
)

// What DESIGN.md promises under 6.
const (
	addedInProcess   = 60  // µs of p50
	addedOverNATS    = 150 // µs of p50
	cpuPerMessage    = 45  // µs
	bytesPerClient   = 512
	bytesPerSession  = 2048
	saturatedClients = 8 // fewer do not fill a machine
)

// promises compares what was measured with what is promised; "" when nothing of that was measured.
func (l layoutResult) promises() string {
	t := table.Table{Left: 1}
	rows := 0
	promise := func(what string, limit, got float64, unit string) {
		verdict := "kept"
		if got > limit {
			verdict = "MISSED"
		}
		t.Row(what, short(got)+" "+unit, fmt.Sprintf("promised %g", limit), verdict)
		rows++
	}
	if c, ok := l.find(func(c comparison) bool { return c.Clients == 1 }); ok {
		limit := addedOverNATS
		if l.Layout == "dev" {
			limit = addedInProcess
		}
		promise("added p50 of a message, 1 client", float64(limit), c.Cluster.Median.P50-c.Direct.Median.P50, "µs")
	}
	if c, ok := l.find(func(c comparison) bool { return c.Clients >= saturatedClients }); ok {
		promise(fmt.Sprintf("CPU of a message, ours with NATS, %d clients", c.Clients), cpuPerMessage, c.Cluster.Median.ours(), "µs")
	}
	if l.Idle != nil {
		client, session := l.Idle.promised()
		promise("our memory per idle client", bytesPerClient, client, "bytes")
		promise("our memory per session", bytesPerSession, session, "bytes")
	}
	if rows == 0 {
		return ""
	}
	return t.String()
}

// find is the comparison of messages with the most clients among those that are asked for.
func (l layoutResult) find(which func(comparison) bool) (comparison, bool) {
	var found []comparison
	for _, c := range l.Comparisons {
		if c.Mode == string(drive.Message) && which(c) {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		return comparison{}, false
	}
	return slices.MaxFunc(found, func(a, b comparison) int { return a.Clients - b.Clients }), true
}

// promised are the bytes per client, of the process that clients connect to, and per session, of all of ours but NATS.
func (r idleResult) promised() (client, session float64) {
	for name := range r.Cluster[0].Memory {
		if name == janusName || name == natsName {
			continue
		}
		if name == "edge" || name == "dev" {
			client, _ = r.each(r.Cluster, 1, name)
		}
		more, _ := r.each(r.Cluster, 2, name)
		session += more
	}
	return client, session
}
