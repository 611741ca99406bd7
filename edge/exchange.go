// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/januscloud/januscloud/edge/rest"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// exchange is one HTTP request and its answer. It is the core's client, of which the core knows one text: the answer.
type exchange struct {
	*httpTransport
	w      http.ResponseWriter
	r      *http.Request
	target rest.Target
	answer chan []byte
}

// Send implements client.
func (x *exchange) Send(text []byte) error {
	select {
	case x.answer <- bytes.Clone(text):
		return nil
	default:
		return errors.New("answered already")
	}
}

// ServeHTTP implements http.Handler: a client's request begins here. It is judged in the order of janus_http_handler
// (src/transports/janus_http.c), which looks at the headers first and hangs up with the answers it gives then.
func (h *httpTransport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer h.report()
	target, known := h.base.Parse(r.RequestURI)
	x := &exchange{httpTransport: h, w: w, r: r, target: target, answer: make(chan []byte, 1)}
	h.edge.cors.Tell(w.Header(), r.Header)
	if h.edge.draining.Load() {
		w.Header().Set("Connection", "close") // the next one finds another edge
	}
	h.requests.Add(1)
	defer h.requests.Add(-1)
	method := strings.ToUpper(r.Method)
	switch {
	case method != http.MethodGet && method != http.MethodPost && method != http.MethodOptions:
		x.needNoBody()
		x.refuse(messages.Errorf(messages.CodeTransportSpecific, "Unsupported method %s", r.Method))
	case !h.edge.cors.Admits(r.Header):
		x.hangUp(http.StatusForbidden)
	case method == http.MethodOptions && known:
		x.hangUp(http.StatusOK)
	case method == http.MethodOptions:
		x.abort()
	case !known:
		x.hangUp(http.StatusNotFound)
	case method == http.MethodGet:
		x.get()
	default:
		x.post()
	}
}

// report tells of a fault of ours, which net/http would not let end the process.
func (h *httpTransport) report() {
	fault := recover()
	if fault == nil {
		return
	}
	if fault != any(http.ErrAbortHandler) {
		h.edge.log.Error("request failed", "transport", h.name, "panic", fmt.Sprint(fault), "stack", string(debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}

// get serves a GET: information, or a long poll.
func (x *exchange) get() {
	x.needNoBody()
	switch {
	case x.target.More:
		x.status(http.StatusNotFound)
	case x.place() != "":
		x.request(fmt.Appendf(nil, `{"janus":"%s","transaction":"%s"}`, x.place(), rest.Transaction()))
	case x.target.SessionID() == 0:
		x.status(http.StatusNotFound)
	case !x.admitted():
		x.status(http.StatusForbidden)
	case x.target.Handle != "":
		x.redirect()
	default:
		x.poll()
	}
}

// admitted reports whether a poll carries what it must.
func (x *exchange) admitted() bool {
	query := rest.QueryOf(x.r.RequestURI)
	if x.edge.guard.Knows(query.Get("apisecret"), query.Get("token")) {
		return true
	}
	x.edge.refusals.Note("wrong or missing secret or token", slog.String("verb", "poll"), slog.Uint64("session", x.target.SessionID()))
	return false
}

// place is the place that a GET is for which is not a session; empty: none.
func (x *exchange) place() string {
	if s := x.target.Session; s == "info" || s == "ping" && x.edge.info.pings.Load() {
		return s
	}
	return ""
}

// post serves a POST: a request of the Janus API.
func (x *exchange) post() {
	body, ok := x.body()
	switch {
	case !ok:
	case x.target.More && len(body) == 0:
		x.status(http.StatusNotFound)
	case x.target.More || len(body) == 0:
		x.abort()
	case x.place() != "":
		x.status(http.StatusBadRequest)
	default:
		x.request(body)
	}
}

// request passes a request to the core and waits for its answer. It does not matter whether the client waits: Janus would
// not notice either.
func (x *exchange) request(body []byte) {
	var m janusjson.Message
	if err := rest.Request(body, x.target, &m); err != nil {
		x.refuse(err)
		return
	}
	c := x.edge.openPolling(x, httpPatience)
	defer x.edge.close(c)
	x.waitAtLeisure()
	x.edge.request(c, &m)
	select {
	case text := <-x.answer:
		x.text(text)
	case <-x.cut:
		x.abort()
	}
}

// poll waits for events of a session.
func (x *exchange) poll() {
	events := rest.QueryOf(x.r.RequestURI).MaxEvents()
	c := x.edge.openPolling(x, pollPatience)
	x.waitAtLeisure()
	x.edge.poll(c, x.target.SessionID(), events)
	var text []byte
	select {
	case text = <-x.answer:
	case <-x.r.Context().Done(): // the client left
	case <-x.leaving:
	}
	x.edge.close(c)
	if text == nil {
		text = x.last(events)
	}
	if endedSession(text) {
		x.status(http.StatusNotFound)
		return
	}
	there := x.r.Context().Err() == nil // the connection of a client who has left may still take the answer
	x.edge.polled(c, x.text(text) && http.NewResponseController(x.w).Flush() == nil && there)
}

// last is what a poll that ends early gets: an answer that came just then, or nothing new.
func (x *exchange) last(events int) []byte {
	select {
	case text := <-x.answer:
		return text
	default:
		return keepaliveOf(events)
	}
}

// redirect sends a poll that names a handle to its session. Janus finds out then that its own libmicrohttpd takes no
// header with control characters.
func (x *exchange) redirect() {
	if location := x.base.Location(x.target); !strings.ContainsAny(location, "\r\n\t") {
		x.w.Header().Set("Location", location)
	}
	x.status(http.StatusFound)
}

// body reads the body of the request. Who sends too much of it, or too slowly, is hung up on.
func (x *exchange) body() (body []byte, ok bool) {
	const likely = 64 << 10 // what a client announces is not believed beyond this
	most := int64(x.edge.opts.MaxMessage)
	var b bytes.Buffer
	b.Grow(int(min(max(x.r.ContentLength, 0), likely)) + bytes.MinRead)
	_, err := b.ReadFrom(http.MaxBytesReader(x.w, x.r.Body, most))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		x.hangUp(http.StatusRequestEntityTooLarge)
		return nil, false
	case err != nil:
		x.abort()
	}
	return b.Bytes(), true
}

// needNoBody hangs up on a request that has a body and should not: libmicrohttpd takes no answer while a body comes.
func (x *exchange) needNoBody() {
	if n := x.r.ContentLength; n < 0 { // not known
		if got, _ := io.ReadFull(x.r.Body, make([]byte, 1)); got == 0 {
			return
		}
	} else if n == 0 {
		return
	}
	x.abort()
}

// waitAtLeisure takes away the time limit for the request, which has come.
func (x *exchange) waitAtLeisure() {
	_ = http.NewResponseController(x.w).SetReadDeadline(time.Time{})
}

// abort hangs up without an answer. It does not return.
func (x *exchange) abort() {
	x.edge.metrics.answered(0)
	panic(http.ErrAbortHandler)
}

// hangUp answers without a body and closes the connection, whatever else the client was about to send.
func (x *exchange) hangUp(status int) {
	x.w.Header().Set("Connection", "close")
	x.status(status)
}

// status answers without a body.
func (x *exchange) status(status int) {
	x.w.Header().Set("Content-Length", "0")
	x.edge.metrics.answered(status)
	x.w.WriteHeader(status)
}

// refuse answers with an error of the transport itself.
func (x *exchange) refuse(err *messages.Error) {
	x.edge.metrics.refused(err.Code)
	x.text(rest.Refusal(err))
}

// text answers with JSON: errors, too, are a success of HTTP. It reports false when the client is gone.
func (x *exchange) text(text []byte) (taken bool) {
	header := x.w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	x.edge.metrics.answered(http.StatusOK)
	_, err := x.w.Write(text)
	taken = err == nil || errors.Is(err, http.ErrBodyNotAllowed)
	if !taken {
		x.edge.metrics.drop(dropClient)
	}
	return taken
}
