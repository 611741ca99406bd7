// SPDX-License-Identifier: Apache-2.0

// Package naming finds the name that a process bears in the cluster.
package naming

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/januscloud/januscloud/messages"
)

// ErrTaken says that a living member bears the name.
var ErrTaken = errors.New("name is taken by a living member")

// maxName is what messages.ValidName allows, maxNumber the most members of one host and role that get a name by default.
const (
	maxName   = 64
	maxNumber = 999
)

// Default is the name of a role on a host: the host's name up to its first dot, with what a subject does not take
// replaced, and the role.
func Default(host, role string) string {
	host, _, _ = strings.Cut(host, ".")
	safe := strings.Map(func(r rune) rune {
		if r < 128 && messages.ValidName(string(r)) {
			return r
		}
		return '-'
	}, host)
	safe = strings.Trim(safe, "-")
	if safe == "" {
		safe = "host"
	}
	room := maxName - len(role) - 1 - len("-"+strconv.Itoa(maxNumber))
	return safe[:min(len(safe), room)] + "-" + role
}

// Choose is the given name if it is free, else ErrTaken; without a given one it is the default, with a number from 2 on
// where that is taken.
func Choose(given, fallback string, taken func(name string) bool) (string, error) {
	if given != "" {
		if taken(given) {
			return "", fmt.Errorf("%w: %s", ErrTaken, given)
		}
		return given, nil
	}
	name := fallback
	for n := 2; taken(name); n++ {
		if n > maxNumber {
			return "", fmt.Errorf("%w: %s to %s", ErrTaken, fallback, name)
		}
		name = fallback + "-" + strconv.Itoa(n)
	}
	return name, nil
}
