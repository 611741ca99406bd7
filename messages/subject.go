// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The subjects of the wire. Bodies below session, media and edge subjects are Janus JSON, but for the control
// messages named in control.go. A prefix of three tokens has exactly one receiver (bus.Own).
//
//	janus.session.<partition>.<session>                                  edge to owner; reply = Identity
//	janus.session.<partition>.<session>.reply.<handle>                   media server to owner; reply = Identity
//	janus.session.<partition>.<session>.event.<handle>                   media server to owner; reply = AppendOrigin
//	janus.session.<partition>.<session>.last.0                           media server to owner: do you have my last event? reply = <server>.<seq>
//	janus.session.<partition>.<session>.refused.<handle>                 media server to owner: your epoch is old (Refusal)
//	janus.session.<partition>.<session>.poll.<max>                       edge to owner: a long poll for at most so many events; reply = Identity
//	janus.session.<partition>.<session>.unpoll.<connection>              edge to owner: the client of a long poll left; reply = its Identity
//	janus.session.<partition>.<session>.expired.<connection>             edge to owner: the client was told that a request timed out; reply = its Identity
//	janus.session.<partition>.<session>.gone.<connection>                edge to owner: the transport closed; reply = janus.edge.<edge>.<connection>, body = Written or empty
//	janus.session.<partition>.<session>.whole.<number>                   edge to owner: no request before that number is missing any more; reply = janus.edge.<edge>.<connection>
//	janus.session.<partition>.<session>.stored.<operation>               JetStream to owner: the ack of a record
//	janus.session.<partition>.<session>.own.<handle>.<n>                 identity of a request of the owner itself
//	janus.session.<partition>.<session>.admin.<handle>                   Admin API to owner: AdminOrder; reply = an inbox, for an AdminAnswer
//	janus.session.<partition>.<session>.peer.<handle>                    owner of another session to owner: PeerMessage; reply = an inbox, for a PeerAnswer
//	janus.api, janus.api.<edge's name>, janus.admin                      requests of clients that speak NATS; reply = the client's inbox
//	janus.media.<server>.<partition>.<epoch>.<session>.<handle>          owner to media server; reply = Identity
//	janus.media.<server>.ask, janus.media.<server>.info                  control: take-over; server_info
//	janus.media.<server>.admin                                           Admin API to media server: AdminCall; reply = an inbox, for an AdminResult
//	janus.session.<partition>.<session>.again.<handle>, .caught.0        media server to owner: recent events once more; that was all; reply = <server>.<seq>, <server>
//	janus.kept.<server>.replay                                           owner to media server: Replay
//	janus.kept.<server>.acked                                            session node to media server: events that clients have (Acked, several)
//	janus.media.<server>.plugin                                          owner of a room to media server: PluginRequest; reply = an inbox
//	janus.room.<partition>.<key>.<plugin>                                to the owner of a room: RoomAsk; reply = an inbox, for a RoomAnswer
//	janus.edge.<edge>.<connection>.<session>.<n>[.r]                     an Identity: owner to edge, reply = Delivery
//	janus.edge.<edge>.<connection>.event                                 owner to edge, reply = Delivery
//	janus.edge.<edge>.ask, janus.edge.<edge>.resend                      control: take-over; requests that did not arrive
//	janus.node.<node>.answer.<ask>, janus.node.<node>.yield, .taken      control: answers to an ask; planned hand-over (Yield)
//	janus.node.<node>.written                                            edge to session node: how far it has come with deliveries (Written, several)
//	janus.node.<node>.admin                                              Admin API to session node: NodeOrder; reply = an inbox, for NodeSessions
//	janus.edge.<edge>.drain, janus.node.<node>.drain, janus.media.<server>.drain    DrainOrder; reply = an inbox, for a DrainAnswer
//	janus.heartbeat.<role>.<name>                                        Beat
//	janus.suspect.<member>                                               a request for the member met no responder
//	janus.event.<kind>.<action>.…                                        Event, for analytics
const (
	sessionPrefix   = "janus.session."
	mediaPrefix     = "janus.media."
	keptPrefix      = "janus.kept."
	edgePrefix      = "janus.edge."
	nodePrefix      = "janus.node."
	heartbeatPrefix = "janus.heartbeat."
	eventPrefix     = "janus.event."
)

// Heartbeats is the pattern of all heartbeats.
const Heartbeats = heartbeatPrefix + ">"

// ErrSubject says that a subject does not have the form that its receiver expects. Such a message is dropped and counted.
var ErrSubject = errors.New("malformed subject")

// SessionPrefix is the subject that the owner of a partition receives below.
func SessionPrefix(partition int) string { return sessionPrefix + strconv.Itoa(partition) }

// MediaPrefix is the subject that a media server's actor receives below.
func MediaPrefix(server Member) string { return mediaPrefix + server.String() }

// KeptPrefix is the subject that a media server's actor receives below what concerns the events that it keeps. Events bear the name
// of the first incarnation, whatever becomes of the process: they are numbered through.
func KeptPrefix(server string) string { return keptPrefix + server }

// EdgePrefix is the subject that an edge receives below.
func EdgePrefix(edge Member) string { return edgePrefix + edge.String() }

// NodePrefix is the subject that a session node receives below.
func NodePrefix(node Member) string { return nodePrefix + node.String() }

// HeartbeatSubject is where a role beats.
func HeartbeatSubject(role Role, name string) string {
	return heartbeatPrefix + string(role) + "." + name
}

// MediaAsk, MediaAdopt, MediaInfo, MediaReplay, MediaAcked, EdgeAsk, EdgeResend, NodeYield, NodeTaken, NodeWritten and NodeAnswer are the control
// subjects of one member.
func MediaAsk(server Member) string    { return MediaPrefix(server) + ".ask" }
func MediaAdopt(server Member) string  { return MediaPrefix(server) + ".adopt" }
func MediaInfo(server Member) string   { return MediaPrefix(server) + ".info" }
func MediaReplay(server string) string { return KeptPrefix(server) + keptReplay }
func MediaAcked(server string) string  { return KeptPrefix(server) + keptAcked }
func EdgeAsk(edge Member) string       { return EdgePrefix(edge) + ".ask" }
func EdgeResend(edge Member) string    { return EdgePrefix(edge) + ".resend" }
func NodeYield(node Member) string     { return NodePrefix(node) + ".yield" }
func NodeTaken(node Member) string     { return NodePrefix(node) + ".taken" }
func NodeWritten(node Member) string   { return NodePrefix(node) + ".written" }
func NodeAnswer(node Member, ask string) string {
	return NodePrefix(node) + ".answer." + ask
}

const (
	keptReplay = ".replay"
	keptAcked  = ".acked"
)

// IsMediaReplay and IsMediaAcked tell what a subject below a KeptPrefix is.
func IsMediaReplay(subject string) bool { return isKept(subject, keptReplay) }
func IsMediaAcked(subject string) bool  { return isKept(subject, keptAcked) }

func isKept(subject, what string) bool {
	return strings.HasPrefix(subject, keptPrefix) && strings.HasSuffix(subject, what)
}

// SessionKind is what a message on a session's subject is.
type SessionKind string

// The kinds of messages that the owner of a session receives.
const (
	SessionRequest SessionKind = ""        // from an edge
	SessionReply   SessionKind = "reply"   // from a media server, to a request that was passed on
	SessionEvent   SessionKind = "event"   // from a media server, of its own accord
	SessionRefused SessionKind = "refused" // from a media server: it serves a greater epoch
	SessionGone    SessionKind = "gone"    // from an edge: a transport closed
	SessionPoll    SessionKind = "poll"    // from an edge: a long poll
	SessionUnpoll  SessionKind = "unpoll"  // from an edge: the client of a long poll left
	SessionExpired SessionKind = "expired" // from an edge: the client was told that a request timed out
	SessionWhole   SessionKind = "whole"   // from an edge: what was asked for with Resend is answered, or was sent once more
	SessionStored  SessionKind = "stored"  // from JetStream: the ack of a record
	SessionAdmin   SessionKind = "admin"   // from the Admin API of an edge
	SessionPeer    SessionKind = "peer"    // from the owner of another session: PeerMessage
	SessionAgain   SessionKind = "again"   // from a media server: an event once more, for a new owner that asked for it
	SessionCaught  SessionKind = "caught"  // from a media server: these were all events that it had
	SessionLast    SessionKind = "last"    // from a media server: the origin of the last event that it keeps for the session
	SessionAdopted SessionKind = "adopted" // from a media server: Adopted
	SessionOwn     SessionKind = "own"     // the owner's identity of a request of its own to a media server; only a 503 arrives here
)

// SessionSubject is a parsed subject below SessionPrefix.
type SessionSubject struct {
	Partition int
	Session   uint64
	Kind      SessionKind
	Arg       string // handle, connection or operation; empty for a request
}

// Handle is the argument as a handle id; 0 where it is none.
func (s SessionSubject) Handle() uint64 {
	n, _ := strconv.ParseUint(s.Arg, 10, 64)
	return n
}

// String writes the subject.
func (s SessionSubject) String() string {
	b := make([]byte, 0, 64)
	b = append(b, sessionPrefix...)
	b = strconv.AppendInt(b, int64(s.Partition), 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, s.Session, 10)
	if s.Kind != SessionRequest {
		b = append(b, '.')
		b = append(b, s.Kind...)
		b = append(b, '.')
		b = append(b, s.Arg...)
	}
	return string(b)
}

// RequestSubject is where a request for a session is published.
func RequestSubject(session uint64) string {
	return SessionSubject{Partition: PartitionOf(session), Session: session}.String()
}

// HandleSubject is where a media server publishes what concerns a handle (0: the session itself).
func HandleSubject(session uint64, kind SessionKind, handle uint64) string {
	return SessionSubject{PartitionOf(session), session, kind, strconv.FormatUint(handle, 10)}.String()
}

// ParseSessionSubject reads a subject below SessionPrefix.
func ParseSessionSubject(subject string) (SessionSubject, error) {
	var s SessionSubject
	rest, ok := strings.CutPrefix(subject, sessionPrefix)
	if !ok {
		return s, fmt.Errorf("%w: %s", ErrSubject, subject)
	}
	partition, rest, _ := strings.Cut(rest, ".")
	session, rest, more := strings.Cut(rest, ".")
	p, errP := strconv.ParseUint(partition, 10, 16)
	id, errS := strconv.ParseUint(session, 10, 64)
	if errP != nil || errS != nil || p >= Partitions {
		return s, fmt.Errorf("%w: %s", ErrSubject, subject)
	}
	s.Partition, s.Session = int(p), id
	if !more {
		return s, nil
	}
	kind, arg, more := strings.Cut(rest, ".")
	s.Kind, s.Arg = SessionKind(kind), arg
	if !more || kind == "" {
		return s, fmt.Errorf("%w: %s", ErrSubject, subject)
	}
	return s, nil
}

// MediaSubject is a parsed subject of the leg from an owner to a media server.
type MediaSubject struct {
	Server    Member
	Partition int
	Epoch     Epoch // the owner's epoch of the partition: a media server refuses a lower one than it has seen
	Session   uint64
	Handle    uint64 // our handle id; 0 for the session itself
}

// String writes the subject.
func (s MediaSubject) String() string {
	b := make([]byte, 0, 128)
	b = append(b, mediaPrefix...)
	b = append(b, s.Server.Name...)
	b = append(b, '~')
	b = append(b, s.Server.Inc...)
	b = append(b, '.')
	b = strconv.AppendInt(b, int64(s.Partition), 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, s.Epoch.Number, 10)
	b = append(b, '-')
	b = append(b, s.Epoch.Node...)
	b = append(b, '.')
	b = strconv.AppendUint(b, s.Session, 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, s.Handle, 10)
	return string(b)
}

// ParseMediaSubject reads what MediaSubject.String wrote.
func ParseMediaSubject(subject string) (MediaSubject, error) {
	var s MediaSubject
	bad := func() (MediaSubject, error) { return s, fmt.Errorf("%w: %s", ErrSubject, subject) }
	rest, ok := strings.CutPrefix(subject, mediaPrefix)
	if !ok || strings.Count(rest, ".") != 4 {
		return bad()
	}
	server, rest, _ := strings.Cut(rest, ".")
	partition, rest, _ := strings.Cut(rest, ".")
	epoch, rest, _ := strings.Cut(rest, ".")
	session, handle, _ := strings.Cut(rest, ".")
	var errs [5]error
	var p uint64
	s.Server, errs[0] = ParseMember(server)
	p, errs[1] = strconv.ParseUint(partition, 10, 16)
	s.Epoch, errs[2] = ParseEpoch(epoch)
	s.Session, errs[3] = strconv.ParseUint(session, 10, 64)
	s.Handle, errs[4] = strconv.ParseUint(handle, 10, 64)
	s.Partition = int(p)
	if errors.Join(errs[:]...) != nil || p >= Partitions {
		return bad()
	}
	return s, nil
}

// Identity is a request's identity: the reply subject that its edge drew for it. Requests are numbered per connection
// and session, so that the owner can pass them on in order and see a gap.
type Identity struct {
	Edge       Member
	Connection uint64 // unique in the edge's incarnation; each request over HTTP or NATS is a connection of its own
	Polling    bool   // the connection is one request, over HTTP or NATS: see Transport
	Inbox      string // of a client that speaks NATS, where the request makes it the session's transport
	Session    uint64
	N          uint64 // from 1, per connection and session
	Repeat     bool   // the edge has published this identity before
}

const repeatToken = ".r"

// String writes the identity as the reply subject.
func (i Identity) String() string {
	b := make([]byte, 0, 96)
	b = append(b, edgePrefix...)
	b = append(b, i.Edge.Name...)
	b = append(b, '~')
	b = append(b, i.Edge.Inc...)
	b = append(b, '.')
	b = appendConnection(b, i.Connection, i.Polling, i.Inbox)
	b = append(b, '.')
	b = strconv.AppendUint(b, i.Session, 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, i.N, 10)
	if i.Repeat {
		b = append(b, repeatToken...)
	}
	return string(b)
}

// CutRepeat separates the mark of a repeat from an identity as it came on the wire: what remains is equal for the
// request and all its repeats.
func CutRepeat(identity string) (first string, repeat bool) {
	return strings.CutSuffix(identity, repeatToken)
}

// MarkRepeat adds the mark that CutRepeat cuts off.
func MarkRepeat(first string) string { return first + repeatToken }

// Transport names one connection of an edge: where replies and events go.
type Transport struct {
	Edge       Member
	Connection uint64
	// Polling marks a client that speaks HTTP: replies go to the request they answer, events wait at the session's owner
	// until a long poll fetches them. Such a transport never goes away by itself.
	Polling bool
	// Inbox is the subject on which a client that speaks NATS listens: events go straight there, without an edge. Such a
	// transport does not go away either.
	Inbox string
}

// What stands before the number of a connection that is one request: over HTTP, or over NATS. Behind the latter number
// comes the inbox, "/" for each dot of it and one before.
const (
	pollingMark = 'h'
	inboxMark   = 'n'
)

func appendConnection(b []byte, number uint64, polling bool, inbox string) []byte {
	switch {
	case inbox != "":
		b = append(b, inboxMark)
		b = strconv.AppendUint(b, number, 10)
		b = append(b, inboxDot...)
		return append(b, strings.ReplaceAll(inbox, ".", inboxDot)...)
	case polling:
		b = append(b, pollingMark)
	}
	return strconv.AppendUint(b, number, 10)
}

// parseConnection reads what appendConnection wrote, but for the inbox.
func parseConnection(s string) (number uint64, mark byte, err error) {
	if s != "" && (s[0] == pollingMark || s[0] == inboxMark) {
		s, mark = s[1:], s[0]
	}
	if mark == inboxMark {
		s, _, _ = strings.Cut(s, inboxDot)
	}
	number, err = strconv.ParseUint(s, 10, 64)
	return number, mark, err
}

// IsZero reports whether t names no connection. After a take-over a transport that stays may have no edge: none is needed.
func (t Transport) IsZero() bool { return t == Transport{} }

// Stays reports whether the transport never goes away by itself, because it is no connection: no edge can tell of it.
func (t Transport) Stays() bool { return t.Polling || t.Inbox != "" }

// String is janus.edge.<edge>.<connection>.
func (t Transport) String() string {
	return string(appendConnection([]byte(edgePrefix+t.Edge.String()+"."), t.Connection, t.Polling, t.Inbox))
}

// EventToken is the last token of an EventSubject.
const EventToken = "event"

// EventSubject is where events for the connection are published.
func (t Transport) EventSubject() string { return t.String() + "." + EventToken }

// ParseTransport reads the connection from an Identity, an EventSubject or what Transport.String wrote: it takes the
// first four tokens.
func ParseTransport(subject string) (Transport, error) {
	rest, ok := strings.CutPrefix(subject, edgePrefix)
	edge, rest, _ := strings.Cut(rest, ".")
	number, _, _ := strings.Cut(rest, ".")
	member, errM := ParseMember(edge)
	connection, mark, errC := parseConnection(number)
	if !ok || errM != nil || errC != nil {
		return Transport{}, fmt.Errorf("%w: %s", ErrSubject, subject)
	}
	t := Transport{Edge: member, Connection: connection, Polling: mark == pollingMark}
	if mark == inboxMark {
		if t.Inbox = inboxIn(number); !ValidInbox(t.Inbox) {
			return Transport{}, fmt.Errorf("%w: %s", ErrSubject, subject)
		}
	}
	return t, nil
}

// Number reads the number of a request from its identity; ok is false when another connection than t sent it, or when t is one
// request only.
func (t Transport) Number(identity string) (n uint64, ok bool) {
	rest, ok := strings.CutPrefix(identity, edgePrefix)
	if !ok || t.Stays() || t.IsZero() {
		return 0, false
	}
	if rest, ok = strings.CutPrefix(rest, t.Edge.Name); !ok {
		return 0, false
	}
	if rest, ok = strings.CutPrefix(rest, "~"); !ok {
		return 0, false
	}
	if rest, ok = strings.CutPrefix(rest, t.Edge.Inc); !ok {
		return 0, false
	}
	if rest, ok = strings.CutPrefix(rest, "."); !ok {
		return 0, false
	}
	connection, rest, _ := strings.Cut(rest, ".")
	if c, err := strconv.ParseUint(connection, 10, 64); err != nil || c != t.Connection {
		return 0, false
	}
	_, rest, _ = strings.Cut(rest, ".")
	rest, _ = CutRepeat(rest)
	n, err := strconv.ParseUint(rest, 10, 64)
	return n, err == nil
}

// EdgeSubject is a parsed subject below EdgePrefix, as an edge receives it.
type EdgeSubject struct {
	Connection uint64
	Polling    bool   // see Identity
	Event      bool   // an event; else the reply to the request (Session, N)
	Session    uint64 // of the identity
	N          uint64 // of the identity
}

// ParseEdgeSubject reads an Identity or an event subject.
func ParseEdgeSubject(subject string) (EdgeSubject, error) {
	var s EdgeSubject
	bad := func() (EdgeSubject, error) { return s, fmt.Errorf("%w: %s", ErrSubject, subject) }
	rest, ok := strings.CutPrefix(subject, edgePrefix)
	if !ok {
		return bad()
	}
	_, rest, _ = strings.Cut(rest, ".")
	number, rest, _ := strings.Cut(rest, ".")
	var mark byte
	var err error
	if s.Connection, mark, err = parseConnection(number); err != nil {
		return bad()
	}
	s.Polling = mark == pollingMark
	if rest == EventToken {
		s.Event = true
		return s, nil
	}
	rest, _ = CutRepeat(rest)
	session, n, _ := strings.Cut(rest, ".")
	var errN error
	s.Session, err = strconv.ParseUint(session, 10, 64)
	s.N, errN = strconv.ParseUint(n, 10, 64)
	if err != nil || errN != nil {
		return bad()
	}
	return s, nil
}

const suspectPrefix = "janus.suspect."

// Suspicions is the pattern of all suspicions: a request for a member met no responder, so that its silence may be
// believed sooner. A suspicion alone proves nothing.
const Suspicions = suspectPrefix + ">"

// SuspicionSubject is where a suspicion of a member is published, with an empty body.
func SuspicionSubject(m Member) string { return suspectPrefix + m.String() }

// ParseSuspicion reads what SuspicionSubject wrote.
func ParseSuspicion(subject string) (Member, error) {
	member, ok := strings.CutPrefix(subject, suspectPrefix)
	if !ok {
		return Member{}, fmt.Errorf("%w: %s", ErrSubject, subject)
	}
	return ParseMember(member)
}
