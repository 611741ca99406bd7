// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

const (
	// listenTime is how long heartbeats are listened to: enough to hear two incarnations of one name.
	listenTime = 5 * messages.BeatInterval
	// askTime bounds each question to NATS or a media role.
	askTime = 3 * time.Second
	// maxMembers bounds what is kept of the heartbeats.
	maxMembers = 10_000
)

// facts are what was found out, before any judgement.
type facts struct {
	now        time.Time
	nats       natsFacts
	beats      []messages.Beat // the latest of every member, by role and name
	unreadable int             // heartbeats that could not be understood
	janus      map[messages.Member]janusFacts
	nofile     uint64 // soft limit of this process
}

type natsFacts struct {
	url, server, version string
	servers              int // known ones
	rtt                  time.Duration
	jetStream            error         // nil: it answers
	replicas             int           // of the session records; 0: there are none yet
	skew, skewError      time.Duration // of the server's clock to ours
	skewKnown            bool
}

// janusFacts are what a media role's Janus says of itself.
type janusFacts struct {
	err        error
	Name       string `json:"server-name"`
	Version    string `json:"version_string"`
	EventLoops int    `json:"static-event-loops"`
	Reclaim    int    `json:"reclaim-session-timeout"` // seconds
}

// Examine looks at the cluster behind a bus. It takes a little over a second, longer where something does not answer.
func Examine(ctx context.Context, b *bus.Bus) (*Report, error) {
	f, err := gather(ctx, b)
	if err != nil {
		return nil, err
	}
	return judge(f), nil
}

// Unreachable is the report when there is no connection to NATS.
func Unreachable(servers string, err error) *Report {
	r := &Report{}
	r.add(Wrong, "nats", "check the address (--nats), the network and the server", "%s cannot be reached: %v", servers, err)
	return r
}

func gather(ctx context.Context, b *bus.Bus) (*facts, error) {
	f := &facts{janus: map[messages.Member]janusFacts{}, nofile: descriptors()}
	if err := f.listen(ctx, b); err != nil {
		return nil, err
	}
	f.askNATS(ctx, b)
	f.askMedia(ctx, b)
	f.now = time.Now()
	return f, nil
}

// listen hears every living member.
func (f *facts) listen(ctx context.Context, b *bus.Bus) error {
	var mu sync.Mutex // guards the map and the count, against the bus's goroutine
	heard := map[messages.Member]messages.Beat{}
	sub, err := b.Listen(messages.Heartbeats, 0, func(m *bus.Msg) {
		beat, err := messages.ParseBeat(m.Data)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			f.unreadable++
		case beat.State == messages.StateLeaving:
			delete(heard, beat.Member)
		case len(heard) < maxMembers:
			heard[beat.Member] = beat
		}
	})
	if err != nil {
		return fmt.Errorf("heartbeats: %w", err)
	}
	timer := time.NewTimer(listenTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		sub.Cancel()
		return ctx.Err()
	}
	sub.Cancel()
	mu.Lock()
	defer mu.Unlock()
	for _, beat := range heard {
		f.beats = append(f.beats, beat)
	}
	slices.SortFunc(f.beats, func(a, b messages.Beat) int {
		return cmp.Or(cmp.Compare(order(a.Role), order(b.Role)), cmp.Compare(a.Member.Name, b.Member.Name), cmp.Compare(a.Member.Inc, b.Member.Inc))
	})
	return nil
}

// order is that in which a request meets the roles.
func order(r messages.Role) int {
	return slices.Index([]messages.Role{messages.RoleEdge, messages.RoleSession, messages.RoleMedia}, r)
}

func (f *facts) askNATS(ctx context.Context, b *bus.Bus) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	nc := b.Conn()
	n := &f.nats
	n.url, n.server, n.version = nc.ConnectedUrlRedacted(), nc.ConnectedServerName(), nc.ConnectedServerVersion()
	n.servers = len(nc.Servers())
	n.rtt, _ = nc.RTT() // 0 where it fails: then the rest does, and says why
	js, err := jetstream.New(nc)
	if err == nil {
		_, err = js.AccountInfo(ctx)
	}
	if n.jetStream = err; err != nil {
		return
	}
	n.askStream(ctx, js)
}

// recordBucket is where session roles keep their records.
const recordBucket = "januscloud_sessions"

// askStream learns from the stream of the session records how many copies there are, and what time it is there.
func (n *natsFacts) askStream(ctx context.Context, js jetstream.JetStream) {
	asked := time.Now()
	stream, err := js.Stream(ctx, "KV_"+recordBucket)
	took := time.Since(asked)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return
	}
	if err != nil {
		n.jetStream = err
		return
	}
	info := stream.CachedInfo()
	n.replicas = info.Config.Replicas
	if !info.TimeStamp.IsZero() {
		n.skewKnown, n.skewError = true, took/2
		n.skew = info.TimeStamp.Sub(asked.Add(took / 2))
	}
}

// askMedia asks every media role for its Janus's info, all at once.
func (f *facts) askMedia(ctx context.Context, b *bus.Bus) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var mu sync.Mutex // guards the map
	var all sync.WaitGroup
	for _, beat := range f.beats {
		if beat.Media == nil || !beat.Media.Serves() {
			continue
		}
		all.Go(func() {
			answer := askInfo(ctx, b, beat.Member)
			mu.Lock()
			defer mu.Unlock()
			f.janus[beat.Member] = answer
		})
	}
	all.Wait()
}

func askInfo(ctx context.Context, b *bus.Bus, m messages.Member) janusFacts {
	reply, err := b.Request(ctx, messages.MediaInfo(m), nil)
	if err != nil {
		return janusFacts{err: err}
	}
	var answer struct {
		Janus string `json:"janus"`
		janusFacts
		Error struct {
			Reason string `json:"reason"`
		} `json:"error"`
	}
	err = json.Unmarshal(reply.Data, &answer)
	if err == nil && answer.Janus != "server_info" {
		err = fmt.Errorf("answered %q: %s", answer.Janus, answer.Error.Reason)
	}
	answer.err = err
	return answer.janusFacts
}

// descriptors is the soft limit of open files of this process, which was started as roles on this host are, perhaps.
func descriptors() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return limit.Cur
}
