// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

const (
	// errandTime bounds an errand. An edge waits 30 s for the answer to a request that came over a WebSocket.
	errandTime = 25 * time.Second
	// maxErrands is how many errands of a node are under way; others wait for their turn.
	maxErrands = 1024
	// askEvery is when a question to the owner of a room is repeated: a former owner may have taken it to its grave.
	askEvery = 500 * time.Millisecond
	// askPause is the time before somebody is asked again who was not there.
	askPause = 50 * time.Millisecond
)

// errands are what a node does for its actors that takes time: questions to others, one after the other. An actor never
// blocks; the outcome comes to it as a message.
type errands struct {
	ctx   context.Context // ends with the node
	stop  context.CancelFunc
	slots chan struct{}
	work  sync.WaitGroup
}

func newErrands() *errands {
	ctx, stop := context.WithCancel(context.Background())
	return &errands{ctx: ctx, stop: stop, slots: make(chan struct{}, maxErrands)}
}

// close ends what is under way.
func (e *errands) close() {
	e.stop()
	e.work.Wait()
}

// errand runs f, for errandTime at the most, and tells the actor what it returns.
func (n *Node) errand(to *actor.PID, f func(ctx context.Context) any) {
	n.errands.work.Go(func() {
		ctx, cancel := context.WithTimeout(n.errands.ctx, errandTime)
		defer cancel()
		select {
		case n.errands.slots <- struct{}{}:
			defer func() { <-n.errands.slots }()
		case <-ctx.Done():
		}
		outcome := f(ctx)
		if n.errands.ctx.Err() == nil {
			n.tell(to, outcome)
		}
	})
}

// askSteward puts a request to a plugin of a media server's Janus, again and again: a request with an ID is run once, one
// without does no harm. It blocks until there is an answer, the server is lost (errServerGone), it was restarted and may have run
// the request before (errOutcome), or ctx ends. A request with an ID waits for a media server that falls silent.
func (n *Node) askSteward(ctx context.Context, server messages.Member, q messages.PluginRequest) (messages.PluginReply, error) {
	var reply messages.PluginReply
	data, err := json.Marshal(q)
	if err != nil {
		return reply, err
	}
	taken, until := false, time.Time{}
	for {
		try, cancel := context.WithTimeout(ctx, askEvery)
		m, err := n.Bus.Request(try, messages.MediaPlugin(server), data)
		cancel()
		if err == nil {
			return reply, json.Unmarshal(m.Data, &reply)
		}
		taken = taken || !errors.Is(err, bus.ErrNoResponders)
		switch n.fateOf(server) {
		case fateUp:
			until = time.Time{}
		case fateSilent:
			if until.IsZero() {
				until = time.Now().Add(n.MediaGrace)
			}
			if q.ID == "" || time.Now().After(until) {
				return reply, fmt.Errorf("%w: %w", errServerGone, err)
			}
		case fateRestarted:
			if taken && q.ID != "" {
				return reply, errOutcome
			}
			return reply, fmt.Errorf("%w: %w", errServerGone, err)
		case fateLost:
			return reply, fmt.Errorf("%w: %w", errServerGone, err)
		}
		if ctx.Err() != nil || q.ID == "" && !errors.Is(err, context.DeadlineExceeded) {
			return reply, err
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			bus.Pause(ctx, askPause)
		}
	}
}

var (
	// errServerGone says that a media server, or its Janus, is not there any more. What it was asked is of no consequence.
	errServerGone = errors.New("media server is lost")
	// errOutcome says that a media server was restarted beside a Janus that may have run a request.
	errOutcome = errors.New("media server was restarted")
)

// fate is what has become of a media server.
type fate uint8

const (
	fateUp        fate = iota
	fateSilent         // it is not heard; its Janus may live
	fateRestarted      // another incarnation is heard; its Janus may have lived on
	fateLost           // its Janus is lost
)

func (n *Node) fateOf(server messages.Member) fate {
	now, serves, heard := n.server(server.Name)
	switch {
	case !heard:
		return fateSilent
	case now != server:
		return fateRestarted
	case !serves:
		return fateLost
	}
	return fateUp
}

// askRoom asks the owner of a room, again and again while the room changes hands. It blocks until there is an answer or ctx
// ends, which is an answer with an error as well.
func (n *Node) askRoom(ctx context.Context, name messages.RoomName, ask messages.RoomAsk) messages.RoomAnswer {
	data, err := json.Marshal(ask)
	if err != nil {
		return messages.RoomAnswer{Error: messages.Errorf(messages.CodeUnknown, "Request for a room not understood")}
	}
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, askEvery)
		m, err := n.Bus.Request(try, name.Subject(), data)
		cancel()
		var answer messages.RoomAnswer
		if err == nil && json.Unmarshal(m.Data, &answer) == nil && !answer.Retry {
			return answer
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			bus.Pause(ctx, askPause)
		}
	}
	n.Log.Warn("room has no owner that answers", "plugin", name.Plugin, "room", name.Key)
	return messages.RoomAnswer{Error: messages.Errorf(messages.CodeUnknown, "The owner of the room does not answer")}
}

// gatherTime is how long all Janus are waited for when all are asked. One that hangs is known to after a few seconds, and not
// asked any more; one that is busy may have what the others have not.
const gatherTime = 5 * time.Second

// fromServer is what one media server answered.
type fromServer struct {
	server messages.Member
	data   json.RawMessage
	err    *messages.Error
}

// askAll puts a request to a plugin of every Janus that serves it, and waits for gatherTime at the most. Who could not be
// asked, or did not answer, is in missing.
func (n *Node) askAll(ctx context.Context, servers []messages.Member, q messages.PluginRequest) (answers []fromServer, missing []messages.Member) {
	ctx, cancel := context.WithTimeout(ctx, gatherTime)
	defer cancel()
	all := make([]*fromServer, len(servers))
	var work sync.WaitGroup
	for i, server := range servers {
		work.Go(func() {
			reply, err := n.askSteward(ctx, server, q)
			if err == nil && reply.Refused.IsZero() {
				all[i] = &fromServer{server, reply.Data, reply.Error}
			} else {
				n.Log.Warn("media server not asked", "server", server.Name, "plugin", q.Plugin, "error", err)
			}
		})
	}
	work.Wait()
	for i, a := range all {
		if a == nil {
			missing = append(missing, servers[i])
			continue
		}
		answers = append(answers, *a)
	}
	return answers, missing
}

// serving are the media servers whose Janus is up and has the plugin, in the order of their names.
func (n *Node) serving(plugin string) []messages.Member {
	var list []messages.Member
	for _, p := range n.Roster.View().Media() {
		if _, has := p.Beat.Media.Plugins[plugin]; has && !p.Silent && p.Beat.Media.Serves() {
			list = append(list, p.Beat.Member)
		}
	}
	return list
}

// takes reports whether a media server can be given something new for a plugin.
func (n *Node) takes(server messages.Member, plugin string) bool {
	p, found := n.Roster.View().Find(messages.RoleMedia, server.Name)
	if !found || p.Beat.Member != server || !p.Takes() || !p.Beat.Media.Serves() {
		return false
	}
	_, has := p.Beat.Media.Plugins[plugin]
	return has
}

// upSince tells since when the Janus of a media server is up; ok is false when it is not, or nobody hears of it.
func (n *Node) upSince(server messages.Member) (since time.Time, ok bool) {
	p, found := n.Roster.View().Find(messages.RoleMedia, server.Name)
	if !found || p.Silent || p.Beat.Member != server || !p.Beat.Media.Serves() {
		return time.Time{}, false
	}
	return p.Beat.Media.Since, true
}
