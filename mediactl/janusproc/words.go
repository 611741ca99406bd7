// SPDX-License-Identifier: Apache-2.0

package janusproc

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of SplitCommand.
var (
	ErrQuote = errors.New("janusproc: quote or backslash without its end")
	// ErrShell refuses what only a shell could do with an unquoted character. Who needs that says so: sh -c '…'.
	ErrShell = errors.New("janusproc: command needs a shell")
)

// SplitCommand splits the text of --exec into the program and its arguments, as a shell would: blanks separate, single quotes
// keep everything, double quotes everything but backslash before one of $, `, ", \ and newline, a backslash the next character.
// There is no shell behind it: unquoted characters that would mean something to one ($ ` | & ; < >) are refused.
func SplitCommand(text string) ([]string, error) {
	var s splitter
	for _, r := range text {
		if err := s.next(r); err != nil {
			return nil, err
		}
	}
	if s.quote != 0 || s.escaped {
		return nil, ErrQuote
	}
	s.end()
	return s.words, nil
}

// splitter reads a command character by character.
type splitter struct {
	words   []string
	word    strings.Builder
	inWord  bool
	quote   rune // the quote we are in, or 0
	escaped bool // the last character was a backslash that escapes
}

func (s *splitter) next(r rune) error {
	switch {
	case s.escaped:
		s.escaped = false
		if s.quote == '"' && !strings.ContainsRune("$`\"\\\n", r) {
			s.add('\\')
		}
		if r != '\n' { // a backslash joins lines
			s.add(r)
		}
	case r == '\\' && s.quote != '\'':
		s.escaped = true
	case r == s.quote:
		s.quote = 0
	case s.quote != 0:
		s.add(r)
	case r == '\'' || r == '"':
		s.quote, s.inWord = r, true
	case strings.ContainsRune(" \t\r\n", r):
		s.end()
	case strings.ContainsRune("$`|&;<>", r):
		return fmt.Errorf("%w: unquoted %q", ErrShell, r)
	default:
		s.add(r)
	}
	return nil
}

func (s *splitter) add(r rune) {
	s.inWord = true
	s.word.WriteRune(r)
}

func (s *splitter) end() {
	if s.inWord {
		s.words = append(s.words, s.word.String())
	}
	s.word.Reset()
	s.inWord = false
}
