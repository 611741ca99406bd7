// SPDX-License-Identifier: Apache-2.0

package plugin

// p2pcalls is the Local for janus.plugin.p2pcall.
type p2pcalls struct{ calls }

var _ Local = p2pcalls{}

// P2PCall is for janus.plugin.p2pcall, which has the requests and events of janus.plugin.videocall, but whose media go from one
// client to the other. No Janus has it. The package is named as by the janus-cloud proxy, so that its clients find it.
func P2PCall() Local {
	table := *VideoCall().(calls).Table
	table.Package = "janus.plugin.p2pcall"
	return p2pcalls{calls{&table}}
}

// Version implements Local.
func (p2pcalls) Version() string { return "0.0.6" }
