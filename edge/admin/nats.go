// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// apiLane is the bus's lane that brings requests over NATS.
const apiLane = 3

// listenNATS takes requests that are published to messages.AdminAPISubject, where that is wanted: one edge takes each. Every
// message is answered by itself, on its reply subject; who wants an order waits.
func (a *Admin) listenNATS() (err error) {
	if a.opts.NATS {
		a.nats, err = a.opts.Bus.Share(messages.AdminAPISubject, messages.APIGroup, apiLane, a.take)
	}
	return err
}

// take begins to answer a message. Goroutines are bounded like requests: one that finds no slot ends at once.
func (a *Admin) take(m *bus.Msg) {
	switch {
	case m.NoResponders:
		return
	case !messages.ValidInbox(m.Reply):
		a.metrics.requests.WithLabelValues("without inbox").Inc()
		return
	}
	if len(m.Data) > maxBody {
		a.write(m.Reply, refusal(messages.CodeUnknown, "Request too large"))
		return
	}
	a.work.Go(func() {
		for _, text := range requests(m.Data) {
			a.write(m.Reply, a.run(a.ctx, text))
		}
	})
}

// write publishes an answer.
func (a *Admin) write(inbox string, text []byte) {
	if err := a.opts.Bus.Publish(inbox, "", text); err != nil {
		a.log.Warn("Admin API: not answered", "inbox", inbox, "error", err)
	}
}

// stopNATS has other edges take what is published from now on.
func (a *Admin) stopNATS(ctx context.Context) error {
	if a.nats == nil || !a.opts.Bus.Connected() {
		return nil
	}
	return a.nats.Drain(ctx)
}
