// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/messages/settings"
)

// general answers what names no session.
func (a *Admin) general(ctx context.Context, r *request) outcome {
	if r.verb == "set_libnice_debug" && len(a.live()) > 0 {
		return a.setWhereKnown(ctx, r)
	}
	if e := validate(r.Object, parametersOf(r.verb)); e != nil {
		return failure(e)
	}
	switch r.verb {
	case "get_status":
		return a.status(ctx)
	case "set_session_timeout", "accept_new_sessions":
		return a.setForSessions(ctx, r)
	case "set_log_level", "set_locking_debug", "set_refcount_debug", "set_log_timestamps", "set_log_colors", "set_libnice_debug",
		"set_min_nack_queue", "set_nack_optimizations", "set_no_media_timer", "set_slowlink_threshold":
		return a.setForAll(ctx, r)
	case "list_sessions":
		list, err := json.Marshal(append([]uint64{}, a.sessions(ctx)...))
		if err != nil {
			return failed(messages.CodeUnknown, "Error processing request")
		}
		return success(member{"sessions", list})
	case "message_plugin":
		return a.messagePlugin(ctx, r)
	case "query_transport":
		return a.queryTransport(r)
	case "query_eventhandler", "query_logger":
		return best(a.callAll(ctx, r.verb, r.fields()))
	case "custom_event":
		return a.askOne(ctx, r, patience)
	case "custom_logline":
		return a.logLine(r)
	case "resolve_address", "test_stun":
		return a.askOne(ctx, r, longPatience)
	case "loops_info":
		return a.loops(ctx)
	case "add_token", "allow_token", "disallow_token", "remove_token", "list_tokens":
		return a.tokens(ctx, r)
	}
	return unhandled(r)
}

// info is the answer to an info request, as the Janus API of this edge gives it.
func (a *Admin) info(transaction []byte) []byte {
	if a.opts.Info == nil {
		return messages.Reply{Transaction: transaction}.AppendError(nil, errNoJanus())
	}
	return a.opts.Info(nil, transaction)
}

// status is get_status: what is set for sessions is the cluster's, the rest that of a Janus; it is set at all alike.
func (a *Admin) status(ctx context.Context) outcome {
	of := membersOf(nil)
	for _, p := range a.live() {
		r := a.callJanus(ctx, p.Beat.Member, "get_status", nil, patience)
		if r.Reply != nil {
			of = membersOf(membersOf(r.Reply).get("status"))
			break
		}
	}
	of = of.set("token_auth", strconv.AppendBool(nil, a.opts.TokenAuth))
	of = of.set("session_timeout", seconds(a.opts.Rules.SessionTimeout(a.opts.SessionTimeout)))
	of = of.set("reclaim_session_timeout", seconds(a.opts.ReclaimTimeout))
	return success(member{"status", of.object()})
}

func seconds(d time.Duration) []byte { return strconv.AppendInt(nil, int64(d/time.Second), 10) }

// setForSessions keeps a setting that session nodes heed, and tells them.
func (a *Admin) setForSessions(ctx context.Context, r *request) outcome {
	s := messages.Setting{Verb: r.verb}
	var echo member
	if r.verb == settings.AcceptNewSessions {
		echo = member{"accept", strconv.AppendBool(nil, r.Get("accept").Bool())}
	} else {
		n, _ := r.Get("timeout").Int()
		if int32(n) < 0 { // Janus keeps 32 bits of it
			return failure(messages.ErrElementType("timeout", "a positive integer"))
		}
		echo = member{"timeout", strconv.AppendInt(nil, int64(int32(n)), 10)}
	}
	s.Fields = members{echo}.object()
	if e := a.keep(ctx, &s); e != nil {
		return failure(e)
	}
	a.opts.Rules.Heed(s)
	a.tellNodes(ctx, s)
	a.spread(ctx, s)
	return success(echo)
}

// tellNodes tells every session node of a setting. One that does not answer hears of it by the bucket.
func (a *Admin) tellNodes(ctx context.Context, s messages.Setting) {
	var wait sync.WaitGroup
	for _, node := range a.nodes() {
		wait.Go(func() {
			if _, err := a.askNode(ctx, node, messages.NodeOrder{Setting: &s}); err != nil {
				a.log.Warn("Admin API: setting not told to a node", "node", node.Name, "verb", s.Verb, "error", err)
			}
		})
	}
	wait.Wait()
}

// spread waits until the info of every edge that is heard tells of a setting, but no longer than spreadTime.
func (a *Admin) spread(ctx context.Context, s messages.Setting) {
	ctx, cancel := context.WithTimeout(ctx, spreadTime)
	defer cancel()
	check := time.NewTicker(spreadCheck)
	defer check.Stop()
	for {
		behind := a.opts.Roster.View().EdgesBehind(s.Revision, func(b *messages.EdgeBeat) *uint64 { return b.Settings })
		if behind == nil {
			return
		}
		select {
		case <-ctx.Done():
			a.log.Warn("Admin API: setting not heard of everywhere yet", "edges", behind, "verb", s.Verb)
			return
		case <-check.C:
		}
	}
}

// keep stores a setting for those who join later.
func (a *Admin) keep(ctx context.Context, s *messages.Setting) *messages.Error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var err error
	if s.Revision, err = settings.Put(ctx, a.opts.Bus, *s); err != nil {
		a.log.Error("Admin API: setting not stored", "verb", s.Verb, "error", err)
		return messages.Errorf(messages.CodeUnknown, "The setting could not be stored")
	}
	return nil
}

// setForAll sets something at every Janus, and keeps it for those that join later. What every Janus refuses is not kept.
func (a *Admin) setForAll(ctx context.Context, r *request) outcome {
	if r.verb == "set_log_level" {
		n, _ := r.Get("level").Int()
		if int32(n) < 0 || int32(n) > 7 {
			return failed(messages.CodeInvalidElementType, "Invalid element type (level should be between 0 and 7)")
		}
	}
	wanted := wantedBy(r)
	all := a.callAll(ctx, r.verb, wanted)
	out := best(all)
	if len(all) == 0 {
		out = success(member{echoName(wanted[0].name, r.verb), wanted[0].value})
	}
	if out.err != nil {
		return out
	}
	return a.keepForAll(ctx, r, out)
}

// keepForAll keeps what Janus made of a setting: of some numbers it takes 16 bits.
func (a *Admin) keepForAll(ctx context.Context, r *request, out outcome) outcome {
	wanted := wantedBy(r)
	for i := range wanted {
		if made := out.members.get(echoName(wanted[i].name, r.verb)); made != nil {
			wanted[i].value = made
		}
	}
	s := messages.Setting{Verb: r.verb, Fields: wanted.object()}
	if e := a.keep(ctx, &s); e != nil {
		return failure(e)
	}
	a.spread(ctx, s)
	return out
}

// setWhereKnown sets what only some versions of Janus know (set_libnice_debug is gone in 1.3.2): they say whether there is
// such a verb at all, before they say what is wrong with it.
func (a *Admin) setWhereKnown(ctx context.Context, r *request) outcome {
	out := best(a.callAll(ctx, r.verb, r.fields()))
	switch {
	case out.err != nil && out.err.Code == messages.CodeInvalidRequestPath:
		return unhandled(r) // in the words of who asked
	case out.err != nil:
		return out
	}
	return a.keepForAll(ctx, r, out)
}

// wantedBy are the parameters of a setting.
func wantedBy(r *request) (wanted members) {
	for _, p := range parametersOf(r.verb) {
		wanted = append(wanted, member{p.name, r.Get(p.name).Bytes()})
	}
	return wanted
}

// echoName is what Janus calls a setting in its reply.
func echoName(parameter, verb string) string {
	switch parameter {
	case "debug":
		return verb[len("set_"):]
	case "timestamps", "colors":
		return "log_" + parameter
	case "nack_optimizations":
		return "nack-optimizations"
	}
	return parameter
}

// askOne puts a request to one Janus that can be asked, to the next one if that is not reached.
func (a *Admin) askOne(ctx context.Context, r *request, wait time.Duration) outcome {
	out := failure(errNoJanus())
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for _, p := range a.live() {
		answer := a.callJanus(ctx, p.Beat.Member, r.verb, r.fields(), wait)
		if out = outcomeOf(answer); answer.Failure == "" {
			break
		}
	}
	return out
}

// logLine writes a line to the log of this edge.
func (a *Admin) logLine(r *request) outcome {
	line, _ := r.Get("line").Text()
	level := int64(4)
	if n, ok := r.Get("level").Int(); ok && int32(n) >= 0 && int32(n) <= 7 {
		level = int64(int32(n))
	}
	if level > 0 { // at level 0 Janus writes nothing
		a.log.Log(context.Background(), logLevel(level), line, "by", "custom_logline")
	}
	return plain()
}

// logLevel is a level of Janus as slog has it.
func logLevel(level int64) slog.Level {
	switch {
	case level <= 2: // fatal, error
		return slog.LevelError
	case level == 3:
		return slog.LevelWarn
	case level == 4:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// loops lists the event loops of every Janus, each with the name of its media server: the ids are unique per Janus only.
func (a *Admin) loops(ctx context.Context) outcome {
	all := a.callAll(ctx, "loops_info", nil)
	out := best(all)
	if out.err != nil {
		return out
	}
	list := []byte{'['}
	for _, s := range all {
		for _, loop := range elements(membersOf(s.Reply).get("loops")) {
			if len(list) > 1 {
				list = append(list, ',')
			}
			name := janusjson.AppendQuoted(nil, s.server.Beat.Member.Name)
			list = append(list, membersOf(loop).set("server", name).object()...)
		}
	}
	return success(member{"loops", append(list, ']')})
}

// elements takes an array apart; nothing, if it is none.
func elements(array []byte) []json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(array, &list) != nil {
		return nil
	}
	return list
}

// idJSON writes an id as jansson does, which knows signed integers only.
func idJSON(id uint64) []byte {
	if id > math.MaxInt64 {
		return strconv.AppendInt(nil, int64(id), 10)
	}
	return strconv.AppendUint(nil, id, 10)
}
