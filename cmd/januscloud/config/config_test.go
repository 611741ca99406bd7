// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "rewrite golden files")

// command is a command with a group of every kind.
type command struct {
	General
	Health
	Cluster
	Access
	Edge
	Session
}

// medium has the other meaning of --janus.
type medium struct {
	General
	Media
}

type dev struct {
	General
	Dev
}

type program struct {
	Serve command  `cmd:""`
	Media medium   `cmd:""`
	Dev   dev      `cmd:""`
	Plain struct{} `cmd:""`
}

func parseArgs(t *testing.T, environ []string, args ...string) (*program, error) {
	t.Helper()
	var p program
	source := NewSource(environ)
	parser, err := kong.New(&p, kong.Resolvers(source), kong.Exit(func(int) { t.Fatal("exit") }))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	if e := source.Err(); e != nil {
		err = e
	}
	return &p, err
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	file := writeFile(t, "session-timeout: 4s\nreclaim-timeout: 4s\nregion: file\nname: file\nnats: [a:1, 'nats://b:2']\nexec: x\n")
	for _, tt := range []struct {
		name    string
		environ []string
		args    []string
		check   func(p *program) string
		want    string
	}{
		{"default", nil, nil, func(p *program) string { return p.Serve.SessionTimeout.String() }, "1m0s"},
		{"file", nil, []string{"--config", file}, func(p *program) string { return p.Serve.SessionTimeout.String() }, "4s"},
		{"file named by the environment", []string{"JANUSCLOUD_CONFIG=" + file}, nil,
			func(p *program) string { return p.Serve.SessionTimeout.String() }, "4s"},
		{"environment over file", []string{"JANUSCLOUD_SESSION_TIMEOUT=3s"}, []string{"--config", file},
			func(p *program) string { return p.Serve.SessionTimeout.String() }, "3s"},
		{"flag over environment", []string{"JANUSCLOUD_SESSION_TIMEOUT=3s"}, []string{"--config", file, "--session-timeout=2s"},
			func(p *program) string { return p.Serve.SessionTimeout.String() }, "2s"},
		{"each by itself", []string{"JANUSCLOUD_REGION=env"}, []string{"--config", file, "--name=flag"},
			func(p *program) string {
				return fmt.Sprintln(p.Serve.Name, p.Serve.Region, p.Serve.ReclaimTimeout, p.Serve.WS)
			}, "flag env 4s :8188\n"},
		{"empty variable is unset", []string{"JANUSCLOUD_SESSION_TIMEOUT="}, nil,
			func(p *program) string { return p.Serve.SessionTimeout.String() }, "1m0s"},
		{"list", nil, []string{"--config", file}, func(p *program) string { return fmt.Sprint(p.Serve.NATS) }, "[nats://a:1 nats://b:2]"},
		{"list of a variable", []string{"JANUSCLOUD_NATS=x:1,y:2"}, nil, func(p *program) string { return fmt.Sprint(p.Serve.NATS) }, "[nats://x:1 nats://y:2]"},
		{"switch", []string{"JANUSCLOUD_ENFORCE_CORS=true"}, nil, func(p *program) string { return fmt.Sprint(p.Serve.EnforceCORS) }, "true"},
		{"other program's variable", []string{"JANUS=1", "XJANUSCLOUD_A=1"}, nil, func(p *program) string { return p.Serve.SessionTimeout.String() }, "1m0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := parseArgs(t, tt.environ, append([]string{"serve"}, tt.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.check(p); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// One key means a number to one command and an address to another.
func TestTwoMeanings(t *testing.T) {
	if p, err := parseArgs(t, []string{"JANUSCLOUD_JANUS=3"}, "dev"); err != nil || p.Dev.Dev.Janus != 3 {
		t.Errorf("dev: %v, %v", p.Dev.Dev.Janus, err)
	}
	if p, err := parseArgs(t, []string{"JANUSCLOUD_JANUS=ws://h:1"}, "media"); err != nil || p.Media.Media.Janus != "ws://h:1" {
		t.Errorf("media: %v, %v", p.Media.Media.Janus, err)
	}
	if _, err := parseArgs(t, []string{"JANUSCLOUD_JANUS=3"}, "media"); err == nil {
		t.Error("media: a number was taken for an address")
	}
	if _, err := parseArgs(t, []string{"JANUSCLOUD_JANUS=many"}, "serve"); err == nil {
		t.Error("a value that nobody can use was accepted")
	}
}

func TestCommandWithoutSettingsIgnoresThem(t *testing.T) {
	if _, err := parseArgs(t, []string{"JANUSCLOUD_NONSENSE=1"}, "plain"); err != nil {
		t.Error(err)
	}
}

func TestUnknownVariables(t *testing.T) {
	for _, tt := range []struct{ pair, want string }{
		{"JANUSCLOUD_SESION_TIMEOUT=1s", "environment: JANUSCLOUD_SESION_TIMEOUT: unknown variable (did you mean JANUSCLOUD_SESSION_TIMEOUT?)"},
		{"JANUSCLOUD_QQQQQQQQ=1s", "environment: JANUSCLOUD_QQQQQQQQ: unknown variable"},
		{"JANUSCLOUD_EDGE_SERVICE_HOST=10.0.0.1", "environment: JANUSCLOUD_EDGE_SERVICE_HOST: unknown variable; Kubernetes makes such variables" +
			" for services named januscloud-…, unless the pod has enableServiceLinks: false"},
		{"JANUSCLOUD_LOG_LEVEL=loud", `environment: JANUSCLOUD_LOG_LEVEL: "loud" is none of debug, info, warn, error`},
		{"JANUSCLOUD_NATS=http://user:hidden@h", "environment: JANUSCLOUD_NATS: not an address (want nats:// or tls:// or ws:// or wss://host:port)"},
	} {
		_, err := parseArgs(t, []string{tt.pair}, "serve")
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v; want %s", tt.pair, err, tt.want)
		}
	}
}

func TestFileProblems(t *testing.T) {
	for _, tt := range []struct {
		name, content string
		want          []string
	}{
		{"empty", "", nil},
		{"comments", "# nothing\n\n  # here\n", nil},
		{"null", "~\n", nil},
		{"key without value", "name:\n", nil},
		{"unknown key", "ws: :1\nsesion-timeout: 1s\n", []string{"f:2: sesion-timeout: unknown key (did you mean session-timeout?)"}},
		{"several", "a-b-c-d: 1\nlog-level: loud\nreclaim-timeout: -1s\npprof: maybe\n", []string{
			"f:1: a-b-c-d: unknown key",
			`f:2: log-level: "loud" is none of debug, info, warn, error`,
			`f:3: reclaim-timeout: "-1s" is not a duration (want 30s, 1m30s, 500ms)`,
			`f:4: pprof: "maybe" is neither true nor false`,
		}},
		{"twice", "name: a\nname: b\n", []string{"f:2: name: stands in line 1 already"}},
		{"names a file", "config: x\n", []string{"f:1: config: a file cannot name another one"}},
		{"no list", "name: [a, b]\n", []string{"f:1: name: takes one value, not a list"}},
		{"mapping", "name: {a: b}\n", []string{"f:1: name: takes a plain value"}},
		{"list of lists", "nats: [[a]]\n", []string{"f:1: nats: not a list of plain values"}},
		{"no mapping", "- a\n", []string{"f:1: not a mapping of keys to values"}},
		{"no YAML", "a: [\n", []string{"f: line 1: did not find expected node content"}},
		{"two documents", "name: a\n---\nname: b\n", []string{"f: more than one document"}},
		{"address", "health: 8080\n", []string{`f:1: health: "8080" is not an address (want host:port, :port or off)`}},
		{"port", "health: :99999\n", []string{`f:1: health: ":99999" is not an address (want host:port, :port or off)`}},
		{"name", "name: a.b\n", []string{`f:1: name: "a.b" is not a name (want 1 to 64 letters, digits, - or _)`}},
		{"secret file", "api-secret: '@/nonexistent/hidden'\n", []string{
			"f:1: api-secret: cannot read the file named after @: no such file or directory (write @@ for a secret that begins with @)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseFile("f", []byte(tt.content))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != strings.Join(tt.want, "\n") {
				t.Errorf("got:\n%s\nwant:\n%s", got, strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestProblemsAreTyped(t *testing.T) {
	_, err := parseFile("f", []byte("nmae: a\n"))
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Line != 1 || p.Key != "nmae" || p.Meant != "name" {
		t.Errorf("%+v", p)
	}
	if _, err := FromFile(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := FromFile(writeFile(t, strings.Repeat("#", maxFile+1))); err == nil {
		t.Error("a huge file was read")
	}
}

func TestSecrets(t *testing.T) {
	file := writeFile(t, "from file\r\n")
	empty := writeFile(t, "\n")
	for _, tt := range []struct {
		text, want string
		fails      bool
	}{
		{"plain", "plain", false}, {"", "", false}, {"@@at", "@at", false}, {"a@b", "a@b", false}, {"@" + file, "from file", false}, {"@" + empty, "", true},
	} {
		var s Secret
		if err := s.UnmarshalText([]byte(tt.text)); (err != nil) != tt.fails {
			t.Errorf("%q: %v", tt.text, err)
		}
		if s.Reveal() != tt.want {
			t.Errorf("%q: read %q, want %q", tt.text, s.Reveal(), tt.want)
		}
	}
	p, err := parseArgs(t, []string{"JANUSCLOUD_JANUS_ADMIN_SECRET=@" + file}, "media", "--janus-api-secret=@@hidden")
	if err != nil || p.Media.JanusAdminSecret.Reveal() != "from file" || p.Media.JanusAPISecret.Reveal() != "@hidden" {
		t.Errorf("%v: %v", err, p.Media.JanusAdminSecret.Reveal())
	}
	m := p.Media.Media
	for _, text := range []string{fmt.Sprint(m), fmt.Sprintf("%+v %#v", m, m), fmt.Sprintf("%q", m.JanusAPISecret)} {
		if strings.Contains(text, "hidden") || strings.Contains(text, "from file") {
			t.Errorf("a secret was printed: %s", text)
		}
	}
	var u NATSURL
	if err := u.UnmarshalText([]byte("user:hidden@h:4222")); err != nil || strings.Contains(fmt.Sprint(u), "hidden") {
		t.Errorf("%v, %v", u, err)
	}
}

// TestEveryField walks the structure: what stands in the tags is what people read.
func TestEveryField(t *testing.T) {
	name := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	for _, f := range Fields() {
		if !name.MatchString(f.Name) {
			t.Errorf("%s is not a name for a flag", f.Name)
		}
		if want := "JANUSCLOUD_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")); f.Env != want {
			t.Errorf("%s: variable %s, want %s", f.Name, f.Env, want)
		}
		for _, u := range f.Uses {
			if !strings.HasSuffix(u.Help, ".") && !strings.HasSuffix(u.Help, "}.") || len(u.Help) < 15 || strings.Contains(u.Help, "${") {
				t.Errorf("%s: help %q is no sentence", f.Name, u.Help)
			}
			if u.Group == "" || u.Commands == "" {
				t.Errorf("%s: its group has no title", f.Name)
			}
			if err := u.check(u.Default); err != nil {
				t.Errorf("%s: its default cannot be used: %v", f.Name, err)
			}
			if u.Secret && u.Default != "" {
				t.Errorf("%s: a secret with a default", f.Name)
			}
			if !u.Secret && strings.HasSuffix(f.Name, "secret") {
				t.Errorf("%s: not of type Secret", f.Name)
			}
		}
	}
	groups := reflect.TypeFor[Config]()
	for i := range groups.NumField() {
		if g := groups.Field(i); !g.Anonymous || g.Tag.Get("title") == "" {
			t.Errorf("group %s: want it embedded, with a title", g.Name)
		}
	}
}

// The default file documents every key, and changes nothing when it is used.
func TestDefaultFile(t *testing.T) {
	var b bytes.Buffer
	if err := WriteDefault(&b); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "default.yaml")
	compare(t, golden, b.Bytes())
	for _, f := range Fields() {
		if f.Name != "config" && !regexp.MustCompile(`(?m)^(# )?`+f.Name+`: `).Match(b.Bytes()) {
			t.Errorf("%s is missing", f.Name)
		}
	}
	for _, name := range []string{"serve", "media", "dev"} {
		without, err := parseArgs(t, nil, name)
		if err != nil {
			t.Fatal(err)
		}
		with, err := parseArgs(t, nil, name, "--config="+golden)
		if err != nil {
			t.Fatal(err)
		}
		with.Serve.Config, with.Media.Config, with.Dev.Config = "", "", ""
		if !reflect.DeepEqual(with, without) {
			t.Errorf("%s: the default file changes settings:\n%+v\n%+v", name, with, without)
		}
	}
}

func TestDoc(t *testing.T) {
	var b bytes.Buffer
	if err := WriteDoc(&b); err != nil {
		t.Fatal(err)
	}
	for _, f := range Fields() {
		if !strings.Contains(b.String(), "| `--"+f.Name+"` | `"+f.Env+"` |") {
			t.Errorf("%s is missing", f.Name)
		}
	}
}

func compare(t *testing.T, golden string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("differs from %s (run with -update and look at the difference)", golden)
	}
}

func TestDurationsAreNotNegative(t *testing.T) {
	if _, err := parseArgs(t, []string{"JANUSCLOUD_RECLAIM_TIMEOUT=-5s"}, "serve"); err == nil {
		t.Error("a negative duration was accepted")
	}
	if p, err := parseArgs(t, nil, "serve", "--session-timeout=0s"); err != nil || p.Serve.SessionTimeout != time.Duration(0) {
		t.Errorf("%v, %v", p.Serve.SessionTimeout, err)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"ws", "http", "session-timeout", "reclaim-timeout"}
	for unknown, want := range map[string]string{"w": "ws", "htpp": "http", "sessiontimeout": "session-timeout", "session_timeout": "session-timeout", "zzz": "", "": ""} {
		if got := nearest(unknown, known); got != want {
			t.Errorf("%q: %q, want %q", unknown, got, want)
		}
	}
}

func FuzzFile(f *testing.F) {
	for _, seed := range []string{"", "name: a\n", "nats: [a, b]", "a: &x 1\nname: *x\n", "---\n...\n", "name: |\n  x\n", "? [a]\n: b\n", "<<: {name: a}\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := parseFile("f", data)
		if err == nil {
			for name, text := range values {
				for _, field := range Fields() {
					if field.Name == name && field.Check(text) != nil {
						t.Errorf("%s: %q was accepted", name, text)
					}
				}
			}
		}
	})
}
