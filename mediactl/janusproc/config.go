// SPDX-License-Identifier: Apache-2.0

package janusproc

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"
)

// Disabled as a port switches that transport off.
const Disabled = -1

// Defaults of a Config. Time-outs are those of Janus, but for the reclaim time: Janus destroys the sessions of a lost
// connection at once, and a cluster needs the time to come back for them.
const (
	DefaultName                  = "januscloud"
	DefaultBind                  = "127.0.0.1"
	DefaultSessionTimeout        = 60 * time.Second
	DefaultReclaimSessionTimeout = 90 * time.Second
	DefaultDebugLevel            = 4
	DefaultJSON                  = "indented"
)

// ErrNoAddress is returned where the machine has no IPv4 address besides loopback, which Janus never offers (ice.c).
var ErrNoAddress = errors.New("janusproc: no IPv4 address but loopback, and Janus offers no loopback candidates")

// Config describes one Janus: the settings that differ between two of them. The zero value of a field asks for its default;
// Write fills them all in.
type Config struct {
	// Folder is where the configuration is written and where recordings go. Required; made when missing. One Janus each.
	Folder string
	// Name is Janus's server_name, told by info and in every event it emits. Default DefaultName.
	Name string
	// Command starts Janus; "-F" and Folder are added. Default {"janus"}. A Janus that lives in a folder of its own is run
	// through its loader: {"DIR/lib64/ld-linux-x86-64.so.2", "--library-path", "…", "DIR/usr/bin/janus"}.
	Command []string
	// LibFolder holds Janus's folders plugins, transports, events and loggers. Default: those compiled into the binary.
	LibFolder string
	// Bind is the address all four APIs listen on. Default DefaultBind.
	Bind string
	// WSPort, AdminWSPort, HTTPPort and AdminHTTPPort are TCP ports. 0 chooses a free one, Disabled switches the transport off
	// (not WSPort: it is what the media role speaks).
	WSPort, AdminWSPort, HTTPPort, AdminHTTPPort int
	// RTPMin and RTPMax bound Janus's UDP ports, both included. The stock RTP mountpoints listen on the highest five. Both 0
	// chooses a block of 500 that no other Janus of ours uses.
	RTPMin, RTPMax int
	// APISecret and AdminSecret are asked of every request when set.
	APISecret, AdminSecret string
	// TokenAuth asks for a stored token in every request; TokenAuthSecret, which implies it, for a signed one (auth.c).
	TokenAuth       bool
	TokenAuthSecret string
	// PluginAdminKey is asked of who makes rooms, mountpoints and the like, and lets lists tell private ones (admin_key of the
	// plugins). Default: none.
	PluginAdminKey string
	// StringIDs makes the ids of rooms and mountpoints texts instead of numbers (string_ids of the plugins).
	StringIDs bool
	// SessionTimeout ends sessions without requests, in whole seconds. Default DefaultSessionTimeout; negative means never.
	SessionTimeout time.Duration
	// ReclaimSessionTimeout is how long sessions outlive their connection, in whole seconds since their last request. Default
	// DefaultReclaimSessionTimeout; negative means not at all.
	ReclaimSessionTimeout time.Duration
	// EventLoops is the number of threads that serve all handles. 0 gives each handle a thread and a descriptor of its own.
	EventLoops int
	// ICEAddress is the only address offered as candidate, as a prefix of its text. Default: GlobalAddress.
	ICEAddress string
	// EventsURL is a WebSocket address that gets all of Janus's events (wsevh, subprotocol janus-events). Default: none.
	EventsURL string
	// JSON is the form of Janus's messages: indented, plain or compact. Default DefaultJSON, as Debian's.
	JSON string
	// DebugLevel is 0 (silent) to 7 (everything, SDP too). 0 asks for DefaultDebugLevel.
	DebugLevel int

	mark net.PacketConn // holds a block of RTP ports that was chosen, until Janus does; nil: none
}

// WSURL is the address of the Janus API over WebSocket, subprotocol janus-protocol.
func (c Config) WSURL() string { return c.url("ws", c.WSPort, "") }

// AdminWSURL is the address of the admin API over WebSocket, subprotocol janus-admin-protocol; "" when switched off.
func (c Config) AdminWSURL() string { return c.url("ws", c.AdminWSPort, "") }

// HTTPURL is the address of the Janus API over HTTP; "" when switched off.
func (c Config) HTTPURL() string { return c.url("http", c.HTTPPort, "/janus") }

// AdminHTTPURL is the address of the admin API over HTTP; "" when switched off.
func (c Config) AdminHTTPURL() string { return c.url("http", c.AdminHTTPPort, "/admin") }

func (c Config) url(scheme string, port int, path string) string {
	if port <= 0 {
		return ""
	}
	host := c.Bind
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port)) + path
}

// CommandLine is the program and its arguments that run this Janus once Write has made its folder.
func (c Config) CommandLine() []string {
	return append(append([]string(nil), c.Command...), "-F", c.Folder)
}

// SamplePort is the UDP port of the n-th stream (0–4) of the stock RTP mountpoints: audio and video of 1, then the audio and the
// two videos of 123.
func (c Config) SamplePort(n int) int { return c.RTPMax - samplePorts + 1 + n }

// complete fills in what was left to default and refuses what Janus would take for something else.
func (c Config) complete() (Config, error) {
	if c.Folder == "" {
		return c, errors.New("janusproc: configuration without a folder")
	}
	folder, err := filepath.Abs(c.Folder)
	if err != nil {
		return c, fmt.Errorf("janusproc: folder: %w", err)
	}
	c.Folder = folder
	setDefault(&c.Name, DefaultName)
	setDefault(&c.Bind, DefaultBind)
	setDefault(&c.JSON, DefaultJSON)
	setDefault(&c.DebugLevel, DefaultDebugLevel)
	setDefault(&c.SessionTimeout, DefaultSessionTimeout)
	setDefault(&c.ReclaimSessionTimeout, DefaultReclaimSessionTimeout)
	if len(c.Command) == 0 {
		c.Command = []string{"janus"}
	}
	if c.ICEAddress == "" {
		address, err := GlobalAddress()
		if err != nil {
			return c, err
		}
		c.ICEAddress = address
	}
	if err := c.check(); err != nil {
		return c, err
	}
	return c.withPorts()
}

func (c Config) check() error {
	for _, d := range []time.Duration{c.SessionTimeout, c.ReclaimSessionTimeout} {
		if d > 0 && d%time.Second != 0 {
			return fmt.Errorf("janusproc: time-out %v: Janus counts whole seconds", d)
		}
	}
	if c.WSPort < 0 {
		return errors.New("janusproc: the WebSocket API cannot be switched off")
	}
	if c.JSON != "indented" && c.JSON != "plain" && c.JSON != "compact" {
		return fmt.Errorf("janusproc: JSON form %q: indented, plain or compact", c.JSON)
	}
	if (c.RTPMin != 0 || c.RTPMax != 0) && (c.RTPMin < 1 || c.RTPMax > 65535 || c.RTPMax-c.RTPMin < minRTPPorts) {
		return fmt.Errorf("janusproc: RTP ports %d-%d: at least %d are needed", c.RTPMin, c.RTPMax, minRTPPorts)
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
