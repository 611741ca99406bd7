// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"errors"
	"fmt"

	"github.com/gobwas/ws"
)

// Reasons given to Handler.Close and returned by Conn.Send. A connection lost
// without a close frame gives io.EOF, or the system's error wrapped.
var (
	// ErrClosed is returned by Send when the connection is closing or gone.
	ErrClosed = errors.New("websocket: connection closed")
	// ErrQueueFull means that the client left more than MaxQueue bytes unread.
	ErrQueueFull = errors.New("websocket: outbound queue full")
	// ErrStalled means that the client took nothing of its queue for WriteTimeout.
	ErrStalled = errors.New("websocket: client takes nothing")
	// ErrTooBig means that a message exceeded MaxMessage.
	ErrTooBig = errors.New("websocket: message too big")
	// ErrSilent means that nothing came from the client for PingInterval and
	// PongTimeout.
	ErrSilent = errors.New("websocket: client silent")
	// ErrHandshake means that no valid upgrade request came; the Handler never
	// hears of such a connection.
	ErrHandshake = errors.New("websocket: handshake failed")
	// ErrShutdown is the reason for connections closed by Server.Shutdown.
	ErrShutdown = errors.New("websocket: server shutting down")
	// ErrServed is returned by Serve on a server that was shut down.
	ErrServed = errors.New("websocket: server was shut down")
)

// A CloseError says that the connection ended by a close frame: the peer's, or
// our own with Local set. A peer that gave no code has 1005 (RFC 6455 §7.1.5).
type CloseError struct {
	Code   ws.StatusCode
	Reason string
	Local  bool
}

// Error implements error.
func (e *CloseError) Error() string {
	who := "peer"
	if e.Local {
		who = "server"
	}
	return fmt.Sprintf("websocket: closed by %s: %d %q", who, e.Code, e.Reason)
}

// A ProtocolError says which rule of RFC 6455 the peer broke, and the close
// code it was told.
type ProtocolError struct {
	Code ws.StatusCode
	Rule error
}

// Error implements error.
func (e *ProtocolError) Error() string { return "websocket: protocol error: " + e.Rule.Error() }

// Unwrap returns the broken rule, one of gobwas/ws's where it has one.
func (e *ProtocolError) Unwrap() error { return e.Rule }
