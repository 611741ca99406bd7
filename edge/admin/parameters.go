// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// kind is what a parameter must be (janus_json_is_valid of src/utils.c).
type kind uint8

const (
	isString kind = iota
	isObject
	isArray
	isBool
	isInteger
	isPositive // an integer of at least 0
)

// String is the kind in the words of Janus (janus_get_json_type_name).
func (k kind) String() string {
	return [...]string{"a string", "an object", "an array", "a boolean", "an integer", "a positive integer"}[k]
}

func (k kind) fits(v janusjson.Value) bool {
	switch v.Kind() {
	case janusjson.KindString:
		return k == isString
	case janusjson.KindObject:
		return k == isObject
	case janusjson.KindArray:
		return k == isArray
	case janusjson.KindTrue, janusjson.KindFalse:
		return k == isBool
	case janusjson.KindInteger:
		n, ok := v.Int()
		return ok && (k == isInteger || k == isPositive && n >= 0)
	default:
		return false
	}
}

// parameter is one of those that a verb takes.
type parameter struct {
	name     string
	kind     kind
	required bool
}

type parameters []parameter

// validate checks the parameters in order (JANUS_VALIDATE_JSON_OBJECT of src/utils.h).
func validate(o janusjson.Object, p parameters) *messages.Error {
	for _, x := range p {
		v := o.Get(x.name)
		switch {
		case v.Kind() == janusjson.KindAbsent && x.required:
			return messages.ErrMissing(x.name)
		case v.Kind() != janusjson.KindAbsent && !x.kind.fits(v):
			return messages.ErrElementType(x.name, x.kind.String())
		}
	}
	return nil
}

// parametersOf are those of the verbs that name no session, as src/janus.c lists them. Tokens have an order of checks of
// their own.
func parametersOf(verb string) parameters {
	query := func(who string) parameters { return parameters{{who, isString, true}, {"request", isObject, false}} }
	switch verb {
	case "set_locking_debug", "set_refcount_debug", "set_libnice_debug":
		return parameters{{"debug", isBool, true}}
	case "set_session_timeout":
		return parameters{{"timeout", isPositive, true}}
	case "set_log_level":
		return parameters{{"level", isPositive, true}}
	case "set_log_timestamps":
		return parameters{{"timestamps", isBool, true}}
	case "set_log_colors":
		return parameters{{"colors", isBool, true}}
	case "set_min_nack_queue":
		return parameters{{"min_nack_queue", isPositive, true}}
	case "set_nack_optimizations":
		return parameters{{"nack_optimizations", isBool, true}}
	case "set_no_media_timer":
		return parameters{{"no_media_timer", isPositive, true}}
	case "set_slowlink_threshold":
		return parameters{{"slowlink_threshold", isPositive, true}}
	case "accept_new_sessions":
		return parameters{{"accept", isBool, true}}
	case "query_transport":
		return query("transport")
	case "query_eventhandler":
		return query("handler")
	case "query_logger":
		return query("logger")
	case "message_plugin":
		return query("plugin")
	case "custom_event":
		return parameters{{"schema", isString, true}, {"data", isObject, true}}
	case "custom_logline":
		return parameters{{"line", isString, true}, {"level", isPositive, false}}
	case "resolve_address":
		return parameters{{"address", isString, true}}
	case "test_stun":
		return parameters{{"address", isString, true}, {"port", isPositive, true}, {"localport", isPositive, false}}
	}
	return nil
}

// handleParameters are those of the verbs that name a handle.
func handleParameters(verb string) parameters {
	switch verb {
	case "start_pcap", "start_text2pcap":
		return parameters{{"folder", isString, false}, {"filename", isString, false}, {"truncate", isPositive, false}}
	case "handle_info":
		return parameters{{"plugin_only", isBool, false}}
	}
	return nil
}
