// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"

	"github.com/januscloud/januscloud/edge/auth"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// Tokens are the stored tokens of the cluster: *auth.Tokens. An error that is a *messages.Error is what Janus would answer.
type Tokens interface {
	Add(ctx context.Context, token string, plugins []string) (allowed []string, err error)
	Allow(ctx context.Context, token string, plugins []string) (allowed []string, err error)
	Disallow(ctx context.Context, token string, plugins []string) (allowed []string, err error)
	Remove(ctx context.Context, token string) error
	List() ([]auth.Listed, error)
}

var _ Tokens = (*auth.Tokens)(nil)

// tokens answers what concerns stored tokens (janus_request_allow_token of src/janus.c).
func (a *Admin) tokens(ctx context.Context, r *request) outcome {
	if a.opts.Tokens == nil {
		return failed(messages.CodeUnknown, "Stored-Token based authentication disabled")
	}
	ctx, cancel := context.WithTimeout(ctx, longPatience)
	defer cancel()
	switch r.verb {
	case "list_tokens":
		return a.listTokens()
	case "remove_token":
		return a.removeToken(ctx, r)
	}
	return a.changeToken(ctx, r)
}

func (a *Admin) listTokens() outcome {
	all, err := a.opts.Tokens.List()
	if err != nil {
		return a.tokenFailed(err, "Error listing tokens")
	}
	list := []byte{'['}
	for i, t := range all {
		if i > 0 {
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

// changeToken adds a token, or allows it plugins, or disallows some.
func (a *Admin) changeToken(ctx context.Context, r *request) outcome {
	if e := validate(r.Object, parameters{{"token", isString, true}, {"plugins", isArray, false}}); e != nil {
		return failure(e)
	}
	token, _ := r.Get("token").Text()
	named, _ := r.Get("plugins").Array()
	var plugins []string
	for v := range named.All() {
		name, _ := v.Text() // what is no string is no plugin
		plugins = append(plugins, name)
	}
	change := a.opts.Tokens.Add
	switch r.verb {
	case "allow_token":
		change = a.opts.Tokens.Allow
	case "disallow_token":
		change = a.opts.Tokens.Disallow
	}
	allowed, err := change(ctx, token, plugins)
	if err != nil {
		return a.tokenFailed(err, "Error adding token")
	}
	return success(member{"data", members{{"plugins", texts(allowed)}}.object()})
}

// tokenFailed answers with Janus's error where there is one, else with these words.
func (a *Admin) tokenFailed(err error, words string) outcome {
	var known *messages.Error
	if errors.As(err, &known) {
		return failure(known)
	}
	a.log.Warn("Admin API: tokens", "error", err)
	return failed(messages.CodeUnknown, "%s", words)
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
