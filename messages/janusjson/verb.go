// SPDX-License-Identifier: Apache-2.0

package janusjson

// Verb is the value of the key janus: what a request wants, or what a reply or
// event tells.
type Verb uint8

// The verbs, in the order: requests, replies, events. Hangup, trickle and
// keepalive are requests as well as events; destroy, detach and info are not to
// be confused with detached and server_info.
const (
	VerbUnknown Verb = iota // absent, no string, or none of the others
	VerbInfo
	VerbPing
	VerbCreate
	VerbAttach
	VerbMessage
	VerbTrickle
	VerbHangup
	VerbDetach
	VerbKeepalive
	VerbClaim
	VerbDestroy
	VerbAck
	VerbSuccess
	VerbError
	VerbServerInfo
	VerbPong
	VerbEvent
	VerbWebRTCUp
	VerbMedia
	VerbSlowLink
	VerbDetached
	VerbTimeout
	VerbICEFailed
	verbCount
)

// maxVerbLen is the length of the longest verb.
const maxVerbLen = len("server_info")

// Verb returns the verb of the message. Janus compares verbs without regard to
// case, and so does this.
func (m *Message) Verb() Verb {
	if m.kinds[KeyJanus] != KindString {
		return VerbUnknown
	}
	raw := m.Bytes(KeyJanus)
	inside := raw[1 : len(raw)-1]
	if len(inside) > maxVerbLen*len(`\u0000`) {
		return VerbUnknown
	}
	var buf [maxVerbLen * len(`\u0000`)]byte
	return VerbNamed(appendUnescaped(buf[:0], inside))
}

// VerbNamed returns the verb of that name in any case, VerbUnknown when there is
// none.
func VerbNamed[S ~string | ~[]byte](name S) Verb {
	if len(name) > maxVerbLen {
		return VerbUnknown
	}
	var buf [maxVerbLen]byte
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		buf[i] = c
	}
	return lowerVerb(buf[:len(name)])
}

func lowerVerb(name []byte) Verb {
	for v := VerbUnknown + 1; v < verbCount; v++ {
		if string(name) == v.String() {
			return v
		}
	}
	return VerbUnknown
}

// String returns the verb as Janus writes it, "unknown" for VerbUnknown.
func (v Verb) String() string {
	if v >= verbCount {
		v = VerbUnknown
	}
	return [verbCount]string{
		"unknown", "info", "ping", "create", "attach", "message", "trickle", "hangup",
		"detach", "keepalive", "claim", "destroy", "ack", "success", "error",
		"server_info", "pong", "event", "webrtcup", "media", "slowlink", "detached",
		"timeout", "ice-failed",
	}[v]
}
