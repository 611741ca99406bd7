// SPDX-License-Identifier: Apache-2.0

package janusproc

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// full is a configuration with every field set and nothing left to the machine.
func full() Config {
	return Config{
		Folder: "/srv/janus", Name: `one "and" \ only`, Command: []string{"loader", "janus"}, LibFolder: "/opt/lib/janus",
		Bind: "127.0.0.1", WSPort: 1, AdminWSPort: 2, HTTPPort: 3, AdminHTTPPort: Disabled, RTPMin: 20000, RTPMax: 20499,
		APISecret: "api", AdminSecret: "admin", TokenAuthSecret: "sign", SessionTimeout: 30 * time.Second,
		ReclaimSessionTimeout: -1, EventLoops: 2, ICEAddress: "192.0.2.1", EventsURL: "ws://127.0.0.1:9/events",
		JSON: "compact", DebugLevel: 5, PluginAdminKey: "key", StringIDs: true,
	}
}

// TestGolden compares all files with testdata/full.txtar. UPDATE_GOLDEN=1 writes it anew.
func TestGolden(t *testing.T) {
	const golden = "testdata/full.txtar"
	c, err := full().complete()
	if err != nil {
		t.Fatal(err)
	}
	files, err := render(c)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		all.WriteString("-- " + name + " --\n" + string(files[name]))
	}
	got := all.String()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the files differ from %s; set UPDATE_GOLDEN=1 and look at the difference", golden)
	}
}

func TestAddresses(t *testing.T) {
	c := full()
	if got := strings.Join([]string{c.WSURL(), c.AdminWSURL(), c.HTTPURL(), c.AdminHTTPURL()}, " "); got !=
		"ws://127.0.0.1:1 ws://127.0.0.1:2 http://127.0.0.1:3/janus " {
		t.Errorf("addresses %q", got)
	}
	c.Bind = "::"
	if got := c.WSURL(); got != "ws://127.0.0.1:1" {
		t.Errorf("bound everywhere: %q", got)
	}
	if got := strings.Join(c.CommandLine(), " "); got != "loader janus -F /srv/janus" {
		t.Errorf("command %q", got)
	}
	if first, last := c.SamplePort(0), c.SamplePort(4); first != 20495 || last != 20499 {
		t.Errorf("sample ports %d to %d", first, last)
	}
}

func TestDefaults(t *testing.T) {
	c, err := Config{Folder: t.TempDir(), ICEAddress: "192.0.2.1", AdminWSPort: Disabled}.complete()
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != DefaultName || c.SessionTimeout != time.Minute || c.ReclaimSessionTimeout != 90*time.Second || c.Command[0] != "janus" {
		t.Errorf("%+v", c)
	}
	ports := []int{c.WSPort, c.HTTPPort, c.AdminHTTPPort}
	slices.Sort(ports)
	if len(slices.Compact(ports)) != 3 || ports[0] < tcpFirst || ports[2] > tcpLast || c.AdminWSPort != Disabled {
		t.Errorf("ports %v, admin %d", ports, c.AdminWSPort)
	}
	if c.RTPMax-c.RTPMin != rtpBlock-1 {
		t.Errorf("RTP ports %d-%d", c.RTPMin, c.RTPMax)
	}
}

// TestBlocksAreDistinct: those who start a Janus at the same time get no block of RTP ports twice, though no Janus has bound
// any of them yet.
func TestBlocksAreDistinct(t *testing.T) {
	const all = 12
	var taken []int
	for range all {
		c, err := Config{Folder: t.TempDir(), ICEAddress: "192.0.2.1"}.complete()
		if err != nil {
			t.Fatal(err)
		}
		defer c.release()
		taken = append(taken, c.RTPMin)
	}
	slices.Sort(taken)
	if len(slices.Compact(taken)) != all {
		t.Errorf("blocks at %v", taken)
	}
}

func TestRefused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no folder":         func(c *Config) { c.Folder = "" },
		"half a second":     func(c *Config) { c.SessionTimeout = 500 * time.Millisecond },
		"half a second too": func(c *Config) { c.ReclaimSessionTimeout = 1500 * time.Millisecond },
		"no WebSocket":      func(c *Config) { c.WSPort = Disabled },
		"JSON":              func(c *Config) { c.JSON = "xml" },
		"few RTP ports":     func(c *Config) { c.RTPMin, c.RTPMax = 20000, 20010 },
		"RTP ports":         func(c *Config) { c.RTPMin, c.RTPMax = 60000, 70000 },
		"bind":              func(c *Config) { c.Bind, c.WSPort = "203.0.113.1", 0 },
		"newline in a name": func(c *Config) { c.Name = "a\nb" },
		"newline in secret": func(c *Config) { c.APISecret = "a\"\n}\ngeneral: {" },
	} {
		c := full()
		c.Folder = filepath.Join(t.TempDir(), "janus")
		change(&c)
		if _, err := Write(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestWriteAgain: a second Write replaces the configuration and keeps what was recorded.
func TestWriteAgain(t *testing.T) {
	c := full()
	c.Folder = t.TempDir()
	if _, err := Write(c); err != nil {
		t.Fatal(err)
	}
	recording := filepath.Join(c.Folder, "recordings", "mine.mjr")
	if err := os.WriteFile(recording, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Name = "second"
	if _, err := Write(c); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(c.Folder, "janus.jcfg"))
	if err != nil || !strings.Contains(string(content), `server_name = "second"`) {
		t.Errorf("%v, %s", err, content)
	}
	if _, err := os.Stat(recording); err != nil {
		t.Error(err)
	}
}

// TestTone decodes both laws again: silence is silence, and the tone has its height and its 440 periods a second.
func TestTone(t *testing.T) {
	decode := map[string]func(byte) int{
		"mu": func(b byte) int {
			b = ^b
			v := (int(b&0x0f)<<3+132)<<(b>>4&7) - 132
			if b&0x80 != 0 {
				return -v
			}
			return v
		},
		"a": func(b byte) int {
			b ^= 0x55
			v, e := int(b&0x0f)<<4+8, b>>4&7
			if e > 0 {
				v = (v + 256) << (e - 1)
			}
			if b&0x80 == 0 {
				return -v
			}
			return v
		},
	}
	for name, encode := range map[string]func(int) byte{"mu": muLaw, "a": aLaw} {
		for _, sample := range []int{0, 1, -1, 100, -100, 1000, -1000, 8000, -8000, 32767, -32768} {
			if got := decode[name](encode(sample)); max(got-sample, sample-got) > 16+max(sample, -sample)/16 {
				t.Errorf("%s-law: %d became %d", name, sample, got)
			}
		}
		periods, last := 0, 0
		for _, b := range tone(encode) {
			v := decode[name](b)
			if last < 0 && v >= 0 {
				periods++
			}
			last = v
		}
		if periods < 4*440-1 || periods > 4*440 {
			t.Errorf("%s-law: %d periods in four seconds", name, periods)
		}
	}
}

func TestGlobalAddress(t *testing.T) {
	address, err := GlobalAddress()
	if err != nil && !errors.Is(err, ErrNoAddress) {
		t.Fatal(err)
	}
	if strings.HasPrefix(address, "127.") || strings.HasPrefix(address, "169.254.") {
		t.Errorf("%s cannot be a candidate", address)
	}
}
