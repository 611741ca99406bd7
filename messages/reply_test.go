// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"encoding/json"
	"strings"
	"testing"
)

// Replies have the keys of Janus's, in its order.
func TestReplies(t *testing.T) {
	r := Reply{Session: 7, Transaction: []byte(`"t\n"`)}
	for want, got := range map[string][]byte{
		`{"janus":"ack","session_id":7,"transaction":"t\n"}`:                                                                 r.Append(nil, "ack"),
		`{"janus":"success","transaction":"x","data":{"id":9}}`:                                                              Reply{Transaction: []byte(`"x"`)}.AppendID(nil, 9),
		`{"janus":"error","session_id":7,"transaction":"t\n","error":{"code":459,"reason":"No such handle 3 in session 7"}}`: r.AppendError(nil, ErrHandleNotFound(3, 7)),
		`{"janus":"error","session_id":-1,"error":{"code":458,"reason":"No such session 18446744073709551615"}}`:             Reply{Session: 1<<64 - 1}.AppendError(nil, ErrSessionNotFound(1<<64-1)),
		`{"janus":"timeout","session_id":7}`:                                                                                 AppendNotice(nil, "timeout", 7, 0, ""),
		`{"janus":"hangup","session_id":7,"sender":9,"reason":"lost"}`:                                                       AppendNotice(nil, "hangup", 7, 9, "lost"),
	} {
		if string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// A reason is cut where Janus cuts it, and stays UTF-8.
func TestLongReason(t *testing.T) {
	body := Reply{}.AppendError(nil, Errorf(CodeUnknown, "%s", strings.Repeat("é", 400)))
	var out struct {
		Error struct{ Reason string }
	}
	if err := json.Unmarshal(body, &out); err != nil || len(out.Error.Reason) != 510 {
		t.Errorf("reason of %d bytes (%v), want 510", len(out.Error.Reason), err)
	}
}

func FuzzParseBeat(f *testing.F) {
	f.Add([]byte(`{"role":"session","member":"n~1","state":"ready","load":0.5,"session":{"sessions":1,"owned":[{"epoch":"5-n","partitions":"0-3"}]}}`))
	f.Add([]byte(`{"role":"media","member":"m~1","media":{"janus":"up"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseBeat(data)
		if err == nil && b.Member.IsZero() {
			t.Error("a beat of nobody was taken")
		}
	})
}
