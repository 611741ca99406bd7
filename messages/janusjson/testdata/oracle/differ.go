// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/januscloud/januscloud/messages/janusjson"
)

// differ compares the package with jansson until the deadline, on the corpus and
// on what mutation makes of it. Errors are compared word by word, what is
// accepted by its number of texts; the tests of the package compare contents.
func differ(oracle *jansson, random *rand.Rand, deadline time.Time) error {
	pool := inputs(random)
	fixed := len(pool)
	for n := 0; time.Now().Before(deadline); n++ {
		input := pool[n%len(pool)]
		if n >= len(pool) {
			input = mutate(random, pool[random.IntN(len(pool))])
			if len(input) < 400 && random.IntN(4) == 0 {
				pool[random.IntN(fixed)] = input
			}
		}
		v, err := oracle.verdicts(input)
		if err != nil {
			return fmt.Errorf("%q: %w", input, err)
		}
		for i, ours := range opinions(input) {
			if theirs := short(v[i]); ours != theirs {
				return fmt.Errorf("%q, reader %d:\nours   %s\ntheirs %s", input, i, ours, theirs)
			}
		}
		if n%100000 == 0 {
			fmt.Fprintln(os.Stderr, n, "inputs agree")
		}
	}
	return nil
}

func opinions(input string) (v [3]string) {
	for i := range 2 {
		texts, err := janusjson.Decode([]byte(input), janusjson.Quirks{TrailingSpaceBroken: i == 1})
		v[i] = opinion(len(texts), err)
	}
	_, err := janusjson.DecodeOne([]byte(input))
	v[2] = opinion(1, err)
	return v
}

func opinion(texts int, err error) string {
	var syntax *janusjson.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("error %d %d %d %q", syntax.Line, syntax.Column, syntax.Position, syntax.Text)
	case errors.Is(err, janusjson.ErrNotObject):
		return "array"
	case err != nil:
		return err.Error()
	}
	return fmt.Sprintf("ok %d", texts)
}

// short leaves of an acceptance the number of texts only.
func short(verdict string) string {
	rest, ok := strings.CutPrefix(verdict, "ok ")
	if !ok {
		return verdict
	}
	texts := 0
	for quoted, escaped := false, false; rest != ""; rest = rest[1:] {
		switch c := rest[0]; {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			if quoted = !quoted; quoted {
				texts++
			}
		}
	}
	return fmt.Sprintf("ok %d", texts)
}
