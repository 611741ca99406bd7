// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"errors"
	"fmt"
	"strings"
)

// ErrBase says that a base path does not begin with a slash.
var ErrBase = errors.New("rest: bad base path")

// Base is the path below which the Janus API is found (base_path of janus.transport.http.jcfg).
type Base string

// NewBase checks a base path and takes the slash off its end, as Janus does.
func NewBase(path string) (Base, error) {
	if !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("%w: %q does not begin with /", ErrBase, path)
	}
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	return Base(path), nil
}

// Target is what the path of a request names. The texts are as the client wrote them, escapes understood; empty ones are
// not there.
type Target struct {
	Session, Handle string
	More            bool // something follows the handle
}

// SessionID is the session, 0 for none.
func (t Target) SessionID() uint64 { return parseID(t.Session) }

// HandleID is the handle, 0 for none.
func (t Target) HandleID() uint64 { return parseID(t.Handle) }

// Parse reads the target of a request, query and all. It reports false where Janus knows no such place. Odd targets are
// read as Janus reads them: what counts stands between the first and the second occurrence of the base path, and nothing
// counts behind an empty component or a NUL.
func (b Base) Parse(target string) (t Target, ok bool) {
	path, _, _ := strings.Cut(target, "?")
	path, _, _ = strings.Cut(unescape(path), "\x00")
	if len(path) == len(b) && strings.EqualFold(path, string(b)) {
		return t, true
	}
	if b != "/" {
		parts := strings.SplitN(path, string(b), 3)
		if len(parts) < 2 {
			return t, false
		}
		path = parts[1]
	}
	path, ok = strings.CutPrefix(path, "/")
	if !ok {
		return t, false
	}
	t.Session, path, _ = strings.Cut(path, "/")
	if t.Session == "" {
		return t, true
	}
	t.Handle, path, _ = strings.Cut(path, "/")
	if t.Handle == "" {
		return t, true
	}
	more, _, _ := strings.Cut(path, "/")
	t.More = more != ""
	return t, true
}

// Location is where Janus sends a GET that names a handle.
func (b Base) Location(t Target) string { return string(b) + "/" + t.Session }

// Query is the part of a request's target behind the question mark.
type Query string

// QueryOf is the query of a request's target.
func QueryOf(target string) Query {
	_, query, _ := strings.Cut(target, "?")
	return Query(query)
}

// Get returns the value of the first argument of that name, in whatever case (MHD_lookup_connection_value of
// libmicrohttpd); empty when there is none.
func (q Query) Get(name string) string {
	for rest := string(q); rest != ""; {
		var argument string
		argument, rest, _ = strings.Cut(rest, "&")
		key, value, _ := strings.Cut(argument, "=")
		if key = plain(key); len(key) == len(name) && strings.EqualFold(key, name) {
			value, _, _ = strings.Cut(plain(value), "\x00")
			return value
		}
	}
	return ""
}

// MaxEvents is how many events a long poll asks for: what it says as maxev, at least 1.
func (q Query) MaxEvents() int { return max(1, int(parseInt(q.Get("maxev")))) }

// plain understands the escapes of a query.
func plain(s string) string { return unescape(strings.ReplaceAll(s, "+", " ")) }

// unescape understands %XX; what looks like it, but is not, stays.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, ok := unhex(s[i+1])
			low, okLow := unhex(s[i+2])
			if ok && okLow {
				out = append(out, high<<4|low)
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

func unhex(c byte) (v byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
