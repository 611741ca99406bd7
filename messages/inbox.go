// SPDX-License-Identifier: Apache-2.0

package messages

import "strings"

// The subjects on which the NATS transport takes requests. Their reply field names the client's inbox.
const (
	// APISubject is that of the Janus API: one of the edges that subscribe to it as APIGroup takes each request.
	APISubject = "janus.api"
	// AdminAPISubject is that of the Admin API.
	AdminAPISubject = "janus.admin"
	// APIGroup is the queue group of the edges on both.
	APIGroup = "edge"
)

// EdgeAPI is where one certain edge takes requests, in the order in which a client sends them.
func EdgeAPI(name string) string { return APISubject + "." + name }

// maxInbox is the greatest length of an inbox: it travels in the identity of a create or claim.
const maxInbox = 256

// inboxDot stands for the dots of an inbox where it is part of a token.
const inboxDot = "/"

// ValidInbox reports whether a client may be answered on this subject. Those of the cluster itself (janus.…) and of NATS
// ($JS.…, $KV.…, $SYS.…) are none: an answer there would be taken for something else.
func ValidInbox(s string) bool {
	if s == "" || len(s) > maxInbox || s[0] == '$' || strings.Contains(s, inboxDot) {
		return false
	}
	for token := range strings.SplitSeq(s, ".") {
		if token == "" || token == "*" || token == ">" {
			return false
		}
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != "janus" && !strings.HasPrefix(s, "janus.")
}

// inboxIn is the inbox in the token of a connection.
func inboxIn(token string) string {
	_, inbox, _ := strings.Cut(token, inboxDot)
	return strings.ReplaceAll(inbox, inboxDot, ".")
}
