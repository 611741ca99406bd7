// SPDX-License-Identifier: Apache-2.0

package conversation

// endOfCall names the stream of a message that ends a call of the videocall plugin, or a PeerConnection at the wish of its plugin;
// empty: it is none. Core, plugin and the peer's PeerConnection say so from threads of their own, in any order.
func endOfCall(body map[string]any) string {
	if body["janus"] == "hangup" && body["reason"] == "Close PC" {
		return "hangups"
	}
	data, _ := body["plugindata"].(map[string]any)
	data, _ = data["data"].(map[string]any)
	result, _ := data["result"].(map[string]any)
	if body["transaction"] == nil && result["event"] == "hangup" {
		return "ends of calls: " + text(result["reason"])
	}
	return ""
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
