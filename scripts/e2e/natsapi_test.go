// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/januscloud/januscloud/scripts/lab"
)

// TestNATSAPI has back-ends use a cluster with nothing but a NATS client: each request at any edge.
func TestNATSAPI(t *testing.T) {
	const sessionTimeout = 15 * time.Second
	timeouts := []string{"--session-timeout", sessionTimeout.String()}
	administered := append([]string{"--admin-secret", "administrator", "--admin-http", "off", "--admin-ws", "off"}, timeouts...)
	c := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 2, janus: 1, sessionFlags: timeouts, edgeFlags: administered})
	c.warmUp(t)
	t.Run("call", func(t *testing.T) { callOverNATS(t, c) })
	t.Run("order", func(t *testing.T) { orderOverNATS(t, c) })
	t.Run("requests", func(t *testing.T) { requestsOverNATS(t, c) })
	t.Run("administration", func(t *testing.T) { administrationOverNATS(t, c) })
	t.Run("claim", func(t *testing.T) { claimOverNATS(t, c) })
	t.Run("timeout", func(t *testing.T) { timeoutOverNATS(t, c, sessionTimeout) })
	t.Run("an edge stops", func(t *testing.T) { stopEdgeOverNATS(t, c) })
	t.Run("an edge dies", func(t *testing.T) { killEdgeOverNATS(t, c) })
	t.Run("a session node dies", func(t *testing.T) { killNodeOverNATS(t, c) })
}

// backend is a client that has NATS alone. It names one inbox in all that it publishes.
type backend struct {
	t               *testing.T
	conn            *nats.Conn
	inbox           *nats.Subscription
	to              string // where it publishes requests
	session, handle uint64
	asked           int
}

func newBackend(t *testing.T, c *testCluster) *backend {
	t.Helper()
	conn, err := nats.Connect(c.nats.URL(), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	inbox, err := conn.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	return &backend{t: t, conn: conn, inbox: inbox, to: "janus.api"}
}

// publish sends a request for the session, and its handle where it is to name one, and returns its transaction.
func (b *backend) publish(verb, more string, forHandle bool) string {
	b.t.Helper()
	b.asked++
	transaction := fmt.Sprintf("t%d", b.asked)
	body := fmt.Sprintf(`{"janus":%q,"transaction":%q`, verb, transaction)
	if b.session != 0 {
		body += fmt.Sprintf(`,"session_id":%d`, b.session)
	}
	if forHandle {
		body += fmt.Sprintf(`,"handle_id":%d`, b.handle)
	}
	if err := b.conn.PublishRequest(b.to, b.inbox.Subject, []byte(body+more+"}")); err != nil {
		b.t.Fatal(err)
	}
	return transaction
}

// take is what comes to the inbox next.
func (b *backend) take() lab.Message {
	b.t.Helper()
	m, err := b.inbox.NextMsg(answerTime)
	if err != nil {
		b.t.Fatalf("after %d requests: %v", b.asked, err)
	}
	got, err := lab.ParseMessage(m.Data)
	if err != nil || m.Reply != "" {
		b.t.Fatalf("%s (reply %q): %v", m.Data, m.Reply, err)
	}
	return got
}

// next is take, for what must be of this kind.
func (b *backend) next(kind, transaction string) lab.Message {
	b.t.Helper()
	got := b.take()
	if got.Janus != kind || got.Transaction != transaction {
		b.t.Fatalf("%s, wanted %s for %q", got, kind, transaction)
	}
	return got
}

// begin makes a session with a handle.
func (b *backend) begin() {
	b.t.Helper()
	b.session = b.next("success", b.publish("create", "", false)).Number("data", "id")
	b.attach()
}

func (b *backend) attach() {
	b.t.Helper()
	b.handle = b.next("success", b.publish("attach", `,"plugin":"janus.plugin.echotest"`, false)).Number("data", "id")
}

// say sends a message, which has an answer and an event: which comes first is a race within Janus.
func (b *backend) say() {
	b.t.Helper()
	transaction := b.publish("message", `,"body":{"audio":true}`, true)
	came := map[string]lab.Message{}
	for range 2 {
		m := b.take()
		if m.Transaction != transaction || m.Session != b.session {
			b.t.Fatalf("in answer to %s: %s", transaction, m)
		}
		came[m.Janus] = m
	}
	if e := came["event"]; came["ack"].Janus == "" || e.Text("plugindata", "data", "result") != "ok" {
		b.t.Fatalf("in answer to %s: %v", transaction, came)
	}
}

func (b *backend) keepalive() {
	b.t.Helper()
	b.next("ack", b.publish("keepalive", "", false))
}

// silence fails the test if anything more came to the inbox; what was on the way has come after another answer.
func (b *backend) silence() {
	b.t.Helper()
	b.keepalive()
	if n, _, err := b.inbox.Pending(); n > 0 || err != nil {
		b.t.Fatalf("%d more messages in the inbox (%v)", n, err)
	}
}

// callOverNATS is a life of a session.
func callOverNATS(t *testing.T, c *testCluster) {
	before := []float64{metric(t, c.edges[0], "januscloud_edge_requests_total"), metric(t, c.edges[1], "januscloud_edge_requests_total")}
	b := newBackend(t, c)
	if got := b.next("server_info", b.publish("info", "", false)); got.Text("name") == "" {
		t.Errorf("info: %s", got)
	}
	b.next("pong", b.publish("ping", "", false))
	b.begin()
	for range 100 {
		b.say()
	}
	b.next("ack", b.publish("trickle", `,"candidate":{"completed":true}`, true))
	b.attach()
	b.publish("detach", "", true)
	kinds := b.take().Janus + " " + b.take().Janus
	if kinds != "success detached" && kinds != "detached success" {
		t.Errorf("after a detach: %s", kinds)
	}
	if got := b.next("error", b.publish("message", `,"body":{}`, true)); got.Error.Code != 459 {
		t.Errorf("a message for no handle: %s", got)
	}
	b.silence()
	b.next("success", b.publish("destroy", "", false))
	if got := b.next("error", b.publish("keepalive", "", false)); got.Error.Code != 458 {
		t.Errorf("a keepalive for no session: %s", got)
	}
	for i, e := range c.edges {
		if n := metric(t, e, "januscloud_edge_requests_total") - before[i]; n < 10 {
			t.Errorf("%s took %v of more than 100 requests", e.Ready.Name, n)
		}
	}
}

// orderOverNATS sends many requests at once to one edge, which keeps their order. Only messages Janus serves as they come.
func orderOverNATS(t *testing.T, c *testCluster) {
	const requests = 300
	b := newBackend(t, c)
	b.begin()
	b.say()
	b.to = "janus.api." + c.edges[1].Ready.Name
	var sent []string
	for n := range requests {
		switch n % 3 {
		case 0:
			sent = append(sent, "ack "+b.publish("keepalive", "", false))
		case 1:
			sent = append(sent, "ack "+b.publish("trickle", `,"candidate":{"completed":true}`, true))
		default:
			sent = append(sent, "success "+b.publish("attach", `,"plugin":"janus.plugin.echotest"`, false))
		}
	}
	for _, want := range sent {
		kind, transaction, _ := strings.Cut(want, " ")
		b.next(kind, transaction)
	}
	b.silence()
	b.next("success", b.publish("destroy", "", false))
}

// requestsOverNATS asks as NATS clients like to, with an inbox for each request: the events go to that of the create.
func requestsOverNATS(t *testing.T, c *testCluster) {
	b := newBackend(t, c)
	b.begin()
	m, err := b.conn.Request("janus.api", fmt.Appendf(nil,
		`{"janus":"message","session_id":%d,"handle_id":%d,"transaction":"r","body":{"audio":true}}`, b.session, b.handle), answerTime)
	if err != nil || !strings.Contains(string(m.Data), `"ack"`) {
		t.Fatalf("request: %v, %v", m, err)
	}
	b.next("event", "r")
	if _, err := b.conn.Request("janus.api.nobody", []byte("{}"), answerTime); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a request for an edge that is not there: %v", err)
	}
	if err := b.conn.PublishRequest("janus.api", "janus.api", []byte(`{"janus":"ping","transaction":"loop"}`)); err != nil {
		t.Error(err)
	}
	if err := b.conn.Publish("janus.api", []byte(`{"janus":"ping","transaction":"nowhere"}`)); err != nil {
		t.Error(err)
	}
	b.silence()
	lab.WaitFor(t, 10*time.Second, func() string {
		dropped := 0.0
		for _, e := range c.edges {
			all, err := metrics(e)
			if err != nil {
				return err.Error()
			}
			dropped += all["januscloud_edge_dropped_total"]
		}
		if dropped < 2 {
			return fmt.Sprintf("%v messages dropped", dropped)
		}
		return ""
	})
}

// administrationOverNATS asks the Admin API.
func administrationOverNATS(t *testing.T, c *testCluster) {
	b := newBackend(t, c)
	b.begin()
	ask := func(more string) string {
		t.Helper()
		m, err := b.conn.Request("janus.admin", []byte(`{"janus":"list_sessions","transaction":"l"`+more+`}`), answerTime)
		if err != nil {
			t.Fatal(err)
		}
		return string(m.Data)
	}
	if got := ask(`,"admin_secret":"administrator"`); !strings.Contains(got, fmt.Sprint(b.session)) {
		t.Errorf("sessions: %s", got)
	}
	if got := ask(""); !strings.Contains(got, `"code":403`) {
		t.Errorf("without the secret: %s", got)
	}
}

// claimOverNATS moves a session from a WebSocket to an inbox, to another inbox, and back.
func claimOverNATS(t *testing.T, c *testCluster) {
	ctx := within(t, time.Minute)
	k, err := newCaller(ctx, "claim", c.urls()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer k.Abort()
	if err := k.say(ctx); err != nil {
		t.Fatal(err)
	}
	one, two := newBackend(t, c), newBackend(t, c)
	for _, b := range []*backend{one, two} {
		b.session, b.handle = k.session, k.handle
		b.next("success", b.publish("claim", "", false))
		b.say()
	}
	one.silence()
	if err := k.Claim(ctx, k.session); err != nil {
		t.Fatal(err)
	}
	if err := k.say(ctx); err != nil {
		t.Fatal(err)
	}
	asked := two.publish("message", `,"body":{"audio":true}`, true)
	two.next("ack", asked)
	if _, err := k.Next(ctx, func(m lab.Message) bool { return m.Janus == "event" && m.Transaction == asked }); err != nil {
		t.Errorf("the event for the WebSocket: %v", err)
	}
	two.silence()

	// A WebSocket that is gone leaves the session to who claims it, with what was said meanwhile.
	k.Abort()
	one.next("success", one.publish("claim", "", false))
	one.say()
	one.next("success", one.publish("destroy", "", false))
}

// timeoutOverNATS lets a session time out, which the inbox is told; one that is kept alive lives on.
func timeoutOverNATS(t *testing.T, c *testCluster, after time.Duration) {
	kept, left := newBackend(t, c), newBackend(t, c)
	kept.begin()
	left.session = left.next("success", left.publish("create", "", false)).Number("data", "id")
	told := make(chan time.Duration, 1)
	start := time.Now()
	go func() {
		m, err := left.inbox.NextMsg(3 * after)
		if err != nil || !strings.Contains(string(m.Data), fmt.Sprintf(`{"janus":"timeout","session_id":%d}`, left.session)) {
			t.Errorf("of its time-out the inbox is told %v, %v", m, err)
		}
		told <- time.Since(start)
	}()
	tick := time.NewTicker(after / 4)
	defer tick.Stop()
	for {
		select {
		case took := <-told:
			if took < after || took > after+10*time.Second {
				t.Errorf("timed out after %v", took)
			}
			kept.say()
			if got := left.next("error", left.publish("keepalive", "", false)); got.Error.Code != 458 {
				t.Errorf("after the time-out: %s", got)
			}
			return
		case <-tick.C:
			kept.keepalive()
		}
	}
}

// stopEdgeOverNATS ends an edge in good order while requests are under way: none is lost.
func stopEdgeOverNATS(t *testing.T, c *testCluster) {
	b := newBackend(t, c)
	b.begin()
	const requests = 300
	stopped := make(chan struct{})
	for i := range requests {
		b.publish("keepalive", "", false)
		if i == requests/2 {
			go func() { defer close(stopped); c.edges[1].Stop() }()
		}
		if err := b.conn.Flush(); err != nil { // one after the other, while the edge stops
			t.Fatal(err)
		}
	}
	answered := map[string]bool{}
	for len(answered) < requests {
		m, err := b.inbox.NextMsg(answerTime)
		if err != nil {
			t.Fatalf("%d of %d requests are answered: %v", len(answered), requests, err)
		}
		var got struct{ Janus, Transaction string }
		if err := json.Unmarshal(m.Data, &got); err != nil || got.Janus != "ack" || answered[got.Transaction] {
			t.Fatalf("%s: %v", m.Data, err)
		}
		answered[got.Transaction] = true
	}
	<-stopped
	c.edges[1].Restart()
	b.say()
}

// killEdgeOverNATS kills the edge through which a session was made: events and requests do not need it.
func killEdgeOverNATS(t *testing.T, c *testCluster) {
	b := newBackend(t, c)
	b.to = "janus.api." + c.edges[0].Ready.Name
	b.begin()
	b.say()
	c.edges[0].Kill()
	b.to = "janus.api." + c.edges[1].Ready.Name
	b.say()
	for _, n := range c.nodes {
		lab.WaitFor(t, 10*time.Second, func() string { return edgeHeard(n) })
	}
	b.say()
	b.to = "janus.api"
	b.say()
	c.edges[0].Restart()
	for range 10 {
		b.say()
	}
	b.silence()
}

// killNodeOverNATS kills the owner of half of some sessions: its successor knows their inboxes.
func killNodeOverNATS(t *testing.T, c *testCluster) {
	backends := make([]*backend, 10)
	for i := range backends {
		backends[i] = newBackend(t, c)
		backends[i].begin()
		backends[i].say()
	}
	c.nodes[0].Kill()
	for _, b := range backends {
		b.say()
		b.silence()
	}
}
