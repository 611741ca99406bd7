// SPDX-License-Identifier: Apache-2.0

package janusproc

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
)

// maxLine bounds one line of output in the log; what is longer continues in the next record.
const maxLine = 4096

// output writes what a process prints into a log, line by line, without colours. Errors of Janus go to info, everything else,
// and whatever looks like SDP, to debug.
type output struct {
	logger *slog.Logger
	server string
	line   []byte
}

// Write takes output in any pieces. It never fails.
func (o *output) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		part := p
		if end >= 0 {
			part = p[:end]
		}
		room := maxLine - len(o.line)
		if len(part) > room {
			part, end = part[:room], -1
		}
		o.line = append(o.line, part...)
		p = p[len(part):]
		if end >= 0 {
			p = p[1:]
		}
		if end >= 0 || len(o.line) == maxLine {
			o.flush()
		}
	}
	return n, nil
}

// flush logs the line so far.
func (o *output) flush() {
	text := clean(o.line)
	o.line = o.line[:0]
	if text == "" {
		return
	}
	o.logger.LogAttrs(context.Background(), level(text), "janus says", slog.String("server", o.server), slog.String("line", text))
}

// clean removes colours (CSI sequences, ECMA-48 5.4), other control characters and blanks at the end.
func clean(line []byte) string {
	out := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == 0x1b && i+1 < len(line) && line[i+1] == '[':
			i += 2
			for i < len(line) && (line[i] < 0x40 || line[i] > 0x7e) {
				i++
			}
		case c == '\t':
			out = append(out, ' ')
		case c < ' ' || c == 0x7f:
		default:
			out = append(out, c)
		}
	}
	return strings.ToValidUTF8(strings.TrimRight(string(out), " "), "\uFFFD")
}

func level(text string) slog.Level {
	if !strings.HasPrefix(text, "[ERR]") && !strings.HasPrefix(text, "[FATAL]") {
		return slog.LevelDebug
	}
	for _, mark := range []string{"a=", "m=", "c=IN", "o=", "candidate:", "v=0"} {
		if strings.Contains(text, mark) {
			return slog.LevelDebug
		}
	}
	return slog.LevelInfo
}
