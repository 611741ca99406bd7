// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"strconv"
	"strings"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// Resyncer is a Router whose plugin tells those in a room what happens there. A Janus that loses the connection to its media
// server says it to nobody: what a client missed is found by comparing what it was told before with what there is after.
type Resyncer interface {
	Router
	// Remember begins to remember what the client of one handle is told; nil: for this plugin nothing can be found out.
	Remember() Told
}

// Told is what the client of one handle was told of the room that it is in. It is bounded, belongs to one goroutine, and keeps
// nothing of the bytes that it is given.
type Told interface {
	// Asks learns from the body of a message of the client.
	Asks(body janusjson.Object)
	// Hears learns from the data of an event to the client, and its jsep, if any. It reports false for an event that is not for
	// the client: it concerns a visitor of ours, or was told already.
	Hears(data, jsep janusjson.Object) bool
	// Look begins to compare: it says how to see what there is in the room. Whatever is heard from now on is newer than what is
	// seen. ok is false when there is no room to look at, or it is not known what the client was told.
	Look() (look Look, ok bool)
	// Missed is what the client did not hear, as a Janus of this version would have said it. From then on it counts as told.
	Missed(seen Seen, version string) Missed
}

// Look is how to see what there is in a room.
type Look struct {
	// Room is the same for all who look at the same room of a Janus.
	Room string
	// List is the body of a request that any handle may make.
	List []byte
	// Visit reads the answer to List. It returns the body of a request for which a handle is made, and detached afterwards;
	// nil: none is needed.
	Visit func(list janusjson.Object) []byte
	// Proof is what a visit shows to be let in: two with the same proof are answered alike.
	Proof string
}

// Seen is what was found out. What was not answered is a zero object.
type Seen struct {
	List, Visit janusjson.Object // answers to a Look
	Info        janusjson.Object // of the handle, by the Admin API (handle_info); not for those that never negotiated
}

// Missed is what a client did not hear.
type Missed struct {
	// Events are events of the plugin, in order.
	Events []Event
	// Partial: there may be more than could be found out.
	Partial bool
	// Link is what became of the handle's PeerConnection, as far as the room shows it.
	Link Link
}

// Event is an event of a plugin: its data, and a jsep or nil.
type Event struct{ Data, Jsep []byte }

// Link is the state of a PeerConnection.
type Link uint8

// The states of a PeerConnection.
const (
	LinkUnknown Link = iota
	LinkUp
	LinkDown
)

const (
	// maxTold bounds the participants that are remembered for a handle, and maxToldText what is kept of each.
	maxTold     = 1024
	maxToldText = 256
)

// person is somebody whom a client was told of.
type person struct {
	display string // as JSON; empty: none, or too long to be kept
	state   uint64 // fingerprint of what was told besides
	active  bool   // publishes
	// fresh marks what was told for Janus, which may yet be heard to say it: it had begun to when it was looked at.
	fresh bool
}

// people are those whom a client was told of in one room.
type people struct {
	room  string // as JSON; empty: in none, or nothing is known of it
	own   string // the client's own id
	left  bool   // the client asked to leave
	full  bool   // there are more than are remembered
	known map[string]person
	moved map[string]bool // those heard of since the look began; nil: nobody looks
}

// enter begins anew in a room.
func (p *people) enter(room, own string) {
	*p = people{room: room, own: own, known: map[string]person{}}
}

// set remembers somebody, as far as there is room.
func (p *people) set(id string, who person) {
	if _, there := p.known[id]; !there && len(p.known) >= maxTold || len(id) > maxToldText {
		p.full = true
		return
	}
	p.known[id] = who
}

// move notes that somebody was heard of: what is seen by a look may be older.
func (p *people) move(id string) {
	if p.moved != nil {
		p.moved[id] = true
	}
}

// looking begins a look at the room.
func (p *people) looking() bool {
	if p.room == "" || p.left {
		return false
	}
	p.moved = map[string]bool{}
	return true
}

// over is what is missed by somebody who is not in the room any more.
func (p *people) over(events ...string) Missed {
	*p = people{}
	m := Missed{Link: LinkDown}
	for _, e := range events {
		m.Events = append(m.Events, Event{Data: []byte(e)})
	}
	return m
}

// byID are the participants of a list by their ids.
func byID(list janusjson.Array) map[string]janusjson.Object {
	all := map[string]janusjson.Object{}
	for v := range list.All() {
		who, _ := v.Object()
		all[KeyOf(who.Get("id"))] = who
	}
	return all
}

// compares reports whether a look can say anything of somebody.
func (p *people) compares(id string) bool {
	return id != "" && id != p.own && !p.moved[id] && len(id) <= maxToldText && !isVisitor(id)
}

// The ids of visitors, who join a room for a moment to see who is in it: beyond those that a Janus draws, or a JavaScript client
// can write.
const (
	firstVisitor  = 1 << 62
	visitors      = 1 << 53
	visitorPrefix = `"januscloud-visitor-`
)

// visitorID draws the id of a visitor, in the manner of the room's id.
func visitorID(room string, drawn uint64) string {
	if strings.HasPrefix(room, `"`) {
		return visitorPrefix + strconv.FormatUint(drawn%visitors, 36) + `"`
	}
	return strconv.FormatUint(firstVisitor+drawn%visitors, 10)
}

// isVisitor tells the id of a visitor.
func isVisitor(id string) bool {
	if strings.HasPrefix(id, visitorPrefix) {
		return true
	}
	n, err := strconv.ParseUint(id, 10, 64)
	return err == nil && n >= firstVisitor && n < firstVisitor+visitors
}

// keptText is a text, or anything else, as JSON, to be remembered; empty if it is absent or too long.
func keptText(v janusjson.Value) string {
	if len(v.Bytes()) > maxToldText {
		return ""
	}
	return string(v.Bytes())
}

// atLeast compares the version of a Janus, such as 1.1.2, with major.minor.
func atLeast(version string, major, minor int) bool {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	x, errX := strconv.Atoi(first)
	y, errY := strconv.Atoi(second)
	return errX == nil && errY == nil && (x > major || x == major && y >= minor)
}
