// SPDX-License-Identifier: Apache-2.0

package conversation

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrScript is wrapped by errors in the text of a conversation.
var ErrScript = errors.New("conversation: bad script")

// Script is one conversation as written.
type Script struct {
	// Name is the file's, without folder and ending.
	Name string
	// Setup is what the server must be started with.
	Setup Setup
	// Alone says that no other conversation may be played with the server meanwhile.
	Alone bool
	// Slow says that it takes half a minute or more.
	Slow bool
	// Janus is the version that it is for, such as 1.1; "" for all.
	Janus string
	steps []step
	files map[string]string // by name, as JSON strings
}

// Setup are the settings that clients can tell. The zero value of a time-out asks for Janus's default: 60 s, and no reclaim
// time.
type Setup struct {
	SessionTimeout, ReclaimTimeout time.Duration
	APISecret                      string
	// TokenSecret is what tokens are signed with (token_auth_secret of Janus); none are asked for without.
	TokenSecret string
	// TokenAuth asks for stored tokens, which the Admin API adds.
	TokenAuth bool
	// AdminKey is asked of who makes rooms (admin_key of the plugins); none is without.
	AdminKey string
	// StringIDs makes the ids of rooms texts.
	StringIDs bool
}

// String is the setup as written; "" for the usual one.
func (s Setup) String() string {
	var words []string
	if s.SessionTimeout != 0 {
		words = append(words, "session-timeout="+s.SessionTimeout.String())
	}
	if s.ReclaimTimeout != 0 {
		words = append(words, "reclaim-timeout="+s.ReclaimTimeout.String())
	}
	if s.APISecret != "" {
		words = append(words, "api-secret="+s.APISecret)
	}
	if s.TokenSecret != "" {
		words = append(words, "token-secret="+s.TokenSecret)
	}
	if s.TokenAuth {
		words = append(words, "token-auth")
	}
	if s.AdminKey != "" {
		words = append(words, "admin-key="+s.AdminKey)
	}
	if s.StringIDs {
		words = append(words, "string-ids")
	}
	return strings.Join(words, " ")
}

// OverHTTP tells whether any of it is.
func (s *Script) OverHTTP() bool {
	return slices.ContainsFunc(s.steps, func(st step) bool { return st.verb >= verbRequest })
}

type verb uint8

const (
	verbSend verb = iota
	verbAwait
	verbClose
	verbAbort
	verbConnect
	verbIdle
	// Those from here on are for connections over HTTP.
	verbRequest
	verbPoll
	verbHeader
	verbWait
)

// step is one line.
type step struct {
	line       int
	verb       verb
	connection string
	fragments  []string // of a send
	binary     bool
	replies    int
	goOn       bool   // the send or request waits for nothing
	kind       string // that an await waits for, or that a send is repeated for
	method     string // of a request
	path       string // of a connect, a request, a poll; the name of a header
	protocol   string
	pause      time.Duration
}

// Load reads all conversations of a folder, in order of their names.
func Load(folder string) ([]*Script, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
	if err != nil {
		return nil, fmt.Errorf("conversation: %w", err)
	}
	var all []*Script
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("conversation: %w", err)
		}
		s, err := Parse(strings.TrimSuffix(filepath.Base(file), ".txtar"), content)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Parse reads a conversation.
func Parse(name string, content []byte) (*Script, error) {
	text, files := split(string(content))
	s := &Script{Name: name, files: make(map[string]string)}
	for file, content := range files {
		s.files[file] = quoteLines(content)
	}
	for _, line := range joinLines(text) {
		if err := s.parseLine(line); err != nil {
			return nil, fmt.Errorf("%w: %s:%d: %w", ErrScript, name, line.number, err)
		}
	}
	if len(s.steps) == 0 {
		return nil, fmt.Errorf("%w: %s: no steps", ErrScript, name)
	}
	return s, nil
}

var marker = regexp.MustCompile(`(?m)^-- (\S+) --\n`)

// split takes a txtar archive apart: the script, and the files by name.
func split(archive string) (script string, files map[string]string) {
	files = make(map[string]string)
	marks := marker.FindAllStringSubmatchIndex(archive, -1)
	end := len(archive)
	for i := len(marks) - 1; i >= 0; i-- {
		m := marks[i]
		files[archive[m[2]:m[3]]] = archive[m[1]:end]
		end = m[0]
	}
	return archive[:end], files
}

type line struct {
	number int
	text   string
}

// joinLines gives the lines that say something, with those that continue them.
func joinLines(text string) []line {
	var lines []line
	for i, l := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(l)
		switch {
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		case l[0] == ' ' || l[0] == '\t':
			if len(lines) > 0 {
				lines[len(lines)-1].text += trimmed
			}
		default:
			lines = append(lines, line{i + 1, trimmed})
		}
	}
	return lines
}

// quoteLines is text as a JSON string, its lines ended by CRLF.
func quoteLines(text string) string {
	return string(mustMarshal(strings.ReplaceAll(text, "\n", "\r\n")))
}

var errStep = errors.New("not a step")

func (s *Script) parseLine(l line) error {
	first, rest, _ := strings.Cut(l.text, " ")
	switch first {
	case "with":
		if len(s.steps) > 0 {
			return errors.New("settings come before steps")
		}
		return s.parseSettings(rest)
	case "idle":
		pause, err := time.ParseDuration(rest)
		if err != nil {
			return err
		}
		s.steps = append(s.steps, step{line: l.number, verb: verbIdle, pause: pause})
		return nil
	}
	st, err := parseStep(rest)
	if err != nil {
		return fmt.Errorf("%w: %q", err, l.text)
	}
	st.line, st.connection = l.number, first
	s.steps = append(s.steps, st)
	return nil
}

func (s *Script) parseSettings(words string) error {
	for _, word := range strings.Fields(words) {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "session-timeout":
			s.Setup.SessionTimeout, err = time.ParseDuration(value)
		case "reclaim-timeout":
			s.Setup.ReclaimTimeout, err = time.ParseDuration(value)
		case "api-secret":
			s.Setup.APISecret = value
		case "token-secret":
			s.Setup.TokenSecret = value
		case "token-auth":
			s.Setup.TokenAuth = true
		case "admin-key":
			s.Setup.AdminKey = value
		case "string-ids":
			s.Setup.StringIDs = true
		case "janus":
			s.Janus = value
		case "alone":
			s.Alone = true
		case "slow":
			s.Slow = true
		default:
			err = fmt.Errorf("unknown setting %q", key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var sending = regexp.MustCompile(`^(?:until ([a-z_]+) )?([0-9]?)(\+?)(>>?) (.*)$`)

// parseStep reads what follows the connection's name.
func parseStep(text string) (step, error) {
	words := strings.Fields(text)
	switch {
	case len(words) == 1 && words[0] == "close":
		return step{verb: verbClose}, nil
	case len(words) == 1 && words[0] == "abort":
		return step{verb: verbAbort}, nil
	case len(words) == 2 && words[0] == "<":
		return step{verb: verbAwait, kind: words[1]}, nil
	case len(words) == 3 && words[0] == "connect":
		return step{verb: verbConnect, path: words[1], protocol: words[2]}, nil
	}
	if st, ok, err := parseWebStep(text); ok {
		return st, err
	}
	m := sending.FindStringSubmatch(text)
	if m == nil {
		return step{}, errStep
	}
	st := step{verb: verbSend, kind: m[1], replies: 1, goOn: m[3] != "", fragments: []string{m[5]}}
	if m[2] != "" {
		st.replies = int(m[2][0] - '0')
	}
	if m[4] == ">" {
		return st, nil
	}
	quoted := m[5]
	if quoted, st.binary = strings.CutPrefix(quoted, "binary "); st.binary {
		quoted = strings.TrimSpace(quoted)
	}
	var err error
	st.fragments, err = unquoteAll(quoted)
	return st, err
}

var (
	requesting = regexp.MustCompile(`^(?:until ([a-z_0-9]+) )?(\+?)([A-Z]+) (/\S*|\*)(?: (.*))?$`)
	polling    = regexp.MustCompile(`^poll ([1-9]) (/\S*)$`)
	naming     = regexp.MustCompile(`^header ([A-Za-z-]+): (.*)$`)
)

// parseWebStep reads what follows the name of a connection over HTTP.
func parseWebStep(text string) (st step, ok bool, err error) {
	if text == "wait" {
		return step{verb: verbWait}, true, nil
	}
	if m := polling.FindStringSubmatch(text); m != nil {
		return step{verb: verbPoll, method: "GET", replies: int(m[1][0] - '0'), path: m[2]}, true, nil
	}
	if m := naming.FindStringSubmatch(text); m != nil {
		return step{verb: verbHeader, path: m[1], fragments: []string{m[2]}}, true, nil
	}
	m := requesting.FindStringSubmatch(text)
	if m == nil {
		return step{}, false, nil
	}
	st = step{verb: verbRequest, kind: m[1], goOn: m[2] != "", method: m[3], path: m[4]}
	if quoted, found := strings.CutPrefix(m[5], ">> "); found {
		st.fragments, err = unquoteAll(quoted)
	} else if m[5] != "" {
		st.fragments = []string{m[5]}
	}
	return st, true, err
}

// unquoteAll reads strings quoted as in Go, with blanks between them.
func unquoteAll(text string) ([]string, error) {
	var all []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %q", err, text)
		}
		s, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
		text = text[len(quoted):]
	}
	if len(all) == 0 {
		return nil, errStep
	}
	return all, nil
}
