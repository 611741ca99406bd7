// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// The codes of Janus's transports in answers to query_transport (src/transports/janus_http.c, janus_websockets.c).
const (
	queryInvalid     = 411
	queryMissing     = 412
	queryElementType = 413
)

// queryTransport asks the transports of this edge, by Janus's names.
func (a *Admin) queryTransport(r *request) outcome {
	name, _ := r.Get("transport").Text()
	served := a.served(name)
	if len(served) == 0 {
		return failed(messages.CodePluginNotFound, "Invalid transport")
	}
	query, _ := r.Get("request").Object()
	return plain(member{"response", answerQuery(name, query, served).object()})
}

// served are the listeners of a transport, those of the Admin API with "admin_" before their scheme.
func (a *Admin) served(transport string) (served []clients) {
	if a.opts.Clients != nil {
		a.opts.Clients(func(scheme string, connections, requests int) {
			served = append(served, clients{scheme, connections, requests})
		})
	}
	for _, t := range a.transports {
		c := t.clients()
		c.scheme = "admin_" + c.scheme
		served = append(served, c)
	}
	return slices.DeleteFunc(served, func(c clients) bool {
		switch scheme := strings.TrimPrefix(c.scheme, "admin_"); transport {
		case "janus.transport.http":
			return scheme != "http" && scheme != "https"
		case "janus.transport.websockets":
			return scheme != "ws" && scheme != "wss"
		}
		return true
	})
}

// answerQuery is what a transport of Janus answers (janus_http_query_transport, janus_websockets_query_transport).
func answerQuery(transport string, query janusjson.Object, served []clients) members {
	if e := validate(query, parameters{{"request", isString, true}}); e != nil {
		return queryError(nil, e)
	}
	switch said, _ := query.Get("request").Text(); asciiLower(said) {
	case "configure":
		return configure(transport, query)
	case "connections":
		result := members{{"result", []byte("200")}}
		if transport == "janus.transport.http" {
			return append(result, countHTTP(served)...)
		}
		all := 0
		for _, c := range served {
			all += c.connections
		}
		return append(result, member{"connections", strconv.AppendInt(nil, int64(all), 10)})
	default:
		return members{
			{"error_code", strconv.AppendInt(nil, queryInvalid, 10)},
			{"error", janusjson.AppendQuoted(nil, fmt.Sprintf("Unknown request '%s'", said))},
		}
	}
}

func countHTTP(served []clients) members {
	var counts members
	requests := 0
	for _, c := range served {
		counts = append(counts, member{c.scheme, strconv.AppendInt(nil, int64(c.connections), 10)})
		requests += c.requests
	}
	return members{{"connections", counts.object()}, {"messages", strconv.AppendInt(nil, int64(requests), 10)}}
}

// configure changes nothing: the answers of an edge have one form, which means the same as each of Janus's, and what it has
// to tell goes to no event handler. Janus checks what it is told, and does it all the same.
func configure(transport string, query janusjson.Object) members {
	allowed := parameters{{"events", isBool, false}, {"json", isString, false}}
	if transport == "janus.transport.websockets" {
		allowed = append(allowed, parameter{"logging", isString, false})
	}
	answer := members{{"result", []byte("200")}}
	var notes []string
	if query.Get("events").Bool() {
		notes = append(notes, "Event handlers disabled at the core level")
	}
	if form, ok := query.Get("json").Text(); ok && !slices.Contains([]string{"indented", "plain", "compact"}, asciiLower(form)) {
		notes = append(notes, "Ignored unsupported indentation format")
	}
	if notes != nil {
		answer = append(answer, member{"notes", texts(notes)})
	}
	if e := validate(query, allowed); e != nil {
		return queryError(answer, e)
	}
	return answer
}

// queryError adds an error in the form of Janus's transports.
func queryError(answer members, e *messages.Error) members {
	code := int64(queryElementType)
	if e.Code == messages.CodeMissingMandatoryElement {
		code = queryMissing
	}
	return append(answer, member{"error_code", strconv.AppendInt(nil, code, 10)}, member{"error", janusjson.AppendQuoted(nil, e.Reason)})
}
