// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
)

// readyLine is what a process prints when it serves, for whoever started it: a person, a script, a service manager.
// Addresses that do not apply stay empty and are left out.
type readyLine struct {
	role, name                                      string
	ws, wss, http, https, admin, nats, demo, health string
}

// field makes one value of a list, free of blanks.
func field(values ...string) string {
	return strings.Join(strings.FieldsFunc(strings.Join(values, ","), func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' }), "_")
}

func (l readyLine) String() string {
	var b strings.Builder
	b.WriteString("ready role=" + l.role + " name=" + l.name)
	for _, f := range []struct{ key, value string }{
		{"ws", l.ws}, {"wss", l.wss}, {"http", l.http}, {"https", l.https}, {"admin", l.admin}, {"nats", l.nats}, {"demo", l.demo}, {"health", l.health},
	} {
		if f.value != "" {
			b.WriteString(" " + f.key + "=" + field(f.value))
		}
	}
	return b.String()
}

// print writes the line in one piece.
func (l readyLine) print(w io.Writer) error {
	_, err := fmt.Fprintln(w, l)
	return err
}
