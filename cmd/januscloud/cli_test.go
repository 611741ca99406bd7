// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
)

// Every flag is a setting that the environment and the file know, and the documentation names the commands that use it.
func TestFlagsAreSettings(t *testing.T) {
	parser, err := kong.New(new(cli), kong.Name("januscloud"))
	if err != nil {
		t.Fatal(err)
	}
	users := map[string][]string{} // setting to commands
	for _, command := range parser.Model.Children {
		for _, flag := range command.Flags {
			users[flag.Name] = append(users[flag.Name], command.Name)
		}
	}
	for _, f := range config.Fields() {
		var documented []string
		for _, u := range f.Uses {
			documented = append(documented, strings.Split(u.Commands, ", ")...)
		}
		slices.Sort(documented)
		slices.Sort(users[f.Name])
		if !slices.Equal(documented, users[f.Name]) {
			t.Errorf("--%s: documented for %v, used by %v", f.Name, documented, users[f.Name])
		}
		delete(users, f.Name)
	}
	for flag := range users {
		if !slices.Contains([]string{"json", "role", "timeout", "force", "no-wait"}, flag) { // how to ask, and in what form, is no setting
			t.Errorf("--%s is no setting", flag)
		}
	}
}
