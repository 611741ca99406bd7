// SPDX-License-Identifier: Apache-2.0

package messages

import "testing"

// The subjects of the Admin API are below the prefixes of who is asked, and parse.
func TestAdminSubjects(t *testing.T) {
	m := Member{Name: "a", Inc: "1"}
	for got, want := range map[string]string{
		NodeAdmin(m): "janus.node.a~1.admin", MediaAdmin(m): "janus.media.a~1.admin",
		AdminSubject(1024+7, 5): "janus.session.7.1031.admin.5", AdminSubject(7, 0): "janus.session.7.7.admin.0",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	s, err := ParseSessionSubject(AdminSubject(1031, 5))
	if err != nil || s.Kind != SessionAdmin || s.Session != 1031 || s.Handle() != 5 {
		t.Errorf("%+v, %v", s, err)
	}
}
