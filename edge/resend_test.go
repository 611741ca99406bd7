// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

// TestResend is an owner that has the fourth request of a connection, and neither the second nor the third, of which the
// second is answered.
func TestResend(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, r *rig) {
		c, _ := r.connect()
		other, _ := r.connect()
		for _, transaction := range []string{"1", "2", "3", "4"} {
			r.serve(c, keepalive(session, transaction))
		}
		r.serve(other, keepalive(session, "other"))
		sent := r.bus.take()
		r.answers(sent[1], 1, sent[1].body)
		ask, err := json.Marshal(messages.Resend{Session: session, Connection: c.number, After: 1, Before: 4})
		if err != nil {
			t.Fatal(err)
		}
		r.receive(&bus.Msg{Subject: r.controls.resend, Data: ask})
		synctest.Wait()
		again := r.bus.take()
		if len(again) != 2 {
			t.Fatalf("published %+v", again)
		}
		identity, repeat := messages.CutRepeat(again[0].reply)
		expect(t, "resent", identity, sent[2].reply)
		expect(t, "marked as a repeat", repeat, true)
		expect(t, "end", again[1].subject, messages.SessionSubject{
			Partition: messages.PartitionOf(session), Session: session, Kind: messages.SessionWhole, Arg: "4",
		}.String())
		expect(t, "whose end", again[1].reply, messages.Transport{Edge: r.member, Connection: c.number}.String())
	})
}
