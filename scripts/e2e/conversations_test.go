// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
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
	// transcripts is for writing conversations.
	transcripts = flag.Bool("transcripts", false, "log what Janus says in each conversation")
)

// TestConversations plays every conversation with one real Janus and with a cluster that has the same time-outs and secrets:
// what they say must be equal but for what DIFFERENCES.md lists.
func TestConversations(t *testing.T) {
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
	setups := make(map[conversation.Setup][]*conversation.Script)
	for _, s := range scripts {
		setups[s.Setup] = append(setups[s.Setup], s)
	}
	t.Logf("%d conversations, %d setups", len(scripts), len(setups))
	for setup, scripts := range setups {
		name := setup.String()
		if name == "" {
			name = "usual"
		}
		t.Run(name, func(t *testing.T) {
			janus, other := referenceJanus(t, setup), otherServer(t, setup)
			t.Run("_", func(t *testing.T) { // ends when all that run in parallel have
				for i, s := range scripts {
					t.Run(s.Name, func(t *testing.T) {
						t.Parallel()
						converse(t, s, differences, janus, other(i))
					})
				}
			})
		})
	}
	if unused := differences.Unused(); len(unused) > 0 && !t.Failed() && flag.Lookup("test.run").Value.String() == "" {
		t.Errorf("differences that no conversation meets: %q", unused)
	}
}

// converse plays a conversation with a Janus and with what is compared with it.
func converse(t *testing.T, s *conversation.Script, d *conversation.Differences, janus, other conversation.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	streams := func(transcript *conversation.Transcript, err error) conversation.Streams {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		of, err := transcript.Streams(s.Name, d)
		if err != nil {
			t.Fatal(err)
		}
		return of
	}
	want := streams(conversation.Play(ctx, s, janus))
	if remarks := want["remarks"]; len(remarks) > 0 {
		t.Fatalf("the conversation does not fit Janus: %q", remarks)
	}
	if *transcripts {
		t.Logf("Janus says\n%s", show(want))
	}
	other.Enough = func(transcript *conversation.Transcript) bool {
		got, err := transcript.Streams(s.Name, nil)
		return err == nil && count(got) >= count(want)
	}
	got := streams(conversation.Play(ctx, s, other))
	if difference := conversation.Compare(want, got); difference != "" {
		t.Errorf("Janus says -, the %s says +\n%s", *against, difference)
	}
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
func referenceJanus(t *testing.T, setup conversation.Setup) conversation.Server {
	never := func(d time.Duration) time.Duration { // as a Config has it
		if d == 0 {
			return -1
		}
		return d
	}
	janus := lab.Janus(t, func(c *janusproc.Config) {
		c.DebugLevel = 1
		c.SessionTimeout, c.ReclaimSessionTimeout = setup.SessionTimeout, never(setup.ReclaimTimeout)
		c.APISecret, c.TokenAuthSecret = setup.APISecret, setup.TokenSecret
	})
	return serverAt(janus.WSURL())
}

// otherServer starts what is compared with it. The function it returns gives the server for the i-th conversation.
func otherServer(t *testing.T, setup conversation.Setup) func(i int) conversation.Server {
	if *against == "janus" {
		server := referenceJanus(t, setup)
		return func(int) conversation.Server { return server }
	}
	timeouts := []string{"--reclaim-timeout", setup.ReclaimTimeout.String()}
	if setup.SessionTimeout != 0 {
		timeouts = append(timeouts, "--session-timeout", setup.SessionTimeout.String())
	}
	var secret []string
	if setup.APISecret != "" {
		secret = []string{"--api-secret", setup.APISecret}
	}
	if setup.TokenSecret != "" {
		secret = append(secret, "--token-auth", "--token-auth-secret", setup.TokenSecret)
	}
	c := startCluster(t, clusterShape{
		nats: 1, edges: 2, nodes: 2, janus: 2, sessionFlags: timeouts, edgeFlags: slices.Concat(timeouts, secret),
	})
	return func(i int) conversation.Server {
		urls := slices.Clone(c.urls())
		if i%2 == 1 {
			slices.Reverse(urls)
		}
		return serverAt(urls...)
	}
}

// serverAt is a server with several addresses, which connections take by turns.
func serverAt(urls ...string) conversation.Server {
	return conversation.Server{
		Dial: func(ctx context.Context, n int, path, protocol string) (*lab.Client, error) {
			if protocol == "" {
				protocol = "janus-protocol"
			}
			c, err := lab.DialAs(ctx, urls[n%len(urls)]+path, protocol)
			if err != nil {
				return nil, fmt.Errorf("connection %d: %w", n+1, err)
			}
			return c, nil
		},
	}
}
