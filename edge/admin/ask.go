// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/roster"
)

// asked is what one media server answered.
type asked struct {
	server roster.Peer
	messages.AdminResult
}

// callJanus puts a request to the admin API of one Janus.
func (a *Admin) callJanus(ctx context.Context, server messages.Member, verb string, fields members, wait time.Duration) messages.AdminResult {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var r messages.AdminResult
	order, err := json.Marshal(messages.AdminCall{Verb: verb, Fields: fields.object()})
	if err == nil {
		var m *bus.Msg
		if m, err = a.opts.Bus.Request(ctx, messages.MediaAdmin(server), order); err == nil {
			err = json.Unmarshal(m.Data, &r)
		}
	}
	if err != nil {
		r = messages.AdminResult{Failure: "media server does not answer"}
	}
	if r.Failure != "" {
		a.log.Warn("Admin API: Janus not reached", "server", server.Name, "verb", verb, "failure", r.Failure, "error", err)
	}
	return r
}

// callAll puts a request to every Janus, and returns what they answered, by name.
func (a *Admin) callAll(ctx context.Context, verb string, fields members) []asked {
	live := a.live()
	all := make([]asked, len(live))
	var wait sync.WaitGroup
	for i, p := range live {
		wait.Go(func() { all[i] = asked{p, a.callJanus(ctx, p.Beat.Member, verb, fields, patience)} })
	}
	wait.Wait()
	return all
}

// outcomeOf is the reply of one Janus, its members behind the transaction.
func outcomeOf(r messages.AdminResult) outcome {
	switch {
	case r.Failure != "":
		return failed(messages.CodeUnknown, "%s", upper(r.Failure))
	case r.Error != nil:
		return failure(r.Error)
	}
	o := outcome{sessionless: true}
	for _, m := range membersOf(r.Reply) {
		switch m.name {
		case "janus", "transaction":
		case "session_id":
			o.sessionless = false // it is the cluster's, too
		default:
			o.members = append(o.members, m)
		}
	}
	return o
}

// upper begins a text with a capital letter, as errors of Janus do.
func upper(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

// best is the first success, or else the first error of a Janus, or else the first failure.
func best(all []asked) outcome {
	if len(all) == 0 {
		return failure(errNoJanus())
	}
	for _, want := range [...]func(asked) bool{
		func(r asked) bool { return r.Reply != nil },
		func(r asked) bool { return r.Error != nil },
	} {
		if i := slices.IndexFunc(all, want); i >= 0 {
			return outcomeOf(all[i].AdminResult)
		}
	}
	return outcomeOf(all[0].AdminResult)
}

func errNoJanus() *messages.Error {
	return messages.Errorf(messages.CodeUnknown, "No media server can be asked")
}

// askOwner asks the owner of a session. Another node may be about to take it over, and binding a handle may take as long as several
// media servers do.
func (a *Admin) askOwner(ctx context.Context, session, handle uint64, order messages.AdminOrder) messages.AdminAnswer {
	ctx, cancel := context.WithTimeout(ctx, longPatience)
	defer cancel()
	data, err := json.Marshal(order)
	for again := false; err == nil; again = true {
		var answer messages.AdminAnswer
		if answer, err = a.tryOwner(ctx, messages.AdminSubject(session, handle), data, order.Act); err == nil {
			if again && doneBefore(order.Act, answer.Error) {
				answer.Error = nil
			}
			return answer
		}
		if len(a.nodes()) > 0 && bus.Pause(ctx, ownerRetry) {
			err = nil // the session is changing hands, perhaps
		}
	}
	a.log.Warn("Admin API: owner not reached", "session", session, "error", err)
	return messages.AdminAnswer{Error: messages.Errorf(messages.CodeUnknown, "The session's owner does not answer")}
}

// doneBefore reports whether the answer to a second try tells that the first one was carried out, though its answer got lost: what
// was to go is gone.
func doneBefore(act messages.AdminAct, e *messages.Error) bool {
	switch {
	case e == nil:
		return false
	case act == messages.AdminDestroy:
		return e.Code == messages.CodeSessionNotFound
	case act == messages.AdminDetach:
		return e.Code == messages.CodeSessionNotFound || e.Code == messages.CodeHandleNotFound
	}
	return false
}

const (
	// ownerRetry is the time between two tries to reach the owner of a session.
	ownerRetry = 100 * time.Millisecond
	// ownerPatience is how long one try may take: an owner that is alive answers at once.
	ownerPatience = time.Second
)

// tryOwner puts an order to an owner once.
func (a *Admin) tryOwner(ctx context.Context, subject string, order []byte, act messages.AdminAct) (answer messages.AdminAnswer, err error) {
	if act != messages.AdminBind {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, ownerPatience)
		defer cancel()
	}
	m, err := a.opts.Bus.Request(ctx, subject, order)
	if err == nil {
		err = json.Unmarshal(m.Data, &answer)
	}
	return answer, err
}

// sessions are the ids of all sessions, in order. What nodes that do not answer own is left out, and logged.
func (a *Admin) sessions(ctx context.Context) []uint64 {
	found := make(chan []uint64)
	var wait sync.WaitGroup
	for _, p := range a.nodes() {
		wait.Go(func() {
			sessions, err := a.askNode(ctx, p, messages.NodeOrder{})
			if err != nil {
				a.log.Warn("Admin API: sessions of a node are missing", "node", p.Name, "error", err)
			}
			found <- sessions
		})
	}
	go func() {
		wait.Wait()
		close(found)
	}()
	var all []uint64
	for sessions := range found {
		all = append(all, sessions...)
	}
	slices.Sort(all)
	return slices.Compact(all) // a session that changes hands may be named by both
}

// nodes are the session nodes that can be asked.
func (a *Admin) nodes() []messages.Member {
	var all []messages.Member
	for _, p := range a.opts.Roster.View().Nodes() {
		if !p.Silent {
			all = append(all, p.Beat.Member)
		}
	}
	return all
}

func (a *Admin) askNode(ctx context.Context, node messages.Member, order messages.NodeOrder) ([]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	data, err := json.Marshal(order)
	if err != nil {
		return nil, err
	}
	var all []uint64
	var malformed error
	err = a.opts.Bus.RequestMany(ctx, messages.NodeAdmin(node), data, func(m *bus.Msg) bool {
		var part messages.NodeSessions
		malformed = json.Unmarshal(m.Data, &part)
		all = append(all, part.Sessions...)
		return !part.Last && malformed == nil
	})
	return all, errors.Join(err, malformed)
}
