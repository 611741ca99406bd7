// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/januscloud/januscloud/messages"
)

var (
	_ encoding.TextUnmarshaler = (*Address)(nil)
	_ encoding.TextUnmarshaler = (*Name)(nil)
	_ encoding.TextUnmarshaler = (*NATSURL)(nil)
	_ encoding.TextUnmarshaler = (*JanusURL)(nil)
	_ encoding.TextUnmarshaler = (*AdminURL)(nil)
	_ encoding.TextUnmarshaler = (*Cap)(nil)
	_ encoding.TextUnmarshaler = (*Secret)(nil)
	_ slog.LogValuer           = Secret{}
)

// Address is where something listens: host:port, :port for all interfaces, port 0 for a free one. The zero value, which
// is written "off", listens nowhere.
type Address string

const off = "off"

// UnmarshalText reads an address.
func (a *Address) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "" || s == off {
		*a = ""
		return nil
	}
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is not an address (want host:port, :port or off)", s)
	}
	*a = Address(s)
	return nil
}

// Off reports whether nothing is to listen.
func (a Address) Off() bool { return a == "" }

// Name is what a process is called in the cluster; empty asks for a default.
type Name string

// UnmarshalText reads a name.
func (n *Name) UnmarshalText(text []byte) error {
	if s := string(text); s != "" && !messages.ValidName(s) {
		return fmt.Errorf("%q is not a name (want 1 to 64 letters, digits, - or _)", s)
	}
	*n = Name(text)
	return nil
}

// NATSURL is the address of a NATS server. It may hold a password: String hides it.
type NATSURL string

// UnmarshalText reads a URL; nats:// may be left out.
func (u *NATSURL) UnmarshalText(text []byte) error {
	s := string(text)
	if !strings.Contains(s, "://") {
		s = "nats://" + s
	}
	if err := checkURL(s, "nats", "tls", "ws", "wss"); err != nil {
		return err
	}
	*u = NATSURL(s)
	return nil
}

// String is the URL without its password.
func (u NATSURL) String() string {
	parsed, err := url.Parse(string(u))
	if err != nil {
		return ""
	}
	return parsed.Redacted()
}

// JanusURL is the WebSocket address of a Janus.
type JanusURL string

// UnmarshalText reads a URL.
func (u *JanusURL) UnmarshalText(text []byte) error {
	if err := checkURL(string(text), "ws", "wss"); err != nil {
		return err
	}
	*u = JanusURL(text)
	return nil
}

// AdminURL is the address of a Janus's admin API; empty for none.
type AdminURL string

// UnmarshalText reads a URL.
func (u *AdminURL) UnmarshalText(text []byte) error {
	if len(text) > 0 {
		if err := checkURL(string(text), "ws", "wss", "http", "https"); err != nil {
			return err
		}
	}
	*u = AdminURL(text)
	return nil
}

// checkURL never repeats the text: there may be a password in it.
func checkURL(text string, schemes ...string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) {
		return fmt.Errorf("not an address (want %s://host:port)", strings.Join(schemes, ":// or "))
	}
	return nil
}

// Cap bounds a number: 0 is no bound, AutoCap leaves it to the role.
type Cap int

// AutoCap is the Cap that is written "auto".
const AutoCap Cap = -1

// UnmarshalText reads a cap.
func (c *Cap) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*c = AutoCap
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil {
		return fmt.Errorf("%q is neither a number nor auto", text)
	}
	*c = Cap(n)
	return nil
}

// Secret is a text that is never printed. It is read as it stands, or from a file when it begins with @; @@ stands for a
// secret that begins with @.
type Secret struct{ text string }

// UnmarshalText reads a secret. Errors do not repeat the text: it may be a secret that happens to begin with @.
func (s *Secret) UnmarshalText(text []byte) error {
	given := string(text)
	file, isFile := strings.CutPrefix(given, "@")
	if !isFile || strings.HasPrefix(file, "@") {
		s.text = strings.TrimPrefix(given, "@")
		return nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return fmt.Errorf("cannot read the file named after @: %w (write @@ for a secret that begins with @)", err)
	}
	s.text = strings.TrimRight(string(content), "\r\n")
	if s.text == "" {
		return errors.New("the file named after @ is empty")
	}
	return nil
}

// NewSecret makes a Secret of a text as it stands.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return s.text }

// String tells only whether there is a secret.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return "(secret)"
}

// GoString is String: %#v prints no secret either.
func (s Secret) GoString() string { return s.String() }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
