// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
	"github.com/januscloud/januscloud/edge"
	"github.com/januscloud/januscloud/messages"
)

type edgeCommand struct {
	config.General
	config.Health
	config.Cluster
	config.Edge
	config.Access
	config.Session
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
		return p.startEdge(ctx, name, c.Region, c.Edge, c.Access, c.Session)
	})
}

// startEdge starts the edge role.
func (p *process) startEdge(ctx context.Context, name, region string, c config.Edge, a config.Access, s config.Session) (readyLine, error) {
	e, err := edge.Start(ctx, edge.Options{
		Name: name, Region: region, Bus: p.bus, Roster: p.roster, Wheel: p.wheel, Load: p.load, Log: p.log, Registry: p.registry,
		WS: string(c.WS), WSS: string(c.WSS), HTTP: string(c.HTTP), HTTPS: string(c.HTTPS), HTTPBase: c.HTTPBase, CertFile: c.TLSCert, KeyFile: c.TLSKey,
		Origin: c.AllowOrigin, EnforceOrigin: c.EnforceCORS, PingInterval: c.Ping, PongTimeout: c.Pong, MaxConnections: c.MaxClients,
		APISecret: a.APISecret.Reveal(), TokenAuth: a.TokenAuth, TokenAuthSecret: a.TokenAuthSecret.Reveal(),
		ServerName: c.ServerName, SessionTimeout: s.SessionTimeout, ReclaimTimeout: s.ReclaimTimeout,
	})
	if err != nil {
		return readyLine{}, err
	}
	p.add("edge", e)
	at := e.Addresses()
	return readyLine{
		role: "edge", name: name, ws: at["ws"], wss: at["wss"], http: at["http"], https: at["https"], nats: p.servers(),
	}, nil
}
