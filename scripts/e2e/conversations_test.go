// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/januscloud/januscloud/mediactl/janusproc"
	"github.com/januscloud/januscloud/scripts/e2e/conversation"
	"github.com/januscloud/januscloud/scripts/lab"
)

const (
	conversationsFolder = "testdata/conversations"
	differencesFile     = "testdata/DIFFERENCES.md"
)

var (
	// against chooses what is compared with a Janus. Another Janus shows what the comparison itself cannot hold still.
	against = flag.String("against", "cluster", "play conversations with a `cluster`, or with a second janus")
	// chosen is for looking into some, which may be many times: a name of a subtest leaves out the rest of its batch.
	chosen = flag.String("conversations", "", "play only conversations whose name matches the `regexp`")
	// transcripts is for writing conversations.
	transcripts = flag.Bool("transcripts", false, "log what Janus says in each conversation")
)

// conversationsSecret is that of the Admin API of every server that conversations are played with.
const conversationsSecret = "overlord"

// version is a Janus to play with.
type version struct {
	number string
	change func(*janusproc.Config)
}

// versions are those of Debian 12 and of a later one: what both say is that of a Janus, and the cluster must say the same with
// either behind it.
func versions(t *testing.T) []version {
	t.Helper()
	return []version{{"1.1", func(*janusproc.Config) {}}, {"1.4", lab.Forky(t)}}
}

// group are conversations that want the same servers.
type group struct {
	version
	conversation.Setup
	scripts []*conversation.Script
}

func (g group) String() string {
	return strings.TrimSpace("janus-" + g.number + " " + g.Setup.String())
}

// groups reads all conversations, and the differences that are meant.
func groups(t *testing.T) ([]group, *conversation.Differences) {
	t.Helper()
	scripts, err := conversation.Load(conversationsFolder)
	if err != nil {
		t.Fatal(err)
	}
	markdown, err := os.ReadFile(differencesFile)
	if err != nil {
		t.Fatal(err)
	}
	differences, err := conversation.ParseDifferences(string(markdown))
	if err != nil {
		t.Fatal(err)
	}
	choose, err := regexp.Compile(*chosen)
	if err != nil {
		t.Fatal(err)
	}
	scripts = slices.DeleteFunc(scripts, func(s *conversation.Script) bool { return !choose.MatchString(s.Name) })
	setups := make(map[conversation.Setup]bool)
	for _, s := range scripts {
		setups[s.Setup] = true
	}
	var all []group
	for _, v := range versions(t) {
		for _, setup := range slices.SortedFunc(maps.Keys(setups), longestFirst) {
			other := func(s *conversation.Script) bool { return s.Setup != setup || s.Janus != "" && s.Janus != v.number }
			if fitting := slices.DeleteFunc(slices.Clone(scripts), other); len(fitting) > 0 {
				all = append(all, group{v, setup, fitting})
			}
		}
	}
	t.Logf("%d conversations, %d setups", len(scripts), len(setups))
	return all, differences
}

// longestFirst puts those that wait for time to pass at the beginning.
func longestFirst(a, b conversation.Setup) int {
	return cmp.Or(cmp.Compare(b.SessionTimeout, a.SessionTimeout), strings.Compare(a.String(), b.String()))
}

// TestConversations plays every conversation with one real Janus and with a cluster that has the same time-outs and secrets:
// what they say must be equal but for what DIFFERENCES.md lists.
func TestConversations(t *testing.T) {
	const atOnce = 4 // clusters
	all, differences := groups(t)
	todo := make(chan group, len(all))
	for _, g := range all {
		todo <- g
	}
	close(todo)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for g := range todo {
				t.Run(g.String(), func(t *testing.T) { g.play(t, differences) })
			}
		})
	}
	workers.Wait()
	if unused := differences.Unused(); len(unused) > 0 && !t.Failed() && *chosen == "" && flag.Lookup("test.run").Value.String() == "" {
		t.Errorf("differences that no conversation meets: %q", unused)
	}
}

// play plays the conversations of a group: one by one those that change the whole server, then all others at once.
func (g group) play(t *testing.T, differences *conversation.Differences) {
	janus, other := g.referenceJanus(t), g.otherServer(t)
	for i, s := range g.scripts {
		if s.Alone {
			t.Run(s.Name, func(t *testing.T) { converse(t, s, differences, janus, other(i)) })
		}
	}
	for i, s := range g.scripts {
		if !s.Alone {
			t.Run(s.Name, func(t *testing.T) {
				t.Parallel()
				converse(t, s, differences, janus, other(i))
			})
		}
	}
}

// converse plays a conversation with a Janus and with what is compared with it: after the Janus, whose transcript tells how much
// to wait for, or at the same time where that would take too long.
func converse(t *testing.T, s *conversation.Script, d *conversation.Differences, janus, other conversation.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	played := make(chan transcript, 1)
	reference := func() {
		played <- playWith(ctx, s, d, janus)
	}
	var got transcript
	if s.Slow {
		go reference()
		got = playWith(ctx, s, d, other)
	} else {
		reference()
	}
	want := <-played
	if want.err != nil {
		t.Fatal(want.err)
	}
	if remarks := want.streams["remarks"]; len(remarks) > 0 {
		t.Fatalf("the conversation does not fit Janus: %q", remarks)
	}
	if *transcripts {
		t.Logf("Janus says\n%s", show(want.streams))
	}
	if !s.Slow {
		other.Enough = func(soFar *conversation.Transcript) bool {
			got, err := soFar.Streams(s.Name, nil)
			return err == nil && count(got) >= count(want.streams)
		}
		got = playWith(ctx, s, d, other)
	}
	if got.err != nil {
		t.Fatal(got.err)
	}
	difference := conversation.Compare(want.streams, got.streams)
	if difference == "" {
		return
	}
	if at := saysItself(ctx, s, d, janus, got.streams); at > 0 {
		t.Logf("Janus does not say the same each time: what the %s says it said at try %d, and at first (-)\n%s", *against, at+1, difference)
		return
	}
	t.Errorf("Janus says -, the %s says +\n%s", *against, difference)
}

// moreTries is how often a Janus is asked again whether it says what was said elsewhere: its threads race one another.
const moreTries = 5

// saysItself plays a conversation again with the Janus, and tells at which try it said exactly what was said elsewhere; 0: at
// none.
func saysItself(ctx context.Context, s *conversation.Script, d *conversation.Differences, janus conversation.Server, said conversation.Streams) int {
	if s.Alone || s.Slow {
		return 0
	}
	for try := 1; try <= moreTries; try++ {
		again := playWith(ctx, s, d, janus)
		if again.err == nil && conversation.Compare(again.streams, said) == "" {
			return try
		}
	}
	return 0
}

// transcript is what was said in a conversation, or why it could not be had.
type transcript struct {
	streams conversation.Streams
	err     error
}

func playWith(ctx context.Context, s *conversation.Script, d *conversation.Differences, with conversation.Server) transcript {
	said, err := conversation.Play(ctx, s, with)
	if err != nil {
		return transcript{nil, err}
	}
	streams, err := said.Streams(s.Name, d)
	return transcript{streams, err}
}

// show is a transcript for a person to read.
func show(streams conversation.Streams) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(streams)) {
		fmt.Fprintf(&b, "%s:\n\t%s\n", name, strings.Join(streams[name], "\n\t"))
	}
	return b.String()
}

func count(streams conversation.Streams) (n int) {
	for _, lines := range streams {
		n += len(lines)
	}
	return n
}

// referenceJanus starts the Janus that is the measure.
func (g group) referenceJanus(t *testing.T) conversation.Server {
	t.Helper()
	never := func(d time.Duration) time.Duration { // as a Config has it
		if d == 0 {
			return -1
		}
		return d
	}
	janus := lab.Janus(t, g.configure, func(c *janusproc.Config) {
		c.DebugLevel = 1
		c.SessionTimeout, c.ReclaimSessionTimeout = g.SessionTimeout, never(g.ReclaimTimeout)
		c.APISecret, c.TokenAuthSecret, c.TokenAuth, c.AdminSecret = g.APISecret, g.TokenSecret, g.TokenAuth, conversationsSecret
	})
	return serverAt(address{ws: janus.WSURL(), http: janus.Config.HTTPURL(), admin: janus.Config.AdminWSURL()})
}

// otherServer starts what is compared with it. The function it returns gives the server for the i-th conversation.
func (g group) otherServer(t *testing.T) func(i int) conversation.Server {
	t.Helper()
	if *against == "janus" {
		server := g.referenceJanus(t)
		return func(int) conversation.Server { return server }
	}
	return startCluster(t, g.shape()).servers()
}

// shape is that of a cluster for the group.
func (g group) shape() clusterShape {
	timeouts := []string{"--reclaim-timeout", g.ReclaimTimeout.String()}
	if g.SessionTimeout != 0 {
		timeouts = append(timeouts, "--session-timeout", g.SessionTimeout.String())
	}
	edge := append([]string{"--admin-ws", "127.0.0.1:0", "--admin-http", "off", "--admin-secret", conversationsSecret}, timeouts...)
	if g.APISecret != "" {
		edge = append(edge, "--api-secret", g.APISecret)
	}
	if g.TokenAuth || g.TokenSecret != "" {
		edge = append(edge, "--token-auth")
	}
	if g.TokenSecret != "" {
		edge = append(edge, "--token-auth-secret", g.TokenSecret)
	}
	return clusterShape{nats: 1, edges: 2, nodes: 2, janus: 2, sessionFlags: timeouts, edgeFlags: edge, change: g.configure}
}

// configure sets up what is Janus's own affair.
func (g group) configure(c *janusproc.Config) {
	g.change(c)
	c.PluginAdminKey, c.StringIDs = g.AdminKey, g.StringIDs
}

// servers gives the cluster as a server for the i-th conversation: every other one begins at another edge.
func (c *testCluster) servers() func(i int) conversation.Server {
	var all []address
	for _, e := range c.edges {
		all = append(all, address{ws: e.Ready.WS, http: e.Ready.HTTP, admin: e.Ready.Fields["admin"]})
	}
	return func(i int) conversation.Server {
		turned := slices.Clone(all)
		if i%2 == 1 {
			slices.Reverse(turned)
		}
		return serverAt(turned...)
	}
}

// address is where a server, or one edge of it, is found.
type address struct{ ws, http, admin string }

// serverAt is a server with several addresses, which connections and requests take by turns.
func serverAt(at ...address) conversation.Server {
	return conversation.Server{
		Dial: func(ctx context.Context, n int, path, protocol string) (*lab.Client, error) {
			url := at[n%len(at)].ws
			switch protocol {
			case "":
				protocol = "janus-protocol"
			case "janus-admin-protocol":
				url = at[n%len(at)].admin
			}
			c, err := lab.DialAs(ctx, url+path, protocol)
			if err != nil {
				return nil, fmt.Errorf("connection %d: %w", n+1, err)
			}
			return c, nil
		},
		HTTP: func(n int) string { return strings.TrimSuffix(at[n%len(at)].http, "/janus") },
	}
}
