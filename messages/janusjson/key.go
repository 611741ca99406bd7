// SPDX-License-Identifier: Apache-2.0

package janusjson

// Key is a top-level key of a Janus message that some hop reads or rewrites.
// All other keys travel untouched.
type Key uint8

// The known keys: those of requests (src/janus.c, janus_process_incoming_request
// and janus_process_incoming_admin_request), then those of replies and events.
const (
	KeyJanus       Key = iota // the verb
	KeyTransaction            // the client's own correlation string
	KeySessionID
	KeyHandleID
	KeySender      // the handle a reply or event is about
	KeyID          // session id wished for in a create
	KeyPlugin      // package name of the plugin in an attach, or in message_plugin
	KeyOpaqueID    // the client's name for a handle
	KeyLoopIndex   // event loop wished for in an attach
	KeyAPISecret   // "apisecret"
	KeyToken       // token of the stored or signed token mechanism
	KeyAdminSecret // "admin_secret"
	KeyBody        // plugin part of a message request
	KeyJsep
	KeyCandidate
	KeyCandidates
	KeyData       // result of a core request
	KeyPluginData // plugin part of a reply or event
	KeyError      // code and reason
	KeyHint       // plugin's remark in an ack
	KeyReason     // of a hangup
	KeyRequest    // plugin part of the admin request message_plugin
	KeyTimeout    // of the admin request set_session_timeout
	KeyPlugins    // of the admin requests about tokens, and of server_info
	keyCount
)

// KeyCount is the number of known keys: they are 0 to KeyCount-1.
const KeyCount = int(keyCount)

// maxKeyLen is the length of the longest known key.
const maxKeyLen = len("admin_secret")

// String returns the key as it stands in JSON, without quotes.
func (k Key) String() string {
	switch k {
	case KeyJanus:
		return "janus"
	case KeyTransaction:
		return "transaction"
	case KeySessionID:
		return "session_id"
	case KeyHandleID:
		return "handle_id"
	case KeySender:
		return "sender"
	case KeyID:
		return "id"
	case KeyPlugin:
		return "plugin"
	case KeyOpaqueID:
		return "opaque_id"
	case KeyLoopIndex:
		return "loop_index"
	case KeyAPISecret:
		return "apisecret"
	case KeyToken:
		return "token"
	case KeyAdminSecret:
		return "admin_secret"
	}
	return k.contentString()
}

func (k Key) contentString() string {
	switch k {
	case KeyBody:
		return "body"
	case KeyJsep:
		return "jsep"
	case KeyCandidate:
		return "candidate"
	case KeyCandidates:
		return "candidates"
	case KeyData:
		return "data"
	case KeyPluginData:
		return "plugindata"
	case KeyError:
		return "error"
	case KeyHint:
		return "hint"
	case KeyReason:
		return "reason"
	case KeyRequest:
		return "request"
	case KeyTimeout:
		return "timeout"
	case KeyPlugins:
		return "plugins"
	}
	return "unknown"
}

// keyNamed returns the known key of that name, keyCount for any other.
func keyNamed(name []byte) Key {
	switch string(name) {
	case "janus":
		return KeyJanus
	case "transaction":
		return KeyTransaction
	case "session_id":
		return KeySessionID
	case "handle_id":
		return KeyHandleID
	case "sender":
		return KeySender
	case "id":
		return KeyID
	case "plugin":
		return KeyPlugin
	case "opaque_id":
		return KeyOpaqueID
	case "loop_index":
		return KeyLoopIndex
	case "apisecret":
		return KeyAPISecret
	case "token":
		return KeyToken
	case "admin_secret":
		return KeyAdminSecret
	}
	return contentKeyNamed(name)
}

func contentKeyNamed(name []byte) Key {
	switch string(name) {
	case "body":
		return KeyBody
	case "jsep":
		return KeyJsep
	case "candidate":
		return KeyCandidate
	case "candidates":
		return KeyCandidates
	case "data":
		return KeyData
	case "plugindata":
		return KeyPluginData
	case "error":
		return KeyError
	case "hint":
		return KeyHint
	case "reason":
		return KeyReason
	case "request":
		return KeyRequest
	case "timeout":
		return KeyTimeout
	case "plugins":
		return KeyPlugins
	}
	return keyCount
}
