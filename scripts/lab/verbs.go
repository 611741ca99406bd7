// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
)

// Must is Request for a request that has to succeed: an error reply of Janus is returned as *Error.
func (c *Client) Must(ctx context.Context, request any) (Message, error) {
	reply, err := c.Request(ctx, request)
	if err == nil && reply.Error != nil {
		err = fmt.Errorf("lab: %v: %w", request, reply.Error)
	}
	return reply, err
}

// Create makes a session and returns its id.
func (c *Client) Create(ctx context.Context) (uint64, error) {
	reply, err := c.Must(ctx, map[string]any{"janus": "create"})
	return reply.Number("data", "id"), err
}

// Attach makes a handle of a plugin, named in full (janus.plugin.echotest), and returns its id.
func (c *Client) Attach(ctx context.Context, session uint64, plugin string) (uint64, error) {
	reply, err := c.Must(ctx, map[string]any{"janus": "attach", "session_id": session, "plugin": plugin})
	return reply.Number("data", "id"), err
}

// Message sends a body, and a jsep when it is not nil, to a plugin and returns what the plugin answered: the success of a
// synchronous request, the event of an asynchronous one.
func (c *Client) Message(ctx context.Context, session, handle uint64, body, jsep any) (Message, error) {
	request := map[string]any{"janus": "message", "session_id": session, "handle_id": handle, "body": body}
	if jsep != nil {
		request["jsep"] = jsep
	}
	answer, err := c.RequestEvent(ctx, request)
	if err == nil && answer.Error != nil {
		err = fmt.Errorf("lab: message: %w", answer.Error)
	}
	return answer, err
}

// Keepalive touches a session.
func (c *Client) Keepalive(ctx context.Context, session uint64) error {
	_, err := c.Must(ctx, map[string]any{"janus": "keepalive", "session_id": session})
	return err
}

// Claim makes this connection the owner of a session: its events come here from now on.
func (c *Client) Claim(ctx context.Context, session uint64) error {
	_, err := c.Must(ctx, map[string]any{"janus": "claim", "session_id": session})
	return err
}

// Detach ends a handle.
func (c *Client) Detach(ctx context.Context, session, handle uint64) error {
	_, err := c.Must(ctx, map[string]any{"janus": "detach", "session_id": session, "handle_id": handle})
	return err
}

// Destroy ends a session.
func (c *Client) Destroy(ctx context.Context, session uint64) error {
	_, err := c.Must(ctx, map[string]any{"janus": "destroy", "session_id": session})
	return err
}
