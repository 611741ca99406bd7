// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusproc"
	"github.com/januscloud/januscloud/scripts/lab"
)

// TestHTTP plays what clients do over HTTP, alone and mixed with WebSockets, with one real Janus and with a cluster, where each
// request goes to another edge: what they answer must be equal.
func TestHTTP(t *testing.T) {
	const sessionTimeout, reclaimTimeout = 4 * time.Second, 10 * time.Second
	for name, x := range map[string]struct {
		scenes         map[string]func(*httpPlayer)
		sessionTimeout time.Duration
	}{
		"usual": {map[string]func(*httpPlayer){
			"call": playCall, "events": playEvents, "several polls": playSeveralPolls, "claim": playClaim, "other transport": playOtherTransport,
			"nothing happens": playNothing, "destroyed while polled": playDestroyed,
		}, time.Minute},
		"short": {map[string]func(*httpPlayer){"timeout": playTimeout, "timeout unheard": playTimeoutUnheard}, sessionTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			janus := lab.Janus(t, func(c *janusproc.Config) {
				c.DebugLevel, c.SessionTimeout, c.ReclaimSessionTimeout = 1, x.sessionTimeout, reclaimTimeout
			})
			timeouts := []string{"--session-timeout", x.sessionTimeout.String(), "--reclaim-timeout", reclaimTimeout.String()}
			c := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 2, janus: 1, sessionFlags: timeouts, edgeFlags: timeouts})
			var overHTTP []string
			for _, e := range c.edges {
				overHTTP = append(overHTTP, e.Ready.HTTP)
			}
			t.Run("_", func(t *testing.T) { // ends when all that run in parallel have
				for name, scene := range x.scenes {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						var want, got string
						t.Run("with", func(t *testing.T) {
							t.Run("Janus", func(t *testing.T) {
								t.Parallel()
								want = play(t, scene, []string{janus.Config.HTTPURL()}, []string{janus.WSURL()})
							})
							t.Run("the cluster", func(t *testing.T) {
								t.Parallel()
								got = play(t, scene, overHTTP, c.urls())
							})
						})
						if want != got {
							t.Errorf("Janus says\n%s\nthe cluster says\n%s", want, got)
						}
					})
				}
			})
		})
	}
}

// httpPlayer is a client that speaks HTTP, to several addresses in turn. It writes down what it is answered.
type httpPlayer struct {
	t        *testing.T
	ctx      context.Context
	http, ws []string
	turn     atomic.Int64
	client   *http.Client
	session  string
	handle   string
	lines    []string
}

// play plays a scene and returns what was written down.
func play(t *testing.T, scene func(*httpPlayer), overHTTP, overWS []string) string {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	p := &httpPlayer{
		t: t, ctx: within(t, time.Minute), http: overHTTP, ws: overWS,
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	scene(p)
	return strings.Join(p.lines, "\n")
}

// ask sends a request and returns the status and what of the answer two servers have in common.
func (p *httpPlayer) ask(method, path, body string) string {
	r, err := p.exchange(method, path, body)
	if err != nil {
		p.t.Errorf("%s %s: %v", method, path, err)
	}
	return r
}

func (p *httpPlayer) exchange(method, path, body string) (string, error) {
	url := p.http[int(p.turn.Add(1))%len(p.http)]
	r, err := http.NewRequestWithContext(p.ctx, method, url+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	answer, err := p.client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	if len(text) == 0 {
		return fmt.Sprint(answer.StatusCode), nil
	}
	var v any
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return "", fmt.Errorf("%s: %w", text, err)
	}
	compact, err := json.Marshal(v) // keys in order
	return fmt.Sprint(answer.StatusCode, " ", string(compact)), err
}

// say notes an answer.
func (p *httpPlayer) say(what, answer string) {
	ids := []string{}
	for id, name := range map[string]string{p.session: "S", p.handle: "H"} {
		if id != "" {
			ids = append(ids, id, name)
		}
	}
	p.lines = append(p.lines, what+": "+strings.NewReplacer(ids...).Replace(answer))
}

// created sends a create or attach and returns the id.
func (p *httpPlayer) created(path, body string) string {
	p.t.Helper()
	answer := p.ask("POST", path, body)
	_, id, found := strings.Cut(answer, `"data":{"id":`)
	id, _, _ = strings.Cut(id, "}")
	if !found {
		p.t.Fatalf("%s: %s", body, answer)
	}
	return id
}

// begin makes a session with an echo test handle.
func (p *httpPlayer) begin() {
	p.t.Helper()
	p.session = p.created("", `{"janus":"create","transaction":"c"}`)
	p.attach()
}

func (p *httpPlayer) attach() {
	p.t.Helper()
	p.handle = p.created("/"+p.session, `{"janus":"attach","plugin":"janus.plugin.echotest","transaction":"a"}`)
}

// message sends a message, which brings an event.
func (p *httpPlayer) message(transaction string) string {
	return p.ask("POST", "/"+p.session+"/"+p.handle, `{"janus":"message","transaction":"`+transaction+`","body":{"audio":true}}`)
}

func (p *httpPlayer) verb(verb string) string {
	return p.ask("POST", "/"+p.session, `{"janus":"`+verb+`","transaction":"v"}`)
}

func (p *httpPlayer) poll(query string) string { return p.ask("GET", "/"+p.session+query, "") }

// polling polls while the test goes on.
func (p *httpPlayer) polling(query string) <-chan string {
	answer := make(chan string, 1)
	go func() { answer <- p.poll(query) }()
	return answer
}

// trials repeats what hangs on when something reaches the server, until it comes out.
func (p *httpPlayer) trials(what string, trial func() bool) {
	p.t.Helper()
	lab.WaitFor(p.t, 20*time.Second, func() string {
		if trial() {
			return ""
		}
		return what + " never came out"
	})
}

// playCall is a life of a session.
func playCall(p *httpPlayer) {
	p.begin()
	p.say("message", p.message("m1"))
	p.say("event", p.poll("?maxev=1&rid=1"))
	p.say("keepalive", p.verb("keepalive"))
	p.say("trickle", p.ask("POST", "/"+p.session+"/"+p.handle, `{"janus":"trickle","transaction":"t","candidate":{"completed":true}}`))
	p.say("poll a handle", p.ask("GET", "/"+p.session+"/"+p.handle, ""))
	p.say("detach", p.ask("POST", "/"+p.session+"/"+p.handle, `{"janus":"detach","transaction":"d"}`))
	p.say("no handle", p.message("m2")) // which events a detach brings is a race within Janus
	p.say("destroy", p.verb("destroy"))
	p.say("poll", p.poll(""))
	p.say("keepalive", p.verb("keepalive"))
	p.say("claim", p.verb("claim"))
}

// playEvents are events that wait for a poll, and come in order.
func playEvents(p *httpPlayer) {
	p.begin()
	for n := range 3 {
		p.say("message", p.message(fmt.Sprint("m", n)))
	}
	for n := range 3 {
		p.say("event", p.poll(fmt.Sprint("?maxev=1&rid=", n)))
	}
	waiting := p.polling("?maxev=5")
	p.say("message", p.message("m3"))
	p.say("event", <-waiting)
	p.trials("several events at once", func() bool {
		p.message("x")
		p.message("x")
		first := p.poll("?maxev=2")
		if strings.Count(first, `"janus":"event"`) == 2 {
			p.say("events", first)
			return true
		}
		p.poll("?maxev=2")
		return false
	})
}

// playSeveralPolls has several polls wait: the first event wakes all.
func playSeveralPolls(p *httpPlayer) {
	p.begin()
	head := 10 * time.Millisecond // start, for polls that must be there before the event
	p.trials("a poll that another one's event ends", func() bool {
		one, two := p.polling("?maxev=2"), p.polling("?maxev=2")
		<-time.After(head)
		head *= 2
		p.message("m")
		answers := make([]string, 0, 2)
		tooLate := time.After(2 * time.Second)
		for len(answers) < 2 {
			select {
			case a := <-one:
				answers = append(answers, a)
			case a := <-two:
				answers = append(answers, a)
			case <-tooLate:
				p.message("for the other one")
			}
		}
		slices.Sort(answers)
		if strings.Contains(answers[1], "keepalive") {
			p.say("polls", strings.Join(answers, " "))
			return true
		}
		return false
	})
}

// playClaim claims a session over HTTP that is used over HTTP: what waited for a poll is lost.
func playClaim(p *httpPlayer) {
	p.begin()
	p.trials("an event lost in a claim", func() bool {
		p.message("lost")
		claimed := p.verb("claim")
		p.message("kept")
		event := p.poll("")
		if strings.Contains(event, `"lost"`) {
			p.poll("")
			return false
		}
		p.say("claim", claimed)
		p.say("event", event)
		return true
	})
}

// playOtherTransport moves a session from WebSocket to HTTP and back.
func playOtherTransport(p *httpPlayer) {
	client, err := lab.Dial(p.ctx, p.ws[0])
	if err != nil {
		p.t.Fatal(err)
	}
	defer client.Close()
	session, err := client.Create(p.ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	p.session = fmt.Sprint(session)
	p.attach()
	p.say("poll of a session that listens", p.poll(""))
	p.say("request all the same", p.verb("keepalive"))
	p.say("message", p.message("ws"))
	event, err := client.Next(p.ctx, func(m lab.Message) bool { return m.Janus == "event" })
	p.say("event for the listener", fmt.Sprint(event.Text("transaction"), err))
	p.say("claim", p.verb("claim"))
	waiting := p.polling("?maxev=3")
	p.say("message", p.message("http"))
	p.say("event", <-waiting)
	p.say("claim back", fmt.Sprint(client.Claim(p.ctx, session)))
	p.say("poll", p.poll(""))
	p.say("message", p.message("ws again"))
	event, err = client.Next(p.ctx, func(m lab.Message) bool { return m.Janus == "event" && m.Text("transaction") == "ws again" })
	p.say("event for the listener", fmt.Sprint(event.Text("transaction"), err))
}

// playNothing has polls wait until their time is up.
func playNothing(p *httpPlayer) {
	p.begin()
	start := time.Now()
	list := p.polling("?maxev=3")
	p.say("one", p.poll(""))
	p.say("several", <-list)
	if took := time.Since(start); took < 29*time.Second || took > 35*time.Second {
		p.t.Errorf("polls took %v", took)
	}
}

// playDestroyed destroys a session while a poll waits: nothing wakes that.
func playDestroyed(p *httpPlayer) {
	p.begin()
	p.message("m")
	p.poll("")
	start := time.Now()
	waiting := p.polling("?maxev=3")
	<-time.After(200 * time.Millisecond) // else the poll might come when there is no session any more
	p.say("destroy", p.verb("destroy"))
	p.say("next poll", p.poll(""))
	p.say("poll", <-waiting)
	if took := time.Since(start); took < 29*time.Second {
		p.t.Errorf("the poll was woken after %v", took)
	}
}

// playTimeout has a session time out while a poll waits, which counts as a sign of life at its beginning only.
func playTimeout(p *httpPlayer) {
	p.session = p.created("", `{"janus":"create","transaction":"c"}`) // what handles say of the end is a race within Janus
	start := time.Now()
	p.say("poll", p.poll(""))
	if took := time.Since(start); took < 4*time.Second || took > 16*time.Second {
		p.t.Errorf("timed out after %v", took)
	}
	p.say("next poll", p.poll(""))
	p.say("request", p.verb("keepalive"))
}

// playTimeoutUnheard has a session time out while nobody polls.
func playTimeoutUnheard(p *httpPlayer) {
	p.begin()
	<-time.After(10 * time.Second) // Janus may take four seconds more than its time-out
	p.say("poll", p.poll(""))
	p.say("request", p.verb("keepalive"))
}

// TestKillWhilePolled kills a session node, then an edge, while clients poll: the polls that wait get what comes afterwards from
// the next node, and those that died with their edge get nothing that another one could have.
func TestKillWhilePolled(t *testing.T) {
	const clients = 30
	c := startCluster(t, clusterShape{nats: 1, edges: 2, nodes: 1, janus: 1})
	players := make([]*httpPlayer, clients)
	for i := range players {
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		players[i] = &httpPlayer{
			t: t, ctx: within(t, time.Minute), http: []string{c.edges[i%2].Ready.HTTP}, client: &http.Client{Transport: transport},
		}
		players[i].begin()
		players[i].message("first")
		players[i].poll("")
	}
	polls := make([]<-chan string, clients)
	for i, p := range players {
		polls[i] = p.polling("?maxev=3")
	}
	waiting := func(e *lab.RoleProcess) {
		t.Helper()
		lab.WaitFor(t, 10*time.Second, func() string {
			return mismatch(e, map[string]float64{"januscloud_edge_pending_polls": clients / 2})
		})
	}
	waiting(c.edges[0])
	waiting(c.edges[1])

	victim, successor := c.nodes[0], c.addNode(t)
	victim.Kill()
	for i, p := range players {
		p.message("second")
		if got := <-polls[i]; !strings.Contains(got, `[{"janus":"event"`) || !strings.Contains(got, `"second"`) {
			t.Errorf("client %d: the poll got %s", i, got)
		}
	}

	lost := players[1]
	dead := make(chan error, 1)
	go func() { _, err := lost.exchange("GET", "/"+lost.session, ""); dead <- err }()
	lab.WaitFor(t, 10*time.Second, func() string {
		return mismatch(c.edges[1], map[string]float64{"januscloud_edge_pending_polls": 1})
	})
	c.edges[1].Kill()
	if err := <-dead; err == nil {
		t.Error("the poll of an edge that was killed was answered")
	}
	lab.WaitFor(t, 10*time.Second, func() string { return edgeHeard(successor) })
	lost.http = []string{c.edges[0].Ready.HTTP}
	lost.message("third")
	if got := lost.poll(""); !strings.Contains(got, `"third"`) {
		t.Errorf("the poll at another edge got %s", got)
	}
}

// edgeHeard tells why a role has not found an edge to be silent; "" when it has.
func edgeHeard(r *lab.RoleProcess) string {
	answer, err := http.Get(r.Ready.Fields["health"] + "/metrics")
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && !strings.Contains(string(text), `januscloud_roster_members{heard="no",role="edge"} 1`) {
		err = errors.New("all edges are heard")
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
