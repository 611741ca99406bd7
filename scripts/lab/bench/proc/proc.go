// SPDX-License-Identifier: Apache-2.0

// Package proc reads from Linux what other processes cost: processor time and memory (proc(5)).
package proc

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Tick is the resolution of CPU: the kernel tells times to programs in hundredths of a second, whatever it counts in.
const Tick = 10 * time.Millisecond

// ErrFormat says that the kernel wrote something that is not understood.
var ErrFormat = errors.New("proc: not understood")

// CPU is how long a process has run so far, in user and in kernel mode, threads that ended included; its resolution is Tick.
func CPU(pid int) (time.Duration, error) {
	content, err := os.ReadFile(file(pid, "stat"))
	if err != nil {
		return 0, fmt.Errorf("proc: %w", err)
	}
	return parseStat(string(content))
}

// Fields of /proc/<pid>/stat behind the name of the program, which may contain anything, parentheses and blanks as well.
const (
	utimeField = 14 - 3
	stimeField = 15 - 3
)

func parseStat(content string) (time.Duration, error) {
	_, after, found := cutLast(content, ") ")
	fields := strings.Fields(after)
	if !found || len(fields) <= stimeField {
		return 0, fmt.Errorf("%w: stat %q", ErrFormat, content)
	}
	user, errUser := strconv.ParseInt(fields[utimeField], 10, 64)
	system, errSystem := strconv.ParseInt(fields[stimeField], 10, 64)
	if err := errors.Join(errUser, errSystem); err != nil {
		return 0, fmt.Errorf("%w: stat: %w", ErrFormat, err)
	}
	return time.Duration(user+system) * Tick, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// Memory is what a process occupies, in bytes.
type Memory struct {
	// RSS is what of it is resident, PSS the same with shared pages divided among those who share them. Neither counts what
	// the kernel keeps for its sockets.
	RSS int64 `json:"rss"`
	PSS int64 `json:"pss"`
}

// ReadMemory reads the memory of a process (smaps_rollup). The kernel walks all its pages for it: not for hot paths.
func ReadMemory(pid int) (Memory, error) {
	content, err := os.ReadFile(file(pid, "smaps_rollup"))
	if err != nil {
		return Memory{}, fmt.Errorf("proc: %w", err)
	}
	return parseRollup(string(content))
}

func parseRollup(content string) (Memory, error) {
	var m Memory
	seen := 0
	for line := range strings.Lines(content) {
		key, value, _ := strings.Cut(line, ":")
		into := map[string]*int64{"Rss": &m.RSS, "Pss": &m.PSS}[key]
		if into == nil {
			continue
		}
		number, isKB := strings.CutSuffix(strings.TrimSpace(value), " kB")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || !isKB {
			return Memory{}, fmt.Errorf("%w: smaps_rollup %q", ErrFormat, line)
		}
		*into = n << 10
		seen++
	}
	if seen != 2 {
		return Memory{}, fmt.Errorf("%w: smaps_rollup without Rss or Pss", ErrFormat)
	}
	return m, nil
}

func file(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }
