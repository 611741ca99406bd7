// SPDX-License-Identifier: Apache-2.0

package plugin

import "github.com/januscloud/januscloud/messages/janusjson"

// Vacating is implemented by routers whose rooms can be asked who is in them, and so leave a Janus that drains when nobody is.
type Vacating interface {
	Router
	// Guests is the body of the request that shows who is in a room, see Empty; nil: it cannot be told.
	Guests(key string) []byte
	// Empty tells from the data of the answer to Guests that nobody is.
	Empty(data janusjson.Object) bool
	// End is the body of the request that ends a room, which was made by the request made.
	End(key string, made janusjson.Object) []byte
}

var _ Vacating = (*Table)(nil)

// Guests implements Vacating.
func (t *Table) Guests(key string) []byte {
	if t.Lists == "" {
		return nil
	}
	return t.about(t.Lists, key)
}

// Empty implements Vacating.
func (t *Table) Empty(data janusjson.Object) bool {
	list, ok := data.Get("participants").Array()
	if !ok {
		return false
	}
	for range list.All() {
		return false
	}
	return true
}

// End implements Vacating.
func (t *Table) End(key string, made janusjson.Object) []byte {
	body := t.about("destroy", key)
	if secret := made.Get("secret"); secret.Kind() == janusjson.KindString {
		body = append(body[:len(body)-1], `,"secret":`...)
		body = append(append(body, secret.Bytes()...), '}')
	}
	return body
}

// about is the body of a request that names a room and nothing else.
func (t *Table) about(request, key string) []byte {
	body := append([]byte(`{"request":"`), request...)
	body = append(append(body, `","`...), t.ID...)
	return append(append(append(body, `":`...), key...), '}')
}
