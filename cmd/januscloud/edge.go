// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"strings"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
	"github.com/januscloud/januscloud/edge"
	"github.com/januscloud/januscloud/edge/admin"
	"github.com/januscloud/januscloud/messages"
)

type edgeCommand struct {
	config.General
	config.Health
	config.Cluster
	config.Edge
	config.Access
	config.Admin
	config.Session
	config.Leave
}

// Help is the end of the command's help.
func (edgeCommand) Help() string {
	return `An edge keeps nothing that outlives a connection: run several behind any load balancer, without stickiness. TLS is best ended there.

Examples:

    januscloud edge --nats nats://n1:4222,nats://n2:4222
    januscloud edge --ws 127.0.0.1:0 --api-secret @/run/secrets/janus --health :9100`
}

func (c *edgeCommand) Run(w *world) error {
	return w.serve(c.General, c.Health, func(ctx context.Context, p *process) (readyLine, error) {
		p.health.Expect("edge")
		name, err := p.join(ctx, c.Cluster, "edge", messages.RoleEdge)
		if err != nil {
			return readyLine{}, err
		}
		return p.startEdge(ctx, name, c.Region, edgeSettings{c.Edge, c.Access, c.Admin, c.Session, c.Leave})
	})
}

// edgeSettings are those of an edge and of the Admin API beside it.
type edgeSettings struct {
	config.Edge
	config.Access
	config.Admin
	config.Session
	config.Leave
}

// startEdge starts the edge role, and the Admin API where it has a secret.
func (p *process) startEdge(ctx context.Context, name, region string, c edgeSettings) (readyLine, error) {
	e, err := edge.Start(ctx, edge.Options{
		Name: name, Region: region, Bus: p.bus, Roster: p.roster, Wheel: p.wheel, Load: p.load, Log: p.log, Registry: p.registry,
		WS: string(c.WS), WSS: string(c.WSS), HTTP: string(c.HTTP), HTTPS: string(c.HTTPS), HTTPBase: c.HTTPBase, CertFile: c.TLSCert, KeyFile: c.TLSKey,
		NATSAPI: c.NATSAPI == "on", Origin: c.AllowOrigin, EnforceOrigin: c.EnforceCORS, PingInterval: c.Ping, PongTimeout: c.Pong, MaxConnections: c.MaxClients,
		APISecret: c.APISecret.Reveal(), TokenAuth: c.TokenAuth, TokenAuthSecret: c.TokenAuthSecret.Reveal(),
		ServerName: c.ServerName, SessionTimeout: c.SessionTimeout, ReclaimTimeout: c.ReclaimTimeout,
	})
	if err != nil {
		return readyLine{}, err
	}
	p.add("edge", e)
	p.onDrain(c.LameDuck, e.Drain)
	administered, err := p.startAdmin(ctx, e, c)
	if err != nil {
		return readyLine{}, err
	}
	at := e.Addresses()
	return readyLine{
		role: "edge", name: name, ws: at["ws"], wss: at["wss"], http: at["http"], https: at["https"], admin: administered, nats: p.servers(),
	}, nil
}

// startAdmin serves the Admin API beside an edge, and tells where: its addresses, separated by commas. Without a secret
// there is none: whoever reaches it commands the cluster.
func (p *process) startAdmin(ctx context.Context, e *edge.Edge, c edgeSettings) (addresses string, err error) {
	overNATS := c.NATSAPI == "on"
	if c.AdminSecret.Reveal() == "" || c.AdminHTTP.Off() && c.AdminHTTPS.Off() && c.AdminWS.Off() && c.AdminWSS.Off() && !overNATS {
		return "", nil
	}
	o := admin.Options{
		HTTP: string(c.AdminHTTP), HTTPS: string(c.AdminHTTPS), WS: string(c.AdminWS), WSS: string(c.AdminWSS), Base: c.AdminBase,
		CertFile: c.TLSCert, KeyFile: c.TLSKey, Secret: c.AdminSecret.Reveal(), Origin: c.AllowOrigin, EnforceOrigin: c.EnforceCORS,
		NATS: overNATS, Bus: p.bus, Roster: p.roster, Log: p.log, Registry: p.registry,
		SessionTimeout: c.SessionTimeout, ReclaimTimeout: c.ReclaimTimeout, Rules: e.Rules(),
		Info: e.AppendInfo, Pings: e.Pings, Clients: e.Clients, TokenAuth: c.TokenAuth, Tokens: e.Tokens(),
	}
	a, err := admin.Start(ctx, o)
	if err != nil {
		return "", err
	}
	p.onStop("Admin API", a.Stop)
	at := a.Addresses()
	served := slices.DeleteFunc([]string{at["http"], at["https"], at["ws"], at["wss"]}, func(address string) bool { return address == "" })
	return strings.Join(served, ","), nil
}
