// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/januscloud/januscloud/messages"
)

// verbs are what the server was asked for, without the sessions and handles of it.
func (s *server) verbs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var verbs []string
	for _, got := range s.got {
		verb, _, _ := strings.Cut(got, " ")
		verbs = append(verbs, verb)
	}
	return verbs
}

func (s *server) waitVerbs(t *testing.T, want ...string) {
	t.Helper()
	waitFor(t, func() string {
		if got := s.verbs(); !slices.Equal(got, want) {
			return fmt.Sprintf("Janus was asked for %v, want %v", got, want)
		}
		return ""
	})
}

// handleRecord is what is stored of a handle.
func (n *Node) handleRecord(t *testing.T, session, handle uint64) (r messages.HandleRecord, raw []byte) {
	t.Helper()
	raw = n.records(t, session)[handle].value
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatalf("record %q: %v", raw, err)
	}
	return r, raw
}

// Candidates that were acknowledged before their handle was bound, as Janus does, get to Janus though the owner goes before.
func TestEarlyTricklesOutliveOwner(t *testing.T) {
	c := newCluster(t)
	media := c.server("media-a")
	first := c.node("node-1", nil)
	waitServers(t, first, 1)
	k := c.client()
	s := k.create()
	h := k.attach(s)
	for _, candidates := range []string{`"candidate":{"candidate":"a","sdpMid":"0"}`, `"candidates":[{"candidate":"b","sdpMid":"0"}]`} {
		got := k.ask(s, `{"janus":"trickle","transaction":"t","session_id":%d,"handle_id":%d,"apisecret":"hush","token":"hush",%s}`, s, h, candidates)
		if got["janus"] != "ack" {
			t.Fatalf("trickle: %v", got)
		}
	}
	waitFor(t, func() string {
		r, raw := first.handleRecord(t, s, h)
		if strings.Contains(string(raw), "hush") {
			t.Fatalf("a secret is stored: %s", raw)
		}
		if len(r.Early) != 2 {
			return fmt.Sprintf("stored is %s", raw)
		}
		return ""
	})
	second := c.node("node-2", nil)
	waitServers(t, second, 1)
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.ask(s, `{"janus":"message","transaction":"m","session_id":%d,"handle_id":%d,"body":{}}`, s, h)
	media.waitVerbs(t, "attach", "trickle", "trickle", "message")
	waitFor(t, func() string {
		if r, raw := second.handleRecord(t, s, h); len(r.Early) != 0 || r.Server != media.member {
			return fmt.Sprintf("stored is %s", raw)
		}
		return ""
	})
}

// So they do when the owner dies between the record of the bind and what waited for it.
func TestEarlyTricklesOfBound(t *testing.T) {
	c := newCluster(t)
	media := c.server("media-a")
	n, k, epoch, id, pid := c.loadingPartition()
	waitServers(t, n, 1)
	const handle = 77
	record := &messages.HandleRecord{
		Plugin: echotest, Created: time.Now().UnixMilli(), Request: fmt.Appendf(nil, `{"janus":"attach","transaction":"bind","plugin":%q}`, echotest),
		Server: media.member, Janus: 5, Early: []json.RawMessage{fmt.Appendf(nil, `{"janus":"trickle","session_id":%d,"handle_id":%d,"candidate":{}}`, id, handle)},
	}
	held := messages.HoldingHandle{Handle: handle, Janus: 5, Plugin: echotest}
	n.tell(pid, loadedPartition{epoch: epoch, complete: true, sessions: []*found{{
		id: id, owner: messages.Transport{Edge: k.member, Connection: 1}, ownedAt: 1, servers: []messages.Member{media.member},
		handles: map[uint64]*foundHandle{handle: {record: record, server: media.member, held: held}},
	}}})
	media.waitVerbs(t, "trickle")
}

// What is stored of them has a bound.
func TestEarlyTricklesStored(t *testing.T) {
	h := &handle{queue: []queued{{admin: "inbox"}, {identity: "edge", raw: make([]byte, maxEarlyBytes)}}}
	for range 3 {
		h.enqueue(queued{raw: make([]byte, maxEarlyBytes/2)})
	}
	if got := h.earlyTrickles(); len(got) != 2 {
		t.Errorf("%d are stored", len(got))
	}
}
