// SPDX-License-Identifier: Apache-2.0

// Package websocket is a WebSocket server (RFC 6455) for very many mostly idle
// clients. It knows nothing of what the messages mean: it agrees on a
// subprotocol, joins fragments, answers pings and closes, and bounds everything
// a peer can make it hold.
//
// A plain TCP connection costs a Conn and an epoll slot, about 0.2 KB, while
// nothing is under way: no goroutine, no buffer, no net.Conn. There are as many
// pollers as processors, each one goroutine that reads into one shared buffer
// and calls the Handler. TLS, other listeners and other systems than Linux get
// a goroutine per connection behind the same interface.
//
// What a client sees follows Janus 1.1.2 (janus_websockets.c on libwebsockets
// 4.1) wherever that does not break the RFC:
//
//   - no subprotocol of ours offered: the connection is closed without an answer;
//   - a request that is not an upgrade: 403 with the page libwebsockets sends;
//   - Access-Control-Allow-Origin and the like: Options.Header; a refusal there
//     closes without an answer;
//   - text and binary messages are the same, UTF-8 is left to the JSON parser
//     (Janus does not set LWS_SERVER_OPTION_VALIDATE_UTF8), answers are text;
//   - no extension is ever agreed to, so reserved bits are an error;
//   - a close is echoed with its code and reason.
//
// Stricter than Janus: frames must be masked, the version must be 13, key and
// method must be valid, control frames that break a rule are answered with a
// close where libwebsockets just hangs up, and messages have a largest size.
package websocket
