// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/scripts/lab"
)

// startHTTP runs an edge that serves HTTP, and a session owner whose sessions poll.
func startHTTP(t *testing.T, change func(*Options)) (*Edge, *owner, *httpClient) {
	t.Helper()
	server := startNATS(t)
	e := startEdge(t, server, func(o *Options) {
		o.HTTP = "127.0.0.1:0"
		if change != nil {
			change(o)
		}
	})
	o := startOwner(t, connect(t, server), "n1", messages.AllPartitions(), new(pollers).script)
	waitReady(t, e)
	return e, o, newHTTPClient(t, e.Addresses()[schemeHTTP], "", "")
}

// send opens a connection and sends bytes on it.
func (c *httpClient) send(text string) (net.Conn, *bufio.Reader) {
	c.t.Helper()
	conn := must[net.Conn](c.t)(net.Dial("tcp", c.address))
	c.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	c.say(conn, text)
	return conn, bufio.NewReader(conn)
}

// next reads the next answer in short.
func (c *httpClient) next(in *bufio.Reader) string {
	c.t.Helper()
	a, err := c.read(in, http.MethodPost)
	if err != nil {
		return err.Error()
	}
	return a.short()
}

const messageBody = `{"janus":"message","transaction":"m","body":{"audio":true}}`

// TestPollsAreJanus has a real Janus and an edge give events to polls: those that came before, and those that come.
func TestPollsAreJanus(t *testing.T) {
	janus := lab.Janus(t)
	_, _, ours := startHTTP(t, nil)
	real := newHTTPClient(t, janus.Config.HTTPURL(), "", "*")
	for query, array := range map[string]bool{
		"": false, "?maxev=1": false, "?maxev=5&rid=7": true, "?MAXEV=+5x": true, "?maxev=x": false, "?maxev=-2": false, "?maxev=4294967297": false,
	} {
		for name, c := range map[string]*httpClient{"Janus": real, "we": ours} {
			kinds := make([]string, 2)
			first, in := c.send(post("/janus/{S}/{H}", messageBody))
			expect(t, name+": answer to a message", c.next(in), "200 ack")
			c.say(first, get("/janus/{S}"+query))
			kinds[0] = c.event(in)
			c.say(first, get("/janus/{S}"+query))
			expect(t, name+": answer to a message", c.exchange(post("/janus/{S}/{H}", messageBody)).short(), "200 ack")
			kinds[1] = c.event(in)
			want := "object"
			if array {
				want = "array"
			}
			expect(t, name+": "+query, strings.Join(kinds, " "), want+" "+want)
		}
	}
}

// event reads the answer to a poll, which must be one event, and tells the form.
func (c *httpClient) event(in *bufio.Reader) string {
	c.t.Helper()
	a, err := c.read(in, http.MethodGet)
	if err != nil {
		return err.Error()
	}
	form := "object"
	if list, ok := a.body.([]any); ok && len(list) == 1 {
		a.body, form = list[0], "array"
	}
	if m, ok := a.body.(map[string]any); !ok || m["janus"] != "event" || a.header.Get("Content-Type") != "application/json" {
		return fmt.Sprint(a)
	}
	return form
}

// TestPipeline has several requests on one connection, sent at once, and one whose body is waited for.
func TestPipeline(t *testing.T) {
	janus := lab.Janus(t)
	_, _, ours := startHTTP(t, nil)
	for name, c := range map[string]*httpClient{"Janus": newHTTPClient(t, janus.Config.HTTPURL(), "", "*"), "we": ours} {
		conn, in := c.send(post("/janus", pingBody) + get("/janus/info") + get("/janus/abc"))
		expect(t, name+": several", c.next(in)+", "+c.next(in)+", "+c.next(in), "200 pong, 200 server_info, 404")
		c.say(conn, fmt.Sprintf("POST /janus HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(pingBody)))
		expect(t, name+": go on", must[string](t)(in.ReadString('\n')), "HTTP/1.1 100 Continue\r\n")
		_, _ = in.ReadString('\n')
		c.say(conn, pingBody)
		expect(t, name+": then", c.next(in), "200 pong")
	}
}

// TestHTTPSToo is an edge with both HTTP transports, and what it says of them.
func TestHTTPSToo(t *testing.T) {
	certFile, keyFile, roots := writeCertificate(t)
	e, _, _ := startHTTP(t, func(o *Options) {
		o.WS, o.HTTPS, o.HTTPBase, o.CertFile, o.KeyFile = "", "127.0.0.1:0", "/janus/", certFile, keyFile
	})
	at := e.Addresses()
	expect(t, "addresses", len(at), 2)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	for _, scheme := range []string{schemeHTTP, schemeHTTPS} {
		u := must[*url.URL](t)(url.Parse(at[scheme]))
		expect(t, "path", u.Path, "/janus")
		answer := must[*http.Response](t)(client.Get(at[scheme] + "/info"))
		expect(t, "status over "+scheme, answer.Status+" "+answer.Proto, "200 OK HTTP/1.1")
		_ = answer.Body.Close()
	}
	lab.WaitFor(t, patience, func() string {
		p, ok := e.opts.Roster.View().Find(messages.RoleEdge, "e1")
		return unless(ok && p.Beat.Edge.HTTP == at[schemeHTTP] && p.Beat.Edge.WS == "", "no beat with the address")
	})
}

// TestTooMuchOverHTTP are clients that send too much.
func TestTooMuchOverHTTP(t *testing.T) {
	_, _, c := startHTTP(t, func(o *Options) { o.MaxMessage = 1000 })
	long := `{"janus":"ping","transaction":"` + strings.Repeat("x", 1000) + `"}`
	expect(t, "long body", c.exchange(post("/janus", long)).short(), "413 close")
	chunked := fmt.Sprintf("POST /janus HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(long), long)
	expect(t, "long chunks", c.exchange(chunked).short(), "413 close")
	expect(t, "long header", c.exchange(get("/janus/info", "X: "+strings.Repeat("x", 40<<10))).status, 431)
	expect(t, "as long as may be", c.exchange(post("/janus", long[:900]+`"}`)).short(), "200 pong")
}

// TestTooManyOverHTTP are more clients than are let in.
func TestTooManyOverHTTP(t *testing.T) {
	_, _, c := startHTTP(t, func(o *Options) { o.MaxConnections = 2 })
	lab.WaitFor(t, patience, func() string { // until the connections of the start are counted out
		first, one := c.send(get("/janus/abc"))
		second, two := c.send(get("/janus/abc"))
		if got := c.next(one) + " " + c.next(two); got != "404 404" {
			_, _ = first.Close(), second.Close()
			return "first and second: " + got
		}
		return ""
	})
	_, three := c.send("")
	_, err := three.ReadByte()
	expect(t, "third", err, io.EOF)
}

// TestSlowOverHTTP are clients that take their time to ask. A poll, once asked for, is not one of them.
func TestSlowOverHTTP(t *testing.T) {
	e, _, c := startHTTP(t, nil)
	h := e.newHTTP(schemeHTTP)
	h.server.ReadHeaderTimeout, h.server.ReadTimeout = 100*time.Millisecond, 200*time.Millisecond
	h.listener = must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	go h.serve(testContext(t))
	t.Cleanup(func() { _ = h.stop(testContext(t)) })
	quick := *c
	c.address = h.listener.Addr().String()
	_, polling := c.send(get("/janus/{S}"))
	for _, text := range []string{
		"GET", "GET /janus HTTP/1.1\r\nHost: x\r\n", "POST /janus HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
		"GET /janus/info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST /foo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", "PUT /janus HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
	} {
		_, in := c.send(text)
		if _, err := io.Copy(io.Discard, in); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	expect(t, "event for the poll", quick.exchange(post("/janus/{S}/{H}", messageBody)).short(), "200 ack")
	expect(t, "poll", c.event(polling), "object")
}

// TestPollerHangsUp are clients that leave while their poll waits: the next poll gets the event.
func TestPollerHangsUp(t *testing.T) {
	_, o, c := startHTTP(t, nil)
	unpolled := func(n int) {
		t.Helper()
		lab.WaitFor(t, patience, func() string {
			for _, m := range o.received() {
				if strings.Contains(m.Subject, ".unpoll.") {
					n--
				}
			}
			return unless(n <= 0, "owner did not hear of it")
		})
	}
	conn, _ := c.send(get("/janus/{S}"))
	lab.WaitFor(t, patience, func() string { return unless(strings.Contains(latest(o), ".poll."), "no poll") })
	_ = conn.Close()
	unpolled(1)
	half, in := c.send(get("/janus/{S}?maxev=2"))
	lab.WaitFor(t, patience, func() string { return unless(strings.Contains(latest(o), ".poll.2"), "no poll") })
	_ = half.(*net.TCPConn).CloseWrite()
	a, err := c.read(in, http.MethodGet)
	if want := []any{map[string]any{"janus": "keepalive"}}; err != nil || !reflect.DeepEqual(a.body, want) {
		t.Errorf("half closed: %v, %v", a, err)
	}
	unpolled(2)
	asking, in := c.send(post("/janus/{S}/{H}", messageBody))
	_ = asking.(*net.TCPConn).CloseWrite()
	expect(t, "half closed request", c.next(in), "200 ack")
	_, in = c.send(get("/janus/{S}"))
	expect(t, "event", c.event(in), "object")
}

// latest is the subject of what the owner got last.
func latest(o *owner) string {
	got := o.received()
	return got[len(got)-1].Subject
}

// TestStopOverHTTP is an edge that stops while a client polls.
func TestStopOverHTTP(t *testing.T) {
	e, o, c := startHTTP(t, nil)
	_, in := c.send(get("/janus/{S}"))
	lab.WaitFor(t, patience, func() string { return unless(e.polls.Load() == 1, "no poll") })
	if err := e.Stop(testContext(t)); err != nil {
		t.Error(err)
	}
	expect(t, "poll", c.next(in), "200 keepalive")
	lab.WaitFor(t, patience, func() string { return unless(strings.Contains(latest(o), ".unpoll."), "owner did not hear of it") })
	if _, err := net.Dial("tcp", c.address); err == nil {
		t.Error("a stopped edge accepts")
	}
}

// TestPingFollowsJanus is GET /ping, which only some versions of Janus know.
func TestPingFollowsJanus(t *testing.T) {
	e, o, c := startHTTP(t, nil)
	for _, x := range []struct{ info, answer string }{
		{`{"janus":"server_info","version":1201}`, "404"}, {`{"janus":"server_info","version":1202}`, "200 pong"},
	} {
		stop := startMedia(t, o.bus, "m1", []byte(x.info))
		lab.WaitFor(t, patience, func() string {
			return unless(strings.Contains(string(*e.info.tail.Load()), x.info[len(x.info)-5:len(x.info)-1]), "info not learnt")
		})
		expect(t, x.info, c.exchange(get("/janus/ping")).short(), x.answer)
		stop()
	}
	expect(t, "posted", c.exchange(post("/janus/ping", pingBody)).short(), "400")
}
