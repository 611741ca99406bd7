// SPDX-License-Identifier: Apache-2.0

package mediactl

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusapi"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/wheel"
)

const (
	// pingEvery is how often Janus is asked whether it is there.
	pingEvery = 500 * time.Millisecond
	// hangTime is how long Janus may say nothing at all, though it is asked, before it counts as down.
	hangTime = 2 * time.Second
	// hopeTime is how long a lost connection may take to come back, sessions claimed, before the handles are given up. It
	// is meant for a socket that broke between two processes that live.
	hopeTime = 2 * time.Second
	// restartTime is how long a Janus that can be reached may be of no use before it is restarted, where that is ours to do.
	restartTime = 5 * time.Second
	// quietTime without a word of Janus, which has answered all requests, tells that plugins have answered them, too. It is waited
	// for no longer than talkTime: a Janus with many calls is never quiet.
	quietTime = 100 * time.Millisecond
	talkTime  = 500 * time.Millisecond
	// maxHeld and maxHeldBytes bound what waits for the connection to come back.
	maxHeld      = 4096
	maxHeldBytes = 16 << 20
)

// stage is how far the connection is.
type stage uint8

const (
	dialling stage = iota
	greeting       // waits for Janus's info, and for its consent to our secret
	claiming       // waits for the sessions that are still mapped
	serving
)

// connection is the actor's state of its connection to Janus.
type connection struct {
	link  *link // nil while dialling
	stage stage
	// hope is set while a lost connection may still come back in time: handles stay bound, requests wait.
	hope      bool
	owed      int // claims that are not answered yet
	info      info
	known     bool      // info is that of this connection
	accepted  bool      // Janus accepts our secret
	refused   bool      // it does not, and was heard to say so
	heard     time.Time // when Janus last said anything
	pinged    time.Time
	ticked    time.Time
	down      time.Time  // since when it does not serve, or when it was last restarted
	absent    bool       // nobody listened at its address when last tried
	held      []*bus.Msg // in order
	heldBytes int
	abandoned map[uint64]bool // sessions that Janus may still have, and that nobody wants

	tickTimer, hopeTimer wheel.Timer
}

// mayReturn reports whether the connection is lost but may come back: requests wait for that.
func (s *server) mayReturn() bool { return s.hope && s.stage != serving }

// start begins to dial and to tick.
func (s *server) start(now time.Time) {
	s.now, s.ticked, s.down = now, now, now
	s.abandoned = make(map[uint64]bool)
	s.setStatus(messages.JanusDown, now)
	s.dial()
	s.armTick()
}

func (s *server) armTick() { s.wheel.Arm(&s.tickTimer, pingEvery, func() { s.tell(tick{}) }) }

// onTick pings Janus, finds out whether it hangs, and ends what has waited too long.
func (s *server) onTick(now time.Time) {
	slept := now.Sub(s.ticked) > 2*pingEvery
	s.now, s.ticked = now, now
	s.armTick()
	s.mapping.expire(now)
	s.memory.expire(now)
	if !slept { // else Janus may have answered long ago
		s.expire(now)
	}
	s.tellLasts(now)
	s.metrics.pending.Set(float64(len(s.flight.byPrefix)))
	s.revive(now)
	switch {
	case s.link == nil:
		return
	case slept:
		s.heard = now // it was us who did not listen
	case now.Sub(s.heard) >= hangTime:
		s.log.Warn("Janus does not answer", "for", now.Sub(s.heard).Round(time.Millisecond))
		s.link.Close()
		s.onClosed(s.link, errHangs)
		s.lose(errHangs)
		return
	}
	switch s.stage {
	case greeting:
		s.askAgain()
	case serving:
		s.destroyAbandoned()
	}
	s.ping(now)
}

// revive has Janus restarted when it is there and of no use: it hangs. One that does not accept our secret does not hang.
func (s *server) revive(now time.Time) {
	if s.stage == serving || s.hope || s.absent || s.refused || now.Sub(s.down) < restartTime {
		return
	}
	s.down = now
	s.restart()
}

// errHangs is why a connection was given up on which Janus answered nothing.
var errHangs = fmt.Errorf("no answer for %v", hangTime)

func (s *server) ping(now time.Time) {
	if r := s.flight.open(janusjson.VerbPing, now); r != nil {
		s.pinged = now
		s.sendOwn(r, 0)
	}
}

// expire answers the requests that Janus did not answer within the deadline.
func (s *server) expire(now time.Time) {
	for r := s.flight.oldest; r != nil && now.Sub(r.since) > deadline; r = s.flight.oldest {
		s.flight.take(r.prefix)
		s.memory.stop(r)
		if r.verb == janusjson.VerbAttach {
			s.expireAttach(r, now)
			continue
		}
		s.fail(r, errLate)
		s.flight.free(r)
	}
	s.checkIdle()
}

// expireAttach answers an attach that takes too long, and goes on waiting for it: Janus may yet make the handle.
func (s *server) expireAttach(r *request, now time.Time) {
	s.answerAnew(r, errLate)
	if again := s.flight.open(r.verb, now); again != nil {
		// Known under its old prefix.
		delete(s.flight.byPrefix, again.prefix)
		again.prefix, again.session, again.handle, again.binding = r.prefix, r.session, r.handle, r.binding
		s.flight.byPrefix[again.prefix] = again
	}
	s.flight.free(r)
}

// fail ends a request to which no reply of Janus will come.
func (s *server) fail(r *request, e *messages.Error) {
	switch r.verb {
	case janusjson.VerbDestroy:
		s.abandoned[r.session] = true
		s.destroyed(r)
	case janusjson.VerbCreate:
		s.abandoned[r.target.id] = true
		s.failSession(r.target, e)
	case janusjson.VerbAttach:
		s.answerAnew(r, e)
		s.endHandle(r.binding, false)
	case janusjson.VerbInfo:
		s.failInfo(r.identity)
	case janusjson.VerbClaim:
		if !s.mayReturn() { // else it is claimed again
			s.loseSession(r.target, "claim not answered")
		}
	default:
		s.answerAnew(r, e) // our own have no identity
	}
}

// onDialled greets Janus.
func (s *server) onDialled(l *link) {
	if l.ended {
		s.dial()
		return
	}
	s.link, s.stage, s.heard = l, greeting, time.Now()
	s.known, s.accepted, s.refused, s.absent = false, false, false, false
	s.askAgain()
}

// askAgain asks what is not known of Janus yet.
func (s *server) askAgain() {
	if !s.known {
		s.greet()
	}
	if !s.accepted {
		s.checkSecret()
	}
}

// onDialFailed hears that Janus could not be reached; dialling goes on.
func (s *server) onDialFailed(err error) {
	s.status.fail(err)
	s.log.Debug("Janus not reached", "error", err)
	s.absent = errors.Is(err, syscall.ECONNREFUSED)
	if s.absent {
		s.lose(err) // nobody listens: the process is gone, and with it what it held
	}
}

// onClosed hears that a connection ended. What was in flight is answered at once; the handles may yet be claimed.
func (s *server) onClosed(l *link, err error) {
	l.ended = true
	if l != s.link {
		return
	}
	if s.stage == serving {
		s.log.Warn("connection to Janus lost", "error", err)
		s.hope = true
		// A Janus that was silent before hangs rather than lost a socket.
		silent := max(0, time.Since(s.heard)-pingEvery)
		s.wheel.Arm(&s.hopeTimer, hopeTime-silent, func() { s.tell(hopeOver{}) })
	}
	s.status.fail(err)
	s.link, s.stage = nil, dialling
	why := errLost
	if errors.Is(err, os.ErrDeadlineExceeded) {
		why = errBroken // a Janus that dies closes its sockets
	}
	for r := s.flight.oldest; r != nil; r = s.flight.oldest {
		s.flight.take(r.prefix)
		s.memory.stop(r)
		s.fail(r, why)
		s.flight.free(r)
	}
	s.dial()
	s.checkIdle()
}

func (s *server) onHopeOver() {
	if s.mayReturn() {
		s.lose(fmt.Errorf("not back within %v", hopeTime))
	}
}

// lose gives up what this Janus held: the owners hear of every handle, and place it elsewhere.
func (s *server) lose(err error) {
	if !s.hope {
		return
	}
	s.hope, s.down = false, time.Now()
	s.wheel.Disarm(&s.hopeTimer)
	s.log.Error("Janus lost", "error", err, "sessions", len(s.sessions), "handles", len(s.ours))
	s.setStatus(messages.JanusDown, time.Now())
	s.tellCluster(messages.EventServerDown, err.Error())
	s.beat()
	for id, x := range s.sessions {
		s.abandoned[id] = true
		s.loseSession(x, "Janus lost")
	}
	s.unhold()
}

// hold keeps a request until the connection is back.
func (s *server) hold(m *bus.Msg) {
	if len(s.held) >= maxHeld || s.heldBytes+len(m.Data) > maxHeldBytes {
		s.answerHeld(m, errBusy)
		return
	}
	s.held, s.heldBytes = append(s.held, m), s.heldBytes+len(m.Data)
}

// unhold handles what was held.
func (s *server) unhold() {
	held := s.held
	s.held, s.heldBytes = nil, 0
	s.again(held)
}

// greeted goes on when all is known of Janus: the sessions are claimed that it is to have.
func (s *server) greeted() {
	if s.stage != greeting || !s.known || !s.accepted {
		return
	}
	s.stage, s.owed = claiming, 0
	s.destroyAbandoned()
	for _, x := range s.sessions {
		if !s.claim(x) {
			s.link.Close() // and begin anew, while there is hope
			return
		}
		s.owed++
	}
	if s.owed == 0 {
		s.serve()
	}
}

// claim makes a session ours that belonged to the connection before; false when its request was not taken.
func (s *server) claim(x *session) bool {
	r := s.flight.open(janusjson.VerbClaim, s.now)
	if r == nil {
		return false
	}
	r.target, r.session = x, x.id
	return s.sendOwn(r, 0)
}

// destroyAbandoned destroys sessions that nobody wants.
func (s *server) destroyAbandoned() {
	for id := range s.abandoned {
		delete(s.abandoned, id)
		if s.sessions[id] == nil {
			s.destroyOwn(id)
		}
	}
}

// claimed takes Janus's answer to the claim of a session.
func (s *server) claimed(r *request, verb janusjson.Verb) {
	x := r.target
	switch {
	case x.phase == over:
	case verb != janusjson.VerbSuccess:
		s.log.Warn("session not claimed", "session", x.id, "error", s.janusError())
		s.notClaimed(x)
	case x.phase == adopting:
		s.keepSoon(x)
		s.adopted(x)
	default:
		s.keepSoon(x)
	}
	if s.stage != claiming {
		return
	}
	if s.owed--; s.owed == 0 {
		s.serve()
	}
}

// serve begins to work, or goes on.
func (s *server) serve() {
	s.stage = serving
	state := s.info.protection()
	if state == messages.JanusUnprotected {
		s.log.Warn("calls will not survive a restart of this role: Janus's reclaim_session_timeout is too short",
			"seconds", s.info.Reclaim, "wanted", safeReclaim.Seconds())
	}
	s.log.Info("Janus is up", "janus", s.info.Name, "version", s.info.Version, "sessions", len(s.sessions), "handles", len(s.ours))
	s.wheel.Disarm(&s.hopeTimer)
	s.setStatus(state, time.Now())
	if s.hope {
		s.tellGap()
	} else {
		s.tellCluster(messages.EventServerUp, "")
	}
	s.hope = false
	s.beat()
	s.unhold()
}

// tellGap tells the owners of all sessions that what Janus said for a while is lost.
func (s *server) tellGap() {
	for id, x := range s.sessions {
		for h := x.handles; h != nil; h = h.next {
			h.assumed = h.assumed || h.live || h.negotiated
		}
		if x.phase == ready && x.count > 0 {
			s.event(id, 0, messages.AppendNotice(nil, messages.VerbGap, id, 0, ""))
		}
	}
}

// sendOwn sends a request of our own: about r.session, with a create about r.target, and about a handle of Janus unless
// that is 0. A connection that does not take it is about to end.
func (s *server) sendOwn(r *request, handle uint64) bool {
	verb := r.verb.String()
	r.transaction = janusjson.AppendQuoted(r.transaction[:0], verb)
	s.text = append(s.text[:0], `{"janus":"`...)
	s.text = append(s.text, verb...)
	s.text = append(s.text, `","transaction":`...)
	s.text = r.appendTransaction(s.text)
	field := func(name string, id uint64) {
		s.text = append(s.text, name...)
		s.text = janusjson.AppendUint(s.text, id)
	}
	if r.verb == janusjson.VerbCreate {
		field(`,"id":`, r.target.id)
	}
	if r.session != 0 {
		field(`,"session_id":`, r.session)
	}
	if handle != 0 {
		field(`,"handle_id":`, handle)
	}
	if s.secret != nil {
		s.text = append(s.text, `,"apisecret":`...)
		s.text = append(s.text, s.secret...)
	}
	s.text = append(s.text, '}')
	if s.write() == nil {
		return true
	}
	s.flight.free(s.flight.take(r.prefix))
	return false
}

// write gives s.text to Janus.
func (s *server) write() error {
	if s.link == nil {
		return janusapi.ErrClosed
	}
	return s.link.Send(s.text)
}

// tellCluster tells whoever listens for analytics that Janus came or went.
func (s *server) tellCluster(what, reason string) {
	e := messages.Event{Type: what, Time: time.Now(), Node: s.member.Name, Server: s.member.Name, Reason: reason}
	data, err := json.Marshal(e)
	if err == nil {
		err = s.publish(e.Subject(), "", data)
	}
	if err != nil {
		s.metrics.drop("event_disconnected")
	}
}

// stop ends the actor. Janus keeps the sessions for the role's successor to claim.
func (s *server) stop() {
	s.stopped = true
	s.wheel.Disarm(&s.tickTimer)
	s.wheel.Disarm(&s.hopeTimer)
	s.wheel.Disarm(&s.idleTimer)
	for _, x := range s.sessions {
		s.wheel.Disarm(&x.timer)
	}
	if s.link != nil {
		s.link.Close()
	}
}

// checkIdle tells who wants to stop that no client's request is under way, that Janus has nothing more to say to what it
// acknowledged, and that clients have what it said: plugins answer behind their acknowledgements, what they say when nobody listens is
// lost, and so is, with this memory, what did not arrive.
func (s *server) checkIdle() {
	if s.idle == nil || len(s.memory.running) > 0 || len(s.held) > 0 {
		return
	}
	now := time.Now()
	if s.answered.IsZero() {
		s.answered = now
	}
	talks := s.link != nil && now.Sub(s.heard) < quietTime
	if (talks || s.undelivered.count > 0) && now.Sub(s.answered) < talkTime {
		s.wheel.Arm(&s.idleTimer, quietTime/2, func() { s.tell(idleDue{}) })
		return
	}
	close(s.idle)
	s.idle = nil
}
