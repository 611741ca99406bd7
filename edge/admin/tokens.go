// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"slices"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// tokens answers what concerns the tokens that clients authenticate with (janus_request_allow_token of src/janus.c).
func (a *Admin) tokens(ctx context.Context, r *request) outcome {
	if a.opts.Tokens == nil {
		return failed(messages.CodeUnknown, "Stored-Token based authentication disabled")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch r.verb {
	case "list_tokens":
		return a.listTokens(ctx)
	case "remove_token":
		return a.removeToken(ctx, r)
	}
	return a.changeToken(ctx, r)
}

func (a *Admin) listTokens(ctx context.Context) outcome {
	all, err := a.opts.Tokens.List(ctx)
	if err != nil {
		return a.tokenFailed(err, "Error listing tokens")
	}
	list := []byte{'['}
	for _, t := range all {
		if len(t.Plugins) == 0 {
			continue // Janus does not show a token that may use nothing
		}
		if len(list) > 1 {
			list = append(list, ',')
		}
		list = append(list, members{{"token", janusjson.AppendQuoted(nil, t.Token)}, {"allowed_plugins", texts(t.Plugins)}}.object()...)
	}
	return success(member{"data", members{{"tokens", append(list, ']')}}.object()})
}

func (a *Admin) removeToken(ctx context.Context, r *request) outcome {
	if e := validate(r.Object, parameters{{"token", isString, true}}); e != nil {
		return failure(e)
	}
	token, _ := r.Get("token").Text()
	if err := a.opts.Tokens.Remove(ctx, token); err != nil {
		return a.tokenFailed(err, "Error removing token")
	}
	return success()
}

// changeToken adds a token, or allows it plugins, or disallows some. Where an addition names no plugin, all are meant;
// those it names that nobody has are passed over, but an error elsewhere.
func (a *Admin) changeToken(ctx context.Context, r *request) outcome {
	if e := validate(r.Object, parameters{{"token", isString, true}, {"plugins", isArray, false}}); e != nil {
		return failure(e)
	}
	add := r.verb == "add_token"
	token, _ := r.Get("token").Text()
	named, _ := r.Get("plugins").Array()
	var plugins []string
	known, given, valid := a.plugins(), 0, true
	for v := range named.All() {
		given++
		name, ok := v.Text()
		if ok = ok && slices.Contains(known, name); ok {
			plugins = append(plugins, name)
		}
		valid = valid && ok
	}
	if !add && given == 0 {
		return failed(messages.CodeInvalidElementType, "Invalid element type (plugins should be a non-empty array)")
	}
	if !add && !valid {
		if e := a.findToken(ctx, token); e != nil { // Janus looks for it first
			return failure(e)
		}
		return failed(messages.CodeInvalidElementType, "Invalid element type (some of the provided plugins are invalid)")
	}
	change := a.opts.Tokens.Add
	switch {
	case r.verb == "allow_token":
		change = a.opts.Tokens.Allow
	case r.verb == "disallow_token":
		change = a.opts.Tokens.Disallow
	case given == 0:
		plugins = known
	}
	t, err := change(ctx, token, plugins)
	switch {
	case errors.Is(err, ErrNoToken):
		return failure(tokenNotFound(token))
	case err != nil:
		return a.tokenFailed(err, "Error adding token")
	}
	return success(member{"data", members{{"plugins", texts(t.Plugins)}}.object()})
}

func tokenNotFound(token string) *messages.Error {
	return messages.Errorf(messages.CodeTokenNotFound, "Token %s not found", token)
}

func (a *Admin) findToken(ctx context.Context, token string) *messages.Error {
	all, err := a.opts.Tokens.List(ctx)
	if err == nil && !slices.ContainsFunc(all, func(t Token) bool { return t.Token == token }) {
		return tokenNotFound(token)
	}
	return nil
}

// tokenFailed answers with Janus's words and logs the cause.
func (a *Admin) tokenFailed(err error, words string) outcome {
	a.log.Warn("Admin API: tokens", "error", err)
	return failed(messages.CodeUnknown, "%s", words)
}

// plugins are those that any Janus has, in order.
func (a *Admin) plugins() []string {
	var all []string
	for _, p := range a.live() {
		for name := range p.Beat.Media.Plugins {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// texts writes an array of strings.
func texts(list []string) []byte {
	b := []byte{'['}
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = janusjson.AppendQuoted(b, s)
	}
	return append(b, ']')
}
