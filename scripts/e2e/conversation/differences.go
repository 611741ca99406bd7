// SPDX-License-Identifier: Apache-2.0

package conversation

import (
	"bufio"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
)

// Differences are the answers that are meant to differ from those of one Janus. They are the rows of the tables in a Markdown
// file whose columns are: conversation (a pattern of names as path.Match has it), message (its kind: the value of "janus"),
// part (keys from the outside in with slashes between them, * for any; empty for the whole message), reason.
type Differences struct {
	rows []*difference

	mu sync.Mutex // guards the counts: conversations are compared at once
}

type difference struct {
	conversation, kind, part, reason string
	used                             int
}

// ParseDifferences reads the Markdown file.
func ParseDifferences(markdown string) (*Differences, error) {
	d := &Differences{}
	lines := bufio.NewScanner(strings.NewReader(markdown))
	for lines.Scan() {
		cells := strings.Split(lines.Text(), "|")
		if len(cells) != 6 || strings.TrimSpace(cells[0]) != "" {
			continue
		}
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		if cells[1] == "Conversation" || strings.HasPrefix(cells[1], "---") {
			continue
		}
		row := &difference{conversation: cells[1], kind: cells[2], part: cells[3], reason: cells[4]}
		if _, err := path.Match(row.conversation, ""); err != nil || row.kind == "" || row.reason == "" {
			return nil, fmt.Errorf("conversation: not a difference: %q", lines.Text())
		}
		d.rows = append(d.rows, row)
	}
	return d, lines.Err()
}

// Unused are the rows that no conversation showed a message for.
func (d *Differences) Unused() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var unused []string
	for _, row := range d.rows {
		if row.used == 0 {
			unused = append(unused, strings.TrimSpace(row.conversation+" "+row.kind+" "+row.part))
		}
	}
	return unused
}

// drop takes out of a message what is meant to differ, and reports whether that is all of it.
func (d *Differences) drop(conversation string, body map[string]any) (all bool) {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, row := range d.rows {
		if matches, _ := path.Match(row.conversation, conversation); !matches || body["janus"] != row.kind {
			continue
		}
		if row.part == "" {
			row.used++
			return true
		}
		if remove(body, strings.Split(row.part, "/")) {
			row.used++
		}
	}
	return false
}

// remove takes what stands at a path out of an object; * stands for every key.
func remove(object map[string]any, keys []string) (removed bool) {
	for key, value := range object {
		if keys[0] != key && keys[0] != "*" {
			continue
		}
		if len(keys) == 1 {
			delete(object, key)
			removed = true
		} else if inner, ok := value.(map[string]any); ok {
			removed = remove(inner, keys[1:]) || removed
		}
	}
	return removed
}

func replyKind(kind string) bool {
	return slices.Contains([]string{"success", "ack", "error", "server_info", "pong"}, kind)
}
