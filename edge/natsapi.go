// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

const (
	// apiLane is the bus's lane that brings the requests of back-ends, in order.
	apiLane = 2
	// apiShare is the part of MaxInFlight that back-ends have for themselves: one of them that floods shuts out none of the
	// other transports' clients.
	apiShare = 8
)

// natsAPI is the NATS transport, what the RabbitMQ and MQTT transports of Janus are for: a back-end publishes requests, and
// names in their reply field the subject on which it listens, its inbox.
//
// An inbox is no connection. Any edge may get the next request, there is nothing that closes, and an edge may die without
// the client hearing of it. So edges keep nothing of an inbox: each request stands alone, as over HTTP, and its answer comes
// back through the edge that has it in hand, which so writes it once. A create or claim makes its inbox the transport of the
// session, whose owner then writes events there itself (notify in package actors): no edge's death can lose them.
type natsAPI struct {
	edge *Edge
	subs []*bus.Subscription
	most int64 // bytes of memory that requests in flight may hold

	mu       sync.Mutex // guards the rest, for a few instructions
	bytes    int64
	requests int
	idle     chan struct{} // not nil: somebody waits for it to be closed, when no request is in flight
}

// inbox is where a client that speaks NATS listens. It is the core's client for one message.
type inbox struct {
	api     *natsAPI
	subject string
}

// Send implements client.
func (i *inbox) Send(text []byte) error {
	return i.api.edge.bus.Publish(i.subject, "", bytes.Clone(text))
}

// inbox is where the connection's client listens; nil where that has a transport of its own.
func (c *connection) inbox() *inbox {
	i, _ := c.client.(*inbox)
	return i
}

func (e *Edge) newNATS() *natsAPI {
	return &natsAPI{edge: e, most: int64(e.opts.MaxInFlight) / apiShare}
}

// serveNATS takes requests from now on, where that is wanted: those for any edge, and those for this one.
func (e *Edge) serveNATS(ctx context.Context) error {
	if !e.opts.NATSAPI {
		return nil
	}
	n := e.newNATS()
	for subject, group := range map[string]string{messages.APISubject: messages.APIGroup, messages.EdgeAPI(e.opts.Name): ""} {
		sub, err := e.opts.Bus.Share(subject, group, apiLane, n.take)
		if err != nil {
			return fmt.Errorf("transport nats: %w", err)
		}
		n.subs = append(n.subs, sub)
		e.undone(sub.Cancel)
	}
	e.nats = n
	return e.opts.Bus.Flush(ctx)
}

// take takes in one message. Nobody can be told what is wrong with an inbox.
func (n *natsAPI) take(m *bus.Msg) {
	e := n.edge
	switch {
	case m.NoResponders:
		return
	case !messages.ValidInbox(m.Reply):
		e.metrics.drop(dropInbox)
		e.log.Debug("request over NATS without an inbox", "subject", m.Subject, "reply", m.Reply)
		return
	}
	c := e.openPolling(&inbox{n, m.Reply}, e.opts.Deadline)
	if len(m.Data) > e.opts.MaxMessage {
		e.refuse(c, messages.Reply{}, messages.Errorf(messages.CodeUnknown, "Request too large (%d bytes)", len(m.Data)))
		return
	}
	e.serve(c, m.Data)
}

// admit counts a request in, unless there is too much in flight.
func (n *natsAPI) admit(r *request) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.bytes+int64(r.size()) > n.most {
		return false
	}
	n.bytes += int64(r.size())
	n.requests++
	return true
}

// release counts a request out.
func (n *natsAPI) release(r *request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.bytes -= int64(r.size())
	n.requests--
	if n.requests == 0 && n.idle != nil {
		close(n.idle)
		n.idle = nil
	}
}

// stop has other edges take what is published from now on, serves what NATS gave to this one already, and waits for the
// answers, until ctx ends.
func (n *natsAPI) stop(ctx context.Context) error {
	for _, sub := range n.subs {
		if err := sub.Drain(ctx); err != nil {
			return err
		}
	}
	idle := make(chan struct{})
	n.mu.Lock()
	if n.requests == 0 {
		close(idle)
	} else {
		n.idle = idle
	}
	n.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("requests over NATS are unanswered: %w", context.Cause(ctx))
	}
}
