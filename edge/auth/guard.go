// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"bytes"
	"crypto/subtle"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// Guard judges requests. With an API secret and tokens either of them suffices. The zero Guard lets everybody pass. It may be
// used from any goroutine.
type Guard struct {
	secret []byte // empty: none
	tokens tokens // nil: none
}

// tokens is a mechanism that knows good tokens.
type tokens interface {
	valid(token []byte) bool
	allows(token []byte, plugin string) bool
}

// NewGuard makes a guard that asks for the API secret (api_secret of Janus), unless that is empty, and for no token.
func NewGuard(apiSecret string) Guard { return Guard{secret: []byte(apiSecret)} }

// WithStored is the guard that takes the stored tokens, too (token_auth of Janus).
func (g Guard) WithStored(t *Tokens) Guard {
	g.tokens = t
	return g
}

// WithSigned is the guard that takes tokens signed with the secret, too (token_auth_secret of Janus). It takes no stored ones.
func (g Guard) WithSigned(secret string) Guard {
	g.tokens = signer{key: []byte(secret), now: unixNow}
	return g
}

// Admits reports whether the request carries what it must (janus_request_check_secret). The comparison with the secret takes
// the same time for every wrong one of the right length.
func (g Guard) Admits(m *janusjson.Message) bool {
	if g.open() {
		return true
	}
	if len(g.secret) > 0 {
		if secret, ok := given(m, janusjson.KeyAPISecret); ok && g.isSecret(secret) {
			return true
		}
	}
	if g.tokens == nil {
		return false
	}
	token, ok := given(m, janusjson.KeyToken)
	return ok && g.tokens.valid(token)
}

// Knows reports whether somebody who shows this secret and this token may pass, which is asked for a long poll over HTTP.
// What is empty was not shown.
func (g Guard) Knows(secret, token string) bool {
	switch {
	case g.open():
		return true
	case secret != "" && len(g.secret) > 0 && g.isSecret([]byte(secret)):
		return true
	}
	return g.tokens != nil && token != "" && g.tokens.valid([]byte(token))
}

// MayAttach reports whether the token of an attach, if it has one, gives access to the plugin that it names
// (janus_auth_check_plugin). Who has the API secret, too, is bound by a token all the same, and who has only that is not.
// Where the plugin is no string there is nothing to have access to.
func (g Guard) MayAttach(m *janusjson.Message) bool {
	if g.tokens == nil {
		return true
	}
	token, sent := given(m, janusjson.KeyToken)
	plugin, named := given(m, janusjson.KeyPlugin)
	return !sent || !named || g.tokens.allows(token, string(plugin))
}

// AsksForToken reports whether tokens are looked at, which info tells as auth_token.
func (g Guard) AsksForToken() bool { return g.tokens != nil }

func (g Guard) open() bool { return len(g.secret) == 0 && g.tokens == nil }

func (g Guard) isSecret(secret []byte) bool { return subtle.ConstantTimeCompare(secret, g.secret) == 1 }

// given is a string of the request, which mostly is a part of what was scanned.
func given(m *janusjson.Message, key janusjson.Key) (text []byte, ok bool) {
	if m.Kind(key) != janusjson.KindString {
		return nil, false
	}
	raw := m.Bytes(key)
	text = raw[1 : len(raw)-1]
	if bytes.IndexByte(text, '\\') >= 0 {
		plain, _ := m.Text(key)
		text = []byte(plain)
	}
	return text, true
}
