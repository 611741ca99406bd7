// SPDX-License-Identifier: Apache-2.0

package janusapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Error is an error reply of Janus: a code of apierror.h (403, 450–472, 490) and its text.
type Error struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
}

func (e *Error) Error() string { return fmt.Sprintf("janus error %d: %s", e.Code, e.Reason) }

// Errors of Admin.
var (
	// ErrNoAnswer is returned when the other side ended the connection, or answered something that is no Janus reply.
	ErrNoAnswer = errors.New("janusapi: no answer of an admin API")
	// ErrScheme refuses an address that is neither http(s) nor ws(s).
	ErrScheme = errors.New("janusapi: admin address must be http, https, ws or wss")
)

// adminTransport carries one request of a transaction to Janus and returns its reply.
type adminTransport interface {
	roundTrip(ctx context.Context, transaction string, request []byte) ([]byte, error)
	close()
}

// Admin speaks the admin API of one Janus, over HTTP or WebSocket. It may be used from any goroutine.
type Admin struct {
	secret    string
	transport adminTransport
	count     atomic.Uint64
}

// NewAdmin makes a client for the admin API at an address such as http://host:7088/admin or ws://host:7188. Nothing is dialled
// before the first request. The secret may be "" where none is needed.
func NewAdmin(address, secret string) (*Admin, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("janusapi: admin address: %w", err)
	}
	a := &Admin{secret: secret}
	switch u.Scheme {
	case "http", "https":
		a.transport = newAdminHTTP(address)
	case "ws", "wss":
		a.transport = newAdminWS(address)
	default:
		return nil, fmt.Errorf("%w: %q", ErrScheme, u.Scheme)
	}
	return a, nil
}

// Do runs one verb of the admin API, such as list_sessions, with fields besides (session_id, handle_id and what the verb
// takes), and returns the whole reply. An error reply is returned as *Error. Set a deadline: Janus itself has none.
func (a *Admin) Do(ctx context.Context, verb string, fields map[string]any) (json.RawMessage, error) {
	transaction := "admin-" + strconv.FormatUint(a.count.Add(1), 10)
	body := maps.Clone(fields)
	if body == nil {
		body = make(map[string]any)
	}
	body["janus"], body["transaction"] = verb, transaction
	if a.secret != "" {
		body["admin_secret"] = a.secret
	}
	request, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("janusapi: admin %s: %w", verb, err)
	}
	reply, err := a.transport.roundTrip(ctx, transaction, request)
	if err != nil {
		return nil, fmt.Errorf("janusapi: admin %s: %w", verb, err)
	}
	var head struct {
		Janus string `json:"janus"`
		Error *Error `json:"error"`
	}
	if err := json.Unmarshal(reply, &head); err != nil || head.Janus == "" {
		return nil, fmt.Errorf("janusapi: admin %s: %w: %.100q", verb, ErrNoAnswer, reply)
	}
	if head.Error != nil {
		return nil, fmt.Errorf("janusapi: admin %s: %w", verb, head.Error)
	}
	return reply, nil
}

// Close ends the connections that are open. Requests under way fail; the client may be used again.
func (a *Admin) Close() { a.transport.close() }

// adminHTTP posts each request by itself. Janus takes the ids from the body when the path has none.
type adminHTTP struct {
	url    string
	client *http.Client
}

func newAdminHTTP(url string) *adminHTTP {
	// Not the default transport: a Janus is asked directly, whatever proxy the environment names.
	transport := &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second}
	return &adminHTTP{url: url, client: &http.Client{Transport: transport}}
}

func (t *adminHTTP) roundTrip(ctx context.Context, _ string, request []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := t.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s", ErrNoAnswer, response.Status)
	}
	reply, err := io.ReadAll(io.LimitReader(response.Body, defaultMaxMessage+1))
	if err != nil {
		return nil, err
	}
	if len(reply) > defaultMaxMessage {
		return nil, ErrTooLarge
	}
	return reply, nil
}

func (t *adminHTTP) close() { t.client.CloseIdleConnections() }

// adminWS keeps one connection, dialled when a request finds none.
type adminWS struct {
	url string
	// dialling holds a token while somebody looks for or dials the connection.
	dialling chan struct{}

	mu      sync.Mutex // guards the rest, for look-ups only
	conn    *Conn
	waiting map[string]chan<- []byte
}

func newAdminWS(url string) *adminWS {
	return &adminWS{url: url, dialling: make(chan struct{}, 1), waiting: make(map[string]chan<- []byte)}
}

func (t *adminWS) roundTrip(ctx context.Context, transaction string, request []byte) ([]byte, error) {
	conn, err := t.connection(ctx)
	if err != nil {
		return nil, err
	}
	answer := make(chan []byte, 1)
	t.mu.Lock()
	t.waiting[transaction] = answer
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		delete(t.waiting, transaction)
		t.mu.Unlock()
	}()
	if err := conn.Send(request); err != nil {
		return nil, err
	}
	select {
	case reply := <-answer:
		return reply, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-conn.Done():
	}
	// The reply may have been the last thing said.
	select {
	case reply := <-answer:
		return reply, nil
	default:
		return nil, ErrNoAnswer
	}
}

// connection returns the connection if it is up, else a new one.
func (t *adminWS) connection(ctx context.Context) (*Conn, error) {
	select {
	case t.dialling <- struct{}{}:
		defer func() { <-t.dialling }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if conn := t.current(); conn != nil {
		return conn, nil
	}
	conn, err := Dial(ctx, t.url, Options{Subprotocol: AdminSubprotocol, OnMessage: t.deliver})
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conn = conn
	return conn, nil
}

// current is the connection, nil when there is none or it has ended.
func (t *adminWS) current() *Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return nil
	}
	select {
	case <-t.conn.Done():
		return nil
	default:
		return t.conn
	}
}

func (t *adminWS) deliver(raw []byte) {
	var head struct {
		Transaction string `json:"transaction"`
	}
	if json.Unmarshal(raw, &head) != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if answer := t.waiting[head.Transaction]; answer != nil {
		delete(t.waiting, head.Transaction)
		answer <- raw
	}
}

func (t *adminWS) close() {
	if conn := t.current(); conn != nil {
		conn.Close()
		<-conn.Done()
	}
}
