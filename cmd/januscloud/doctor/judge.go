// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/januscloud/januscloud/messages"
)

const (
	// maxSkew is what a clock may differ: epochs are drawn from clocks, and records and logs are compared by them.
	maxSkew = 500 * time.Millisecond
	// aheadSlack is how far in our future a start may lie before the clock there is held for wrong.
	aheadSlack = time.Second
	// fewDescriptors is where a server of many connections soon meets its limit (systemd's default hard limit is 524,288).
	fewDescriptors = 65536
)

// judge makes a report of facts.
func judge(f *facts) *Report {
	r := &Report{Members: members(f), Findings: []Finding{}}
	judgeNATS(r, f.nats)
	judgeClocks(r, f)
	judgeRoles(r, f)
	judgeNames(r, f)
	judgePartitions(r, f)
	for _, b := range f.beats {
		if b.Media != nil {
			judgeMedia(r, b, f)
		}
	}
	judgeVersions(r, f)
	judgeDescriptors(r, f.nofile)
	return r
}

func members(f *facts) []Member {
	list := make([]Member, len(f.beats))
	for i, b := range f.beats {
		list[i] = Member{
			Role: b.Role, Name: b.Member.Name, State: b.State, Host: b.Host, Region: b.Region, Load: b.Load, Does: does(b),
		}
		if start, ok := started(b.Member); ok {
			list[i].Up = max(0, f.now.Sub(start))
		}
	}
	return list
}

// does says what a member serves.
func does(b messages.Beat) string {
	switch {
	case b.Edge != nil:
		return strings.TrimSpace(fmt.Sprintf("%d connections %s %s", b.Edge.Connections, b.Edge.WS, b.Edge.HTTP))
	case b.Session != nil:
		owned := 0
		for _, o := range b.Session.Owned {
			owned += o.Partitions.Len()
		}
		return fmt.Sprintf("%d sessions, %d partitions", b.Session.Sessions, owned)
	case b.Media != nil:
		return fmt.Sprintf("%d handles, Janus %s %s %s", b.Media.Handles, b.Media.JanusName, b.Media.Version, b.Media.Janus)
	}
	return ""
}

// started is the start of an incarnation, which begins with it (messages.NewIncarnation).
func started(m messages.Member) (time.Time, bool) {
	const random = 4
	if len(m.Inc) <= random {
		return time.Time{}, false
	}
	ms, err := strconv.ParseInt(m.Inc[:len(m.Inc)-random], 36, 64)
	return time.UnixMilli(ms), err == nil
}

func judgeNATS(r *Report, n natsFacts) {
	r.add(OK, "nats", "", "%s, %s of version %s, round trip %v", n.url, n.server, n.version, n.rtt.Round(time.Microsecond))
	switch {
	case n.jetStream != nil:
		r.add(Wrong, "jetstream", "turn JetStream on (nats-server -js), for the account of januscloud; two of three servers must run",
			"does not answer: %v", n.jetStream)
		return
	case n.replicas == 0:
		r.add(Note, "jetstream", "", "answers; no session role has stored anything yet")
	default:
		r.add(OK, "jetstream", "", "answers; %s of the session records", copies(n.replicas))
	}
	switch {
	case n.servers < 3:
		r.add(Note, "nats", "three servers with JetStream survive the loss of any one", "%d known server(s)", n.servers)
	case n.replicas == 1:
		r.add(Note, "jetstream", "start a session role while all servers run: it raises the number of copies",
			"one copy of the session records on %d servers", n.servers)
	}
}

func copies(n int) string {
	if n == 1 {
		return "one copy"
	}
	return fmt.Sprintf("%d copies", n)
}

func judgeClocks(r *Report, f *facts) {
	if n := f.nats; n.skewKnown {
		level, advice := OK, ""
		if n.skew.Abs()-n.skewError > maxSkew {
			level, advice = Wrong, "run NTP on all hosts"
		}
		r.add(level, "clock", advice, "this host and NATS differ by %v (± %v)", n.skew.Round(time.Millisecond), n.skewError.Round(time.Millisecond))
	}
	for _, b := range f.beats {
		if start, ok := started(b.Member); ok && start.Sub(f.now) > aheadSlack {
			r.add(Wrong, "clock "+b.Member.Name, "run NTP on all hosts", "the %s role says it started %v from now: its clock is ahead of this host's, or was",
				b.Role, start.Sub(f.now).Round(time.Millisecond))
		}
	}
}

func judgeRoles(r *Report, f *facts) {
	for _, role := range []messages.Role{messages.RoleEdge, messages.RoleSession, messages.RoleMedia} {
		ready, other := 0, []string{}
		for _, b := range f.beats {
			switch {
			case b.Role != role:
			case b.State == messages.StateReady:
				ready++
			default:
				other = append(other, b.Member.Name+" is "+string(b.State))
			}
		}
		switch {
		case ready == 0:
			r.add(Wrong, string(role), "start one: januscloud "+string(role), "%s", strings.Join(append([]string{"none is ready"}, other...), "; "))
		case len(other) > 0:
			r.add(Note, string(role), "", "%d ready; %s", ready, strings.Join(other, "; "))
		case ready == 1:
			r.add(Note, string(role), "", "one is ready: nothing takes over from it")
		default:
			r.add(OK, string(role), "", "%d are ready", ready)
		}
	}
	if f.unreadable > 0 {
		r.add(Wrong, "heartbeats", "all processes of a cluster must be of versions that go together", "%d were not understood", f.unreadable)
	}
}

// judgeNames finds two living members of one name.
func judgeNames(r *Report, f *facts) {
	for i, b := range f.beats[:max(0, len(f.beats)-1)] {
		next := f.beats[i+1]
		if next.Role == b.Role && next.Member.Name == b.Member.Name {
			r.add(Wrong, "names", "stop one of them: the older is not heard by others",
				"two %s roles are called %s: on %s and %s", b.Role, b.Member.Name, dash(b.Host), dash(next.Host))
		}
	}
}

// judgePartitions finds partitions that nobody serves, or two.
func judgePartitions(r *Report, f *facts) {
	owners := map[int][]string{}
	nodes := 0
	for _, b := range f.beats {
		if b.Session == nil {
			continue
		}
		nodes++
		for _, o := range b.Session.Owned {
			for p := range o.Partitions.All() {
				owners[p] = append(owners[p], b.Member.Name)
			}
		}
	}
	if nodes == 0 {
		return
	}
	var none, several messages.PartitionSet
	between := map[string]bool{}
	for p := range messages.Partitions {
		switch len(owners[p]) {
		case 0:
			none.Add(p)
		case 1:
		default:
			several.Add(p)
			between[strings.Join(owners[p], " and ")] = true
		}
	}
	if none.Len() > 0 {
		r.add(Wrong, "partitions", "look again in some seconds: a take-over may be under way", "%d have no owner: %v", none.Len(), none)
	}
	if several.Len() > 0 {
		r.add(Note, "partitions", "look again in some seconds: a hand-over may be under way",
			"%d are announced by more than one: %s", several.Len(), strings.Join(keys(between), "; "))
	}
	if none.Len() == 0 && several.Len() == 0 {
		r.add(OK, "partitions", "", "all %d have one owner", messages.Partitions)
	}
}

func judgeMedia(r *Report, b messages.Beat, f *facts) {
	what := "media " + b.Member.Name
	m := b.Media
	if !m.Serves() {
		r.add(Wrong, what, "look at the Janus and at the log of its media role", "its Janus is %s since %s", m.Janus, m.Since.Local().Format(time.DateTime))
		return
	}
	told, asked := f.janus[b.Member]
	switch {
	case asked && told.err != nil:
		r.add(Wrong, what, "", "its Janus does not tell its info: %v", told.err)
		return
	case m.Janus == messages.JanusUnprotected:
		r.add(Wrong, what, "set reclaim_session_timeout = 60 or more in the general section of janus.jcfg",
			"unprotected: its Janus keeps the sessions of a lost connection for %d s, so calls may not survive the media role", told.Reclaim)
	default:
		r.add(OK, what, "", "Janus %s %s, %d plugins, %d handles", m.JanusName, m.Version, len(m.Plugins), m.Handles)
	}
	if asked && told.EventLoops == 0 {
		r.add(Note, what, "set event_loops (to the number of processors) in the general section of janus.jcfg",
			"no event_loops: each handle costs its Janus a thread and a descriptor, and Janus aborts when descriptors run out")
	}
	if m.MaxHandles > 0 && m.Handles*10 > m.MaxHandles*9 {
		r.add(Note, what, "add a Janus", "%d of at most %d handles", m.Handles, m.MaxHandles)
	}
}

func judgeVersions(r *Report, f *facts) {
	versions := map[string]bool{}
	for _, b := range f.beats {
		if b.Media != nil && b.Media.Version != "" {
			versions[b.Media.Version] = true
		}
	}
	if len(versions) > 1 {
		r.add(Note, "versions", "plugins may behave differently between them", "the Janus are of versions %s", strings.Join(keys(versions), ", "))
	}
}

func judgeDescriptors(r *Report, limit uint64) {
	switch {
	case limit == 0:
	case limit < fewDescriptors:
		r.add(Note, "descriptors", "raise LimitNOFILE, or ulimit -n, for edges (one per client) and Janus",
			"this shell allows %d open files", limit)
	default:
		r.add(OK, "descriptors", "", "this shell allows %d open files", limit)
	}
}

func keys(set map[string]bool) []string {
	list := make([]string, 0, len(set))
	for k := range set {
		list = append(list, k)
	}
	slices.SortFunc(list, cmp.Compare[string])
	return list
}
