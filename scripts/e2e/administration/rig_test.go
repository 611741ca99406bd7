// SPDX-License-Identifier: Apache-2.0

package administration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/januscloud/januscloud/actors"
	"github.com/januscloud/januscloud/edge"
	"github.com/januscloud/januscloud/edge/admin"
	"github.com/januscloud/januscloud/mediactl"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/embedded"
	"github.com/januscloud/januscloud/messages/load"
	"github.com/januscloud/januscloud/messages/roster"
	"github.com/januscloud/januscloud/messages/wheel"
	"github.com/januscloud/januscloud/scripts/lab"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const (
	secret    = "the-admin-secret-of-this-test"
	ownSecret = "the-secret-of-janus-itself"
	patience  = 15 * time.Second
	echotest  = "janus.plugin.echotest"
	apiSecret = "the-api-secret-of-this-test" // where there is one; elsewhere nobody looks at it
)

// system is something with a Janus API and an Admin API: the cluster, or a Janus alone.
type system struct {
	name, api, adminWS, adminHTTP string
	secret                        string
}

// cluster is all roles in one process.
type cluster struct {
	system
	t      *testing.T
	nats   *embedded.Server
	bus    *bus.Bus
	roster *roster.Roster
	wheel  *wheel.Wheel
	load   *load.Meter
	log    *slog.Logger
	logged *memory
	janus  changes // of every Janus
}

// memory keeps what is logged.
type memory struct {
	mu   sync.Mutex
	text strings.Builder
}

func (m *memory) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.Write(b)
}

func (m *memory) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.String()
}

// changes alter the configuration of a Janus.
type changes []func(*lab.JanusConfig)

func newJanus(t *testing.T, more changes) *lab.JanusServer {
	t.Helper()
	return lab.Janus(t, append(changes{func(c *lab.JanusConfig) {
		c.AdminSecret = ownSecret
		c.ReclaimSessionTimeout = 90 * time.Second
	}}, more...)...)
}

// alone is a Janus without a cluster.
func alone(t *testing.T, more changes) system {
	t.Helper()
	j := newJanus(t, more)
	return system{"Janus", j.WSURL(), j.Config.AdminWSURL(), j.Config.AdminHTTPURL(), ownSecret}
}

// newCluster starts a session node and an edge with the Admin API.
func newCluster(t *testing.T, changes ...func(*edge.Options)) *cluster {
	t.Helper()
	c := &cluster{t: t, logged: &memory{}}
	c.log = slog.New(slog.NewTextHandler(c.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	nats, err := embedded.Start(t.Context(), embedded.Options{Port: -1, JetStream: true, StoreDir: t.TempDir(), Name: "test"})
	check(t, err)
	t.Cleanup(nats.Shutdown)
	c.nats = nats
	c.bus, c.roster = c.connect()
	c.wheel = wheel.New(0)
	c.wheel.Start()
	t.Cleanup(c.wheel.Stop)
	c.load = load.Start(t.Context())
	c.node("node")
	c.system = c.edge("edge", changes...)
	return c
}

// edge adds an edge with the Admin API, as if in a process of its own.
func (c *cluster) edge(name string, changes ...func(*edge.Options)) system {
	t := c.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b, r := c.connect()
	o := edge.Options{
		Name: name, Bus: b, Roster: r, Wheel: c.wheel, Load: c.load, Log: c.log, WS: "127.0.0.1:0", HTTP: "127.0.0.1:0",
		SessionTimeout: time.Minute, ReclaimTimeout: 90 * time.Second,
	}
	for _, change := range changes {
		change(&o)
	}
	e, err := edge.Start(ctx, o)
	check(t, err)
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	a, err := admin.Start(ctx, admin.Options{
		HTTP: "127.0.0.1:0", WS: "127.0.0.1:0", Secret: secret, Bus: b, Roster: r, Log: c.log,
		SessionTimeout: time.Minute, ReclaimTimeout: 90 * time.Second, Rules: e.Rules(), Info: e.AppendInfo, Pings: e.Pings, Clients: e.Clients,
		TokenAuth: o.TokenAuth, Tokens: e.Tokens(),
	})
	check(t, err)
	t.Cleanup(func() { _ = a.Stop(context.Background()) })
	eventually(t, "the edge is heard", func() error {
		if p, ok := r.View().Find(messages.RoleEdge, name); !ok || p.Silent {
			return fmt.Errorf("%s is not there", name)
		}
		return nil
	})
	at := a.Addresses()
	return system{"the cluster", e.Addresses()["ws"], at["ws"], at["http"], secret}
}

// connect makes what one process has of the cluster.
func (c *cluster) connect() (*bus.Bus, *roster.Roster) {
	c.t.Helper()
	b, err := bus.Connect(c.t.Context(), bus.Options{InProcess: c.nats, Name: "test", Log: c.log})
	check(c.t, err)
	c.t.Cleanup(b.Close)
	r, err := roster.Start(c.t.Context(), roster.Options{Bus: b, Log: c.log})
	check(c.t, err)
	c.t.Cleanup(r.Stop)
	return b, r
}

// node adds a session node, as if in a process of its own: two of them cannot share a bus.
func (c *cluster) node(name string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	b, r := c.connect()
	node, err := actors.Start(ctx, actors.Options{
		Name: name, Bus: b, Roster: r, Wheel: c.wheel, Load: c.load, Log: c.log,
		SessionTimeout: time.Minute, ReclaimTimeout: 90 * time.Second,
	})
	check(c.t, err)
	c.t.Cleanup(func() { _ = node.Stop(context.Background()) })
}

// settle waits until all partitions are shared out among so many nodes, and none changes hands any more.
func (c *cluster) settle(nodes int) {
	c.t.Helper()
	var before map[string]int
	calm := 0
	eventually(c.t, "partitions are shared out", func() error {
		owned := map[string]int{}
		for p := range messages.Partitions {
			if o, ok := c.roster.View().Owner(p); ok && !o.Silent {
				owned[o.Node.Name]++
			}
		}
		if calm++; !maps.Equal(owned, before) || len(owned) < nodes {
			calm = 0
		}
		if before = owned; calm < 50 { // a second: partitions are offered in steps
			return fmt.Errorf("owned: %v", owned)
		}
		return nil
	})
}

// media adds a media server with a Janus of its own.
func (c *cluster) media(name string) *lab.JanusServer {
	c.t.Helper()
	j := newJanus(c.t, c.janus)
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	m, err := mediactl.Start(ctx, mediactl.Options{
		Name: name, Bus: c.bus, Roster: c.roster, Wheel: c.wheel, Load: c.load, Log: c.log,
		JanusURL: j.WSURL(), AdminURL: j.Config.AdminWSURL(), AdminSecret: ownSecret,
	})
	check(c.t, err)
	c.t.Cleanup(func() { _ = m.Stop(context.Background()) })
	eventually(c.t, "the edge sees the media server", func() error {
		for _, p := range c.roster.View().Media() {
			if p.Beat.Member == m.Member() && p.Beat.Media.Serves() {
				return nil
			}
		}
		return fmt.Errorf("%s is not there", name)
	})
	return j
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until a condition holds, and fails with its reason.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		<-tick.C
	}
}

// talk is a connection to a system's Admin API.
type talk struct {
	t *testing.T
	*lab.Client
	system
	asked    int
	overHTTP bool // instead
}

// next is a fresh transaction.
func (k *talk) next() string {
	k.asked++
	return fmt.Sprint(k.asked)
}

func (s system) administrate(t *testing.T) *talk {
	t.Helper()
	c, err := lab.DialAs(t.Context(), s.adminWS, "janus-admin-protocol")
	check(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &talk{t: t, Client: c, system: s}
}

// ask sends a request with the secret and returns the reply.
func (k *talk) ask(fields map[string]any) lab.Message {
	k.t.Helper()
	request := map[string]any{"admin_secret": k.secret}
	for name, value := range fields {
		request[name] = value
	}
	if k.overHTTP {
		return k.askHTTP(request)
	}
	ctx, cancel := context.WithTimeout(k.t.Context(), patience)
	defer cancel()
	m, err := k.Request(ctx, request)
	check(k.t, err)
	return m
}

// askHTTP sends a request over HTTP.
func (k *talk) askHTTP(request map[string]any) lab.Message {
	k.t.Helper()
	if request["transaction"] == nil {
		request["transaction"] = "t" + k.next()
	}
	body, err := json.Marshal(request)
	check(k.t, err)
	status, text := k.post(k.t, http.MethodPost, "/admin", string(body))
	var m lab.Message
	if err := json.Unmarshal([]byte(text), &m); err != nil || status != http.StatusOK {
		k.t.Fatalf("%s: %d %q (%v)", body, status, text, err)
	}
	m.Raw = json.RawMessage(text)
	return m
}

// call is a client's session with two echo test handles: one that was used, and one that was not.
type call struct {
	*lab.Client
	t                   *testing.T
	session, used, idle uint64
}

func (s system) call(t *testing.T) *call {
	t.Helper()
	c, err := lab.Dial(t.Context(), s.api)
	check(t, err)
	t.Cleanup(func() { _ = c.Close() })
	k := &call{Client: c, t: t}
	k.session = k.must(map[string]any{"janus": "create"}).Number("data", "id")
	k.used, k.idle = k.attach(), k.attach()
	k.must(map[string]any{"janus": "message", "session_id": k.session, "handle_id": k.used, "body": map[string]any{"audio": true}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = c.Next(ctx, func(m lab.Message) bool { return m.Janus == "event" })
	check(t, err)
	return k
}

// attach makes an echo test handle.
func (k *call) attach() uint64 {
	k.t.Helper()
	return k.must(map[string]any{"janus": "attach", "session_id": k.session, "plugin": echotest, "opaque_id": "whose"}).Number("data", "id")
}

func (k *call) must(request map[string]any) lab.Message {
	k.t.Helper()
	m := k.try(request)
	if m.Error != nil {
		k.t.Fatalf("%v: %v", request, m.Error)
	}
	return m
}

// try sends a request, with the API secret unless it carries a token.
func (k *call) try(request map[string]any) lab.Message {
	k.t.Helper()
	if request["token"] == nil {
		request["apisecret"] = apiSecret
	}
	ctx, cancel := context.WithTimeout(k.t.Context(), patience)
	defer cancel()
	m, err := k.Request(ctx, request)
	check(k.t, err)
	return m
}

// post sends a body over HTTP and returns status and body of the answer.
func (s system) post(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	q, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(s.adminHTTP, "/admin")+path, reader)
	check(t, err)
	answer, err := client.Do(q)
	if err != nil {
		return 0, "hung up"
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	check(t, err)
	return answer.StatusCode, string(text)
}

// normalise makes the answers of two systems comparable: what must differ is replaced by a word, and the
// order of keys does not count.
func normalise(text []byte, words map[uint64]string) any {
	var v any
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return string(text)
	}
	return replace("", v, words)
}

func replace(key string, v any, words map[uint64]string) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = replace(name, v[name], words)
		}
		return v
	case []any:
		for i := range v {
			v[i] = replace(key, v[i], words)
		}
		return v
	case json.Number:
		switch key {
		case "session_last_activity", "created", "current_time", "elapsed", "age_ms":
			return "a time"
		}
		var id uint64
		if _, err := fmt.Sscan(v.String(), &id); err == nil && words[id] != "" {
			return words[id]
		}
		return v.String()
	case string:
		for id, word := range words {
			v = strings.ReplaceAll(v, fmt.Sprint(id), word)
		}
		return v
	}
	return v
}
