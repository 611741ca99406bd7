// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
	"github.com/januscloud/januscloud/cmd/januscloud/demo"
	"github.com/januscloud/januscloud/cmd/januscloud/fleet"
	"github.com/januscloud/januscloud/cmd/januscloud/health"
	"github.com/januscloud/januscloud/mediactl"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/embedded"
)

type devCommand struct {
	config.General
	config.Health
	config.Access
	config.Edge
	config.Admin
	config.Session
	config.Grace
	config.Plugins
	config.Dev
}

// Help is the end of the command's help.
func (devCommand) Help() string {
	return `It starts a NATS server, several Janus, and all roles of the cluster, and serves the stock demo pages: open the address it prints. Ports that are taken are replaced by free ones. Nothing is left behind, unless --data keeps it.

Examples:

    januscloud dev
    januscloud dev --janus 3 --log-level debug
    januscloud dev --janus-url ws://10.0.0.1:8188,ws://10.0.0.2:8188
    januscloud node --nats nats://127.0.0.1:4222 --janus ws://127.0.0.1:9188    (joins it)`
}

// devName is what the only edge and the only session node are called.
const devName = "dev"

func (c *devCommand) Run(w *world) error {
	return w.serve(c.General, c.Health, func(ctx context.Context, p *process) (readyLine, error) {
		folder, err := c.folder(p)
		if err != nil {
			return readyLine{}, err
		}
		url, err := c.startNATS(ctx, p, folder)
		if err != nil {
			return readyLine{}, err
		}
		servers, err := c.startJanus(ctx, p, folder)
		if err != nil {
			return readyLine{}, err
		}
		line, err := c.startRoles(ctx, p, servers)
		if err != nil {
			return readyLine{}, err
		}
		line.role, line.nats = "dev", url
		if line.demo, err = c.serveDemo(ctx, p, line, servers); err != nil {
			return readyLine{}, err
		}
		c.greet(w, p, line, servers)
		return line, nil
	})
}

// folder is where everything is kept: the given one, or one that goes with the process.
func (c *devCommand) folder(p *process) (string, error) {
	if c.Data != "" {
		return c.Data, os.MkdirAll(c.Data, 0o755)
	}
	folder, err := os.MkdirTemp("", "januscloud-dev-")
	if err == nil {
		p.onStop("temporary folder", func(context.Context) error { return os.RemoveAll(folder) })
	}
	return folder, err
}

// startNATS runs the NATS server and connects to it without a socket.
func (c *devCommand) startNATS(ctx context.Context, p *process, folder string) (url string, err error) {
	at, err := p.freeOr(ctx, c.NATSListen, "nats-listen")
	if err != nil {
		return "", err
	}
	host, port, number := "", "-1", -1
	if !at.Off() {
		if host, port, err = net.SplitHostPort(string(at)); err == nil {
			number, err = strconv.Atoi(port)
		}
		if err != nil {
			return "", fmt.Errorf("nats-listen: %w", err)
		}
	}
	if host == "" && number >= 0 {
		host = "0.0.0.0"
	}
	server, err := embedded.Start(ctx, embedded.Options{
		Name: devName, Host: host, Port: number, JetStream: true, StoreDir: filepath.Join(folder, "nats"),
	})
	if err != nil {
		return "", err
	}
	p.onStop("NATS", func(context.Context) error { server.Shutdown(); return nil })
	return server.ClientURL(), p.connect(ctx, bus.Options{InProcess: server, Name: devName})
}

// startJanus runs the Janus servers, or names those that run elsewhere.
func (c *devCommand) startJanus(ctx context.Context, p *process, folder string) ([]fleet.Janus, error) {
	if len(c.JanusURL) > 0 {
		var servers []fleet.Janus
		for i, u := range c.JanusURL {
			servers = append(servers, fleet.Janus{Name: fmt.Sprintf("janus-%d", i+1), URL: string(u)})
		}
		return servers, nil
	}
	if c.Janus < 1 {
		return nil, errors.New("at least one Janus is needed (--janus, --janus-url)")
	}
	f, err := fleet.Start(ctx, c.Janus, min(runtime.NumCPU(), 4), folder, p.log)
	if err != nil {
		return nil, err
	}
	p.onStop("Janus", f.Stop)
	return f.Members(), nil
}

// startRoles starts a session node, a media role for each Janus and an edge, in this order: clients come last.
func (c *devCommand) startRoles(ctx context.Context, p *process, servers []fleet.Janus) (readyLine, error) {
	p.health.Expect("edge")
	c.PeerCalls = true
	if _, err := p.startSession(ctx, devName, "", c.Session, config.Records{}, c.Grace, c.Plugins); err != nil {
		return readyLine{}, err
	}
	for _, s := range servers {
		if err := p.startMedia(ctx, "media "+s.Name, mediactl.Options{
			Name: s.Name, JanusURL: s.URL, AdminURL: s.AdminURL, MaxHandles: mediactl.AutoHandles,
		}, config.Part{}); err != nil {
			return readyLine{}, err
		}
	}
	edge := edgeSettings{c.Edge, c.Access, c.Admin, c.Session, config.Leave{}}
	listened := []listener{{&edge.WS, "ws"}, {&edge.WSS, "wss"}, {&edge.HTTP, "http"}, {&edge.HTTPS, "https"}}
	if edge.AdminSecret.Reveal() != "" {
		listened = append(listened, listener{&edge.AdminHTTP, "admin-http"}, listener{&edge.AdminWS, "admin-ws"},
			listener{&edge.AdminHTTPS, "admin-https"}, listener{&edge.AdminWSS, "admin-wss"})
	}
	for _, a := range listened {
		free, err := p.freeOr(ctx, *a.address, a.flag)
		if err != nil {
			return readyLine{}, err
		}
		*a.address = free
	}
	return p.startEdge(ctx, devName, "", edge)
}

// listener is an address that a free one may take the place of, and the flag that sets it.
type listener struct {
	address *config.Address
	flag    string
}

// serveDemo serves the demo pages and says where.
func (c *devCommand) serveDemo(ctx context.Context, p *process, line readyLine, servers []fleet.Janus) (string, error) {
	if c.Demo.Off() {
		return "", nil
	}
	port, err := portOf(line.ws)
	if err != nil {
		return "", errors.New("the demo pages need the WebSocket transport (--ws), or switch them off (--demo off)")
	}
	shown := map[string]string{"Janus API": line.ws, "NATS": line.nats}
	overHTTP := ""
	if line.http != "" {
		u, err := url.Parse(line.http)
		if err != nil {
			return "", err
		}
		shown["Janus API over HTTP"], overHTTP = line.http, ":"+u.Port()+u.Path
	}
	for _, s := range servers {
		shown[s.Name+" itself"] = s.URL
	}
	pages, err := demo.New(demo.Options{Port: port, HTTP: overHTTP, Addresses: shown, Health: p.health})
	if err != nil {
		return "", err
	}
	at, err := p.freeOr(ctx, c.Demo, "demo")
	if err != nil {
		return "", err
	}
	server, err := health.Serve(ctx, string(at), pages, p.log)
	if err != nil {
		return "", fmt.Errorf("demo: %w", err)
	}
	p.onStop("demo pages", server.Close)
	return "http://" + net.JoinHostPort("localhost", strconv.Itoa(server.Addr().Port)) + "/", nil
}

// greet tells a person where everything is, on standard error; programs read the ready line.
func (c *devCommand) greet(w *world, p *process, line readyLine, servers []fleet.Janus) {
	out := func(what, address string) {
		if address != "" {
			fmt.Fprintf(w.stderr, "  %-12s %s\n", what, address)
		}
	}
	fmt.Fprintf(w.stderr, "\njanuscloud dev: %d Janus answer as one\n\n", len(servers))
	out("demo pages", line.demo)
	out("Janus API", line.ws)
	out("", line.wss)
	out("", line.http)
	out("", line.https)
	out("Admin API", line.admin)
	out("NATS", line.nats)
	out("health", p.address)
	for _, s := range servers {
		out(s.Name, s.URL)
	}
	if line.demo != "" && !demo.Installed(demo.Folder) {
		fmt.Fprintln(w.stderr, "\nThe stock demo pages are not installed (Debian: apt install janus-demos).")
	}
	fmt.Fprint(w.stderr, "\nCtrl-C ends it.\n\n")
}
