// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"fmt"
	"testing"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

const recordplay = "janus.plugin.recordplay"

// scriptedRecordings are the ids of what a scripted Janus has recorded or is recording, and lists nobody.
type scriptedRecordings map[string]bool

// run runs a message, and returns the data of the event that answers it; empty: it is none of ours.
func (s scriptedRecordings) run(r *janusjson.Message) string {
	body, _ := r.Object(janusjson.KeyBody)
	request, _ := body.Get("request").Text()
	id := string(body.Get("id").Bytes())
	switch {
	case request == "record" && s[id]:
		return `{"recordplay":"event","error_code":420}`
	case request == "record":
		s[id] = true
		return fmt.Sprintf(`{"recordplay":"event","result":{"status":"recording","id":%s,"is_private":%v}}`, id, body.Get("is_private").Bool())
	case request == "play" && s[id]:
		return `{"recordplay":"event","result":{"status":"preparing"}}`
	case request == "play":
		return `{"recordplay":"event","error_code":416}`
	}
	return ""
}

// recordCluster is two media servers that list no recordings, and two session nodes.
func recordCluster(t *testing.T) (*client, [2]*Node) {
	t.Helper()
	c := newCluster(t)
	for _, name := range []string{"media-a", "media-b"} {
		s := c.server(name)
		s.janus.scene = func(string, *messages.PluginRequest) string { return `{"recordplay":"list","list":[]}` }
	}
	first := c.node("node-1", nil)
	waitServers(t, first, 2)
	second := c.node("node-2", nil)
	waitServers(t, second, 2)
	return c.client(), [2]*Node{first, second}
}

// recorded says something on a new handle, and is told a status or the code of an error.
func (k *client) recorded(body string, args ...any) string {
	k.t.Helper()
	s := k.create()
	u := &user{client: k, session: s, handle: k.attachTo(s, recordplay)}
	data := u.outcome(u.post(body, args...))
	if code, failed := data["error_code"]; failed {
		return fmt.Sprint(code)
	}
	result, _ := data["result"].(map[string]any)
	return fmt.Sprint(result["status"])
}

// While somebody records, nobody else does under that id, though no Janus tells of it.
func TestRecordingIsNotSplit(t *testing.T) {
	k, _ := recordCluster(t)
	for id := 1; id <= 6; id++ {
		if got := k.recorded(`{"request":"record","id":%d}`, id); got != "recording" {
			t.Errorf("record %d: %s", id, got)
		}
		if got := k.recorded(`{"request":"record","id":%d}`, id); got != "420" {
			t.Errorf("record %d again: %s", id, got)
		}
	}
	if got := k.recorded(`{"request":"play","id":7}`); got != "416" {
		t.Errorf("play what nobody recorded: %s", got)
	}
}

// A private recording is listed nowhere, and found by whoever knows its id, after its owner's end too.
func TestPrivateRecording(t *testing.T) {
	const recordings = 8
	k, nodes := recordCluster(t)
	for id := 1; id <= recordings; id++ {
		if got := k.recorded(`{"request":"record","id":%d,"is_private":true}`, id); got != "recording" {
			t.Errorf("record %d: %s", id, got)
		}
	}
	name := func(id int) messages.RoomName { return messages.RoomName{Plugin: recordplay, Key: fmt.Sprint(id)} }
	waitFor(t, func() string {
		for id := 1; id <= recordings; id++ {
			if there, err := nodes[1].store.readRoom(t.Context(), name(id)); err != nil || there.record.Server.IsZero() {
				return fmt.Sprintf("recording %d is not stored: %v", id, err)
			}
		}
		return ""
	})
	look := func() {
		for id := 1; id <= recordings; id++ {
			if got := k.recorded(`{"request":"play","id":%d}`, id); got != "preparing" {
				t.Errorf("play %d: %s", id, got)
			}
			if got := k.recorded(`{"request":"record","id":%d}`, id); got != "420" {
				t.Errorf("record %d again: %s", id, got)
			}
		}
	}
	look()
	if err := nodes[0].Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	look()
}
