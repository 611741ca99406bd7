// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/januscloud/januscloud/scripts/lab"
	"github.com/januscloud/januscloud/scripts/lab/chaos/ledger"
)

const (
	dialTime = time.Second
	// answerTime is how long a reply is waited for: longer than an edge waits before it answers by itself.
	answerTime = 35 * time.Second
	// redialTime stands between two attempts to connect.
	redialTime = 30 * time.Millisecond

	codeNoSession = 458
	codeNoHandle  = 459
)

var (
	errBroken     = errors.New("crowd: the connection ended before the reply")
	errUnanswered = errors.New("crowd: no reply")
	errSession    = errors.New("crowd: the session is gone")
	errHandle     = errors.New("crowd: the handle is gone")
)

// arrival is a message and when it came; without one, the end of the connection.
type arrival struct {
	of      *lab.Client
	message lab.Message
	at      time.Time
	ended   bool
}

// session is one session of the Janus API over WebSocket, on whichever edge lives. One goroutine uses it.
type session struct {
	name   string
	edges  *edges
	home   int // the edge it would rather be on
	at     int // the edge it is on
	ledger *ledger.Ledger

	conn    *lab.Client
	arrived chan arrival
	id      uint64
	handle  uint64
	count   int
	// heard is told of what is neither reply nor numbered event; may be nil.
	heard func(lab.Message)
	// hung is set when the handle lost its Janus, and cleared by whoever has done about it what there is to do.
	hung atomic.Bool
}

func newSession(name string, e *edges, home int) *session {
	return &session{name: name, edges: e, home: home, ledger: ledger.New(name)}
}

// begin makes a session and a handle of a plugin, however often it takes.
func (s *session) begin(ctx context.Context, plugin string) error {
	for {
		err := s.tryBegin(ctx, plugin)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		pause(ctx, 200*time.Millisecond)
	}
}

func (s *session) tryBegin(ctx context.Context, plugin string) error {
	s.id, s.handle = 0, 0
	s.hung.Store(false)
	if s.conn == nil {
		if err := s.connect(ctx); err != nil {
			return err
		}
	}
	reply, err := s.ask(ctx, map[string]any{"janus": "create"}, false)
	if err != nil {
		return err
	}
	s.id = reply.Number("data", "id")
	reply, err = s.ask(ctx, map[string]any{"janus": "attach", "plugin": plugin}, false)
	if err != nil {
		return err
	}
	s.handle = reply.Number("data", "id")
	return nil
}

// connect finds an edge.
func (s *session) connect(ctx context.Context) error {
	for n := 0; ctx.Err() == nil; n++ {
		s.at = s.edges.pick(s.home + n)
		if err := s.dial(ctx); err == nil {
			return nil
		}
		pause(ctx, redialTime)
	}
	return ctx.Err()
}

func (s *session) dial(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	const waiting = 256
	arrived, client, given := make(chan arrival, waiting), (*lab.Client)(nil), make(chan struct{})
	conn, err := lab.DialTo(within, s.edges.all[s.at].WS, func(m lab.Message) {
		<-given
		a := arrival{of: client, message: m, at: time.Now()}
		select {
		case arrived <- a:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return fmt.Errorf("crowd: %w", err)
	}
	client = conn
	close(given)
	down := s.edges.down(s.at)
	go func() { // ends with the connection
		select {
		case <-down:
			conn.Abort()
		case <-ctx.Done():
			conn.Abort()
		case <-conn.Closed():
		}
		select {
		case arrived <- arrival{of: conn, at: time.Now(), ended: true}:
		case <-ctx.Done():
		}
	}()
	s.conn, s.arrived = conn, arrived
	return nil
}

// resume brings the session to another edge.
func (s *session) resume(ctx context.Context) error {
	for {
		s.ledger.Broken(time.Now())
		if err := s.connect(ctx); err != nil {
			return err
		}
		if s.id == 0 {
			s.ledger.Resumed(time.Now())
			return nil
		}
		reply, err := s.reply(ctx, s.send(map[string]any{"janus": "claim"}, false))
		switch {
		case err == nil && reply.Error == nil:
			s.ledger.Resumed(time.Now())
			return nil
		case err == nil && reply.Error.Code == codeNoSession:
			return s.lost("claim: " + reply.Error.Error())
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, errBroken):
			s.hangUp(ctx)
			pause(ctx, redialTime)
		}
	}
}

// hangUp ends the connection and takes what had come by then.
func (s *session) hangUp(ctx context.Context) {
	go s.conn.Abort() // waits until what was received is taken
	for {
		select {
		case a := <-s.arrived:
			if a.ended {
				return
			}
			s.take(a)
		case <-ctx.Done():
			return
		}
	}
}

func (s *session) lost(why string) error {
	s.ledger.SessionLost(fmt.Sprintf("session %d: %s", s.id, why), time.Now())
	s.id, s.handle = 0, 0
	return errSession
}

// send writes a request, with the session's ids where it has any.
// That the connection has ended is learnt from what arrives.
func (s *session) send(request map[string]any, event bool) (transaction string) {
	s.count++
	transaction = fmt.Sprintf("%s-%d", s.name, s.count)
	request["transaction"] = transaction
	if s.id != 0 {
		request["session_id"] = s.id
	}
	if s.handle != 0 && request["janus"] == "message" {
		request["handle_id"] = s.handle
	}
	s.ledger.Sent(transaction, event, time.Now())
	_ = s.conn.Write(request)
	return transaction
}

// ask sends a request and waits for its reply. event: the plugin answers, too. Where the connection ends first the session is on
// another one when errBroken is returned.
func (s *session) ask(ctx context.Context, request map[string]any, event bool) (lab.Message, error) {
	reply, err := s.reply(ctx, s.send(request, event))
	switch {
	case errors.Is(err, errBroken):
		if again := s.resume(ctx); again != nil {
			return reply, again
		}
	case err != nil || reply.Error == nil:
	case reply.Error.Code == codeNoSession:
		err = s.lost(reply.Error.Error())
	case reply.Error.Code == codeNoHandle:
		s.ledger.Wrong(reply.Error.Error())
		err = errHandle
	default:
		err = reply.Error
	}
	return reply, err
}

// reply waits for the direct answer to a request and takes everything else meanwhile.
func (s *session) reply(ctx context.Context, transaction string) (lab.Message, error) {
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	for {
		select {
		case a := <-s.arrived:
			if a.ended {
				return lab.Message{}, errBroken
			}
			s.take(a)
			if a.message.IsReply() && a.message.Transaction == transaction {
				return a.message, nil
			}
		case <-timer.C:
			s.ledger.Unanswered(transaction, time.Now())
			return lab.Message{}, errUnanswered
		case <-ctx.Done():
			return lab.Message{}, ctx.Err()
		}
	}
}

// rest takes what comes until one of the channels has something; which says which, an error that the session is gone.
func (s *session) rest(ctx context.Context, timer <-chan time.Time, rung <-chan struct{}) error {
	for {
		select {
		case a := <-s.arrived:
			if !a.ended {
				s.take(a)
				continue
			}
			if err := s.resume(ctx); err != nil {
				return err
			}
		case <-timer:
			return nil
		case <-rung:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take files what came.
func (s *session) take(a arrival) {
	m := a.message
	switch {
	case m.IsReply():
		code, reason := 0, ""
		if m.Error != nil {
			code, reason = m.Error.Code, m.Error.Reason
		}
		s.ledger.Replied(m.Transaction, code, reason, a.at)
		return
	case m.Janus == "event" && m.Transaction != "":
		s.ledger.Event(m.Transaction, a.at)
	case m.Janus == "hangup" && m.Handle == s.handle:
		s.hung.Store(true)
		s.ledger.HungUp(m.Text("reason"), a.at)
	case m.Janus == "timeout":
		s.ledger.Wrong("the session timed out")
	}
	if s.heard != nil {
		s.heard(m)
	}
}

// goHome brings the session back to the edge it would rather be on, once that answers.
func (s *session) goHome(ctx context.Context) error {
	if s.at == s.home || s.edges.pick(s.home) != s.home || s.ledger.Clean(time.Time{}) != "" {
		return nil
	}
	s.hangUp(ctx)
	return s.resume(ctx)
}

// close ends the connection; what still comes is nobody's.
func (s *session) close() {
	if s.conn != nil {
		go s.conn.Abort()
	}
}
