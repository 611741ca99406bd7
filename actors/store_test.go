// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/januscloud/januscloud/messages/bus"
)

// JetStream's answers: a conflict is one whoever of a replicated stream found it.
func TestReadStored(t *testing.T) {
	for body, want := range map[string]stored{
		`{"stream":"KV_x","seq":7}`:                                     {revision: 7},
		`{"error":{"code":400,"err_code":10071,"description":"wrong"}}`: {conflict: true},
		`{"error":{"code":400,"err_code":10164,"description":"wrong"}}`: {conflict: true},
		`{"error":{"code":503,"err_code":10008,"description":"busy"}}`:  {down: true},
		`not JSON`: {down: true},
	} {
		got := readStored(&bus.Msg{Data: []byte(body)})
		if got.revision != want.revision || got.conflict != want.conflict || got.down != want.down {
			t.Errorf("%s: %+v, want %+v", body, got, want)
		}
	}
	if got := readStored(&bus.Msg{NoResponders: true}); !got.down {
		t.Errorf("nobody there: %+v", got)
	}
	if got := readStored(&bus.Msg{Header: nats.Header{"Status": {"404"}}}); got.down || got.revision != 0 {
		t.Errorf("no record: %+v", got)
	}
	if got := readStored(&bus.Msg{Header: nats.Header{"Nats-Sequence": {"9"}}, Data: []byte("{}")}); got.revision != 9 || got.down {
		t.Errorf("a record: %+v", got)
	}
}
