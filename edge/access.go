// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"log/slog"

	"github.com/januscloud/januscloud/edge/auth"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// admitTokens has the guard take tokens, where they are asked for. It blocks until the stored ones are known.
func (e *Edge) admitTokens(ctx context.Context) (err error) {
	o := &e.opts
	switch {
	case !o.TokenAuth:
	case o.TokenAuthSecret != "":
		e.guard = e.guard.WithSigned(o.TokenAuthSecret)
	default:
		if e.tokens, err = auth.Open(ctx, auth.Options{Bus: o.Bus, Roster: o.Roster, Log: e.log}); err != nil {
			return err
		}
		e.guard = e.guard.WithStored(e.tokens)
	}
	return nil
}

// announceTokens tells the others at once how far the stored tokens are in force here: who changed them waits for it.
func (e *Edge) announceTokens(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.tokens.Changed():
			e.beater.Now()
		}
	}
}

// turnAway refuses a request that does not carry what it must, and tells the log.
func (e *Edge) turnAway(c *connection, reply messages.Reply, m *janusjson.Message) {
	e.refusals.Note("wrong or missing secret or token", slog.String("verb", m.Verb().String()), slog.Uint64("session", reply.Session))
	e.refuse(c, reply, errUnauthorized())
}

// deniedAttach is an attach whose token gives no access to the plugin. Janus tells of that after everything else that may be
// wrong, which the owner of the session knows: so the owner is asked for a plugin that nobody has. When it has no other
// objection than that, the client gets the refusal.
func (e *Edge) deniedAttach(c *connection, session uint64, m *janusjson.Message) *request {
	plugin, _ := m.Text(janusjson.KeyPlugin)
	e.refusals.Note("token without access", slog.String("plugin", plugin), slog.Uint64("session", session))
	refusal := messages.Errorf(messages.CodeUnauthorizedPlugin, "Provided token can't access plugin '%s'", plugin)
	if !e.hasPlugin(plugin) {
		refusal = messages.Errorf(messages.CodePluginNotFound, "No such plugin '%s'", plugin)
	}
	return &request{
		conn: c, session: session, verb: janusjson.VerbAttach, refusal: refusal,
		body: m.AppendSplice(nil, janusjson.Edit{Key: janusjson.KeyPlugin, Value: []byte(`""`)}),
	}
}

// faulty reports whether the answer to a denied attach has another objection than that there is no such plugin.
func faulty(answer []byte) bool {
	var m janusjson.Message
	if janusjson.Scan(answer, &m) != nil {
		return false
	}
	code := codeOf(&m)
	return code != 0 && code != messages.CodePluginNotFound
}

// hasPlugin reports whether a media server has the plugin, or session nodes serve it.
func (e *Edge) hasPlugin(plugin string) bool {
	v := e.opts.Roster.View()
	for _, p := range v.Media() {
		if _, ok := p.Beat.Media.Plugins[plugin]; ok {
			return true
		}
	}
	_, ok := v.Local()[plugin]
	return ok
}
