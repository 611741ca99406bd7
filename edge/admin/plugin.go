// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/roster"
)

// routingPatience is how long one session node may take to look after a message to a plugin before the next one is asked, too.
// The message is run once, however many are asked.
const routingPatience = 2 * time.Second

// messagePlugin brings a request to where the same request of a client would go: rooms have owners. What no room has to do with is
// for one Janus that has the plugin.
func (a *Admin) messagePlugin(ctx context.Context, r *request) outcome {
	plugin, _ := r.Get("plugin").Text()
	server, found := a.withPlugin(plugin)
	_, local := a.opts.Roster.View().Local()[plugin]
	switch {
	case local:
		return failed(messages.CodeUnknown, "Plugin doesn't support Admin API messages")
	case !found:
		return failed(messages.CodePluginNotFound, "Invalid plugin")
	}
	if body := r.Get("request"); body.Kind() == janusjson.KindObject {
		answer := a.askRouting(ctx, messages.PluginMessage{ID: "admin." + rand.Text(), Plugin: plugin, Body: body.Bytes()})
		switch {
		case answer.Error != nil:
			return failure(answer.Error)
		case answer.Data != nil:
			return plain(member{"response", answer.Data})
		}
	}
	return outcomeOf(a.callJanus(ctx, server.Beat.Member, r.verb, r.fields(), patience))
}

// withPlugin finds a media server whose Janus has a plugin.
func (a *Admin) withPlugin(plugin string) (server roster.Peer, found bool) {
	for _, p := range a.live() {
		if _, has := p.Beat.Media.Plugins[plugin]; has {
			return p, true
		}
	}
	return roster.Peer{}, false
}

// askRouting has a session node look after a message to a plugin, or another one if that does not answer. It waits for a node, as
// requests of clients do: one may be about to be heard.
func (a *Admin) askRouting(ctx context.Context, message messages.PluginMessage) messages.RoomAnswer {
	ctx, cancel := context.WithTimeout(ctx, longPatience)
	defer cancel()
	order, err := json.Marshal(messages.NodeOrder{Message: &message})
	if err != nil {
		return messages.RoomAnswer{Error: messages.Errorf(messages.CodeInvalidJSON, "%s", err)}
	}
	why := "No session node can be asked"
	for n := 0; ; n++ {
		if nodes := a.nodes(); len(nodes) > 0 {
			var answer messages.RoomAnswer
			if err = a.tryNode(ctx, nodes[n%len(nodes)], order, &answer); err == nil {
				return answer
			}
			why = "Outcome unknown: the cluster did not answer in time"
		}
		if !bus.Pause(ctx, ownerRetry) {
			break
		}
	}
	a.log.Warn("Admin API: message to a plugin not answered", "plugin", message.Plugin, "reason", why, "error", err)
	return messages.RoomAnswer{Error: messages.Errorf(messages.CodeUnknown, "%s", why)}
}

func (a *Admin) tryNode(ctx context.Context, node messages.Member, order []byte, answer *messages.RoomAnswer) error {
	ctx, cancel := context.WithTimeout(ctx, routingPatience)
	defer cancel()
	m, err := a.opts.Bus.Request(ctx, messages.NodeAdmin(node), order)
	if err == nil {
		err = json.Unmarshal(m.Data, answer)
	}
	return err
}
