// SPDX-License-Identifier: Apache-2.0

// Package config is everything a person can set. One structure describes it: each field is a flag of the commands that
// use its group, the environment variable JANUSCLOUD_<FLAG>, and a key of the YAML file that --config names. A flag wins
// over the environment, the environment over the file, the file over the default. What is not known is an error that
// says so, wherever it stands.
//
// The documentation of a setting is the help tag of its field; the help of the commands, the commented default file and
// the reference table are all made of it.
package config

import "time"

// Config holds every setting of every command. A command embeds the groups that it uses; keys and variables of the
// other groups are known to it and ignored, so that one file can serve a whole cluster.
type Config struct {
	General `title:"General" commands:"dev, edge, session, media, node, doctor, servers, drain, undrain"`
	Health  `title:"Health and metrics" commands:"dev, edge, session, media, node"`
	Cluster `title:"The cluster" commands:"edge, session, media, node, doctor, servers, drain, undrain"`
	Access  `title:"What clients must present" commands:"edge, dev"`
	Edge    `title:"Client transports" commands:"edge, dev"`
	Admin   `title:"Admin API" commands:"edge, dev"`
	Session `title:"Sessions" commands:"edge, session, node, dev"`
	Records `title:"Session records" commands:"session, node"`
	Grace   `title:"Media roles that are not heard" commands:"session, node, dev"`
	Plugins `title:"Plugins of one's own" commands:"session, node, dev"`
	Media   `title:"The Janus beside a media role" commands:"media, node"`
	Leave   `title:"Leaving" commands:"edge"`
	Part    `title:"Leaving" commands:"media, node"`
	Dev     `title:"The cluster in one process" commands:"dev"`
}

// General is where settings come from, and what is said about the work.
type General struct {
	Config    string `name:"config" type:"path" placeholder:"FILE" help:"YAML file with settings, one key per flag. 'januscloud config default' writes one to start from."`
	LogLevel  string `name:"log-level" default:"info" enum:"debug,info,warn,error" help:"Least severe level that is logged, to standard error: ${enum}."`
	LogFormat string `name:"log-format" default:"text" enum:"text,json" help:"Form of the log lines: ${enum}."`
}

// Health is what a process tells of itself over HTTP.
type Health struct {
	Health Address `name:"health" default:"off" placeholder:":PORT" help:"Address for /healthz (the process lives), /readyz (it takes work, or why not) and /metrics (Prometheus); off serves none."`
	PProf  bool    `name:"pprof" help:"Serve /debug/pprof on the health address, too. Whoever reaches it sees memory: keep it private."`
}

// Cluster is how a process finds the others and what it is called among them.
type Cluster struct {
	NATS      []NATSURL `name:"nats" default:"nats://127.0.0.1:4222" sep:"," placeholder:"URL" help:"NATS servers; naming one that knows the others is enough, naming more survives its loss at start."`
	NATSCreds string    `name:"nats-creds" type:"path" placeholder:"FILE" help:"NATS credentials file (JWT and key)."`
	NATSCA    string    `name:"nats-ca" type:"path" placeholder:"FILE" help:"Certificates that NATS servers are checked against, PEM; the system's when empty. Use tls:// URLs to insist on TLS."`
	NATSCert  string    `name:"nats-cert" type:"path" placeholder:"FILE" help:"Client certificate for NATS, PEM; needs nats-key."`
	NATSKey   string    `name:"nats-key" type:"path" placeholder:"FILE" help:"Key of the client certificate for NATS, PEM."`
	Name      Name      `name:"name" help:"Name in the cluster: letters, digits, - and _, at most 64. Default: the host's name and the role, with a number where that is taken. A given name that is in use is refused."`
	Region    string    `name:"region" help:"Where this process runs, as placement by region understands it."`
}

// URLs are the NATS servers as texts, passwords included.
func (c Cluster) URLs() []string {
	urls := make([]string, len(c.NATS))
	for i, u := range c.NATS {
		urls[i] = string(u)
	}
	return urls
}

// Access is what requests must carry, as in janus.jcfg (api_secret, token_auth, token_auth_secret).
type Access struct {
	APISecret Secret `name:"api-secret" placeholder:"SECRET|@FILE" help:"Secret that every request must carry (apisecret). @FILE reads it from a file, as for every secret; prefer that or the environment: flags show in process lists."`

	TokenAuth       bool   `name:"token-auth" help:"Ask every request for a token; with api-secret either of the two suffices (token_auth of Janus). Tokens are those stored through the admin API, the same on all edges, for which NATS must have JetStream."`
	TokenAuthSecret Secret `name:"token-auth-secret" placeholder:"SECRET|@FILE" help:"Take tokens signed with this secret, instead of stored ones (token_auth_secret of Janus); needs token-auth."`
}

// Edge is where clients connect. Ports and paths default to those of Janus.
type Edge struct {
	WS          Address       `name:"ws" default:":8188" placeholder:"ADDRESS" help:"Address of the WebSocket transport; off for none, port 0 for a free one."`
	WSS         Address       `name:"wss" default:"off" placeholder:"ADDRESS" help:"Address of the WebSocket transport over TLS (Janus: 8989); needs tls-cert and tls-key. A load balancer does it for less."`
	HTTP        Address       `name:"http" default:":8088" placeholder:"ADDRESS" help:"Address of the HTTP transport (long poll); off for none, port 0 for a free one."`
	HTTPS       Address       `name:"https" default:"off" placeholder:"ADDRESS" help:"Address of the HTTP transport over TLS (Janus: 8089); needs tls-cert and tls-key."`
	HTTPBase    string        `name:"http-base" default:"/janus" placeholder:"PATH" help:"Path of the Janus API on the HTTP transport (base_path of Janus)."`
	NATSAPI     string        `name:"nats-api" default:"on" enum:"on,off" help:"Serve back-ends that publish requests to the NATS subjects janus.api and janus.api.<name of the edge>, and with admin-secret administrators on janus.admin: ${enum}. The secrets and tokens of the other transports apply. On, because whoever reaches this NATS could speak to the roles themselves."`
	TLSCert     string        `name:"tls-cert" type:"path" placeholder:"FILE" help:"Certificate chain for clients and administrators, PEM; read again when it changes."`
	TLSKey      string        `name:"tls-key" type:"path" placeholder:"FILE" help:"Key of that certificate, PEM."`
	AllowOrigin string        `name:"allow-origin" default:"*" placeholder:"ORIGIN" help:"Pages that may use this edge and its Admin API (allow_origin of Janus)."`
	EnforceCORS bool          `name:"enforce-cors" help:"Refuse pages that allow-origin does not name: hang up on their WebSockets, answer 403 over HTTP (enforce_cors of Janus)."`
	Ping        time.Duration `name:"ping" default:"0s" help:"Silence after which a WebSocket is pinged, for load balancers that cut what is idle (pingpong_trigger of Janus); 0s for never."`
	Pong        time.Duration `name:"pong" default:"0s" help:"How much longer a pinged client may be silent (pingpong_timeout of Janus); 0s for as long again."`
	MaxClients  int           `name:"max-clients" default:"0" placeholder:"N" help:"Most connections of each transport; 0 for what the limit of open files allows, and 20000 over HTTP."`
	ServerName  string        `name:"server-name" placeholder:"NAME" help:"Name that info tells (server_name of Janus). Default: that of a Janus."`
}

// Admin is the Admin API of the whole cluster, at an edge. Ports and path are those of Janus.
type Admin struct {
	AdminSecret Secret  `name:"admin-secret" placeholder:"SECRET|@FILE" help:"Secret that every request of the Admin API must carry (admin_secret of Janus). Without one the Admin API is not served."`
	AdminHTTP   Address `name:"admin-http" default:":7088" placeholder:"ADDRESS" help:"Address of the Admin API over HTTP; off for none, port 0 for a free one. Needs admin-secret."`
	AdminHTTPS  Address `name:"admin-https" default:"off" placeholder:"ADDRESS" help:"Address of the Admin API over HTTP with TLS (Janus: 7889); needs admin-secret, tls-cert and tls-key."`
	AdminWS     Address `name:"admin-ws" default:":7188" placeholder:"ADDRESS" help:"Address of the Admin API over WebSocket (subprotocol janus-admin-protocol); off for none, port 0 for a free one. Needs admin-secret."`
	AdminWSS    Address `name:"admin-wss" default:"off" placeholder:"ADDRESS" help:"Address of the Admin API over WebSocket with TLS (Janus: 7989); needs admin-secret, tls-cert and tls-key."`
	AdminBase   string  `name:"admin-base" default:"/admin" placeholder:"PATH" help:"Path of the Admin API over HTTP (admin_base_path of Janus)."`
}

// Session is how long sessions live.
type Session struct {
	SessionTimeout time.Duration `name:"session-timeout" default:"60s" help:"A session that sends nothing for so long ends (session_timeout of Janus); 0s for never. Edges tell it by info."`
	ReclaimTimeout time.Duration `name:"reclaim-timeout" default:"30s" help:"How long a session outlives its lost connection, waiting for a claim (reclaim_session_timeout of Janus); 0s for not at all. Edges tell it by info."`
}

// Records is where a session role keeps what nobody else knows.
type Records struct {
	Replicas int `name:"replicas" default:"0" placeholder:"N" help:"Copies that NATS keeps of the session records: 1, 3 or 5; 0 for three where there are as many servers, else one."`
}

// Grace is how long a session role waits for media roles.
type Grace struct {
	MediaGrace time.Duration `name:"media-grace" default:"10s" help:"How long a media role may be silent, while it is restarted for example, before the handles on its Janus are given up: then their clients get a hangup, and may use them elsewhere. Media go on meanwhile. Same on all session roles; 0s for the default."`
}

// Plugins is what a session role is told of plugins that it does not know.
type Plugins struct {
	PeerCalls     bool   `name:"peer-calls" help:"Serve janus.plugin.p2pcall: the requests and events of videocall, but media go from one browser to the other, and no Janus is needed. Same on all session roles; dev always does."`
	PluginRouters string `name:"plugin-routers" placeholder:"FILE" help:"YAML file that says what the requests of your own plugins refer to, so that all who name the same room meet on one Janus; actors/plugin/example has one."`
}

// Media is the Janus that a media role serves.
type Media struct {
	Janus            JanusURL `name:"janus" default:"ws://127.0.0.1:8188" placeholder:"WS-URL" help:"WebSocket address of the Janus."`
	JanusAdmin       AdminURL `name:"janus-admin" placeholder:"URL" help:"Admin API of the Janus, ws://, wss://, http:// or https:// (with path). Without it the Admin API of the cluster cannot ask this Janus."`
	Exec             string   `name:"exec" placeholder:"COMMAND" help:"Command that runs the Janus: it is started when none answers, and again when it ends. It outlives this process, and the next one adopts it."`
	MaxHandles       Cap      `name:"max-handles" default:"auto" placeholder:"N|auto" help:"Most handles on the Janus; 0 for no limit, auto for what suits its event_loops."`
	JanusAPISecret   Secret   `name:"janus-api-secret" placeholder:"SECRET|@FILE" help:"api_secret of the Janus."`
	JanusAdminSecret Secret   `name:"janus-admin-secret" placeholder:"SECRET|@FILE" help:"admin_secret of the Janus."`
}

// Leave is how an edge leaves.
type Leave struct {
	LameDuck time.Duration `name:"lame-duck" default:"5s" help:"How long an edge that is told to end goes on with its clients, while /readyz says that it should get none: until every load balancer has looked. Then connections are closed (1001, going away); clients find another edge and claim their sessions. 0s for at once."`
}

// Part is how a media role drains.
type Part struct {
	DrainTimeout time.Duration `name:"drain-timeout" default:"0s" help:"How long SIGTERM waits for calls to end. 0s does not: the next process on this Janus goes on with them. To stop the Janus as well, drain its media role before (januscloud drain)."`
}

// Dev is the cluster in one process.
type Dev struct {
	Janus      int        `name:"janus" default:"2" placeholder:"N" help:"How many Janus to run."`
	JanusURL   []JanusURL `name:"janus-url" sep:"," placeholder:"WS-URL" help:"Use these Janus instead of running any; the Admin API of the cluster does not ask them."`
	Demo       Address    `name:"demo" default:":8080" placeholder:"ADDRESS" help:"Address of the demo pages; off for none."`
	NATSListen Address    `name:"nats-listen" default:"127.0.0.1:4222" placeholder:"ADDRESS" help:"Address of the built-in NATS server, for further processes and for looking on with the nats tool."`
	Data       string     `name:"data" type:"path" placeholder:"FOLDER" help:"Folder for streams, Janus configurations and recordings, kept. Default: a temporary one, removed at the end."`
}
