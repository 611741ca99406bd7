// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// forSession answers what names a session, and perhaps a handle of it.
func (a *Admin) forSession(ctx context.Context, r *request) outcome {
	seen := a.askOwner(ctx, r.session, r.handle, messages.AdminOrder{})
	switch {
	case seen.Error != nil:
		return failure(seen.Error)
	case r.handle != 0 && seen.Handle == nil:
		return failure(messages.ErrHandleNotFound(r.handle, r.session))
	case r.handle != 0:
		return a.forHandle(ctx, r, seen)
	}
	switch r.verb {
	case "list_handles":
		list, err := json.Marshal(append([]uint64{}, seen.Handles...))
		if err != nil {
			return failed(messages.CodeUnknown, "Error processing request")
		}
		return success(member{"handles", list})
	case "destroy_session":
		return a.order(ctx, r, messages.AdminOrder{Act: messages.AdminDestroy}, success())
	case "set_session_timeout":
		return a.setOwnTimeout(ctx, r)
	}
	return unhandled(r)
}

// order has the session's owner do something; then is the answer when it did.
func (a *Admin) order(ctx context.Context, r *request, o messages.AdminOrder, then outcome) outcome {
	if answer := a.askOwner(ctx, r.session, r.handle, o); answer.Error != nil {
		return failure(answer.Error)
	}
	return then
}

func (a *Admin) setOwnTimeout(ctx context.Context, r *request) outcome {
	if e := validate(r.Object, parameters{{"timeout", isInteger, true}}); e != nil {
		return failure(e)
	}
	said, _ := r.Get("timeout").Int()
	timeout := int32(said) // as much as Janus keeps of it
	if timeout < -1 {
		return failed(messages.CodeInvalidElementType, "Invalid element type (timeout should be a non-negative integer or -1)")
	}
	return a.order(ctx, r, messages.AdminOrder{Act: messages.AdminTimeout, Timeout: timeout},
		plain(member{"timeout", strconv.AppendInt(nil, int64(timeout), 10)}, member{"session_id", idJSON(r.session)}))
}

// forHandle answers what names a handle. Its Janus does it, where there is one.
func (a *Admin) forHandle(ctx context.Context, r *request, seen messages.AdminAnswer) outcome {
	switch r.verb {
	case "handle_info", "start_pcap", "start_text2pcap", "detach_handle", "hangup_webrtc", "stop_pcap", "stop_text2pcap":
	default:
		return unhandled(r)
	}
	if e := validate(r.Object, handleParameters(r.verb)); e != nil {
		return failure(e)
	}
	if seen.Handle.Server.IsZero() && needsJanus(r.verb, seen.Handle.Plugin) {
		if now := a.askOwner(ctx, r.session, r.handle, messages.AdminOrder{Act: messages.AdminBind}); now.Handle != nil {
			seen = now
		}
	}
	if seen.Handle.Server.IsZero() {
		return a.unbound(ctx, r, seen)
	}
	fields := append(r.fields(), member{"session_id", idJSON(r.session)}, member{"handle_id", idJSON(seen.Handle.Janus)})
	answer := a.callJanus(ctx, seen.Handle.Server, r.verb, fields, patience)
	if answer.Error != nil && (answer.Error.Code == messages.CodeHandleNotFound || answer.Error.Code == messages.CodeSessionNotFound) {
		return failure(messages.ErrHandleNotFound(r.handle, r.session)) // with the id that the administrator knows
	}
	out := outcomeOf(answer)
	if out.err == nil && r.verb == "handle_info" {
		a.translate(r, seen, out.members)
	}
	return out
}

// needsJanus reports whether a handle that no Janus knows of yet is to get one for this verb: what is captured begins with
// its first packet, and who hangs up a PeerConnection that is not there is told so by the plugin. Looking at a handle
// changes nothing, unless any Janus will do for it: to the handles of the other plugins, rooms, streams and names matter.
func needsJanus(verb, plugin string) bool {
	switch verb {
	case "start_pcap", "start_text2pcap", "hangup_webrtc":
		return true
	case "handle_info":
		switch plugin {
		case "janus.plugin.echotest", "janus.plugin.nosip", "janus.plugin.sip", "janus.plugin.voicemail":
			return true
		}
	}
	return false
}

// translate writes the cluster's ids and time-out into the handle_info of a Janus.
func (a *Admin) translate(r *request, seen messages.AdminAnswer, m members) {
	id := idJSON(r.handle)
	for i := range m {
		switch m[i].name {
		case "handle_id":
			m[i].value = id
		case "info":
			info := membersOf(m[i].value)
			info = info.set("session_id", idJSON(r.session)).set("handle_id", id)
			info = info.set("session_timeout", strconv.AppendInt(nil, seen.Timeout, 10))
			m[i].value = info.object()
		}
	}
}

// unbound answers for a handle that no Janus knows of: it has no PeerConnection, and its plugin has not heard of it.
func (a *Admin) unbound(ctx context.Context, r *request, seen messages.AdminAnswer) outcome {
	switch r.verb {
	case "detach_handle":
		return a.order(ctx, r, messages.AdminOrder{Act: messages.AdminDetach}, success())
	case "hangup_webrtc":
		return success()
	case "start_pcap":
		return failed(messages.CodeUnknown, "Error starting pcap dump")
	case "start_text2pcap":
		return failed(messages.CodeUnknown, "Error starting text2pcap dump")
	case "stop_pcap", "stop_text2pcap":
		return failed(messages.CodeUnknown, "Capture not started")
	}
	return success(member{"handle_id", idJSON(r.handle)}, member{"info", unboundInfo(r, seen, a.alertsAtFirst())})
}

// alertsAtFirst reports whether a handle without a PeerConnection has the flag alert, as since Janus 1.2.2.
func (a *Admin) alertsAtFirst() bool {
	for _, p := range a.live() {
		var major, minor, patch int
		n, _ := fmt.Sscanf(p.Beat.Media.Version, "%d.%d.%d", &major, &minor, &patch)
		return n == 3 && (major > 1 || major == 1 && (minor > 2 || minor == 2 && patch >= 2))
	}
	return false
}

// unboundInfo is the handle_info of a handle that has done nothing yet, in Janus's order. Times are those of the cluster:
// microseconds since 1970, where Janus counts from its machine's start.
func unboundInfo(r *request, seen messages.AdminAnswer, alert bool) []byte {
	h := seen.Handle
	number := func(n int64) []byte { return strconv.AppendInt(nil, n, 10) }
	text := func(s string) []byte { return janusjson.AppendQuoted(nil, s) }
	info := members{
		{"session_id", idJSON(r.session)}, {"session_last_activity", number(seen.Active * 1000)}, {"session_timeout", number(seen.Timeout)},
		{"session_transport", text("janus.transport.websockets")}, {"handle_id", idJSON(r.handle)},
	}
	if h.OpaqueID != "" {
		info = append(info, member{"opaque_id", text(h.OpaqueID)})
	}
	info = append(info, member{"loop-running", []byte("false")}, member{"created", number(h.Created * 1000)},
		member{"current_time", number(time.Now().UnixMicro())}, member{"plugin", text(h.Plugin)})
	if r.Get("plugin_only").Bool() {
		return info.object()
	}
	var flags members
	for _, name := range handleFlags() {
		flags = append(flags, member{name, strconv.AppendBool(nil, alert && name == "alert")})
	}
	return append(info, member{"flags", flags.object()}, member{"sdps", []byte("{}")},
		member{"queued-packets", number(0)}).object()
}

// handleFlags are the flags of a handle, in Janus's order.
func handleFlags() []string {
	return []string{
		"got-offer", "got-answer", "negotiated", "processing-offer", "starting", "ice-restart", "ready", "stopped", "alert",
		"trickle", "all-trickles", "resend-trickles", "trickle-synced", "data-channels", "has-audio", "has-video",
		"new-datachan-sdp", "rfc4588-rtx", "cleaning", "e2ee",
	}
}
