// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/gobwas/ws"
)

// maxRequest bounds the upgrade request; libwebsockets allows about 4 KB.
const maxRequest = 8 << 10

// What libwebsockets 4.1 answers to anything but an upgrade, through
// LWS_CALLBACK_HTTP in janus_websockets.c.
const forbidden = "HTTP/1.1 403 Forbidden\r\ncontent-type: text/html\r\ncontent-length: 173\r\n\r\n" +
	`<html><head><meta charset=utf-8 http-equiv="Content-Language" content="en"/>` +
	`<link rel="stylesheet" type="text/css" href="/error.css"/></head><body><h1>403</h1></body></html>`

const tooManyConns = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

var (
	errSubprotocol = errors.New("no subprotocol of ours offered")
	errNotAllowed  = errors.New("not allowed")
	errTooLong     = errors.New("request too long")
)

// handshake looks for a whole upgrade request at the front of b and answers it.
// The bytes after it are frames the client sent without waiting; they are not
// used here and therefore not lost.
func (c *Conn) handshake(b []byte) (used int) {
	i := bytes.Index(b[:min(len(b), maxRequest)], []byte("\r\n\r\n"))
	if i < 0 {
		if len(b) < maxRequest {
			return 0
		}
		c.refuse(nil, errTooLong)
		return len(b)
	}
	used = i + 4
	var response bytes.Buffer
	err := c.upgrade(b[:used], &response)
	switch {
	case err == nil:
		c.accept(response.Bytes())
	case errors.Is(err, errSubprotocol), errors.Is(err, errNotAllowed):
		c.refuse(nil, err)
	case errors.Is(err, ws.ErrHandshakeBadUpgrade), errors.Is(err, ws.ErrHandshakeBadMethod),
		errors.Is(err, ws.ErrHandshakeBadProtocol), errors.Is(err, ws.ErrMalformedRequest):
		c.refuse([]byte(forbidden), err)
	default:
		c.refuse(response.Bytes(), err)
	}
	return used
}

// upgrade judges the request and writes the response.
func (c *Conn) upgrade(request []byte, response *bytes.Buffer) error {
	opts := &c.server.opts
	r := Request{RemoteAddr: c.RemoteAddr()}
	u := ws.Upgrader{
		Protocol: func(offered []byte) bool {
			i := slices.Index(opts.Subprotocols, string(offered))
			if i < 0 {
				return false
			}
			r.Subprotocol = opts.Subprotocols[i]
			return true
		},
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if r.Subprotocol == "" && len(opts.Subprotocols) > 0 {
				return nil, errSubprotocol
			}
			if opts.Header == nil {
				return nil, nil
			}
			headers, allowed := opts.Header(&r)
			if !allowed {
				return nil, errNotAllowed
			}
			return ws.HandshakeHeaderHTTP(headers), nil
		},
	}
	if opts.Header != nil {
		r.Header = make(http.Header)
		u.OnRequest = func(uri []byte) error { r.URI = string(uri); return nil }
		u.OnHost = func(host []byte) error { r.Host = string(host); return nil }
		u.OnHeader = func(key, value []byte) error { r.Header.Add(string(key), string(value)); return nil }
	}
	_, err := u.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(request), response})
	return err
}

// accept opens the connection: response first, so that Open may send already.
func (c *Conn) accept(response []byte) {
	c.mu.Lock()
	if c.state() != handshaking {
		c.mu.Unlock()
		return
	}
	c.stopTimer()
	c.reply(response)
	if c.state() != handshaking { // the reply met a broken connection
		c.mu.Unlock()
		return
	}
	c.id = c.server.opts.IDs.Add(1)
	c.enter(open)
	c.mu.Unlock()
	c.server.opened(c)
}

// refuse ends the handshake with a response, or with the mere end of the stream
// if that is empty.
func (c *Conn) refuse(response []byte, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state() != handshaking {
		return
	}
	c.why = fmt.Errorf("%w: %w", ErrHandshake, why)
	c.enter(closing)
	c.reply(response)
	c.expectEnd(c.server.opts.CloseTimeout)
}

// reply sends bytes that are not a frame. Called with mu held.
func (c *Conn) reply(response []byte) {
	c.out = c.server.getBuffer()
	c.out.bytes = append(c.out.bytes, response...)
	c.queued += uint64(len(response))
	c.link.flush()
}
