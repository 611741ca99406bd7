// SPDX-License-Identifier: Apache-2.0

package messages

import (
	"strings"
	"testing"
)

func TestRoomSubject(t *testing.T) {
	for _, key := range []string{"1234", "0", "18446744073709551616", "-5", `"1234"`, `"a b.c>*"`, `"ä"`, `""`} {
		n := RoomName{Plugin: "janus.plugin.videoroom", Key: key}
		got, err := ParseRoomSubject(n.Subject())
		if err != nil || got != n {
			t.Errorf("%s: %v, %v", n.Subject(), got, err)
		}
		if strings.ContainsAny(n.Token(), " .>*") {
			t.Errorf("%s is no token", n.Token())
		}
	}
	for _, bad := range []string{"", "janus.room.1", "janus.room.1.2", "janus.room.x.1234.janus.plugin.videoroom", "janus.room.9._!.p", "janus.rooms.1.2.p"} {
		if n, err := ParseRoomSubject(bad); err == nil {
			t.Errorf("%q is %v", bad, n)
		}
	}
}
